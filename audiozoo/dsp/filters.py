"""Time-varying noise filters by frequency sampling, and convolution with long responses."""

import functools

import numpy as np
from keras import ops

from audiozoo.dsp.spectra import hann_window, overlap_add

TAILS = ("overlap", "cut")


@functools.lru_cache
def fir_basis(num_bands: int) -> np.ndarray:
    """Matrix from magnitudes at ``num_bands`` even frequencies to zero-phase FIR taps.

    Row k is the impulse response of band k alone, delayed to the centre of ``2 * (num_bands -
    1)`` taps and Hann-windowed, which interpolates smoothly between bands (frequency sampling;
    Engel et al., 2020, appendix B.5). Everything after the magnitudes is linear, so the inverse
    FFT, the rotation and the window are one fixed matrix.

    Returns:
        ``(num_bands, 2 * (num_bands - 1))``, float32; tap ``num_bands - 1`` is time zero.
    """
    taps = 2 * (num_bands - 1)
    responses = np.fft.irfft(np.eye(num_bands), taps)
    return (np.roll(responses, taps // 2, axis=-1) * hann_window(taps)).astype("float32")


def filter_noise(noise, magnitudes, *, tails="overlap"):
    """White noise shaped by one filter per frame.

    Args:
        noise: ``(batch, frames, hop)``, the excitation of each frame.
        magnitudes: ``(batch, frames, bands)``, linear gain at frequencies evenly spaced from 0
            to Nyquist; ``2 * (bands - 1)`` must not exceed ``hop`` when tails are cut.
        tails: ``"overlap"``: the response of each frame rings on into its neighbours, on both
            sides, so the filter is exactly zero-phase. ``"cut"``: each frame ends at its own last
            sample and the anticausal half wraps to the end of the frame, as in the published
            PyTorch code (acids-ircam/ddsp_pytorch); its spectrum is coarser.

    Returns:
        ``(batch, frames * hop)`` audio.

    Raises:
        ValueError: unknown ``tails``, or a response longer than the frame where it must fit.
    """
    if tails not in TAILS:
        raise ValueError(f"tails must be one of {TAILS}; got {tails!r}. Use 'overlap'.")
    noise, magnitudes = ops.convert_to_tensor(noise, "float32"), ops.convert_to_tensor(magnitudes, "float32")
    frames, hop = noise.shape[1], noise.shape[2]
    taps = 2 * (magnitudes.shape[2] - 1)
    responses = ops.matmul(magnitudes, ops.convert_to_tensor(fir_basis(magnitudes.shape[2])))
    if tails == "overlap":
        filtered = convolve(noise, responses, hop * -(-(hop + taps) // hop))
        return overlap_add(filtered, hop)[:, taps // 2 : taps // 2 + frames * hop]
    if taps > hop:
        raise ValueError(
            f"tails='cut' needs responses no longer than a frame; got {taps} taps and hop={hop}. "
            f"Use tails='overlap', or at most {hop // 2 + 1} bands."
        )
    wrapped = ops.roll(ops.pad(responses, ((0, 0), (0, 0), (0, hop - taps))), -(taps // 2), axis=-1)
    return ops.reshape(convolve(noise, wrapped, 2 * hop)[..., :hop], (-1, frames * hop))


def fft_convolve(audio, response):
    """Causal convolution of audio with one impulse response, cut at the length of the audio.

    Args:
        audio: ``(batch, samples)``.
        response: ``(taps,)``.

    Returns:
        ``(batch, samples)``.
    """
    samples, taps = audio.shape[1], response.shape[0]
    return convolve(audio, response, samples + taps - 1)[:, :samples]


def convolve(signal, response, length):
    """Linear convolution along the last axis, zero-padded or cut to ``length`` samples.

    ``length`` must hold the whole result, or aliasing in time would follow. The transform runs
    at the next length with small prime factors, which is up to twice as fast.
    """
    from scipy.fft import next_fast_len

    size = next_fast_len(length, real=True)
    a_real, a_imaginary = ops.rfft(signal, size)
    b_real, b_imaginary = ops.rfft(response, size)
    product = (a_real * b_real - a_imaginary * b_imaginary, a_real * b_imaginary + a_imaginary * b_real)
    return ops.irfft(product, size)[..., :length]
