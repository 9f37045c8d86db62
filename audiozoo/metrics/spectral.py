"""Distances between a sound and its reconstruction, sample by sample or spectrum by spectrum.

Audio is ``(samples,)``, and a score is then a float; or ``(batch, samples)``, and it is one for each item.
Both sounds must be aligned and equally long. Magnitudes are those of the centred short-time Fourier
transform with a periodic Hann window; phase is ignored, except by ``snr_db``, ``si_sdr_db`` and ``nmse``.
"""

import numpy as np

from audiozoo.metrics.spectra import stft_magnitude

WINDOW_LENGTHS = (2048, 1024, 512, 256, 128, 64)
FLOOR_DB = -80.0  # below the loudest bin of the reference, where relative distances stop looking
SMALLEST_MAGNITUDE = 1e-10


def multi_scale_spectral_distance(reference, estimate, *, window_lengths=WINDOW_LENGTHS, epsilon=1e-7):
    """Difference of magnitudes plus difference of their logarithms, summed over windows.

    ``sum over windows of mean |A - B| + mean |log(A + epsilon) - log(B + epsilon)|``, hop a quarter window
    (Engel et al., 2020, DDSP, arXiv:2001.04643, section 4.2.1): the value of
    ``audiozoo.losses.MultiScaleSpectralLoss``. It depends on the gain of both sounds, and on digital
    silence: see ``relative_spectral_distance``.

    Args:
        reference, estimate: ``(samples,)`` or ``(batch, samples)``.
        window_lengths: samples.
        epsilon: added inside the logarithm.

    Returns:
        float, or ``(batch,)``.

    Raises:
        ValueError: audio of unequal shapes, not finite, or not longer than half the longest window.
    """
    reference, estimate = check_pair(reference, estimate, longer_than=max(window_lengths) // 2)
    total = 0.0
    for window_length in window_lengths:
        a, b = magnitudes(reference, estimate, window_length)
        logarithmic = np.abs(np.log(a + epsilon) - np.log(b + epsilon))
        total = total + np.mean(np.abs(a - b) + logarithmic, axis=(-2, -1))
    return plain(total)


def relative_spectral_distance(reference, estimate, *, window_lengths=WINDOW_LENGTHS):
    """The multi-scale distance without a scale: a gain on both sounds changes nothing.

    Mean over windows of the spectral convergence ``|A - B| / |A|`` (Frobenius norms) and the mean
    ``|log A - log B|`` of magnitudes raised to 80 dB below the loudest of the reference (the two terms of
    Yamamoto et al., 2020, Parallel WaveGAN, arXiv:1910.11480, section 2.2). Args, Returns, Raises: as
    ``multi_scale_spectral_distance``; ValueError for a silent reference too.
    """
    reference, estimate = check_pair(reference, estimate, longer_than=max(window_lengths) // 2, sounding=True)
    total = 0.0
    for window_length in window_lengths:
        a, b = magnitudes(reference, estimate, window_length)
        floor = relative_floor(a)
        logarithmic = np.abs(np.log(np.maximum(a, floor)) - np.log(np.maximum(b, floor)))
        total = total + convergence(a, b) + np.mean(logarithmic, axis=(-2, -1))
    return plain(total / len(window_lengths))


def spectral_convergence(reference, estimate, *, window_length=2048):
    """Norm of the difference of magnitudes over the norm of the reference's; 1 for silence.

    Sturmel and Daudet (2011), Signal reconstruction from STFT magnitude: a state of the art; not in dB. Hop a
    quarter window. Args, Returns, Raises: as ``relative_spectral_distance``.
    """
    reference, estimate = check_pair(reference, estimate, longer_than=window_length // 2, sounding=True)
    return plain(convergence(*magnitudes(reference, estimate, window_length)))


def log_spectral_distance(reference, estimate, *, window_length=2048):
    """Root mean square difference of spectra in dB in each frame, averaged over frames.

    Gray and Markel (1976), Distance measures for speech processing. Magnitudes are raised to 80 dB
    below the loudest of the reference: of what lies lower, nothing is heard. Hop a quarter window. Args,
    Returns, Raises: as ``relative_spectral_distance``.
    """
    reference, estimate = check_pair(reference, estimate, longer_than=window_length // 2, sounding=True)
    a, b = magnitudes(reference, estimate, window_length)
    floor = relative_floor(a)
    decibels = 20.0 * np.log10(np.maximum(a, floor) / np.maximum(b, floor))
    return plain(np.mean(np.sqrt(np.mean(decibels**2, axis=-1)), axis=-1))


def snr_db(reference, estimate):
    """Power of the reference over that of the difference, in dB; infinite for equal sounds.

    Args, Returns, Raises: as ``relative_spectral_distance``, of any length.
    """
    reference, estimate = check_pair(reference, estimate, longer_than=0, sounding=True)
    return decibels_of(energy(reference), energy(reference - estimate))


def si_sdr_db(reference, estimate):
    """Signal-to-distortion ratio in dB that no gain of the estimate changes.

    The reference is scaled to be the estimate's projection on it, and what is left is the distortion
    (Le Roux et al., 2019, SDR - half-baked or well done?, arXiv:1811.02508). Means are not removed.
    Minus infinity for an estimate that holds nothing of the reference. Args, Returns, Raises: as
    ``snr_db``.
    """
    reference, estimate = check_pair(reference, estimate, longer_than=0, sounding=True)
    share = np.sum(reference * estimate, axis=-1) / energy(reference)
    target = share[..., None] * reference
    return decibels_of(energy(target), energy(estimate - target))


def nmse(reference, estimate):
    """Energy of the difference over that of the reference: 0 for equal sounds, 1 for silence.

    Args, Returns, Raises: as ``snr_db``.
    """
    reference, estimate = check_pair(reference, estimate, longer_than=0, sounding=True)
    return plain(energy(reference - estimate) / energy(reference))


def check_pair(reference, estimate, *, longer_than, sounding=False):
    """Both sounds as float64. Raises ValueError, see ``multi_scale_spectral_distance``."""
    pair = np.asarray(reference, "float64"), np.asarray(estimate, "float64")
    if pair[0].shape != pair[1].shape or pair[0].ndim not in (1, 2):
        raise ValueError(
            "reference and estimate must both be (samples,) or (batch, samples); got shapes "
            f"{pair[0].shape} and {pair[1].shape}. Cut the longer one."
        )
    if pair[0].shape[-1] <= longer_than or not pair[0].size:
        raise ValueError(
            f"reference must be longer than {longer_than} samples; got {pair[0].shape[-1]}. "
            "Pass more audio, or shorter windows where there is a choice."
        )
    for name, audio in zip(("reference", "estimate"), pair, strict=True):
        if not np.isfinite(audio).all():
            raise ValueError(
                f"{name} must be finite; {int((~np.isfinite(audio)).sum())} samples are NaN or infinite."
            )
    if sounding and not np.all(energy(pair[0]) > 0.0):
        raise ValueError("reference must not be silent: the distance is relative to it. Leave silence out.")
    return pair


def magnitudes(reference, estimate, window_length):
    """Magnitudes of both sounds, each ``(..., frames, bins)``, hop a quarter window."""
    settings = {"window_length": window_length, "hop": window_length // 4, "padding": "reflect"}
    return tuple(
        np.maximum(stft_magnitude(audio, **settings), SMALLEST_MAGNITUDE) for audio in (reference, estimate)
    )


def convergence(a, b):
    """Frobenius norm of ``a - b`` over that of ``a``, over frames and bins."""
    return np.sqrt(np.sum((a - b) ** 2, axis=(-2, -1)) / np.sum(a**2, axis=(-2, -1)))


def relative_floor(magnitude):
    """Magnitude ``FLOOR_DB`` below the loudest bin, of each item."""
    return np.max(magnitude, axis=(-2, -1), keepdims=True) * 10.0 ** (FLOOR_DB / 20.0)


def energy(audio):
    """Sum of squares over samples."""
    return np.sum(audio**2, axis=-1)


def decibels_of(power, other_power):
    """Ratio of two powers in dB; infinite where one is 0, minus infinity where both are."""
    with np.errstate(divide="ignore", invalid="ignore"):
        decibels = 10.0 * (np.log10(power) - np.log10(other_power))
    return plain(np.where(power > 0.0, decibels, -np.inf))


def plain(score):
    """A float for one sound, an array for a batch."""
    return float(score) if np.ndim(score) == 0 else score
