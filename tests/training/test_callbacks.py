import json
import time

import keras
import numpy as np
import pytest
import soundfile
from matplotlib.image import imread

from audiozoo.errors import TrainingError
from audiozoo.training import callbacks
from audiozoo.training.callbacks import (
    SCATTERED_POINTS,
    BetaWarmup,
    FiniteLoss,
    LatentScatter,
    Listening,
    Progress,
    Viewing,
    evenly,
)

RATE = 16000


class Notes:
    """A checkpoint that writes down what it is given."""

    def __init__(self):
        self.saved = []

    def save(self, **progress):
        self.saved.append(json.loads(json.dumps(progress)))


class Parrot:
    """A model that renders noise and performs half of anything, too loud."""

    sample_rate = RATE
    stop_training = False
    variables = trainable_variables = ()
    optimizer = keras.optimizers.SGD()

    def render(self, inputs):
        assert inputs["f0_hz"].shape == inputs["loudness_db"].shape == (1, 50, 1)
        return np.random.default_rng(0).uniform(-0.5, 0.5, (1, 8000)).astype("float32")

    def perform(self, audio, sample_rate):
        assert sample_rate == RATE
        return 8.0 * audio[: len(audio) // 2]


def held_out():
    frames = np.full((3, 50, 1), 220.0, "float32")
    return {"f0_hz": frames, "loudness_db": frames}, np.zeros((3, 8000), "float32")


def sine():
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype("float32")


def test_the_best_epoch_is_kept_before_the_checkpoint_says_so(tmp_path):
    notes, order = Notes(), []
    progress = Progress(tmp_path, notes, {}, save_best=lambda logs: order.append(("best", len(notes.saved))))
    for epoch, loss in enumerate([3.0, 2.0, 2.5, 1.0]):
        progress.on_epoch_end(epoch, {"loss": 9.0, "val_loss": np.float32(loss)})
    assert order == [("best", 0), ("best", 1), ("best", 3)]
    assert [entry["best"] for entry in notes.saved] == [3.0, 2.0, 2.0, 1.0]
    assert [entry["epoch"] for entry in notes.saved] == [1, 2, 3, 4]


def test_without_validation_the_training_loss_decides(tmp_path):
    best = []
    progress = Progress(tmp_path, Notes(), {}, save_best=best.append)
    for epoch, loss in enumerate([3.0, 4.0, 2.0]):
        progress.on_epoch_end(epoch, {"loss": loss})
    assert [logs["loss"] for logs in best] == [3.0, 2.0]


def test_the_last_epoch_is_kept_where_no_loss_judges(tmp_path):
    kept = []
    progress = Progress(tmp_path, Notes(), {}, save_best=kept.append, judged_by_loss=False)
    for epoch, loss in enumerate([3.0, 2.0, 2.5]):
        progress.on_epoch_end(epoch, {"loss": 9.0, "val_loss": loss})
    assert [logs["val_loss"] for logs in kept] == [3.0, 2.0, 2.5]


def test_a_resumed_run_knows_its_history_and_its_best(tmp_path):
    notes, best = Notes(), []
    first = {"epoch": 1, "core_seconds": 60.0, "loss": 2.0}
    restored = {"epoch": 1, "best": 2.0, "history": [first]}
    progress = Progress(tmp_path, notes, restored, save_best=best.append)
    progress.on_epoch_end(1, {"loss": 2.5})
    assert not best
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    second = {"epoch": 2, "core_seconds": 60.0, "loss": 2.5}
    assert lines == notes.saved[-1]["history"] == [first, second]


def test_the_clock_runs_in_training_alone_and_goes_on_where_it_was(tmp_path):
    def work():
        began = time.process_time()
        while time.process_time() - began < 0.05:
            pass

    notes = Notes()
    restored = {"epoch": 1, "history": [{"epoch": 1, "core_seconds": 60.0, "loss": 2.0}]}
    progress = Progress(tmp_path, notes, restored, save_best=lambda logs: None)
    for batch in range(2):
        progress.on_train_batch_begin(batch)
        work()
        progress.on_train_batch_end(batch)
        work()  # as validation would
    progress.on_epoch_end(1, {"loss": 1.0})
    assert 60.1 <= notes.saved[-1]["history"][-1]["core_seconds"] < 60.2


@pytest.mark.parametrize("minutes, stops", [(0.0, True), (5.0, False), (None, False)])
def test_a_run_ends_after_the_epoch_in_which_its_time_is_up(tmp_path, minutes, stops):
    notes = Notes()
    progress = Progress(tmp_path, notes, {}, save_best=lambda logs: None, max_minutes=minutes)
    progress.set_model(Parrot())
    progress.on_epoch_end(0, {"loss": 1.0})
    assert progress.model.stop_training == stops
    assert len(notes.saved) == 1


@pytest.mark.parametrize("name", ["loss", "val_loss"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_no_number_ends_the_run_with_the_remedy(name, value):
    logs = {"loss": 1.0, "val_loss": 1.0}
    FiniteLoss().on_epoch_end(4, logs)
    with pytest.raises(
        TrainingError, match=f"^{name} became {value} in epoch 5.*is kept; lower train.learning_rate"
    ):
        FiniteLoss().on_epoch_end(4, logs | {name: value})


def test_examples_are_written_to_hear_and_to_see(tmp_path):
    listening = Listening(tmp_path, held_out(), {"1_voice": (sine(), RATE)})
    listening.set_model(Parrot())
    listening.on_epoch_end(11, {"loss": 1.0})
    examples = tmp_path / "examples"
    stems = ["epoch_0012_1_voice", "epoch_0012_held_out"]
    assert sorted(path.name for path in examples.iterdir()) == [
        s + e for s in stems for e in (".png", ".wav")
    ]
    audio, rate = soundfile.read(examples / "epoch_0012_1_voice.wav")
    assert rate == RATE
    assert len(audio) == 8000
    assert np.abs(audio).max() == pytest.approx(1.0, abs=1e-3)  # turned down, not clipped
    assert np.std(audio) == pytest.approx(np.sqrt(0.5), rel=0.01)
    assert imread(examples / "epoch_0012_held_out.png").ndim == 3


def test_monitors_are_heard_where_nothing_is_held_out(tmp_path):
    listening = Listening(tmp_path, None, {"1_voice": (sine(), RATE)})
    listening.set_model(Parrot())
    listening.on_epoch_end(0, {"loss": 1.0})
    assert len(list((tmp_path / "examples").iterdir())) == 2


def test_tensorboard_shows_the_loss_and_the_examples_on_tensorflow(tmp_path):
    listening = Listening(tmp_path, held_out(), {"1_voice": (sine(), RATE)})
    listening.set_model(Parrot())
    for epoch in (0, 1):
        listening.on_epoch_end(epoch, {"loss": 2.0 - epoch, "val_loss": 3.0})
    if keras.backend.backend() != "tensorflow":
        assert not (tmp_path / "logs").exists()
        return
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    board = EventAccumulator(str(tmp_path / "logs")).Reload()
    examples = {f"{name}/{kind}" for name in ("held_out", "1_voice") for kind in ("sound", "spectrogram")}
    assert set(board.Tags()["tensors"]) == {"loss", "val_loss"} | examples
    losses = [(e.step, float(tensor_util.make_ndarray(e.tensor_proto))) for e in board.Tensors("loss")]
    assert losses == [(1, 2.0), (2, 1.0)]  # once an epoch, however many examples


class Mirror:
    """A model of images that turns them over, and whose codes are their first pixels."""

    encodes = "image"
    variables = trainable_variables = ()
    optimizer = keras.optimizers.SGD()

    def render(self, inputs):
        return 1.0 - inputs["image"]

    def code_distribution(self, images):
        mean = images[:, 0, :3] * np.array([0.1, 3.0, 2.0])
        return {"mean": mean, "log_variance": np.zeros_like(mean)}


class Pictures:
    """Held-out images with labels, or without."""

    def __init__(self, count, labelled=True):
        self.count, self.labelled = count, labelled

    def validation_places(self):
        return [(index,) for index in range(self.count)]

    def collate(self, which):
        self.asked = list(which)
        return {"image": np.random.default_rng(0).random((len(which), 8, 8))}

    def labels(self, places):
        return [str(index % 3) for (index,) in places] if self.labelled else None


def test_images_are_shown_beside_what_the_model_makes_of_them(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(callbacks, "image_rows", lambda rows, **more: drawn.append((rows, more)))
    monkeypatch.setattr(callbacks.TensorBoardWriter, "if_possible", lambda folder: None)
    images = np.random.default_rng(0).random((20, 8, 8))
    viewing = Viewing(tmp_path, ({"image": images}, images))
    viewing.set_model(Mirror())
    viewing.on_epoch_end(4, {"loss": 1.0})
    ((rows, more),) = drawn
    np.testing.assert_array_equal(rows[0], images[:12])
    np.testing.assert_array_equal(rows[1], 1.0 - images[:12])
    assert more["path"] == tmp_path / "examples" / "epoch_0005_held_out.png"
    Viewing(tmp_path, None).on_epoch_end(4, {"loss": 1.0})
    assert len(drawn) == 1


@pytest.mark.parametrize("labelled", [True, False])
def test_codes_are_scattered_along_the_two_dimensions_that_say_most(tmp_path, monkeypatch, labelled):
    drawn = []
    monkeypatch.setattr(callbacks, "latent_scatter", lambda codes, **more: drawn.append((codes, more)))
    monkeypatch.setattr(callbacks.TensorBoardWriter, "if_possible", lambda folder: None)
    pictures = Pictures(100, labelled)
    scatter = LatentScatter(tmp_path, pictures, items=10)
    assert pictures.asked == list(range(0, 100, 11))  # evenly from all of them
    scatter.set_model(Mirror())
    scatter.on_epoch_end(0, {})
    ((codes, more),) = drawn
    expected = np.random.default_rng(0).random((10, 8, 8))[:, 0, [1, 2]] * [3.0, 2.0]
    np.testing.assert_allclose(codes, expected)
    assert [axis.split(" (")[0] for axis in more["axes"]] == ["dimension 1", "dimension 2"]
    if labelled:
        assert list(more["labels"]) == [str(index % 3) for index in range(0, 100, 11)]
    else:
        assert more["labels"] is None


def test_the_frames_of_a_clip_are_points_with_its_label(tmp_path, monkeypatch):
    class Framewise(Mirror):
        def code_distribution(self, images):
            mean = np.repeat(np.arange(len(images))[:, None, None], 3000, axis=1) * np.ones(1)
            return {"mean": mean, "log_variance": np.zeros_like(mean)}

    drawn = []
    monkeypatch.setattr(callbacks, "latent_scatter", lambda codes, **more: drawn.append((codes, more)))
    monkeypatch.setattr(callbacks.TensorBoardWriter, "if_possible", lambda folder: None)
    scatter = LatentScatter(tmp_path, Pictures(3), items=3)
    scatter.set_model(Framewise())
    scatter.on_epoch_end(0, {})
    ((codes, more),) = drawn
    assert codes.shape == (SCATTERED_POINTS, 2)  # a single dimension is both axes
    np.testing.assert_array_equal(codes[:, 0], [int(label) for label in more["labels"]])


def test_where_nothing_is_held_out_there_is_nothing_to_scatter(tmp_path):
    scatter = LatentScatter(tmp_path, Pictures(0), items=10)
    scatter.on_epoch_end(0, {})
    assert not (tmp_path / "examples").exists()


@pytest.mark.parametrize("count, most, expected", [(5, 9, [0, 1, 2, 3, 4]), (9, 3, [0, 4, 8]), (0, 3, [])])
def test_a_few_are_taken_evenly_from_many(count, most, expected):
    assert evenly(count, most).tolist() == expected


def test_tensorboard_shows_images_and_codes_on_tensorflow(tmp_path):
    pictures = Pictures(20)
    images = pictures.collate(range(20))["image"]
    for callback in (
        Viewing(tmp_path, ({"image": images}, images)),
        LatentScatter(tmp_path, pictures, items=9),
    ):
        callback.set_model(Mirror())
        callback.on_epoch_end(0, {"loss": 2.0})
    stems = {path.name for path in (tmp_path / "examples").iterdir()}
    assert stems == {"epoch_0001_held_out.png", "epoch_0001_codes.png"}
    if keras.backend.backend() != "tensorflow":
        assert not (tmp_path / "logs").exists()
        return
    import tensorflow as tf

    seen = []
    for path in (tmp_path / "logs").iterdir():
        events = tf.compat.v1.train.summary_iterator(str(path))
        seen += [value.tag for event in events for value in event.summary.value]
    assert sorted(seen) == ["held_out/codes", "held_out/images", "loss"]


class Warming:
    """A model whose divergence has a weight."""

    beta = 0.5

    def __init__(self):
        self.beta_now = keras.Variable(9.0)


@pytest.mark.parametrize("first", [0, 3])
def test_beta_rises_evenly_and_goes_on_where_a_run_is_resumed(first):
    warmup, seen = BetaWarmup(4), []
    warmup.set_model(Warming())
    for epoch in range(first, 6):
        warmup.on_epoch_begin(epoch)
        seen.append(float(keras.ops.convert_to_numpy(warmup.model.beta_now)))
        logs = {}
        warmup.on_epoch_end(epoch, logs)
        assert logs["beta"] == pytest.approx(seen[-1])
    assert seen == pytest.approx([0.0, 0.125, 0.25, 0.375, 0.5, 0.5][first:])
