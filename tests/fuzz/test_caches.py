"""What a cache holds is made again where it is damaged: a cache is nobody's only copy."""

import json
import shutil

import numpy as np
import pytest
from fuzz.hostile import damaged, fuzzed
from fuzz.test_weights_files import Touch
from hypothesis import given
from hypothesis import strategies as st

from audiozoo.data.audio_io import write_audio
from audiozoo.data.cache import cached_audio
from audiozoo.data.features import cached_recording
from audiozoo.data.mels import cached_log_mel

TONE = 0.5 * np.sin(np.arange(4000) * 0.2).astype("float32")
MEL = {"sample_rate": 8000, "num_mels": 8, "window_length": 256, "hop": 64}


def audio(path, cache):
    stored, gain = cached_audio(path, sample_rate=8000, cache=cache)
    return {"audio": stored[:] * gain}


def mel(path, cache):
    return {"log_mel": cached_log_mel(path, MEL, cache=cache)[:]}


def recording(path, cache):
    found = cached_recording(path, sample_rate=8000, hop=80, f0_method="yin", cache=cache)
    return {"audio": found.audio[:] * found.gain, "f0_hz": found.features.f0_hz}


READERS = {"audio": audio, "mel": mel, "recording": recording}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "tone.wav"
    write_audio(path, TONE, 8000)
    return path


@pytest.fixture(scope="module", params=READERS)
def filled(request, sound, tmp_path_factory):
    """A reader, a cache that it has filled, and what it gave."""
    cache, read = tmp_path_factory.mktemp("cache"), READERS[request.param]
    return read, cache, read(sound, cache)


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)


@fuzzed(8)
@given(data=st.data())
def test_a_file_that_is_cut_is_made_again(filled, sound, data):
    read, cache, expected = filled
    files = sorted(path for path in cache.rglob("*") if path.is_file())
    file = data.draw(st.sampled_from(files))
    share = data.draw(st.floats(0.0, 1.0, exclude_max=True))
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    assert_equal(read(sound, cache), expected)
    assert [path.name for path in cache.rglob(".draft-*")] == []


@fuzzed(8)
@given(data=st.data())
def test_a_header_that_is_damaged_is_made_again_or_means_the_same_shape(filled, sound, data):
    # Of flipped bits in samples nobody knows: a checksum over all of them would be read at every start.
    read, cache, expected = filled
    for file in sorted(path for path in cache.rglob("*") if path.is_file()):
        whole = file.read_bytes()
        file.write_bytes(data.draw(damaged(whole[:128])) + whole[128:])
        found = read(sound, cache)
        assert {name: np.ndim(values) for name, values in found.items()} == {
            name: np.ndim(values) for name, values in expected.items()
        }
    shutil.rmtree(next(cache.iterdir()))
    assert_equal(read(sound, cache), expected)


@pytest.mark.parametrize("gain", [float("nan"), float("inf"), 0, -1.0, "1", None, [], {}])
def test_a_gain_that_is_none_is_made_again(sound, tmp_path, gain):
    expected = audio(sound, tmp_path)
    (entry,) = tmp_path.iterdir()
    (entry / "gain.json").write_text(json.dumps({"gain": gain}))
    assert_equal(audio(sound, tmp_path), expected)


def test_a_pickle_in_the_cache_is_not_loaded(sound, tmp_path):
    expected = audio(sound, tmp_path / "cache")
    (entry,) = (tmp_path / "cache").iterdir()
    np.save(entry / "audio.npy", np.array([Touch(tmp_path / "ran")], object))
    assert_equal(audio(sound, tmp_path / "cache"), expected)
    assert not (tmp_path / "ran").exists()


def test_a_folder_or_a_file_in_the_way_is_made_again(sound, tmp_path):
    expected = audio(sound, tmp_path)
    (entry,) = tmp_path.iterdir()
    (entry / "audio.npy").unlink()
    (entry / "audio.npy").mkdir()
    assert_equal(audio(sound, tmp_path), expected)
    shutil.rmtree(entry)
    entry.write_text("a file")
    assert_equal(audio(sound, tmp_path), expected)
