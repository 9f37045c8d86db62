"""From magnitudes back to audio: mel bands to bins, and the phase that the analysis threw away.

Plain numpy: these run once, on the CPU, and no gradient flows through them. Spectrograms are
``(frames, bins)`` or ``(batch, frames, bins)``; frame ``t`` is centred on sample ``t * hop`` and outside a
clip there is silence, as in ``audiozoo.dsp.spectra.stft_magnitude`` with ``padding="zeros"``.
"""

import functools
import math

import numpy as np
import scipy.fft

from audiozoo.dsp.spectra import GAUSSIAN_WIDTH, analysis_window
from audiozoo.errors import AudioError

MEL_INVERSES = ("nnls", "pinv")
TINY = 1e-30  # against a division by 0
SMALL = 1e-6  # magnitude that nobody hears
# A window of length L as the Gaussian exp(-pi (t / L)^2 / width). Of the Hann window: the nearest one, in the
# least-squares sense.
WIDTHS = {"hann": 0.2583, "gaussian": GAUSSIAN_WIDTH}
LEVEL_NEPER = 0.01  # cells this close in magnitude are taken in any order


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

    A part is cut into blocks of ``hop`` samples, the last one shorter where the hop does not divide it.
    Block k of part t falls on block t + k of the sum: a few additions of whole arrays.
    """
    *batch, frames, length = parts.shape
    blocks = -(-length // hop)
    total = np.zeros((*batch, frames + blocks, hop), parts.dtype)
    for block in range(blocks):
        piece = parts[..., block * hop : (block + 1) * hop]
        total[..., block : block + frames, : piece.shape[-1]] += piece
    return total.reshape(*batch, (frames + blocks) * hop)


def griffin_lim(
    magnitude, *, hop, samples=None, window="hann", iterations=32, momentum=0.99, phase=None, seed=0
):
    """Audio of magnitudes by projecting to and fro: onto these magnitudes, onto what audio can have.

    With momentum the consistent spectrum t_n is overshot along its last step before the magnitudes are
    imposed again: ``c_n = t_n + momentum * (t_n - t_{n-1})``.

    Args:
        magnitude: ``(..., frames, bins)``, of a window of ``2 * (bins - 1)`` samples.
        hop: samples between frames.
        samples: length of the audio, ``(frames - 1) * hop`` by default.
        window: that of the analysis.
        iterations: 32 are usual, 100 thorough.
        momentum: 0 is Griffin and Lim's own algorithm, 0.99 converges far lower.
        phase: radians, of the shape of ``magnitude``, to begin with; random by default. From that of
            ``phase_by_integration`` five iterations are enough.
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
    spectrum, previous = with_phase(magnitude, phase), None
    for _ in range(iterations):
        audio = istft(spectrum, hop=hop, samples=samples, window=window)
        consistent = stft(audio, window_length=2 * (bins - 1), hop=hop, window=window)
        ahead = consistent if previous is None else consistent + momentum * (consistent - previous)
        spectrum = ahead * (magnitude / np.maximum(np.abs(ahead), TINY))
        previous = consistent
    return istft(spectrum, hop=hop, samples=samples, window=window)


