"""Descriptors against librosa in every frame, and on sounds whose answer is known."""

import dataclasses

import librosa
import numpy as np
import pytest

from audiozoo.metrics import describe

RATE = 22050


def sine(hz, amplitude=1.0, samples=RATE):
    return amplitude * np.sin(2 * np.pi * hz / RATE * np.arange(samples))


def noise(samples=RATE):
    return 0.1 * np.random.default_rng(0).standard_normal(samples)


def sounds():
    sweep = librosa.chirp(fmin=100, fmax=8000, sr=RATE, duration=1.0)
    gap = np.concatenate([sine(300, samples=6000), np.zeros(9000), noise(6001)])
    return {"noise": noise(), "sweep": sweep, "gap": gap, "short": noise(700)}


@pytest.mark.parametrize("window_length, hop", [(2048, 512), (512, 200)])
@pytest.mark.parametrize("name", sounds())
def test_every_frame_is_librosas(name, window_length, hop):
    audio = sounds()[name]
    ours = describe(audio, sample_rate=RATE, window_length=window_length, hop=hop)
    frames = {"n_fft": window_length, "hop_length": hop}
    theirs = {
        "centroid_hz": librosa.feature.spectral_centroid(y=audio, sr=RATE, **frames),
        "bandwidth_hz": librosa.feature.spectral_bandwidth(y=audio, sr=RATE, **frames),
        "rolloff_hz": librosa.feature.spectral_rolloff(y=audio, sr=RATE, **frames),
        "flatness": librosa.feature.spectral_flatness(y=audio, **frames),
        "zero_crossing_rate": librosa.feature.zero_crossing_rate(
            audio, frame_length=window_length, hop_length=hop
        ),
    }
    for attribute, expected in theirs.items():
        scale = RATE if attribute.endswith("_hz") else 1.0
        np.testing.assert_allclose(
            getattr(ours, attribute), expected[0], atol=1e-8 * scale, err_msg=attribute
        )


def test_loudness_is_librosas_a_weighting_of_the_power():
    audio = sounds()["gap"]
    power = np.abs(librosa.stft(audio)) ** 2
    hz = librosa.fft_frequencies(sr=RATE, n_fft=2048)
    with np.errstate(divide="ignore"):  # 0 Hz is minus infinity, rightly
        gain = 10 ** (librosa.A_weighting(hz, min_db=None) / 10)
    gain[1:-1] *= 2.0  # a mirror image
    weighted = (gain / (2048 * np.sum(librosa.filters.get_window("hann", 2048) ** 2))) @ power
    expected = np.maximum(10 * np.log10(np.maximum(weighted, 1e-30)), -100.0)
    np.testing.assert_allclose(describe(audio, sample_rate=RATE).loudness_db, expected, atol=2e-3)


def test_a_full_scale_sine():
    inner = slice(3, -3)
    heard = describe(sine(1000), sample_rate=RATE)
    np.testing.assert_allclose(heard.loudness_db[inner], -3.01, atol=0.02)
    np.testing.assert_allclose(heard.centroid_hz[inner], 1000, atol=5)
    np.testing.assert_allclose(heard.rolloff_hz[inner], 1000, atol=2 * RATE / 2048)
    np.testing.assert_allclose(heard.zero_crossing_rate[inner], 2000 / RATE, atol=1.01 / 2048)
    assert heard.flatness[inner].max() < 1e-3


def test_half_the_amplitude_is_six_decibels_less_and_otherwise_the_same_sound():
    loud, soft = (describe(amplitude * noise(), sample_rate=RATE) for amplitude in (1.0, 0.5))
    np.testing.assert_allclose(soft.loudness_db, loud.loudness_db - 6.0206, atol=1e-3)
    for attribute in ("centroid_hz", "bandwidth_hz", "rolloff_hz", "zero_crossing_rate"):
        np.testing.assert_allclose(getattr(soft, attribute), getattr(loud, attribute), rtol=1e-9)


def test_silence_is_finite_and_where_the_docstring_says():
    heard = describe(np.zeros(5000), sample_rate=RATE)
    expected = {"loudness_db": -100.0, "flatness": 1.0}
    for field in dataclasses.fields(heard):
        values = getattr(heard, field.name)
        assert values.shape == (10,)
        np.testing.assert_allclose(values, expected.get(field.name, 0.0), rtol=1e-12)


@pytest.mark.parametrize("audio", [np.zeros((100, 2)), np.zeros(0), np.array([0.0, np.nan])])
def test_bad_audio_is_refused(audio):
    with pytest.raises(ValueError, match=r"audio must be finite and \(samples,\)"):
        describe(audio, sample_rate=RATE)


def test_a_bad_sample_rate_is_refused():
    with pytest.raises(ValueError, match="sample_rate must be a whole number"):
        describe(noise(), sample_rate=0)
