"""TensorFlow I/O as a second pair of ears: what it decodes and resamples is what soundfile and soxr do.

It lives beside TensorFlow 2.16 only: ``make test-tfio`` makes such an environment and runs this file.
"""

import importlib.util

import numpy as np
import pytest
import soundfile

from audiozoo.data.audio_io import read_audio, tfio_resampler
from audiozoo.errors import AudioError

if importlib.util.find_spec("tensorflow_io") is None:
    reason = "tensorflow-io is not installed: it needs TensorFlow 2.16, and 'make test-tfio' has it"
    pytest.skip(reason, allow_module_level=True)


@pytest.fixture(scope="module", autouse=True)
def nothing_is_left_for_the_end():
    """TensorFlow complains of functions that it finds when all else is gone."""
    yield
    tfio_resampler.cache_clear()


def noise(samples, channels=2):
    return np.random.default_rng(0).uniform(-1.0, 1.0, (samples, channels))


def band_limited(samples, sample_rate, highest_hz):
    """Noise below a frequency, of about a quarter of full scale."""
    spectrum = np.fft.rfft(noise(samples, 1)[:, 0])
    spectrum[np.fft.rfftfreq(samples, 1 / sample_rate) > highest_hz] = 0.0
    signal = np.fft.irfft(spectrum, samples)
    return (0.25 * signal / signal.std()).astype("float32")


def in_db(difference, reference):
    return 10.0 * np.log10(np.mean(np.square(difference)) / np.mean(np.square(reference)))


@pytest.mark.parametrize(
    "container, subtype, steps",
    [  # of 16 bits
        ("wav", "PCM_16", 0.0),
        ("wav", "PCM_24", 0.0),
        ("wav", "PCM_U8", 0.0),
        ("wav", "FLOAT", 0.0),
        ("wavex", "PCM_24", 0.0),
        ("flac", "PCM_16", 0.0),
        ("flac", "PCM_24", 0.0),
        ("flac", "PCM_S8", 0.0),
        ("ogg", "VORBIS", 0.5),
        ("mp3", "MPEG_LAYER_III", 0.5),
    ],
)
@pytest.mark.parametrize("mono", [True, False])
def test_decodes_as_soundfile_does(tmp_path, container, subtype, steps, mono):
    path = tmp_path / f"a.{container}"
    soundfile.write(path, noise(22_051), 44100, subtype=subtype, format=container.upper())
    expected, expected_rate = read_audio(path, mono=mono)
    audio, sample_rate = read_audio(path, mono=mono, backend="tfio")
    assert sample_rate == expected_rate == 44100
    assert audio.dtype == expected.dtype == np.float32
    assert audio.shape == expected.shape
    np.testing.assert_allclose(audio, expected, rtol=0.0, atol=steps / 2**15)