def pghi(magnitude, *, hop, samples=None, window="hann", tolerance=1e-6, seed=0):
    """Audio of magnitudes by integrating the gradient of phase: see ``phase_by_integration``.

    Args:
        magnitude: ``(..., frames, bins)``, of a window of ``2 * (bins - 1)`` samples.
        hop: samples between frames; an eighth of the window or less; a quarter costs several dB.
        samples: length of the audio, ``(frames - 1) * hop`` by default.
        window: that of the analysis; a Gaussian one brings several dB.
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
    cell reached (hence the heap of the name): a path leads through cells where slopes can be trusted, around
    those where they cannot. Another window is treated as the Gaussian nearest to it. At 0 Hz and Nyquist the
    transform is real, and phase is rounded to half turns. (The paper does not; what is imaginary there is
    lost, and with it much of a sound that reaches below the second bin.)

    Args:
        magnitude: ``(..., frames, bins)``.
        hop, window: of the analysis.
        tolerance: relative to the loudest cell of an item; below it phase is random, since slopes there are
            those of rounding errors.
        seed: of that random phase.

    Returns:
        float64 ``(..., frames, bins)``, radians, not wrapped.

    Raises:
        AudioError: magnitudes that are negative or not finite.
        ValueError: an unknown window, a hop that leaves gaps, a tolerance outside 0..1.

    Reference:
        Prusa, Balazs and Sondergaard (2017), A noniterative method for reconstruction of phase from STFT
        magnitude, arXiv:1609.00291.
    """
    magnitude = check_magnitude(magnitude)
    bins = magnitude.shape[-1]
    length = 2 * (bins - 1)
    check_hop(hop, length)
    analysis_window(window, length)  # refuses an unknown one
    if not 0.0 < tolerance < 1.0:
        raise ValueError(f"tolerance must lie between 0 and 1, without them; got {tolerance}. Use 1e-6.")
    phase = random_phase(magnitude.shape, seed)
    for index in np.ndindex(magnitude.shape[:-2]):
        loudest = magnitude[index].max(initial=0.0)
        if loudest > 0.0:
            logarithm = np.log(np.maximum(magnitude[index], 0.1 * tolerance * loudest).astype("float64"))
            to_bin, to_frame = slope_in_frequency(logarithm), slope_in_time(logarithm)
            aspect = WIDTHS[window] * length / hop  # g / (hop L)
            frame_step = to_bin / aspect + 2.0 * np.pi * hop / length * np.arange(bins)
            bin_step = -aspect * to_frame - np.pi
            heard = magnitude[index] > tolerance * loudest
            phase[index] = integrate(logarithm, heard, frame_step, bin_step, phase[index])
    return phase


def slope_in_frequency(logarithm):
    """Central differences along the bins; 0 at 0 Hz and Nyquist, around which magnitudes are even."""
    difference = np.zeros_like(logarithm)
    difference[:, 1:-1] = 0.5 * (logarithm[:, 2:] - logarithm[:, :-2])
    return difference


def slope_in_time(logarithm):
    """Central differences along the frames; at the ends of a parabola: clips may begin in full sound."""
    frames = len(logarithm)
    if frames == 1:
        return np.zeros_like(logarithm)
    return np.gradient(logarithm, axis=0, edge_order=min(2, frames - 1))


def integrate(logarithm, heard, frame_step, bin_step, phase):
    """Phase of the cells that are heard, the others keep theirs; each island of them begins with phase 0.

    Args:
        logarithm: of the magnitudes, ``(frames, bins)``.
        heard: whether a cell is reached, ``(frames, bins)``.
        frame_step, bin_step: slopes of the phase, radians to the next frame and bin, ``(frames, bins)``.
        phase: radians, ``(frames, bins)``.

    Returns:
        float64 ``(frames, bins)``, radians.
    """
    frames, bins = phase.shape

    def bordered(values, border):
        return np.pad(values, 1, constant_values=border).ravel()  # the walk then needs no look at the bounds

    closed = bordered(~heard, True)
    real = np.zeros((frames, bins), bool)
    real[:, [0, -1]] = True
    below = (logarithm.max() - logarithm) / LEVEL_NEPER
    level = bordered(np.minimum(below, 2**15 - 1).astype("int16"), 0)
    cells = np.flatnonzero(~closed)
    order = cells[np.argsort(level[cells], kind="stable")].astype("int32")
    first = np.full(level[order[-1]] + 1, -1, "int32")
    following = np.full(closed.size, -1, "int32")
    cell_values = (
        bordered(real, False),
        bordered(frame_step, 0.0),
        bordered(bin_step, 0.0),
        bordered(phase, 0.0),
    )
    walked = walk()(order, level, first, following, closed, *cell_values, bins + 2)
    return np.asarray(walked).reshape(frames + 2, bins + 2)[1:-1, 1:-1]


def add_up_steps(order, level, first, following, closed, real, frame_step, bin_step, phase, width):
    """Walk over all open cells, always on from the loudest one reached; returns ``phase``, changed in place.

    Cells that wait to be left are kept by level: each level is a chain, ``first`` its first cell and
    ``following`` the one behind each cell. To put one in, or to take the loudest out, takes a step or two;
    with a heap it would be the logarithm of its size.

    Args:
        order: open cells, loudest first: indices of the raveled spectrogram with its border.
        level: of each cell, from 0, the loudest.
        first: -1 for each level.
        following: -1 for each cell.
        closed: whether a cell may not be entered; all are closed in the end.
        real: whether a cell, at 0 Hz or Nyquist, is real: its phase is 0 or half a turn.
        frame_step, bin_step, phase: of each cell, radians.
        width: cells from one frame to the next.
    """
    for start in order:
        if closed[start]:
            continue
        closed[start] = True
        phase[start] = 0.0
        loudest = level[start]
        first[loudest] = start
        while loudest < len(first):
            cell = first[loudest]
            if cell < 0:
                loudest += 1
                continue
            first[loudest] = following[cell]
            for offset, step, half in (
                (width, frame_step, 0.5),
                (-width, frame_step, -0.5),
                (1, bin_step, 0.5),
                (-1, bin_step, -0.5),
            ):
                neighbour = cell + offset
                if closed[neighbour]:
                    continue
                closed[neighbour] = True
                phase[neighbour] = phase[cell] + half * (step[cell] + step[neighbour])
                if real[neighbour]:
                    phase[neighbour] = math.pi * math.floor(phase[neighbour] / math.pi + 0.5)
                following[neighbour] = first[level[neighbour]]
                first[level[neighbour]] = neighbour
                loudest = min(loudest, level[neighbour])
    return phase


