"""Short-time spectra, overlap-add and A-weighted loudness."""

import functools
import math

import numpy as np
from keras import ops

LOUDNESS_FLOOR_DB = -100.0
WINDOWS = ("hann", "gaussian")
# The Gaussian window is exp(-pi (t / length)^2 / GAUSSIAN_WIDTH), cut where it has fallen to 1 % of its peak.
GAUSSIAN_WIDTH = math.pi / (4.0 * math.log(100.0))
PADDINGS = ("reflect", "zeros", "none")


def hann_window(length: int) -> np.ndarray:
    """Periodic Hann window, ``(length,)``, float32."""
    return np.hanning(length + 1)[:-1].astype("float32")


def analysis_window(name: str, length: int) -> np.ndarray:
    """A periodic window, float32 ``(length,)``: ``"hann"`` or ``"gaussian"``, else a ValueError."""
    if name not in WINDOWS:
        raise ValueError(f"window must be one of {WINDOWS}; got {name!r}. Use 'hann'.")
    if name == "hann":
        return hann_window(length)
    position = np.arange(length) / length - 0.5
    return np.exp(-math.pi * position**2 / GAUSSIAN_WIDTH).astype("float32")


def stft_magnitude(audio, *, window_length, hop, floor=1e-10, window="hann", padding="reflect"):
    """Magnitudes of the short-time Fourier transform, centred unless there is no padding.

    Args:
        audio: ``(batch, samples)``.
        window_length: samples, even.
        hop: samples between frames.
        floor: smallest magnitude; keeps the gradient finite where the signal is digital silence.
        window: ``"hann"`` or ``"gaussian"``.
        padding: what lies outside the clip. ``"reflect"``: its mirror image, for clips of more than
            ``window_length // 2`` samples; ``"zeros"``: silence, for clips of any length; ``"none"``: nothing
            is needed, since all frames lie within the clip.

    Returns:
        ``(batch, 1 + samples // hop, window_length // 2 + 1)``; frame ``t`` is centred on sample ``t * hop``.
        Without padding ``1 + (samples - window_length) // hop`` frames, of which the first is centred on
        sample ``window_length // 2``.

    Raises:
        ValueError: unknown ``window`` or ``padding``.
    """
    if padding not in PADDINGS:
        raise ValueError(f"padding must be one of {PADDINGS}; got {padding!r}. Use 'reflect'.")
    shape = "hann" if window == "hann" else ops.convert_to_tensor(analysis_window(window, window_length))
    if padding == "zeros":
        audio = ops.pad(audio, ((0, 0), (window_length // 2, window_length // 2)))
    real, imaginary = ops.stft(
        audio, window_length, hop, window_length, window=shape, center=padding == "reflect"
    )
    return ops.sqrt(ops.maximum(real**2 + imaginary**2, floor**2))


def overlap_add(frames, hop):
    """Sum frames that start ``hop`` samples apart.

    A frame is cut into ``n = length / hop`` blocks. Block k of frame t falls on output block
    ``t + k``: the sum is n shifted additions of whole tensors, with no scatter.

    Args:
        frames: ``(batch, frames, length)``, length a multiple of ``hop``.
        hop: samples.

    Returns:
        ``(batch, (frames + length / hop - 1) * hop)``.
    """
    _, count, length = ops.shape(frames)
    overlap = length // hop
    blocks = ops.reshape(frames, (-1, count, overlap, hop))
    shifted = [ops.pad(blocks[:, :, k], ((0, 0), (k, overlap - 1 - k), (0, 0))) for k in range(overlap)]
    return ops.reshape(sum(shifted), (-1, (count + overlap - 1) * hop))


@functools.lru_cache
def fourier_matrices(size):
    """A real Fourier transform of ``size`` samples and its inverse, as float32 matrices.

    Returns:
        ``(size, 2 * bins)``, to real parts and then imaginary parts; ``(2 * bins, size)``, back from them.
    """
    spectra = np.fft.rfft(np.eye(size))
    bins = spectra.shape[1]
    unit = np.eye(bins)
    back = np.concatenate([np.fft.irfft(unit, size), np.fft.irfft(1j * unit, size)])
    return np.concatenate([spectra.real, spectra.imag], axis=1).astype("float32"), back.astype("float32")


def istft(real, imaginary, *, hop, transforms="fft"):
    """Audio of a spectrum, for networks: the gradient passes, and there is a hop of audio for every frame.

    Frames are windowed by Hann's window and added, and the sum is divided by that of the squared windows
    (Griffin and Lim, 1984, eq. 6). Frame t is centred on the middle of the samples from ``t * hop`` to
    ``(t + 1) * hop``.

    Args:
        real, imaginary: ``(batch, frames, window_length // 2 + 1)``.
        hop: samples between frames, a divisor of the window length.
        transforms: ``"fft"``, or ``"matrices"``, see ``audiozoo.dsp.filters.convolve``.

    Returns:
        ``(batch, frames * hop)``.
    """
    frames, length = ops.shape(real)[1], 2 * (real.shape[2] - 1)
    window = ops.convert_to_tensor(hann_window(length))
    if transforms == "matrices":
        parts = ops.matmul(ops.concatenate([real, imaginary], axis=-1), fourier_matrices(length)[1])
    else:
        parts = ops.irfft((real, imaginary), length)
    audio = overlap_add(parts * window, hop)
    power = overlap_add(ops.ones_like(parts[:1]) * window**2, hop)
    first = (length - hop) // 2
    middle = slice(first, first + frames * hop)
    return audio[:, middle] / power[:, middle]


@functools.lru_cache
def a_weighting_power(sample_rate: int, window_length: int) -> np.ndarray:
    """A-weighting (IEC 61672) as a power gain per STFT bin, ``(window_length // 2 + 1,)``.

    Scaled so that the weighted sum of squared STFT magnitudes is a mean square of the signal:
    Parseval's theorem for a Hann window, one-sided.
    """
    import librosa

    frequencies = librosa.fft_frequencies(sr=sample_rate, n_fft=window_length)
    gain = np.zeros(window_length // 2 + 1)  # at 0 Hz it is minus infinity in dB
    gain[1:] = 10.0 ** (librosa.A_weighting(frequencies[1:], min_db=None) / 10.0)
    gain[1:-1] *= 2.0  # every bin but 0 Hz and Nyquist has a mirror image
    energy = window_length * np.sum(hann_window(window_length).astype("float64") ** 2)
    return (gain / energy).astype("float32")


def a_weighted_loudness(audio, *, sample_rate, hop=160, window_length=512):
    """Loudness as the A-weighted mean power around each frame, in dB relative to full scale.

    A full-scale 1 kHz sine reads -3 dB; silence reads ``LOUDNESS_FLOOR_DB``.

    Args:
        audio: ``(batch, samples)``, samples a multiple of ``hop`` and more than half a window.
        sample_rate: Hz.
        hop: samples per frame.
        window_length: samples.

    Returns:
        ``(batch, samples // hop, 1)``; frame ``t`` is centred on sample ``t * hop``.
    """
    magnitude = stft_magnitude(audio, window_length=window_length, hop=hop)[:, : audio.shape[1] // hop]
    weight = ops.convert_to_tensor(a_weighting_power(sample_rate, window_length))
    power = ops.sum(magnitude**2 * weight, axis=-1, keepdims=True)
    floor_power = 10.0 ** (LOUDNESS_FLOOR_DB / 10.0)
    return 10.0 * ops.log10(ops.maximum(power, floor_power))
