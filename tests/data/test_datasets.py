import warnings

import numpy as np
import pytest

from audiozoo.data.audio_io import write_audio
from audiozoo.data.datasets import instrument_folder
from audiozoo.errors import DataError


def sine(hz, seconds=0.3, sample_rate=16000):
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * sample_rate)) / sample_rate)).astype(
        "float32"
    )


@pytest.fixture
def folder(tmp_path):
    """Two recordings, one of them deeper and at another rate and in stereo, and what is no audio."""
    data = tmp_path / "data"
    stereo = np.stack([sine(330, sample_rate=44100)] * 2, axis=1)
    write_audio(data / "b" / "second.FLAC", stereo, 44100)
    write_audio(data / "a.wav", sine(220), 16000)
    (data / "notes.txt").write_text("of a rehearsal")
    (data / "take.wav").mkdir()
    return data


def load(folder, tmp_path, **changes):
    return instrument_folder(folder, cache=tmp_path / "cache", **({"f0_method": "yin"} | changes))


def test_every_recording_below_is_found_in_order_of_path(folder, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recordings = load(folder, tmp_path)
    assert [recording.name for recording in recordings] == ["a.wav", "second.FLAC"]
    for recording, hz in zip(recordings, (220, 330), strict=True):
        assert len(recording.audio) == 4800
        assert len(recording.features.f0_hz) == 30
        assert np.median(recording.features.f0_hz) == pytest.approx(hz, rel=0.01)


def test_one_file_is_a_folder_of_one(folder, tmp_path):
    assert [recording.name for recording in load(folder / "a.wav", tmp_path)] == ["a.wav"]


def test_rate_and_hop_reach_every_recording(folder, tmp_path):
    for recording in load(folder, tmp_path, sample_rate=8000, hop=100):
        assert len(recording.audio) == 2400
        assert len(recording.features.loudness_db) == 24


def test_the_cache_is_that_of_audiozoo_by_default(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIOZOO_CACHE", str(tmp_path / "mine"))
    instrument_folder(folder, f0_method="yin", progress=True)
    assert len(list((tmp_path / "mine" / "features").iterdir())) == 2


def test_unusable_files_are_named_and_left_out(folder, tmp_path):
    (folder / "broken.wav").write_text("text")
    (folder / "empty.mp3").write_bytes(b"")
    with pytest.warns(UserWarning, match="2 files left out: .*broken.wav.*; .*empty.mp3"):
        assert len(load(folder, tmp_path)) == 2


def test_a_folder_without_usable_audio_is_refused(tmp_path):
    with pytest.raises(DataError, match="data must be a folder of recordings; .*none' does not exist"):
        load(tmp_path / "none", tmp_path)
    (tmp_path / "data").mkdir()
    with pytest.raises(DataError, match=r"data must hold audio \(.wav, .flac.*data' holds none"):
        load(tmp_path / "data", tmp_path)
    (tmp_path / "data" / "broken.wav").write_text("text")
    with pytest.raises(DataError, match="holds no usable recording: .*broken.wav.* cannot be read as audio"):
        load(tmp_path / "data", tmp_path)
