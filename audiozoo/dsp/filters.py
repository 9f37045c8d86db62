"""Time-varying noise filters by frequency sampling, and convolution with long responses."""

import functools

import numpy as np
from keras import ops

from audiozoo.dsp.spectra import fourier_matrices, hann_window, overlap_add

TAILS = ("overlap", "cut")
LOOP_FRAMES = (199, 211)  # of ``looped_noise``


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


def filter_noise(noise, magnitudes, *, tails="overlap", transforms="fft"):
    """White noise shaped by one filter per frame.

    Args:
        noise: ``(batch, frames, hop)``, the excitation of each frame.
        magnitudes: ``(batch, frames, bands)``, linear gain at frequencies evenly spaced from 0
            to Nyquist; ``2 * (bands - 1)`` must not exceed ``hop`` when tails are cut.
        tails: ``"overlap"``: the response of each frame rings on into its neighbours, on both
            sides, so the filter is exactly zero-phase. ``"cut"``: each frame ends at its own last
            sample and the anticausal half wraps to the end of the frame, as in the published
            PyTorch code (acids-ircam/ddsp_pytorch); its spectrum is coarser.
        transforms: see ``convolve``.

    Returns:
        ``(batch, frames * hop)`` audio.

    Raises:
        ValueError: unknown ``tails``, or a response longer than the frame where it must fit.
    """
    if tails not in TAILS:
        raise ValueError(f"tails must be one of {TAILS}; got {tails!r}. Use 'overlap'.")
    noise, magnitudes = ops.convert_to_tensor(noise, "float32"), ops.convert_to_tensor(magnitudes, "float32")
    _, frames, hop = ops.shape(noise)
    taps = 2 * (magnitudes.shape[2] - 1)
    responses = ops.matmul(magnitudes, ops.convert_to_tensor(fir_basis(magnitudes.shape[2])))
    if tails == "overlap":
        filtered = convolve(noise, responses, hop * -(-(hop + taps) // hop), transforms=transforms)
        return overlap_add(filtered, hop)[:, taps // 2 : taps // 2 + frames * hop]
    if taps > hop:
        raise ValueError(
            f"tails='cut' needs responses no longer than a frame; got {taps} taps and hop={hop}. "
            f"Use tails='overlap', or at most {hop // 2 + 1} bands."
        )
    later = ops.pad(responses[..., taps // 2 :], ((0, 0), (0, 0), (0, hop - taps)))
    wrapped = ops.concatenate([later, responses[..., : taps // 2]], axis=-1)
    filtered = convolve(noise, wrapped, 2 * hop, transforms=transforms)
    return ops.reshape(filtered[..., :hop], (-1, frames * hop))


def looped_noise(frames, hop):
    """White noise without a generator, for programs that are to run where there is none: uniform in -1..1.

    The sum, wrapped around, of two loops of noise whose lengths share no factor: a sample and a later one
    have at most one of two terms in common, so they are independent, and all repeats after 41,989 frames.

    Args:
        frames: how many; a number or a tensor.
        hop: samples of each.

    Returns:
        ``(1, frames, hop)``, the same every time.
    """
    random, index = np.random.default_rng(0), ops.arange(frames, dtype="int32")
    loops = (random.random((length, hop), dtype="float32") for length in LOOP_FRAMES)
    total = sum(ops.take(loop, ops.mod(index, len(loop)), axis=0) for loop in loops)
    return (2.0 * (total - ops.floor(total)) - 1.0)[None]


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


def convolve_in_blocks(audio, response, block_size):
    """``fft_convolve`` without an FFT, and for audio of any length, known or not.

    Blocks of audio are taken as steps with a channel for each sample. From each step to those after it leads
    a Toeplitz matrix of the response, and all of them are the kernel of a plain convolution.

    Args:
        audio: ``(batch, samples)``, a multiple of ``block_size``.
        response: ``(taps,)``.
        block_size: samples; the kernel has as many times the numbers of the response.

    Returns:
        ``(batch, samples)``.
    """
    taps, samples = response.shape[0], ops.shape(audio)[1]
    steps = (taps + block_size - 2) // block_size + 1
    width = steps * block_size
    # Row i is the response i samples later: cut from copies of it, one after the other, one sample too early.
    copies = ops.tile(ops.pad(response, ((0, width + 1 - taps),)), (block_size,))
    rows = ops.reshape(copies[: block_size * width], (block_size, steps, block_size))
    kernel = ops.flip(ops.transpose(rows, (1, 0, 2)), axis=0)
    blocks = ops.reshape(audio, (-1, samples // block_size, block_size))
    padded = ops.pad(blocks, ((0, 0), (steps - 1, 0), (0, 0)))
    return ops.reshape(ops.conv(padded, kernel, padding="valid"), (-1, samples))


def convolve(signal, response, length, *, transforms="fft"):
    """Linear convolution along the last axis, zero-padded or cut to ``length`` samples.

    ``length`` must hold the whole result, or aliasing in time would follow. The transform runs
    at the next length with small prime factors, which is up to twice as fast.

    Args:
        signal, response: ``(..., samples)``.
        length: samples of the result.
        transforms: ``"fft"``, or ``"matrices"``: as products with constant matrices, for programs that are to
            run where there is no FFT. For short ones: a matrix of N samples has ``N^2`` numbers.

    Returns:
        ``(..., length)``.
    """
    from scipy.fft import next_fast_len

    size = next_fast_len(length, real=True)
    if transforms == "matrices":
        forth, back = fourier_matrices(size)
        spectra = [ops.split(ops.matmul(x, forth[: x.shape[-1]]), 2, axis=-1) for x in (signal, response)]
        return ops.matmul(ops.concatenate(complex_product(*spectra), axis=-1), back[:, :length])
    product = complex_product(ops.rfft(signal, size), ops.rfft(response, size))
    return ops.irfft(product, size)[..., :length]


def complex_product(a, b):
    """Product of two complex tensors, each a pair ``(real, imaginary)``."""
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def partition_response(response, block_size):
    """An impulse response cut into blocks, as spectra for ``convolve_block``.

    Args:
        response: ``(taps,)`` array.
        block_size: samples.

    Returns:
        float32 array ``(2, partitions, bins)``: real and imaginary parts.
    """
    partitions = -(-len(response) // block_size)
    padded = np.pad(np.asarray(response, "float64"), (0, partitions * block_size - len(response)))
    spectra = np.fft.rfft(padded.reshape(partitions, block_size), partition_fft_size(block_size))
    return np.stack([spectra.real, spectra.imag]).astype("float32")


def silent_convolution(partitions, block_size, *, batch=1):
    """The state of ``convolve_block`` before the first block: dict of float32 arrays."""
    bins = partition_fft_size(block_size) // 2 + 1
    return {
        "last_block": np.zeros((batch, block_size), "float32"),
        "spectra": np.zeros((2, batch, partitions, bins), "float32"),
    }


def convolve_block(block, partitions, state):
    """Convolution with a long response, block by block, without delay.

    Uniformly partitioned overlap-save: partition p of the response meets the audio of p blocks ago.
    Spectra of the past are kept, each transformed once, so that a block costs one transform forth, one
    product and sum over partitions, one transform back. A transform spans two blocks, of which the first
    is spoilt by wrapping around and dropped.

    Args:
        block: ``(batch, block_size)``, audio.
        partitions: of ``partition_response``.
        state: dict of tensors, at first ``silent_convolution``'s: ``last_block (batch, block_size)`` and
            ``spectra (2, batch, partitions, bins)`` of the audio, newest first.

    Returns:
        ``(audio, state)``: ``(batch, block_size)`` of the convolution, and the state for the next block.

    Reference:
        Stockham (1966), High-speed convolution and correlation; Torger and Farina (2001), Real-time
        partitioned convolution for ambiophonics surround sound.
    """
    block_size = block.shape[1]
    size = partition_fft_size(block_size)
    two_blocks = ops.concatenate([state["last_block"], block], axis=1)
    newest = ops.stack(ops.rfft(two_blocks, size))[:, :, None]
    spectra = ops.concatenate([newest, state["spectra"][:, :, :-1]], axis=2)
    real, imaginary = complex_product(spectra, ops.expand_dims(partitions, 1))
    product = (ops.sum(real, axis=1), ops.sum(imaginary, axis=1))
    audio = ops.irfft(product, size)[:, block_size : 2 * block_size]
    return audio, {"last_block": block, "spectra": spectra}


def partition_fft_size(block_size):
    """Length of the transforms of ``convolve_block``: two blocks, or a little more where that is faster."""
    from scipy.fft import next_fast_len

    return next_fast_len(2 * block_size, real=True)
