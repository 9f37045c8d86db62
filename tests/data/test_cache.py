"""An entry is there whole or not at all; what is stored comes back."""

import os

import numpy as np
import pytest

from audiozoo.data import cache
from audiozoo.data.audio_io import write_audio
from audiozoo.errors import AudioError, OutputError


def test_audio_comes_back_as_it_was_even_beyond_full_scale(tmp_path):
    audio = np.array([0.0, 0.5, -1.0, 3.0], "float32")
    cache.save_audio(tmp_path, audio)
    stored, gain = cache.load_audio(tmp_path)
    assert stored.dtype == np.int16
    np.testing.assert_allclose(stored * gain, audio, atol=0.5 * gain)


def test_stored_audio_is_an_array_of_which_parts_are_read(tmp_path):
    audio = np.linspace(-1.0, 1.0, 100).astype("float32")
    cache.save_audio(tmp_path, audio)
    stored, _ = cache.load_audio(tmp_path)
    whole = np.load(tmp_path / "audio.npy")
    assert len(stored) == 100
    assert stored.shape == (100,)
    for place in (slice(None), slice(10, 20), slice(95, 200), slice(None, None, 7), -1, [3, 1]):
        np.testing.assert_array_equal(stored[place], whole[place])
        assert not isinstance(stored[place], np.memmap)  # else its file would stay open
    np.testing.assert_array_equal(np.abs(2.0 * stored) - stored, np.abs(2.0 * whole) - whole)
    assert np.asarray(stored, "float32").dtype == np.float32


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files are counted in /proc")
def test_any_number_of_files_is_stored_without_one_staying_open(tmp_path):
    cache.save_audio(tmp_path, np.ones(8, "float32"))
    before = len(os.listdir("/proc/self/fd"))
    kept = [cache.load_audio(tmp_path)[0] for _ in range(50)]
    assert sum(int(stored[3] > 0) for stored in kept) == 50
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_entry_is_told_by_content_and_settings_and_not_by_name(tmp_path):
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (cache.entry_of(tmp_path / name, {"rate": 1}, cache=tmp_path) for name in "abc")
    assert a == b != c
    assert a != cache.entry_of(tmp_path / "a", {"rate": 2}, cache=tmp_path)


def test_a_file_is_decoded_once(tmp_path, monkeypatch):
    write_audio(tmp_path / "tone.wav", np.full(800, 0.5, "float32"), 8000)
    folder = tmp_path / "cache"
    first, gain = cache.cached_audio(tmp_path / "tone.wav", sample_rate=8000, cache=folder)
    monkeypatch.delattr(cache, "read_audio")
    again, _ = cache.cached_audio(tmp_path / "tone.wav", sample_rate=8000, cache=folder)
    np.testing.assert_array_equal(first, again)
    assert first[0] * gain == pytest.approx(0.5, abs=1e-3)


def test_a_damaged_file_leaves_nothing(tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"no audio")
    with pytest.raises(AudioError, match=r"broken\.wav"):
        cache.cached_audio(tmp_path / "broken.wav", sample_rate=8000, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_what_fails_half_way_is_taken_away(tmp_path):
    def write(folder):
        (folder / "half").write_text("done")
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left"):
        cache.fill(tmp_path / "cache" / "entry", write)
    assert not list((tmp_path / "cache").iterdir())


def test_whoever_comes_second_keeps_what_is_there(tmp_path):
    entry = tmp_path / "cache" / "entry"
    cache.fill(entry, lambda folder: (folder / "value").write_text("first"))
    cache.fill(entry, lambda folder: (folder / "value").write_text("second"))
    assert (entry / "value").read_text() == "first"
    assert list((tmp_path / "cache").iterdir()) == [entry]
