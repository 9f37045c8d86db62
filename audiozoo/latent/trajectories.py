"""Ways through a code: smooth random ones, ones through given places, ones between two sounds.

A way is an array ``(frames, dims)``, one code a frame, in any coordinates. Random ones have a mean of 0 and a
variance of 1 in every dimension, as the prior has, and one seed gives one way.
"""

import numpy as np

from audiozoo.arguments import check_choice, check_range, check_whole
from audiozoo.latent.analysis import code_rows
from audiozoo.latent.paths import linear_path, spherical_path

LONGEST_KERNEL = 6  # correlation times after which a Gaussian is nothing
ALIGNMENTS = ("dtw", "resample")


def gaussian_process(frames, dims, *, correlation_frames, seed=0):
    """Smooth random way: a Gaussian process whose every value is a draw from the prior.

    White noise filtered by a Gaussian and renormalised to unit variance. Its autocovariance is
    ``exp(-(lag / correlation_frames)^2 / 2)``: it has all derivatives, so no step can be heard as such.

    Args:
        frames, dims: of the way.
        correlation_frames: lag at which the correlation has fallen to ``exp(-1/2)``, 0.61.
        seed: of the noise.

    Returns:
        float64 ``(frames, dims)``.

    Raises:
        ValueError: an argument out of range.
    """
    check_size(frames, dims, correlation_frames, seed)
    # Two Gaussians of width s / sqrt(2) after each other have width s: that is the autocovariance.
    width = correlation_frames / np.sqrt(2.0)
    reach = int(np.ceil(LONGEST_KERNEL * width))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    kernel /= np.sqrt(np.sum(kernel**2))
    noise = np.random.default_rng(seed).standard_normal((frames + 2 * reach, dims))
    from scipy.signal import oaconvolve

    return oaconvolve(noise, kernel[:, None], mode="valid", axes=0)


def ornstein_uhlenbeck(frames, dims, *, correlation_frames, seed=0):
    """Rough random way: a process that drifts back to 0 and is kicked at every frame.

    Uhlenbeck and Ornstein (1930). Its autocovariance is ``exp(-lag / correlation_frames)``; it has no
    derivative.

    Args, Returns, Raises: as ``gaussian_process``, with a correlation of ``exp(-1)``, 0.37, at that lag.
    """
    check_size(frames, dims, correlation_frames, seed)
    from scipy.signal import lfilter

    noise = np.random.default_rng(seed).standard_normal((frames, dims))
    decay = np.exp(-1.0 / correlation_frames)
    noise[1:] *= np.sqrt(1.0 - decay**2)  # the first value is a draw from the prior already
    return lfilter([1.0], [1.0, -decay], noise, axis=0)


def spline(anchors, frames):
    """Smooth way through given places, evenly apart in time: a natural cubic spline.

    Args:
        anchors: ``(anchors, dims)``, at least 2.
        frames: of the way, at least as many as there are anchors.

    Returns:
        float64 ``(frames, dims)``, which begins and ends at the first and last anchor.

    Raises:
        ValueError: anchors that are no such array, or too few frames.
    """
    anchors = code_rows(anchors, "anchors")
    if len(anchors) < 2:
        raise ValueError(f"anchors must be at least 2; got {len(anchors)}.")
    check_whole("frames", frames, len(anchors))
    from scipy.interpolate import CubicSpline

    places = np.arange(len(anchors))
    return CubicSpline(places, anchors, bc_type="natural")(np.linspace(0.0, places[-1], frames))


def lissajous(frames, dims, *, cycles=None, phases=None):
    """Closed way of sines, each dimension with its own number of cycles: it comes back to where it began.

    Args:
        frames, dims: of the way.
        cycles: whole numbers ``(dims,)``, how often each dimension goes round; by default 1, 2, 3 ...
        phases: radians ``(dims,)``; by default ``pi / 2`` more for each further dimension.

    Returns:
        float64 ``(frames, dims)``, of unit variance, whose next frame would be the first one.

    Raises:
        ValueError: an argument out of range; a dimension with more cycles than half of the frames.
    """
    check_whole("frames", frames, 1)
    check_whole("dims", dims, 1)
    cycles = np.arange(1, dims + 1) if cycles is None else np.asarray(cycles)
    phases = 0.5 * np.pi * np.arange(dims) if phases is None else np.asarray(phases, "float64")
    if cycles.shape != (dims,) or phases.shape != (dims,) or np.any(cycles != np.round(cycles)):
        raise ValueError(
            f"cycles must be {dims} whole numbers and phases {dims} angles; got {cycles} and {phases}."
        )
    if np.abs(cycles).max() > frames / 2:
        raise ValueError(
            f"frames must be at least {int(2 * np.abs(cycles).max())}, two for each cycle; got {frames}."
        )
    return np.sqrt(2.0) * np.sin(2.0 * np.pi * np.outer(np.arange(frames) / frames, cycles) + phases)


def align(a, b, *, method="dtw", frames=None):
    """Two ways of unequal length on common frames, so that what belongs together is side by side.

    ``"dtw"``: dynamic time warping (Sakoe and Chiba, 1978), which pairs frames such that the distances of
    pairs sum to least, in order and leaving none out. ``"resample"``: both stretched evenly.

    Args:
        a, b: codes ``(frames, dims)``.
        method: ``"dtw"`` or ``"resample"``.
        frames: of the result; by default those of the longer way.

    Returns:
        Two arrays float64 ``(frames, dims)``, which begin and end as ``a`` and ``b`` do.

    Raises:
        ValueError: codes that are no such arrays or of unequal size; an unknown method; frames below 1.
    """
    check_choice("method", method, ALIGNMENTS)
    a, b = code_rows(a, "a"), code_rows(b, "b")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"a and b must be codes of one size; got {a.shape[1]} and {b.shape[1]} numbers.")
    frames = max(len(a), len(b)) if frames is None else frames
    check_whole("frames", frames, 1)
    if method == "dtw":
        pairs = warping_path(a, b)
        a, b = a[pairs[:, 0]], b[pairs[:, 1]]
    return stretched(a, frames), stretched(b, frames)


