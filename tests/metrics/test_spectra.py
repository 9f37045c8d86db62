"""Spectra, mel bands and A-weighting against librosa, TensorFlow and the standard."""

import librosa
import numpy as np
import pytest

from audiozoo.metrics.spectra import (
    a_weighting_power,
    hann_window,
    mel_filters,
    power_weights,
    stft_magnitude,
)


def noise(*shape):
    return np.random.default_rng(0).standard_normal(shape)


@pytest.mark.parametrize("padding, pad_mode", [("reflect", "reflect"), ("zeros", "constant")])
def test_magnitudes_are_librosas(padding, pad_mode):
    audio = noise(2, 5000)
    ours = stft_magnitude(audio, window_length=512, hop=100, padding=padding)
    theirs = np.abs(librosa.stft(audio, n_fft=512, hop_length=100, pad_mode=pad_mode)).transpose(0, 2, 1)
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_without_padding_frames_lie_inside_and_a_longer_transform_is_one_of_zeros():
    audio = noise(1000)
    ours = stft_magnitude(audio, window_length=400, hop=160, fft_length=512)
    assert ours.shape == (4, 257)
    frame = np.pad(audio[160:560] * hann_window(400), (0, 112))
    np.testing.assert_allclose(ours[1], np.abs(np.fft.fft(frame))[:257], atol=1e-10)


def test_power_weights_give_the_mean_square():
    audio, window = noise(512), hann_window(512)
    magnitude = stft_magnitude(audio, window_length=512, hop=512)[0]
    expected = np.sum((audio * window) ** 2) / np.sum(window**2)
    assert magnitude**2 @ power_weights(16000, 512) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("bands, lowest_hz, highest_hz", [(64, 125.0, 7500.0), (40, 20.0, 8000.0)])
def test_mel_filters_are_tensorflows(bands, lowest_hz, highest_hz):
    tensorflow = pytest.importorskip("tensorflow")
    theirs = tensorflow.signal.linear_to_mel_weight_matrix(
        bands, 257, 16000, lowest_hz, highest_hz, dtype=tensorflow.float64
    )
    np.testing.assert_allclose(mel_filters(16000, 512, bands, lowest_hz, highest_hz), theirs, atol=1e-9)


def test_no_mel_band_of_the_embeddings_is_empty():
    assert (mel_filters(16000, 1024, 64, 0.0, 8000.0).sum(axis=0) > 0.5).all()


def test_a_weighting_is_librosas_and_the_standards():
    hz = np.geomspace(20.0, 20000.0, 200)
    np.testing.assert_allclose(10 * np.log10(a_weighting_power(hz)), librosa.A_weighting(hz), atol=2e-3)
    tabulated = {31.62: -39.4, 100.0: -19.1, 1000.0: 0.0, 2511.9: 1.3, 10000.0: -2.5}  # IEC 61672-1, table 3
    for frequency, decibels in tabulated.items():
        assert 10 * np.log10(a_weighting_power(frequency)) == pytest.approx(decibels, abs=0.06)
    assert a_weighting_power(0.0) == 0.0
