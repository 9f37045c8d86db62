import numpy as np
import pytest
import soundfile

from audiozoo.data import cache, features
from audiozoo.data.audio_io import write_audio
from audiozoo.data.cache import StoredArray
from audiozoo.data.features import cached_recording, extract_features, loudness, loudness_statistics
from audiozoo.errors import AudioError, OutputError

RATE = 16000


def sine(hz, seconds=0.5, level=0.5):
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype("float32")


@pytest.fixture
def file(tmp_path):
    write_audio(tmp_path / "a.wav", sine(440), RATE)
    return tmp_path / "a.wav"


@pytest.fixture
def cached(file, tmp_path):
    """The function under test with its usual arguments."""

    def call(path=file, **changes):
        settings = {"sample_rate": RATE, "hop": 160, "f0_method": "yin", "cache": tmp_path / "cache"}
        return cached_recording(path, **(settings | changes))

    return call


def refuse_to_compute(*args, **kwargs):
    raise AssertionError("computed again")


@pytest.mark.parametrize("samples", [1, 160, 161, 1600, 8000])
def test_one_value_of_each_feature_for_each_hop_begun(samples):
    found = extract_features(sine(440)[:samples], sample_rate=RATE, hop=160)
    for values in (found.f0_hz, found.confidence, found.loudness_db):
        assert values.shape == (-(-samples // 160),)
        assert values.dtype == np.float32
        assert np.all(np.isfinite(values))


def test_a_sine_of_1_khz_reads_its_level():
    for level in (1.0, 0.1, 0.01):
        decibels = loudness(sine(1000, level=level), sample_rate=RATE)
        np.testing.assert_allclose(decibels[4:-4], 20 * np.log10(level) - 3.01, atol=0.1)


@pytest.mark.parametrize("hop", [1, 16, 100, 160, 512])
def test_loudness_in_blocks_equals_loudness_at_once(monkeypatch, hop):
    audio = np.random.default_rng(0).normal(0, 0.1, 25 * hop + 700).astype("float32")
    whole = loudness(audio, sample_rate=RATE, hop=hop)
    monkeypatch.setattr(features, "BLOCK_FRAMES", 7)
    np.testing.assert_allclose(loudness(audio, sample_rate=RATE, hop=hop), whole, atol=1e-3)


def test_statistics_leave_pauses_out():
    playing = np.array([-20.0, -30.0] * 50)
    mean, deviation = loudness_statistics(np.concatenate([playing, np.full(300, -95.0)]))
    assert mean == pytest.approx(-25.0)
    assert deviation == pytest.approx(5.0)


def test_the_recording_holds_the_audio_and_its_features(cached):
    recording = cached()
    np.testing.assert_allclose(recording.audio * recording.gain, sine(440), atol=2**-14)
    assert recording.audio.dtype == np.int16
    assert isinstance(recording.audio, StoredArray)
    assert recording.name == "a.wav"
    expected = extract_features(sine(440), sample_rate=RATE, f0_method="yin")
    np.testing.assert_allclose(recording.features.f0_hz, expected.f0_hz, rtol=1e-3)
    np.testing.assert_allclose(recording.features.loudness_db, expected.loudness_db, atol=0.1)


def test_audio_beyond_full_scale_keeps_its_level(cached, tmp_path):
    soundfile.write(tmp_path / "loud.wav", 4 * sine(440), RATE, subtype="FLOAT")
    recording = cached(tmp_path / "loud.wav")
    np.testing.assert_allclose(recording.audio * recording.gain, 4 * sine(440), atol=1e-4)


def test_a_second_call_computes_nothing(cached, file, tmp_path, monkeypatch):
    first = cached()
    monkeypatch.setattr(features, "estimate_f0", refuse_to_compute)
    monkeypatch.setattr(features, "read_audio", refuse_to_compute)
    second = cached()
    np.testing.assert_array_equal(second.features.f0_hz, first.features.f0_hz)
    np.testing.assert_array_equal(second.audio, first.audio)
    file.rename(tmp_path / "b.wav")  # the content counts, not the name
    assert cached(tmp_path / "b.wav").name == "b.wav"


@pytest.mark.parametrize("change", [{"hop": 80}, {"sample_rate": 8000}, {"f0_method": "swift"}])
def test_other_settings_are_another_entry(cached, tmp_path, change):
    cached()
    other = cached(**change)
    assert len(list((tmp_path / "cache").iterdir())) == 2
    frames = -(-len(other.audio) // change.get("hop", 160))
    assert len(other.features.f0_hz) == len(other.features.loudness_db) == frames


def test_other_content_under_the_same_name_is_another_entry(cached, file, tmp_path):
    before = cached()
    write_audio(file, sine(220), RATE)
    after = cached()
    assert len(list((tmp_path / "cache").iterdir())) == 2
    assert np.median(before.features.f0_hz) == pytest.approx(440, rel=0.01)
    assert np.median(after.features.f0_hz) == pytest.approx(220, rel=0.01)


def test_a_later_meaning_of_the_numbers_is_another_entry(cached, tmp_path, monkeypatch):
    cached()
    monkeypatch.setattr(features, "CACHE_VERSION", 999)
    cached()
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_an_entry_killed_half_way_is_not_trusted(cached, tmp_path, monkeypatch):
    def die(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(features.np, "savez", die)  # after the audio, before the features
        patch.setattr(cache.shutil, "rmtree", lambda *args, **kwargs: None)  # SIGKILL cleans nothing
        with pytest.raises(KeyboardInterrupt):
            cached()
    (left,) = (tmp_path / "cache").iterdir()
    assert (left / "audio.npy").exists()
    assert len(cached().features.f0_hz) == 50


def test_an_error_half_way_leaves_nothing(cached, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(features.np, "savez", full)
    with pytest.raises(OutputError, match="cache .* cannot be written .*No space left"):
        cached()
    assert not list((tmp_path / "cache").iterdir())


def test_another_process_that_was_first_is_no_error(cached, monkeypatch):
    first = cached()
    exists = features.pathlib.Path.exists
    answers = iter([False])  # as it was when this process looked
    monkeypatch.setattr(features.pathlib.Path, "exists", lambda path: next(answers, None) or exists(path))
    np.testing.assert_array_equal(cached().features.f0_hz, first.features.f0_hz)


def test_an_unwritable_cache_is_refused_with_the_remedy(cached, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cache .*file.* cannot be written.*Set AUDIOZOO_CACHE"):
        cached(cache=tmp_path / "file" / "cache")


def test_a_file_that_cannot_be_used_makes_no_entry(cached, tmp_path):
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(AudioError, match="text.wav"):
        cached(tmp_path / "text.wav")
    assert not (tmp_path / "cache").exists()
