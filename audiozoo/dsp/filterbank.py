"""Filters that cut a signal into bands of equal width, each at a fraction of the rate, and put it together.

Pseudo-quadrature mirror filters: Nguyen (1994), Near-perfect-reconstruction pseudo-QMF banks. One low-pass
filter is modulated to the centre of each band; what neighbours fold into each other cancels in the sum.
"""

import functools

import numpy as np
from keras import ops
from scipy.optimize import minimize_scalar
from scipy.signal import firwin

from audiozoo.dsp.convolution import convolve, convolve_transposed

TAPS_PER_BAND = 16  # of the low-pass filter: neighbouring bands are 100 dB apart, the next ones further
KAISER_BETA = 9.0


@functools.lru_cache
def band_filters(bands):
    """Filters of the analysis into so many bands, and of the synthesis from them.

    Args:
        bands: 2 or more.

    Returns:
        Two float32 arrays ``(taps, bands)``, an odd number of taps. The second is the first in reverse,
        ``bands`` times as loud.
    """
    taps = TAPS_PER_BAND * bands - 1
    # The one cutoff at which a band and its neighbour add up to the same power everywhere (Lin and
    # Vaidyanathan, 1998, A Kaiser window approach for the design of prototype filters, eq. 13).
    cutoff = minimize_scalar(
        lambda cutoff: ripple(low_pass(taps, cutoff), bands),
        bounds=(0.5 / bands, 0.75 / bands),
        method="bounded",
        options={"xatol": 1e-9},
    ).x
    prototype = low_pass(taps, cutoff)
    prototype /= np.sqrt(np.sum(prototype**2) * 2.0)
    time = np.arange(taps)[:, None] - (taps - 1) / 2.0
    band = np.arange(bands)
    angle = (band + 0.5) * np.pi / bands * time
    sign = (-1.0) ** band * np.pi / 4.0
    scale = 2.0 * prototype[:, None]
    # A tone within a band is as loud there as it is in the signal.
    analysis = scale * np.cos(angle + sign) / np.sqrt(bands)
    synthesis = scale * np.cos(angle - sign) * np.sqrt(bands)
    return analysis.astype("float32"), synthesis.astype("float32")


def low_pass(taps, cutoff):
    """The prototype, float64 ``(taps,)``; cutoff as a share of half the sample rate."""
    return firwin(taps, cutoff, window=("kaiser", KAISER_BETA))


def ripple(prototype, bands):
    """How far a filter's autocorrelation is from 0 at multiples of twice the number of bands."""
    correlation = np.convolve(prototype, prototype[::-1])
    lags = correlation[len(prototype) - 1 :: 2 * bands]
    return np.max(np.abs(lags[1:])) / lags[0]


def split_into_bands(audio, bands):
    """Audio ``(batch, samples)`` as ``(batch, ceil(samples / bands), bands)``."""
    analysis, _ = band_filters(bands)
    half = (len(analysis) - 1) // 2
    padded = ops.pad(audio[..., None], ((0, 0), (half, half), (0, 0)))
    return convolve(padded, ops.convert_to_tensor(analysis[::-1, None].copy()), stride=bands)


def join_bands(signals, bands):
    """What ``split_into_bands`` made, put together: ``(batch, steps * bands)`` of ``(batch, steps, bands)``.

    The signal comes back with an error of about -70 dB, without delay.
    """
    _, synthesis = band_filters(bands)
    half = (len(synthesis) - 1) // 2
    kernel = ops.cast(ops.convert_to_tensor(synthesis[:, None]), signals.dtype)
    audio = convolve_transposed(signals, kernel, stride=bands)
    return audio[:, half : half + ops.shape(signals)[1] * bands, 0]
