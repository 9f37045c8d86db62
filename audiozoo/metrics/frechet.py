"""Fréchet distance: how far apart are two sets of embeddings, each taken for a Gaussian?

``|m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2))``, smaller is closer (Dowson and Landau, 1982; Heusel et al.,
2017, arXiv:1706.08500, for images: FID; Kilgour et al., 2019, arXiv:1812.08466, for audio: FAD).

It is biased: two sets of n rows from one Gaussian in d dimensions do not read 0 but about
``(2 d + d (d + 1) / 2) / n``, which for d = 20 is 250 / n. (The means differ by 2 d / n. The covariances
differ by E with ``E|E|^2 = 2 d (d + 1) / n``, and at the identity the trace term is ``|E|^2 / 4``.)
Never compare distances of different n. ``frechet_infinity`` extrapolates the bias away (Chong and Forsyth,
2020, arXiv:1911.07023), and says how sure it is.

The trace of a matrix root needs no matrix root: ``Tr (C1 C2)^(1/2)`` is the sum of the roots of the
eigenvalues of ``L^T C2 L`` with ``C1 = L L^T``: symmetric, hence real and never negative but for rounding.
With fewer rows than dimensions it is the nuclear norm of ``X Y^T / sqrt((n1 - 1) (n2 - 1))``, X and Y being
the centred rows: no covariance is formed, and no condition number squared.
"""

import dataclasses
import warnings

import numpy as np

from audiozoo.metrics.estimates import (
    Estimate,
    check_sets,
    clip_numbers,
    percentile_interval,
    rows_by_clip,
)

FEWEST_CLIPS = 200
PARTS = (1, 2, 3)  # the regression's points: all rows, halves, thirds


@dataclasses.dataclass(frozen=True)
class FrechetEstimates:
    """Fréchet distance of two sets, as it stands and without its bias.

    Attributes:
        plain: at the number of rows there is; its interval is that of repeating the whole measurement.
        infinity: extrapolated to infinitely many rows; can be a little below 0.
    """

    plain: Estimate
    infinity: Estimate


def frechet_distance(reference, generated):
    """Fréchet distance of two sets, biased upwards by their size.

    Warns of sets too small to be trusted, see ``few_rows``.

    Args:
        reference, generated: ``(rows, dimensions)``.

    Returns:
        float, at least 0.

    Raises:
        ValueError: see ``estimates.check_sets``.
    """
    reference, generated = check_sets(reference, generated)
    for name, rows in (("reference", reference), ("generated", generated)):
        for sentence in few_rows(name, *rows.shape):
            warnings.warn(sentence, stacklevel=2)
    return _distance(reference, generated)


def frechet_distance_from_moments(reference_mean, reference_covariance, generated_mean, generated_covariance):
    """Fréchet distance of two Gaussians, by two symmetric eigendecompositions.

    Args:
        reference_mean, generated_mean: ``(dimensions,)``.
        reference_covariance, generated_covariance: ``(dimensions, dimensions)``.

    Returns:
        float, at least 0.
    """
    variances, directions = np.linalg.eigh(reference_covariance)
    factor = directions * np.sqrt(np.maximum(variances, 0.0))
    squared = np.linalg.eigvalsh(factor.T @ generated_covariance @ factor)
    overlap = np.sum(np.sqrt(np.maximum(squared, 0.0)))
    total = np.trace(reference_covariance) + np.trace(generated_covariance)
    return _combined(reference_mean - generated_mean, total, overlap)


def frechet_infinity(
    reference, generated, *, reference_groups=None, generated_groups=None, num_resamples=100, seed=0
):
    """Fréchet distance at infinitely many rows: ``frechet_estimates(...).infinity``.

    Warns of sets too small to be trusted, see ``few_rows``. Args, Raises: as ``frechet_estimates``.

    Returns:
        Estimate.
    """
    estimates = frechet_estimates(
        reference,
        generated,
        reference_groups=reference_groups,
        generated_groups=generated_groups,
        num_resamples=num_resamples,
        seed=seed,
    )
    for name, rows, groups in (
        ("reference", reference, reference_groups),
        ("generated", generated, generated_groups),
    ):
        clips = None if groups is None else len(np.unique(groups))
        for sentence in few_rows(name, *np.shape(rows), clips=clips):
            warnings.warn(sentence, stacklevel=2)
    return estimates.infinity


