"""From magnitudes back to audio: mel bands to bins, and the phase that the analysis threw away.

Plain numpy: these run once, on the CPU, and no gradient flows through them. Spectrograms are
``(frames, bins)`` or ``(batch, frames, bins)``; frame ``t`` is centred on sample ``t * hop`` and outside a
clip there is silence, as in ``audiozoo.dsp.spectra.stft_magnitude`` with ``padding="zeros"``.
"""

import functools
import heapq
import math

import numpy as np
import scipy.fft

from audiozoo.errors import AudioError

MEL_INVERSES = ("nnls", "pinv")
TINY = 1e-30  # against a division by 0, in squares of float32

# Width of a window as c of the Gaussian exp(-pi t^2 / (c L^2)), L the window's length. Of the Hann window:
# the Gaussian nearest to it in the least-squares sense. The Gaussian window itself ends at 1 % of its peak.
WIDTHS = {"hann": 0.2583, "gaussian": math.pi / (4.0 * math.log(100.0))}


def analysis_window(name, length):
    """A window, periodic, float32 ``(length,)``: ``"hann"`` or ``"gaussian"``."""
    if name not in WIDTHS:
        raise ValueError(f"window must be one of {tuple(WIDTHS)}; got {name!r}. Use 'hann'.")
    position = np.arange(length) / length - 0.5
    if name == "hann":
        return (0.5 + 0.5 * np.cos(2.0 * np.pi * position)).astype("float32")
    return np.exp(-np.pi * position**2 / WIDTHS[name]).astype("float32")


def stft(audio, *, window_length, hop, window="hann"):
    """Centred short-time Fourier transform.

    Args:
        audio: float array ``(..., samples)``.
        window_length: samples, even.
        hop: samples between frames.
        window: ``"hann"`` or ``"gaussian"``.

    Returns:
        complex64 ``(..., 1 + samples // hop, window_length // 2 + 1)``.
    """
    half = window_length // 2
    padded = np.pad(np.asarray(audio, "float32"), [(0, 0)] * (np.ndim(audio) - 1) + [(half, half)])
    frames = np.lib.stride_tricks.sliding_window_view(padded, window_length, axis=-1)[..., ::hop, :]
    return scipy.fft.rfft(frames * analysis_window(window, window_length), overwrite_x=True)