def warping_path(a, b):
    """Pairs of frames that dynamic time warping finds, ``(pairs, 2)``, from the first to the last."""
    from librosa.sequence import dtw

    return dtw(a.T, b.T, metric="euclidean")[1][::-1]


def stretched(codes, frames):
    """Codes ``(any, dims)`` stretched evenly to so many frames, by linear interpolation."""
    places = np.linspace(0.0, len(codes) - 1.0, frames)
    return np.stack([np.interp(places, np.arange(len(codes)), column) for column in codes.T], axis=1)


def between(a, b, positions, *, spherical=True, method="dtw"):
    """Ways between two ways: each is at every frame the same part of the path from one code to the other.

    Args:
        a, b: codes ``(frames, dims)``, of any lengths.
        positions: ``(positions,)``, 0 for ``a``, 1 for ``b``.
        spherical: along the arc of ``spherical_path``; False: along the straight line.
        method: see ``align``.

    Returns:
        float64 ``(positions, frames, dims)``.

    Raises:
        ValueError: as ``align``; positions outside of 0..1.
    """
    positions = np.asarray(positions, "float64")
    if positions.ndim != 1 or not np.all((positions >= 0.0) & (positions <= 1.0)) or not positions.size:
        raise ValueError(f"positions must be numbers between 0 and 1; got {positions}.")
    path = spherical_path if spherical else linear_path
    return path(*align(a, b, method=method), positions)


def morph(a, b, *, spherical=True, method="dtw"):
    """One way that begins as ``a`` and ends as ``b``, passing from one to the other as time goes by.

    Args, Raises: as ``between``.

    Returns:
        float64 ``(frames, dims)``.
    """
    a, b = align(a, b, method=method)
    path = spherical_path if spherical else linear_path
    positions = np.linspace(0.0, 1.0, len(a)) if len(a) > 1 else [0.0]
    return np.stack([path(a[frame], b[frame], [t])[0] for frame, t in enumerate(positions)])


def sweep(basis, dimension, *, deviations=3.0, steps=7, around=None):
    """Codes along one direction of a basis, everything else held.

    Args:
        basis: ``InformativeBasis``.
        dimension: number of the direction, 0 for the most informative one.
        deviations: how far to go to either side, in standard deviations of that coordinate over the data.
        steps: how many places, both ends included; an odd number has the middle.
        around: codes ``(frames, dims)`` that are moved as a whole, each frame by the same amount; by default
            the mean code.

    Returns:
        Deviations of each step ``(steps,)``, and codes ``(steps, frames, dims)``.

    Raises:
        ValueError: an argument out of range, codes of another size.
    """
    check_whole("dimension", dimension, 0)
    check_whole("steps", steps, 2)
    check_range("deviations", deviations, 0.0, 100.0)
    if dimension >= len(basis.centre):
        raise ValueError(f"dimension must be at most {len(basis.centre) - 1}; got {dimension}.")
    around = basis.centre[None] if around is None else code_rows(around, "around")
    coordinates = np.repeat(basis.coordinates(around)[None], steps, axis=0)
    places = np.linspace(-deviations, deviations, steps)
    coordinates[:, :, dimension] += (places * basis.deviations[dimension])[:, None]
    return places, basis.codes(coordinates)


def perceptual_path_length(features_of, path, *, epsilon=1e-2, draws=16, seed=0):
    """How fast the output changes along a path, mean square: small and even on a smooth way.

    ``E[d(g(z_t), g(z_(t + e)))^2 / e^2]`` over places t (Karras et al., 2019, StyleGAN, arXiv:1812.04948,
    section 4.1), with the Euclidean distance of what ``features_of`` makes of the output. It should be of
    finite differences that are larger than the rounding of the decoder.

    Args:
        features_of: codes ``(batch, ...)`` to arrays ``(batch, ...)``: decodes, and measures what is heard,
            such as a log-mel spectrogram.
        path: positions ``(n,)`` in 0..1 to codes ``(n, ...)``.
        epsilon: step, as a part of the path.
        draws: places.
        seed: of the places.

    Returns:
        float64 ``(draws,)``: the squared speed at each place. Their mean is the perceptual path length.

    Raises:
        ValueError: an argument out of range.
    """
    check_range("epsilon", epsilon, 1e-9, 0.5)
    check_whole("draws", draws, 1)
    places = np.random.default_rng(seed).uniform(0.0, 1.0 - epsilon, draws)
    here, there = (
        np.asarray(features_of(path(positions)), "float64").reshape(draws, -1)
        for positions in (places, places + epsilon)
    )
    return np.sum((there - here) ** 2, axis=1) / epsilon**2


def total_variation(values):
    """Sum of all changes along a curve, up and down, of ``(steps,)`` values.

    A curve that only rises has its rise; every detour counts twice.

    Raises:
        ValueError: no values, or not finite.
    """
    values = np.asarray(values, "float64")
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise ValueError(f"values must be finite and (steps,), at least one; got shape {values.shape}.")
    return float(np.sum(np.abs(np.diff(values))))


def check_size(frames, dims, correlation_frames, seed):
    """Raise ValueError unless these describe a random way."""
    check_whole("frames", frames, 1)
    check_whole("dims", dims, 1)
    check_whole("seed", seed, 0)
    check_range("correlation_frames", correlation_frames, 1e-3, 1e6)