def frechet_estimates(
    reference, generated, *, reference_groups=None, generated_groups=None, num_resamples=100, seed=0
):
    """Fréchet distance with and without its bias, each with its interval.

    Both sets are cut at random into halves and thirds, and the mean distance of the parts is extrapolated
    along a straight line in 1/n to 0. Taking the same share of both sets makes it a straight line for sets
    of different size too. The fewer rows a dimension, the less straight: see ``few_rows``, which
    ``frechet_distance`` and ``frechet_infinity`` warn of.

    The interval comes from the bootstrap. Drawn from the sets as they are, the true distance is the plain
    one, and what the draws' extrapolations miss it by is what ours misses the truth by (the basic bootstrap:
    Davison and Hinkley, 1997, section 5.2). A percentile interval would hold the bias it is to be free of.
    Where sets are alike it is wider than it need be: there the distance grows with the square of their
    difference, and draws, being of sets that differ a little, scatter more than measurements do.

    Args:
        reference, generated: ``(rows, dimensions)``.
        reference_groups, generated_groups: ``(rows,)``, the clip of each row; None: rows are independent.
        num_resamples: bootstrap draws.
        seed: of partition and draws.

    Returns:
        FrechetEstimates.

    Raises:
        ValueError: see ``estimates``; fewer than 6 clips in a set, of which no thirds can be made.
    """
    reference, generated = check_sets(reference, generated)
    clips = [
        rows_by_clip(clip_numbers(reference_groups, len(reference), "reference_groups")),
        rows_by_clip(clip_numbers(generated_groups, len(generated), "generated_groups")),
    ]
    for name, of_set in zip(("reference", "generated"), clips, strict=True):
        if len(of_set) < 2 * max(PARTS):
            raise ValueError(
                f"{name} must hold at least {2 * max(PARTS)} clips to be extrapolated; got {len(of_set)}. "
                "Embed more, or use frechet_distance."
            )
    rng = np.random.default_rng(seed)

    def levels(drawn):
        orders = [rng.permutation(draw) for draw in drawn]
        return [_mean_over_parts((reference, generated), clips, orders, parts) for parts in PARTS]

    measured = levels([np.arange(len(of_set)) for of_set in clips])
    resampled = np.array(
        [
            levels([rng.integers(len(of_set), size=len(of_set)) for of_set in clips])
            for _ in range(num_resamples)
        ]
    )
    plain, infinity = measured[0], float(_at_infinity(measured))
    drift = percentile_interval(resampled[:, 0] - resampled[:, 0].mean())
    miss = percentile_interval(_at_infinity(resampled.T) - plain)
    return FrechetEstimates(
        Estimate(plain, max(0.0, plain - drift[1]), plain - drift[0]),
        Estimate(infinity, infinity - miss[1], infinity - miss[0]),
    )


def few_rows(name, rows, dimensions, *, clips=None):
    """A sentence on a set too small for a Fréchet distance, in a list; an empty list for one large enough.

    Too small is below 2 rows a dimension, or below 200 clips: rows of one clip tell little more than one.

    Args:
        name: of the set, for the sentence.
        rows, dimensions: of the set.
        clips: that the rows are of; None: every row is a clip.
    """
    clips = rows if clips is None else clips
    if rows >= 2 * dimensions and clips >= FEWEST_CLIPS:
        return []
    return [
        f"{name} holds {rows} rows of {clips} clips in {dimensions} dimensions; below {2 * dimensions} rows "
        f"or {FEWEST_CLIPS} clips a Fréchet distance is mostly bias. Use more clips, or kad, which has none."
    ]


def _mean_over_parts(sets, clips, orders, parts):
    """Mean distance of the parts that both sets are cut into, clip by clip in the given orders."""
    pieces = [
        [rows[np.concatenate([of_set[clip] for clip in piece])] for piece in np.array_split(order, parts)]
        for rows, of_set, order in zip(sets, clips, orders, strict=True)
    ]
    return float(np.mean([_distance(a, b) for a, b in zip(*pieces, strict=True)]))


def _at_infinity(levels):
    """Intercept of the least-squares line through distances at n, n / 2, n / 3, along axis 0."""
    return np.polyfit(PARTS, levels, 1)[1]


def _distance(a, b):
    if min(len(a), len(b)) < a.shape[1]:
        return _distance_by_nuclear_norm(a, b)
    return frechet_distance_from_moments(*_moments(a), *_moments(b))


def _moments(rows):
    mean = rows.mean(axis=0)
    centred = rows - mean
    return mean, centred.T @ centred / (len(rows) - 1)


def _distance_by_nuclear_norm(a, b):
    """The distance from centred rows; those of a set with more rows than dimensions are triangularised."""
    means = a.mean(axis=0), b.mean(axis=0)
    factors = [(rows - mean) / np.sqrt(len(rows) - 1) for rows, mean in zip((a, b), means, strict=True)]
    factors = [np.linalg.qr(f, mode="r") if len(f) > f.shape[1] else f for f in factors]
    overlap = np.sum(np.linalg.svd(factors[0] @ factors[1].T, compute_uv=False))
    return _combined(means[0] - means[1], sum(np.sum(f**2) for f in factors), overlap)


def _combined(mean_difference, total_variance, overlap):
    """The distance, which is never negative: what rounding leaves below 0 is 0."""
    return max(0.0, float(np.sum(mean_difference**2) + total_variance - 2.0 * overlap))