def istft(spectrum, *, hop, samples=None, window="hann"):
    """The audio whose ``stft`` is nearest to a spectrum, in the least-squares sense.

    Frames are windowed again and added; each sample was then multiplied by the sum of squared windows that
    cover it, and is divided by that (Griffin and Lim, 1984, eq. 6).

    Args:
        spectrum: complex ``(..., frames, bins)``, of a window of ``2 * (bins - 1)`` samples.
        hop: samples between frames, at most half a window.
        samples: length of the audio, ``(frames - 1) * hop`` by default.
        window: that of the analysis.

    Returns:
        float32 ``(..., samples)``.

    Raises:
        ValueError: an unknown window, a hop that leaves gaps, a length that another number of frames has.
    """
    frames, bins = spectrum.shape[-2:]
    length = 2 * (bins - 1)
    samples = check_length(frames, bins, hop, samples)
    shape = analysis_window(window, length)
    parts = scipy.fft.irfft(spectrum, length, overwrite_x=False)
    parts *= shape
    audio = add_overlapping(parts, hop)[..., length // 2 : length // 2 + samples]
    return audio / window_power(window, length, hop, frames)[length // 2 : length // 2 + samples]


@functools.lru_cache(maxsize=8)
def window_power(window, length, hop, frames):
    """Sum of the squared windows that cover each sample, ``(frames * hop + length,)`` or more."""
    squares = np.broadcast_to(analysis_window(window, length) ** 2, (frames, length))
    return np.maximum(add_overlapping(squares, hop), TINY)


def add_overlapping(parts, hop):
    """Sum of parts ``(..., frames, length)`` that begin ``hop`` samples apart; zeros follow the last one.

    A part is cut into blocks of ``hop`` samples, the last one filled up with zeros. Block k of part t falls on
    block t + k of the sum: a few additions of whole arrays, for any hop.
    """
    *batch, frames, length = parts.shape
    blocks = -(-length // hop)
    total = np.zeros((*batch, frames + blocks, hop), parts.dtype)
    for block in range(blocks):
        piece = parts[..., block * hop : (block + 1) * hop]
        total[..., block : block + frames, : piece.shape[-1]] += piece
    return total.reshape(*batch, (frames + blocks) * hop)


def griffin_lim(magnitude, *, hop, samples=None, iterations=32, momentum=0.99, phase=None, seed=0):
    """Audio of magnitudes by projecting to and fro: onto these magnitudes, onto what audio can have.

    With momentum the consistent spectrum t_n is overshot along its last step before the magnitudes are
    imposed again: ``c_n = t_n + momentum * (t_n - t_{n-1})``.

    Args:
        magnitude: ``(..., frames, bins)``, of a Hann window of ``2 * (bins - 1)`` samples.
        hop: samples between frames.
        samples: length of the audio, ``(frames - 1) * hop`` by default.
        iterations: 32 are usual; from 100 on little is gained.
        momentum: 0 is Griffin and Lim's own algorithm, 0.99 converges far lower.
        phase: radians, of the shape of ``magnitude``, to begin with; random by default.
        seed: of the random phase.

    Returns:
        float32 ``(..., samples)``.

    Raises:
        AudioError: magnitudes that are negative or not finite.
        ValueError: a length or hop that do not fit.

    Reference:
        Griffin and Lim (1984); Perraudin, Balazs and Sondergaard (2013), A fast Griffin-Lim algorithm,
        algorithm 2.
    """
    magnitude = check_magnitude(magnitude)
    frames, bins = magnitude.shape[-2:]
    samples = check_length(frames, bins, hop, samples)
    if phase is None:
        phase = random_phase(magnitude.shape, seed)
    spectrum = with_phase(magnitude, phase)
    previous = None
    for _ in range(iterations):
        audio = istft(spectrum, hop=hop, samples=samples)
        consistent = stft(audio, window_length=2 * (bins - 1), hop=hop)
        spectrum = consistent if previous is None else consistent + momentum * (consistent - previous)
        previous = consistent
        spectrum *= magnitude / np.maximum(np.abs(spectrum), TINY)
    return istft(spectrum, hop=hop, samples=samples)


def pghi(magnitude, *, hop, samples=None, window="hann", tolerance=1e-6, seed=0):
    """Audio of magnitudes by integrating the gradient of phase: see ``phase_by_integration``.

    Args:
        magnitude: ``(..., frames, bins)``, of a window of ``2 * (bins - 1)`` samples.
        hop: samples between frames; an eighth of the window or less, a quarter is just enough.
        samples: length of the audio, ``(frames - 1) * hop`` by default.
        window: ``"hann"`` or ``"gaussian"``, that of the analysis.
        tolerance: as in ``phase_by_integration``.
        seed: of the random phase below it.

    Returns:
        float32 ``(..., samples)``.

    Raises:
        AudioError: magnitudes that are negative or not finite.
        ValueError: an unknown window, a length or hop that do not fit.
    """
    magnitude = check_magnitude(magnitude)
    samples = check_length(*magnitude.shape[-2:], hop, samples)
    phase = phase_by_integration(magnitude, hop=hop, window=window, tolerance=tolerance, seed=seed)
    return istft(with_phase(magnitude, phase), hop=hop, samples=samples, window=window)


def phase_by_integration(magnitude, *, hop, window="hann", tolerance=1e-6, seed=0):
    """Phase of an STFT from its magnitudes: phase gradient heap integration.

    With a Gaussian window ``exp(-pi t^2 / g)`` the transform, apart from a known factor, is an analytic
    function of ``t / g - i f``. Its logarithm, ``log s + i phi``, is one too, and so by the Cauchy-Riemann
    equations the slopes of the phase are those of the logarithmic magnitude, crosswise:

        d phi / d t = (1 / g) d log s / d f + 2 pi f          d phi / d f = -g d log s / d t

    with phase counted from the middle of the window. Counted from its first sample, as here, a bin adds -pi.
    Bin m lies at f = m / L, frame n at t = n hop, so that steps to the next frame and to the next bin are

        hop L / g  d log s / d m + 2 pi hop m / L             -g / (hop L)  d log s / d n - pi.

    Steps are averaged over both ends and added up from the loudest cell outwards, always on from the loudest
    cell reached (hence the heap): a path leads through cells where the slope can be trusted, and around those
    where it cannot. Another window is treated as the Gaussian nearest to it.

    Args:
        magnitude: ``(..., frames, bins)``.
        hop, window: of the analysis.
        tolerance: relative to the loudest cell of an item; below it phase is random, since rounding is all that
            a slope could be made of.
        seed: of that random phase.

    Returns:
        float64 ``(..., frames, bins)``, radians, not wrapped.

    Reference:
        Prusa, Balazs and Sondergaard (2017), A noniterative method for reconstruction of phase from STFT
        magnitude, arXiv:1609.00291.
    """
    magnitude = check_magnitude(magnitude)
    if window not in WIDTHS:
        raise ValueError(f"window must be one of {tuple(WIDTHS)}; got {window!r}. Use 'hann'.")
    frames, bins = magnitude.shape[-2:]
    length = 2 * (bins - 1)
    phase = random_phase(magnitude.shape, seed).astype("float64")
    for index in np.ndindex(magnitude.shape[:-2]):
        loudest = magnitude[index].max(initial=0.0)
        if loudest > 0.0:
            logarithm = np.log(np.maximum(magnitude[index], 0.1 * tolerance * loudest).astype("float64"))
            to_bin, to_frame = slope(logarithm, axis=1), slope(logarithm, axis=0)
            aspect = WIDTHS[window] * length / hop  # g / (hop L)
            frame_step = to_bin / aspect + 2.0 * np.pi * hop / length * np.arange(bins)
            bin_step = -aspect * to_frame - np.pi
            heard = magnitude[index] > tolerance * loudest
            phase[index] = integrate(logarithm, heard, frame_step, bin_step, phase[index])
    return phase


def slope(values, axis):
    """Central difference along an axis, 0 at both ends.

    In frequency a real signal's magnitudes are even around 0 Hz and Nyquist; in time nothing is known beyond
    the ends.
    """
    values = np.moveaxis(values, axis, 0)
    difference = np.zeros_like(values)
    difference[1:-1] = 0.5 * (values[2:] - values[:-2])
    return np.moveaxis(difference, 0, axis)


def integrate(logarithm, heard, frame_step, bin_step, phase):
    """Phase ``(frames, bins)`` of the cells that are heard; the others keep theirs. Each island begins at 0."""

    def bordered(values, border):
        return np.pad(values, 1, constant_values=border).ravel()  # a border spares the walk its bounds

    closed = bordered(~heard, True)
    cells = np.flatnonzero(~closed)
    order = cells[np.argsort(-bordered(logarithm, 0.0)[cells], kind="stable")]
    rank = np.zeros(closed.size, "int64")  # a place in the order, so that the heap compares whole numbers
    rank[order] = np.arange(order.size)
    steps = bordered(frame_step, 0.0), bordered(bin_step, 0.0)
    walked = walk()(order, rank, closed, *steps, bordered(phase, 0.0), phase.shape[1] + 2)
    return np.asarray(walked).reshape(phase.shape[0] + 2, -1)[1:-1, 1:-1]


def add_up_steps(order, rank, closed, frame_step, bin_step, phase, width):
    """Walk over all open cells from the loudest on; returns ``phase``, changed in place.

    Args:
        order: open cells, loudest first, indices of the raveled, bordered spectrogram.
        rank: of each cell in ``order``.
        closed: whether a cell is not to be entered; all are in the end.
        frame_step, bin_step: radians, from half a cell before to half a cell after.
        phase: radians.
        width: cells of a row.
    """
    for start in order:
        if closed[start]:
            continue
        closed[start] = True
        phase[start] = 0.0
        heap = [rank[start]]
        while len(heap) > 0:
            cell = order[heapq.heappop(heap)]
            for offset, step, half in (
                (width, frame_step, 0.5),
                (-width, frame_step, -0.5),
                (1, bin_step, 0.5),
                (-1, bin_step, -0.5),
            ):
                neighbour = cell + offset
                if not closed[neighbour]:
                    closed[neighbour] = True
                    phase[neighbour] = phase[cell] + half * (step[cell] + step[neighbour])
                    heapq.heappush(heap, rank[neighbour])
    return phase


@functools.cache
def walk():
    """``add_up_steps``, compiled where numba is installed: the same sums in the same order."""
    try:
        import numba
    except ImportError:  # lists are read faster than arrays, one by one
        return lambda *arguments: add_up_steps(*(np.asarray(a).tolist() for a in arguments))
    return numba.njit(cache=True)(add_up_steps)


def mel_to_magnitude(mel, filters, *, method="nnls", iterations=30):
    """Magnitudes of all bins whose mel bands are the given ones, or nearly.

    There are more bins than bands, hence many answers; both methods choose one without negative magnitudes.
    ``"nnls"`` solves ``min |s B - mel|^2, s >= 0`` by multiplicative updates
    ``s <- s * (mel B') / (s B B')``, which lower the error at every step and keep zeros and signs (Lee and
    Seung, 2001, Algorithms for non-negative matrix factorization, theorem 1). ``"pinv"`` is the answer of least
    norm, negative values set to 0.

    Args:
        mel: ``(..., frames, bands)``, not negative.
        filters: ``(bins, bands)``, of ``audiozoo.dsp.mel.mel_filters``.
        method: ``"nnls"`` or ``"pinv"``.
        iterations: of ``"nnls"``.

    Returns:
        float32 ``(..., frames, bins)``.

    Raises:
        AudioError: bands that are negative or not finite.
        ValueError: an unknown method, or another number of bands than the filters have.
    """
    if method not in MEL_INVERSES:
        raise ValueError(f"method must be one of {MEL_INVERSES}; got {method!r}. Use 'nnls'.")
    mel, filters = check_magnitude(mel, name="mel"), np.asarray(filters, "float32")
    if mel.shape[-1] != filters.shape[1]:
        raise ValueError(
            f"mel must have the {filters.shape[1]} bands of the filters; got shape {mel.shape}. "
            "Pass the filters that it was made with."
        )
    if method == "pinv":
        return np.maximum(mel @ np.linalg.pinv(filters.astype("float64")).astype("float32"), 0.0)
    wanted = mel @ filters.T
    magnitude = wanted / np.maximum(filters.sum(axis=1) ** 2, TINY)
    for _ in range(iterations):
        magnitude *= wanted / np.maximum((magnitude @ filters) @ filters.T, TINY)
    return magnitude


def with_phase(magnitude, phase):
    """complex64 of magnitudes and radians."""
    spectrum = np.empty(magnitude.shape, "complex64")
    np.multiply(magnitude, np.cos(phase), out=spectrum.real, casting="same_kind")
    np.multiply(magnitude, np.sin(phase), out=spectrum.imag, casting="same_kind")
    return spectrum


def random_phase(shape, seed):
    """Radians within -pi..pi, float32, even."""
    return np.random.default_rng(seed).uniform(-np.pi, np.pi, shape).astype("float32")


def check_magnitude(magnitude, name="magnitude"):
    """The magnitudes as float32. Raises AudioError for a wrong shape, and for what no magnitude can be."""
    magnitude = np.asarray(magnitude, "float32")
    if magnitude.ndim < 2 or not magnitude.size:
        raise AudioError(f"{name} must be (..., frames, bins), not empty; got shape {magnitude.shape}.")
    wrong = ~np.isfinite(magnitude) | (magnitude < 0.0)
    if wrong.any():
        raise AudioError(
            f"{name} must be finite and not negative; {int(wrong.sum())} of {wrong.size} values are not. "
            "A model that returns NaN has diverged; magnitudes are linear, neither logarithmic nor standardised."
        )
    return magnitude


def check_length(frames, bins, hop, samples):
    """The length of the audio, by default the shortest that has so many frames. Raises ValueError."""
    length = 2 * (bins - 1)
    if not 1 <= hop <= length // 2:
        raise ValueError(
            f"hop must lie between 1 and half a window, {length // 2} samples; got {hop}. "
            f"Use {max(1, length // 4)}."
        )
    samples = (frames - 1) * hop if samples is None else samples
    if not max(1, (frames - 1) * hop) <= samples < frames * hop:
        raise ValueError(
            f"samples must lie between {max(1, (frames - 1) * hop)} and {frames * hop - 1}, the lengths of audio "
            f"that has {frames} frames at hop {hop}; got {samples}. Take frames away, or add some, first."
        )
    return samples
