"""Mel bands: how a spectrum looks to an ear, which tells low pitches apart and lumps high ones together."""

import functools
import math

import numpy as np
from keras import ops

SCALES = ("slaney", "htk")

# Slaney's scale (1998, Auditory Toolbox): straight up to 1 kHz, logarithmic above.
HZ_PER_MEL = 200.0 / 3.0
CORNER_HZ, CORNER_MEL = 1000.0, 15.0
NEPER_PER_MEL = math.log(6.4) / 27.0


@functools.lru_cache
def mel_filters(sample_rate, window_length, num_mels, *, lowest_hz=0.0, highest_hz=None, scale="slaney"):
    """Triangles of unit area, evenly spaced on a mel scale; those of ``librosa.filters.mel``.

    Args:
        sample_rate: Hz.
        window_length: samples, of the transform whose bins are summed.
        num_mels: number of bands.
        lowest_hz, highest_hz: where the first band begins and the last one ends; by default 0 and Nyquist.
        scale: ``"slaney"`` or ``"htk"``.

    Returns:
        float32 ``(window_length // 2 + 1, num_mels)``.

    Raises:
        ValueError: an unknown scale, an impossible range, or bands so narrow that some contain no bin: they
            would be silent for every sound.
    """
    nyquist_hz = 0.5 * sample_rate
    highest_hz = nyquist_hz if highest_hz is None else highest_hz
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {SCALES}; got {scale!r}. Use 'slaney'.")
    if not 0.0 <= lowest_hz < highest_hz <= nyquist_hz:
        raise ValueError(
            f"lowest_hz and highest_hz must rise within 0 and {nyquist_hz} Hz, half the sample rate; "
            f"got {lowest_hz} and {highest_hz}."
        )
    edges_mel = np.linspace(hz_to_mel(lowest_hz, scale), hz_to_mel(highest_hz, scale), num_mels + 2)
    low, centre, high = (mel_to_hz(edges_mel, scale)[i : num_mels + i] for i in range(3))
    bins_hz = np.fft.rfftfreq(window_length, 1.0 / sample_rate)[:, None]
    triangles = np.minimum((bins_hz - low) / (centre - low), (high - bins_hz) / (high - centre))
    filters = np.maximum(triangles, 0.0) * 2.0 / (high - low)
    empty = int(np.sum(~filters.any(axis=0)))
    if empty:
        raise ValueError(
            f"num_mels={num_mels} leaves {empty} bands without any bin of a window of {window_length} "
            f"samples at {sample_rate} Hz. Use fewer bands, or a longer window."
        )
    return filters.astype("float32")


def envelope_of_bands(log_mel, filters):
    """Logarithms of magnitudes that are flat within each mel band, and pass smoothly from one to the next.

    Between the peaks of two filters logarithms are interpolated; beyond the outermost they are continued.

    Args:
        log_mel: natural logarithms of mel magnitudes, tensor ``(..., bands)``.
        filters: array ``(bins, bands)``, of ``mel_filters``.

    Returns:
        Natural logarithms ``(..., bins)``.
    """
    heights = filters / filters.max(axis=0)
    total = heights.sum(axis=1, keepdims=True)
    peaks = filters.argmax(axis=0)
    nearest = np.abs(np.arange(len(filters))[:, None] - peaks).argmin(axis=1)
    # Where a filter has fallen to all but nothing and there is no other, it counts in full.
    shares = np.where(total > 1e-3, heights / np.maximum(total, 1e-3), np.eye(len(peaks))[nearest])
    flat = np.log(filters.sum(axis=0))  # what a magnitude of 1 has in each band
    offset = (flat @ shares.T).astype("float32")
    return ops.matmul(log_mel, ops.convert_to_tensor(shares.T.astype("float32"))) - ops.convert_to_tensor(
        offset
    )


def hz_to_mel(hz, scale):
    """Mel of frequencies in Hz, any shape, float64."""
    hz = np.asarray(hz, "float64")
    if scale == "htk":
        return 2595.0 * np.log10(1.0 + hz / 700.0)
    above = CORNER_MEL + np.log(np.maximum(hz, CORNER_HZ) / CORNER_HZ) / NEPER_PER_MEL
    return np.where(hz < CORNER_HZ, hz / HZ_PER_MEL, above)


def mel_to_hz(mel, scale):
    """Frequency in Hz of mels, any shape, float64."""
    mel = np.asarray(mel, "float64")
    if scale == "htk":
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    above = CORNER_HZ * np.exp(NEPER_PER_MEL * (mel - CORNER_MEL))
    return np.where(mel < CORNER_MEL, HZ_PER_MEL * mel, above)


def compress(mel, gain):
    """``log(1 + gain * mel)``: linear near silence, where a logarithm would show noise that nobody hears.

    Any shape. Above ``1 / gain`` it is logarithmic, and an error of 0.1 is one of 10 %, or 0.8 dB.
    """
    return ops.log1p(gain * mel)


def expand(compressed, gain):
    """Undo ``compress``, in numpy float64. What lies below 0, where no magnitude is, becomes 0."""
    with np.errstate(over="ignore"):  # infinity is refused by name where it is used
        return np.expm1(np.maximum(np.asarray(compressed, "float64"), 0.0)) / gain
