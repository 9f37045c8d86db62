import json
import re
import zipfile

import keras
import numpy as np
import pytest

from audiozoo.errors import OutputError, TrainingError
from audiozoo.training.checkpoint import Checkpoint


def small_model(units=3, built=True):
    """Dropout, so that a random generator is part of the state (on PyTorch only if it is given a seed)."""
    layers = [keras.layers.Dense(units), keras.layers.Dropout(0.5, seed=0), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(0.1), loss="mse")
    if built:
        model.build((None, 4))
    return model


def train(model, steps, *, first=0):
    for step in range(first, first + steps):
        x = np.random.default_rng(step).normal(size=(8, 4)).astype("float32")
        model.train_on_batch(x, x[:, :1])


def state(model):
    variables = [*model.variables, *model.optimizer.variables]
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def assert_equal(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def saved(tmp_path):
    """A model after two steps, and the file of its checkpoint."""
    model = small_model()
    checkpoint = Checkpoint(tmp_path / "checkpoint.npz", model)
    train(model, 2)
    checkpoint.save(epoch=2, best=0.5, history=[{"loss": 1.0}])
    return model, tmp_path / "checkpoint.npz"


def test_everything_is_restored_into_another_instance(saved):
    model, path = saved
    other = small_model()
    checkpoint = Checkpoint(path, other)
    assert any(np.any(a != b) for a, b in zip(state(model), state(other), strict=True))
    assert checkpoint.restore() == {"epoch": 2, "best": 0.5, "history": [{"loss": 1.0}]}
    assert_equal(state(other), state(model))
    assert other.optimizer.iterations == 2


def test_training_goes_on_as_if_it_had_not_stopped(saved):
    model, path = saved
    other = small_model()
    Checkpoint(path, other).restore()
    train(model, 3, first=2)
    train(other, 3, first=2)
    assert_equal(state(other), state(model))


def test_where_nothing_is_saved_nothing_is_changed(tmp_path):
    model = small_model()
    checkpoint = Checkpoint(tmp_path / "none.npz", model)
    before = state(model)
    assert checkpoint.restore() == {}
    assert_equal(state(model), before)


def test_names_and_their_order_depend_on_the_architecture_alone(tmp_path):
    names = [list(Checkpoint(tmp_path / "a.npz", small_model()).variables()) for _ in range(2)]
    assert names[0] == names[1]
    assert len(names[0]) == 4 + 1 + 2 * 4 + 2  # weights, generator; two moments each, step, learning rate
    parts = [re.split("[/:]", name)[-1] for name in names[0]]
    assert parts[:4] == ["kernel", "bias", "seed_generator_state", "kernel"]


def test_the_checkpoint_of_another_model_is_refused(saved):
    _, path = saved
    wider = small_model(units=5)
    checkpoint = Checkpoint(path, wider)
    before = state(wider)
    with pytest.raises(
        TrainingError, match="belongs to another model: it differs in .*kernel.*another output folder"
    ):
        checkpoint.restore()
    assert_equal(state(wider), before)


def test_a_checkpoint_with_more_in_it_is_refused(saved):
    _, path = saved
    with np.load(path) as old:
        arrays = dict(old)
    np.savez(path, **arrays, more=np.zeros(1))
    with pytest.raises(TrainingError, match="it differs in its number of variables"):
        Checkpoint(path, small_model()).restore()


def damage(path, kind):
    content = path.read_bytes()
    if kind == "array":
        np.save(path.with_suffix(".npy"), np.zeros(3))
        content = path.with_suffix(".npy").read_bytes()
    elif kind == "progress":
        with np.load(path) as old:
            arrays = dict(old)
        with open(path, "wb") as sink:
            np.savez(sink, **(arrays | {"progress": "{half"}))
        return
    elif kind == "no progress":
        with np.load(path) as old:
            arrays = {name: value for name, value in old.items() if name != "progress"}
        with open(path, "wb") as sink:
            np.savez(sink, **arrays)
        return
    else:
        content = {"empty": b"", "text": b"no checkpoint", "half": content[: len(content) // 2]}[kind]
    path.write_bytes(content)


@pytest.mark.parametrize("kind", ["empty", "text", "half", "array", "progress", "no progress"])
def test_a_damaged_checkpoint_is_refused_with_the_remedy(saved, kind):
    _, path = saved
    damage(path, kind)
    model = small_model()
    checkpoint = Checkpoint(path, model)
    before = state(model)
    with pytest.raises(
        TrainingError, match=r"checkpoint .*checkpoint\.npz' is damaged .*Delete it to begin anew"
    ):
        checkpoint.restore()
    assert_equal(state(model), before)


def test_no_single_altered_byte_is_loaded_as_if_it_were_whole(saved):
    model, path = saved
    content = path.read_bytes()
    other = small_model()
    checkpoint = Checkpoint(path, other)
    for place in np.random.default_rng(0).integers(0, len(content), 150):
        altered = bytearray(content)
        altered[place] ^= 0x40
        path.write_bytes(altered)
        try:
            checkpoint.restore()
        except TrainingError:
            continue
        assert_equal(state(other), state(model))  # a byte that means nothing, such as a date


def test_a_failure_while_writing_keeps_the_last_one(saved, monkeypatch):
    model, path = saved
    old = path.read_bytes()

    def fail_late(sink, **arrays):
        sink.write(b"PK\x03\x04 half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fail_late)
    with pytest.raises(OutputError, match="cannot write .*checkpoint.npz: No space left on device"):
        Checkpoint(path, model).save(epoch=3)
    assert path.read_bytes() == old
    assert [file.name for file in path.parent.iterdir()] == ["checkpoint.npz"]


def test_an_unwritable_place_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write .*file"):
        Checkpoint(tmp_path / "file" / "checkpoint.npz", small_model()).save(epoch=1)


def test_the_file_is_plain_numpy(saved):
    _, path = saved
    assert zipfile.is_zipfile(path)
    with np.load(path, allow_pickle=False) as arrays:
        assert json.loads(str(arrays["progress"]))["epoch"] == 2
