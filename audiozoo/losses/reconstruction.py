"""How far a reconstructed waveform is from its original, relative to how loud that is.

A plain spectral loss cannot train an autoencoder of waveforms. With silence as its estimate, the logarithm of
a magnitude of 1e-7 has a gradient a thousand times that of one that sounds, and training stays there; and
since phase is ignored and unknown at first, silence is a minimum of the rest. Here a squared error, which
always points to the original, outweighs the spectra at first, and their logarithm begins only at a share of
the original's mean magnitude.
"""

import math

from keras import ops

from audiozoo.dsp.spectra import stft_magnitude

QUIET_RMS = 0.01  # an original quieter than this, -40 dB, is not blown up to the same importance
LOG_FLOOR = 0.3  # of the original's mean magnitude
WINDOW_LENGTHS = (1024, 512, 256, 128, 64)
WAVEFORM_WEIGHT, SPECTRUM_WEIGHT = 4.0, 0.25


def reconstruction_error(original, estimate):
    """``4 * relative_squared_error + 0.25 * relative_spectral_error``.

    Args:
        original: audio ``(batch, samples)``, more than 32 samples.
        estimate: the same shape.

    Returns:
        ``(batch,)``; about 4.7 for silence in place of a sound, 0 for the sound itself.
    """
    waveform = relative_squared_error(original, estimate)
    return WAVEFORM_WEIGHT * waveform + SPECTRUM_WEIGHT * relative_spectral_error(original, estimate)


def relative_squared_error(original, estimate):
    """Energy of the difference over that of the original: 1 for silence, 0.1 for an SNR of 10 dB.

    Args, Returns: as ``reconstruction_error``, of any length.
    """
    original, estimate = (ops.convert_to_tensor(audio, "float32") for audio in (original, estimate))
    power = ops.mean(ops.square(original), axis=-1)
    return ops.mean(ops.square(original - estimate), axis=-1) / (power + QUIET_RMS**2)


def relative_spectral_error(original, estimate, window_lengths=WINDOW_LENGTHS):
    """Difference of magnitudes plus that of their logarithms, in units of the original's mean magnitude.

    ``mean |A - B| / m + mean |log(A + 0.3 m) - log(B + 0.3 m)|``, with ``m = mean A`` of each item, averaged
    over windows with a hop of a quarter. A gain on both changes nothing, above ``QUIET_RMS``. Windows longer
    than twice the audio are left out.

    Args, Returns: as ``reconstruction_error``.
    """
    fitting = [length for length in window_lengths if length // 2 < original.shape[1]]
    if not fitting:
        raise ValueError(
            f"original must be longer than {min(window_lengths) // 2} samples; got {original.shape[1]}. "
            "Train on longer clips."
        )
    return sum(spectral_part(original, estimate, length) for length in fitting) / len(fitting)


def spectral_part(original, estimate, window_length):
    """``relative_spectral_error`` for one window, ``(batch,)``."""
    settings = {"window_length": window_length, "hop": window_length // 4}
    a, b = stft_magnitude(original, **settings), stft_magnitude(estimate, **settings)
    # White noise of this RMS has magnitudes of this RMS: the squared Hann window sums to 3/8 of its length.
    quiet = QUIET_RMS * math.sqrt(0.375 * window_length)
    unit = ops.mean(a, axis=(1, 2), keepdims=True) + quiet
    linear = ops.abs(a - b) / unit
    logarithmic = ops.abs(ops.log(a + LOG_FLOOR * unit) - ops.log(b + LOG_FLOOR * unit))
    return ops.mean(linear + logarithmic, axis=(1, 2))
