"""Short-time spectra and loudness against scipy and librosa."""

import librosa
import numpy as np
import pytest
import scipy.signal
from cases import assert_gradient_matches_differences, gradient_of
from keras import ops

from audiozoo.dsp.spectra import (
    LOUDNESS_FLOOR_DB,
    a_weighted_loudness,
    analysis_window,
    hann_window,
    istft,
    overlap_add,
    stft_magnitude,
)

RATE = 16000


def loudness_of(audio):
    return ops.convert_to_numpy(a_weighted_loudness(audio.astype("float32"), sample_rate=RATE))


def sine(hz, amplitude=1.0, samples=8000):
    return amplitude * np.sin(2 * np.pi * hz / RATE * np.arange(samples))[None]


def test_the_window_is_periodic_hann():
    np.testing.assert_allclose(hann_window(64), scipy.signal.get_window("hann", 64), atol=1e-7)


@pytest.mark.parametrize("length", [40, 120])
def test_overlap_add_is_the_loop_that_it_replaces(length):
    frames = np.random.default_rng(0).standard_normal((2, 6, length)).astype("float32")
    expected = np.zeros((2, 5 * 40 + length))
    for frame in range(6):
        expected[:, frame * 40 : frame * 40 + length] += frames[:, frame]
    np.testing.assert_allclose(ops.convert_to_numpy(overlap_add(frames, 40)), expected, atol=1e-5)


def test_magnitudes_are_librosas():
    audio = np.random.default_rng(0).standard_normal((2, 4000)).astype("float32")
    ours = ops.convert_to_numpy(stft_magnitude(audio, window_length=512, hop=128))
    theirs = np.abs(librosa.stft(audio, n_fft=512, hop_length=128, pad_mode="reflect")).transpose(0, 2, 1)
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * theirs.max())


@pytest.mark.parametrize("window", ["hann", "gaussian"])
@pytest.mark.parametrize("samples", [1, 100, 4000])
def test_with_silence_around_it_a_clip_of_any_length_is_librosas(samples, window):
    audio = np.random.default_rng(0).standard_normal((2, samples)).astype("float32")
    ours = stft_magnitude(audio, window_length=512, hop=128, window=window, padding="zeros")
    padded = np.pad(audio, ((0, 0), (256, 256)))
    shape = analysis_window(window, 512)
    theirs = np.abs(librosa.stft(padded, n_fft=512, hop_length=128, window=shape, center=False))
    assert ours.shape == (2, 1 + samples // 128, 257)
    np.testing.assert_allclose(
        ops.convert_to_numpy(ours), theirs.transpose(0, 2, 1), atol=1e-5 * theirs.max()
    )


def test_unknown_windows_and_paddings_are_refused():
    audio = np.zeros((1, 1000), "float32")
    with pytest.raises(ValueError, match="window must be one of .* got 'kaiser'. Use 'hann'"):
        stft_magnitude(audio, window_length=512, hop=128, window="kaiser")
    with pytest.raises(ValueError, match="padding must be one of .* got 'edge'. Use 'reflect'"):
        stft_magnitude(audio, window_length=512, hop=128, padding="edge")


def test_silence_has_the_smallest_magnitude_and_a_finite_gradient():
    silence = np.zeros((1, 1024), "float32")
    magnitude = ops.convert_to_numpy(stft_magnitude(silence, window_length=256, hop=64))
    np.testing.assert_allclose(magnitude, 1e-10, rtol=1e-3)
    gradient = gradient_of(
        lambda audio: ops.sum(ops.log(stft_magnitude(audio, window_length=256, hop=64) + 1e-7)), silence
    )
    assert np.all(np.isfinite(gradient))


def librosa_loudness(audio, hop=160, window_length=512):
    """A-weighted mean power in dB by librosa: one-sided power spectrum, by Parseval a mean square."""
    power = np.abs(librosa.stft(audio, n_fft=window_length, hop_length=hop, pad_mode="reflect")) ** 2
    sides = np.full(window_length // 2 + 1, 2.0)
    sides[[0, -1]] = 1.0
    frequencies = librosa.fft_frequencies(sr=RATE, n_fft=window_length)
    with np.errstate(divide="ignore"):  # 0 Hz is minus infinity, rightly
        weighting = librosa.A_weighting(frequencies, min_db=None)
    energy = window_length * np.sum(scipy.signal.get_window("hann", window_length) ** 2)
    weighted = power * (sides * 10 ** (weighting / 10) / energy)[:, None]
    return np.maximum(10 * np.log10(np.maximum(weighted.sum(axis=-2), 1e-30)), LOUDNESS_FLOOR_DB)


def test_loudness_is_librosas_a_weighting_in_every_frame():
    rng = np.random.default_rng(0)
    swell = np.logspace(-4, 0, 8000)
    audio = np.stack([rng.standard_normal(8000) * swell, sine(300)[0] * swell[::-1]]).astype("float32")
    expected = librosa_loudness(audio.astype("float64"))[:, :50]
    ours = loudness_of(audio)
    assert ours.shape == (2, 50, 1)
    np.testing.assert_allclose(ours[..., 0], expected, atol=1e-3)


@pytest.mark.parametrize(
    "hz, expected_db", [(1000, -3.01), (2000, -3.01 + 1.2), (4000, -3.01 + 1.0), (500, -3.01 - 3.2)]
)
def test_a_full_scale_sine_reads_what_the_standard_says(hz, expected_db):
    found = loudness_of(sine(hz))[0, 5:-5, 0]  # away from the reflected ends
    np.testing.assert_allclose(found, expected_db, atol=0.1)  # IEC 61672 is tabulated in tenths


def test_half_the_amplitude_is_six_decibels_less():
    np.testing.assert_allclose(loudness_of(sine(440, 0.25)), loudness_of(sine(440, 0.5)) - 6.0206, atol=1e-3)


def test_loudness_is_power_so_that_independent_sounds_add_up():
    both = loudness_of(sine(1000, 0.5) + sine(3000, 0.5))[0, 5:-5]
    parts = [10 ** (loudness_of(sine(hz, 0.5))[0, 5:-5] / 10) for hz in (1000, 3000)]
    np.testing.assert_allclose(both, 10 * np.log10(sum(parts)), atol=0.01)


def test_silence_reads_the_floor_and_nothing_reads_less():
    np.testing.assert_array_equal(loudness_of(np.zeros((1, 8000))), np.full((1, 50, 1), LOUDNESS_FLOOR_DB))
    assert loudness_of(sine(1000, 1e-9)).min() >= LOUDNESS_FLOOR_DB


def test_a_spectrum_of_every_hop_comes_back_as_its_audio():
    audio = np.random.default_rng(0).standard_normal((2, 256)).astype("float32")
    padded = np.pad(audio, ((0, 0), (12, 12)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, 32, axis=-1)[:, ::8] * hann_window(32)
    spectrum = np.fft.rfft(frames)
    parts = [ops.convert_to_tensor(part.astype("float32")) for part in (spectrum.real, spectrum.imag)]
    back = ops.convert_to_numpy(istft(*parts, hop=8))
    np.testing.assert_allclose(back, audio, atol=1e-5)


def test_gradient_of_the_inverse_transform_is_right():
    imaginary = ops.zeros((1, 4, 9))
    assert_gradient_matches_differences(
        lambda real: istft(real, imaginary, hop=4),
        np.random.default_rng(0).standard_normal((1, 4, 9)).astype("float32"),
        step=1e-1,
        tolerance=1e-3,
    )