@functools.cache
def walk():
    """``add_up_steps``, compiled where numba is installed: the same sums in the same order."""
    try:
        import numba
    except ImportError:
        return walk_over_lists
    return numba.njit(add_up_steps)


def walk_over_lists(*arguments):
    """``add_up_steps`` in Python, which reads lists faster than arrays."""
    return add_up_steps(*(argument if np.isscalar(argument) else argument.tolist() for argument in arguments))


def mel_to_magnitude(mel, filters, *, method="nnls", iterations=30, initial=None):
    """Magnitudes of all bins whose mel bands are the given ones, or nearly.

    There are more bins than bands, hence many answers; both methods choose one without negative magnitudes.
    ``"nnls"`` solves ``min |s B - mel|^2, s >= 0`` by multiplicative updates
    ``s <- s * (mel B') / (s B B')``, which never raise the error and keep zeros and signs (Lee and Seung,
    2001, Algorithms for non-negative matrix factorization, theorem 1). ``"pinv"`` is the answer of least
    norm, negative values set to 0.

    Args:
        mel: ``(..., frames, bands)``, not negative.
        filters: ``(bins, bands)``, of ``audiozoo.dsp.mel.mel_filters``.
        method: ``"nnls"`` or ``"pinv"``.
        iterations: of ``"nnls"``.
        initial: of ``"nnls"``, magnitudes ``(..., frames, bins)`` to set out from: of all answers it finds
            one that has their details. By default what is flat within its bands.

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
    if initial is None:
        magnitude = wanted / np.maximum(filters @ filters.sum(axis=0), TINY)  # what is flat, stays flat
    else:
        magnitude = np.maximum(check_magnitude(initial, name="initial"), SMALL)  # 0 would stay 0
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
    """Radians, float64, evenly spread; the same for each item of a batch, whatever its neighbours are."""
    phase = np.random.default_rng(seed).uniform(-np.pi, np.pi, shape[-2:])
    return np.broadcast_to(phase, shape).copy()


def check_magnitude(magnitude, name="magnitude"):
    """The magnitudes as float32. Raises AudioError for a wrong shape, and for what no magnitude can be."""
    magnitude = np.asarray(magnitude, "float32")
    if magnitude.ndim < 2 or not magnitude.size:
        raise AudioError(f"{name} must be (..., frames, bins), not empty; got shape {magnitude.shape}.")
    wrong = ~np.isfinite(magnitude) | (magnitude < 0.0)
    if wrong.any():
        raise AudioError(
            f"{name} must be finite and not negative; {int(wrong.sum())} of {wrong.size} values are not. "
            "Magnitudes are linear, not logarithmic or standardised; a model that returns NaN has diverged."
        )
    return magnitude


def check_length(frames, bins, hop, samples):
    """The length of the audio, by default the shortest that has so many frames. Raises ValueError."""
    check_hop(hop, 2 * (bins - 1))
    shortest, longest = max(1, (frames - 1) * hop), frames * hop - 1
    samples = shortest if samples is None else samples
    if not shortest <= samples <= longest:
        raise ValueError(
            f"samples must lie between {shortest} and {longest}, the lengths of audio that has {frames} "
            f"frames at hop {hop}; got {samples}. Take frames away or add some, or cut the audio afterwards."
        )
    return samples


def check_hop(hop, window_length):
    """Raise ValueError unless windows so far apart overlap by half at least."""
    if not 1 <= hop <= window_length // 2:
        raise ValueError(
            f"hop must lie between 1 and half a window, {window_length // 2} samples; got {hop}. "
            f"Use {max(1, window_length // 4)}."
        )