@pytest.mark.parametrize(
    "sample_rate, new_sample_rate",
    [
        (44100, 16000),
        (48000, 16000),
        (48000, 44100),
        (44100, 22050),
        (192_000, 8000),
        (44100, 16001),
        (16000, 44100),
        (8000, 16000),
        (11025, 48000),
        (44100, 44101),
    ],
)
def test_resamples_as_soxr_does_where_both_pass_the_sound(tmp_path, sample_rate, new_sample_rate):
    lower = min(sample_rate, new_sample_rate)
    signal = band_limited(sample_rate // 2 + 7, sample_rate, 0.8 * lower / 2)
    soundfile.write(tmp_path / "a.wav", signal, sample_rate, subtype="FLOAT")
    expected, _ = read_audio(tmp_path / "a.wav", sample_rate=new_sample_rate)
    audio, rate = read_audio(tmp_path / "a.wav", sample_rate=new_sample_rate, backend="tfio")
    assert rate == new_sample_rate
    assert audio.shape == expected.shape
    # A recording that begins at once is no band-limited signal at its ends, where each filter has its own.
    ends = 400 * max(1, new_sample_rate // sample_rate)
    assert in_db((audio - expected)[ends:-ends], expected) < -80.0
    assert in_db(audio - expected, expected) < -50.0
    # One sample off would be seen: this is how much.
    assert in_db((audio[1:] - expected[:-1])[ends:-ends], expected) > -40.0


@pytest.mark.parametrize("new_sample_rate", [16000, 48000])
@pytest.mark.parametrize("samples", [1, 2, 3, 100, 4411])
def test_lengths_are_those_of_soxr(tmp_path, samples, new_sample_rate):
    soundfile.write(tmp_path / "a.wav", noise(samples), 44100)
    expected = [read_audio(tmp_path / "a.wav", mono=False)]
    if round(samples * new_sample_rate / 44100):
        audio = [
            read_audio(tmp_path / "a.wav", sample_rate=new_sample_rate, mono=False, backend=backend)[0].shape
            for backend in ("soundfile", "tfio")
        ]
        assert audio[0] == audio[1]
    else:
        for backend in "soundfile", "tfio":
            with pytest.raises(AudioError, match="must hold at least one sample"):
                read_audio(tmp_path / "a.wav", sample_rate=new_sample_rate, mono=False, backend=backend)
    assert expected[0][0].shape == (samples, 2)


def test_what_lies_above_the_new_nyquist_frequency_does_not_fold_back(tmp_path):
    tone = 0.5 * np.sin(2 * np.pi * 11_000.0 * np.arange(44100) / 44100)
    soundfile.write(tmp_path / "a.wav", tone, 44100, subtype="FLOAT")
    audio, _ = read_audio(tmp_path / "a.wav", sample_rate=16000, backend="tfio")
    assert np.abs(audio[400:-400]).max() < 5e-4


def refusal(path, backend, **settings):
    with pytest.raises(AudioError) as refused:
        read_audio(path, backend=backend, **settings)
    return str(refused.value)


def test_what_is_no_audio_is_refused_in_the_same_words(tmp_path):
    tone = 0.5 * np.sin(np.arange(20_000) / 10)
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.flac").write_text("This is no sound at all, only called so.")
    soundfile.write(tmp_path / "nothing.wav", np.zeros(0), 16000)
    soundfile.write(tmp_path / "whole.wav", tone, 16000)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "whole.wav").read_bytes()[:20_000])
    tone[17] = np.nan
    soundfile.write(tmp_path / "nan.wav", tone, 16000, subtype="FLOAT")
    for name in "none.wav", ".", "empty.wav", "text.flac", "nothing.wav", "cut.wav", "nan.wav":
        refused = refusal(tmp_path / name, "soundfile")
        assert str(tmp_path / name) in refused
        assert refusal(tmp_path / name, "tfio") == refused
    assert refusal(tmp_path / "whole.wav", "tfio", sample_rate=7) == refusal(
        tmp_path / "whole.wav", "soundfile", sample_rate=7
    )


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.mp3"])
def test_a_packed_file_that_is_cut_short_is_refused_by_its_name(tmp_path, name):
    soundfile.write(tmp_path / name, noise(20_000), 16000)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    assert name in refusal(tmp_path / name, "tfio")


@pytest.mark.parametrize(
    "container, subtype", [("wav", "PCM_32"), ("wav", "DOUBLE"), ("wav", "ULAW"), ("aiff", "PCM_16")]
)
def test_what_it_would_misread_is_refused_with_the_way_out(tmp_path, container, subtype):
    soundfile.write(tmp_path / f"a.{container}", noise(1000), 16000, subtype=subtype)
    refused = refusal(tmp_path / f"a.{container}", "tfio")
    assert f"a.{container}' is {container.upper()} of {subtype}, and backend 'tfio' reads WAV of" in refused
    assert refused.endswith("Use backend 'soundfile'.")
    assert read_audio(tmp_path / f"a.{container}")[0].shape == (1000,)


def test_another_tensorflow_is_refused_with_the_way_out(tmp_path, monkeypatch):
    import tensorflow

    from audiozoo.errors import MissingDependency

    soundfile.write(tmp_path / "a.wav", noise(1000), 16000)
    monkeypatch.setattr(tensorflow, "__version__", "2.21.0")
    with pytest.raises(MissingDependency, match=r"TensorFlow 2\.21\.0: pip install 'audiozoo\[tfio\]'"):
        read_audio(tmp_path / "a.wav", backend="tfio")


def test_many_files_are_read_without_a_word(tmp_path, caplog, capfd):
    """TensorFlow warns where a function is traced again and again."""
    for count in range(8):
        soundfile.write(tmp_path / f"{count}.wav", noise(1000 + count, 1 + count % 3), 8000 + count)
        read_audio(tmp_path / f"{count}.wav", sample_rate=16000, mono=False, backend="tfio")
    assert "retracing" not in caplog.text + capfd.readouterr().err
