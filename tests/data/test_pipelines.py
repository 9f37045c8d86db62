import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from audiozoo.data.features import Features, Recording
from audiozoo.data.pipelines import FeatureCrops, HeldOut, numpy_stream, tf_stream, training_stream
from audiozoo.errors import DataError

HOP = 10
RATE = 1000  # 100 frames a second


def recording(number, frames):
    """Each sample and each feature tells its place: ``1000 * number + frame``."""
    place = 1000 * number + np.arange(frames)
    values = place.astype("float32")
    features = Features(f0_hz=values, confidence=np.ones(frames, "float32"), loudness_db=-values)
    return Recording(f"{number}.wav", np.repeat(place, HOP).astype("int16"), 0.5, features)


def crops(*frames, **changes):
    recordings = [recording(number, count) for number, count in enumerate(frames, start=1)]
    settings = {"clip_seconds": 0.2, "batch_size": 64, "validation_seconds": 0.5, "seed": 0}
    return FeatureCrops(recordings, sample_rate=RATE, hop=HOP, **(settings | changes))


def assert_equal(left, right):
    keras.tree.map_structure(np.testing.assert_array_equal, left, right)


def test_a_batch_is_a_function_of_seed_and_step_alone():
    one, other = crops(300, 400), crops(300, 400)
    later = one.batch(7)
    for step in (3, 0):
        other.batch(step)
    assert_equal(other.batch(7), later)
    assert np.any(one.batch(8)["f0_hz"] != later["f0_hz"])
    assert np.any(crops(300, 400, seed=1).batch(7)["f0_hz"] != later["f0_hz"])


def test_audio_and_features_of_a_crop_are_of_one_place():
    batch = crops(300, 400).batch(0)
    assert {name: value.shape for name, value in batch.items()} == {
        "audio": (64, 200),
        "f0_hz": (64, 20, 1),
        "loudness_db": (64, 20, 1),
    }
    assert all(value.dtype == np.float32 for value in batch.values())
    assert np.all(np.diff(batch["f0_hz"], axis=1) == 1)
    np.testing.assert_array_equal(batch["loudness_db"], -batch["f0_hz"])
    np.testing.assert_array_equal(batch["audio"], 0.5 * np.repeat(batch["f0_hz"][:, :, 0], HOP, axis=1))


def test_no_training_crop_touches_the_held_out_part_and_every_other_frame_is_seen():
    some = crops(300, 400, 30)  # 50, 50 and a fifth of 30 frames are held out
    seen = np.unique(np.concatenate([some.batch(step)["f0_hz"] for step in range(100)]))
    allowed = [1000 * number + np.arange(split) for number, split in ((1, 250), (2, 350), (3, 24))]
    np.testing.assert_array_equal(seen, np.concatenate(allowed))
    np.testing.assert_array_equal(some.training_loudness_db(), -np.concatenate(allowed))


def test_every_place_is_equally_likely():
    some = crops(100, 45, batch_size=1000)
    starts = np.concatenate([some.batch(step)["f0_hz"][:, 0, 0] for step in range(20)]).astype(int)
    places = np.concatenate([1000 + np.arange(80 - 19), 2000 + np.arange(36 - 19)])
    counts = np.bincount(starts)[places]
    expected = 20_000 / len(places)
    assert counts.sum() == 20_000
    chi_square = np.sum((counts - expected) ** 2 / expected)
    assert chi_square < 77 + 4 * np.sqrt(2 * 77)  # mean and four deviations, 77 degrees of freedom


def test_held_out_crops_follow_each_other_through_the_held_out_part():
    some = crops(300, 400, 30, batch_size=3)
    held_out = HeldOut(some)
    batches = [held_out[index] for index in range(len(held_out))]
    assert [len(target) for _, target in batches] == [3, 1]
    frames = np.concatenate([inputs["f0_hz"][:, :, 0] for inputs, _ in batches])
    np.testing.assert_array_equal(
        frames, [np.arange(start, start + 20) for start in (1250, 1270, 2350, 2370)]
    )
    np.testing.assert_array_equal(np.concatenate([t for _, t in batches])[:, ::HOP], 0.5 * frames)
    first = HeldOut(some, most_batches=1)
    assert len(first) == 1
    np.testing.assert_array_equal(first[0][1], batches[0][1])


def test_the_pattern_says_which_recordings_validate_and_all_of_them_keep_their_end_out_of_training():
    some = crops(300, 400, batch_size=3, validation_files="2.*")
    frames = np.concatenate([batch[0]["f0_hz"][:, :, 0] for batch in HeldOut(some)])
    np.testing.assert_array_equal(frames, [np.arange(start, start + 20) for start in (2350, 2370)])
    assert_equal(some.batch(3), crops(300, 400, batch_size=3).batch(3))


def test_a_pattern_that_matches_no_recording_is_refused():
    with pytest.raises(DataError, match="validation_files must match a recording; 'mov7' .*none of 1.wav, 2"):
        crops(300, 400, validation_files="mov7")


def test_without_validation_seconds_nothing_is_held_out():
    some = crops(100, validation_seconds=0.0)
    assert len(HeldOut(some)) == 0
    assert max(some.batch(step)["f0_hz"].max() for step in range(20)) == 1099


def test_data_too_short_for_one_crop_is_refused_with_the_numbers():
    with pytest.raises(
        DataError, match="longer than clip_seconds = 0.2 s and its held-out part; the longest is 0.2 s"
    ):
        crops(24, 10)
    assert crops(25, 10).batch(0)["f0_hz"].max() == 1019


def test_the_streams_begin_at_any_step():
    some = crops(300)
    from_two = numpy_stream(some, first_step=2)
    for step in (2, 3, 4):
        inputs, target = next(from_two)
        assert_equal(inputs | {"audio": target}, some.batch(step))


def test_the_stream_of_tensorflow_equals_that_of_numpy():
    pytest.importorskip("tensorflow")
    some = crops(300, 400, batch_size=4)
    stream = tf_stream(some, first_step=5).take(4).as_numpy_iterator()
    for ours, theirs in zip(numpy_stream(some, first_step=5), stream, strict=False):
        assert_equal(theirs, ours)


def test_the_backend_chooses_the_stream():
    stream = training_stream(crops(300), first_step=1)
    assert hasattr(stream, "element_spec") == (keras.backend.backend() == "tensorflow")
    assert_equal(next(iter(stream))[0]["f0_hz"], crops(300).batch(1)["f0_hz"])


WITHOUT_TENSORFLOW = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "tf_keras"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
import numpy as np
from audiozoo.data.features import Features, Recording
from audiozoo.data.pipelines import FeatureCrops, numpy_stream, training_stream
values = np.zeros(200, "float32")
recording = Recording("a.wav", np.zeros(32000, "int16"), 1.0, Features(values, values, values))
crops = FeatureCrops([recording], clip_seconds=0.5)
inputs, target = next(training_stream(crops))
assert inputs["f0_hz"].shape == (16, 50, 1), inputs["f0_hz"].shape
assert target.shape == next(numpy_stream(crops))[1].shape == (16, 8000)
assert "tensorflow" not in sys.modules
"""


def test_batches_come_where_tensorflow_is_not_installed():
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed: pip install -e '.[jax]'")
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    command = [sys.executable, "-c", WITHOUT_TENSORFLOW]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
