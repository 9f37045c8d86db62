"""Kernel distances: are two sets of embeddings drawn from one distribution, whatever its shape?

The squared maximum mean discrepancy, estimated without bias (Gretton et al., 2012, JMLR 13, eq. 3):
``mean k(x, x') + mean k(y, y') - 2 mean k(x, y)`` over pairs of different rows. It is 0 on average for equal
distributions at any number of rows, so single values fall below 0. Smaller is closer.

- ``kad``: Gaussian kernel whose width is the median distance of the reference's rows, times 100
  (Chung et al., 2025, KAD, arXiv:2502.15602).
- ``kid``: cubic kernel ``(x.y / d + 1)^3`` (Binkowski et al., 2018, arXiv:1801.01401).

Pairs of rows within one clip are left out, as a row's pair with itself is: they are not independent, and
would make a set look closer to itself than it is.
"""

import numpy as np

from audiozoo.metrics.estimates import Estimate, check_sets, clip_numbers, percentile_interval, rows_by_clip

KAD_SCALE = 100.0
BLOCK_ROWS = 512  # rows of the kernel matrix computed at once: bounds memory


def kad(
    reference,
    generated,
    *,
    bandwidth=None,
    reference_groups=None,
    generated_groups=None,
    num_resamples=200,
    seed=0,
):
    """Kernel audio distance, with its bootstrap interval and the p-value of a permutation test.

    Args:
        reference, generated: ``(rows, dimensions)``.
        bandwidth: standard deviation of the kernel; None: the median distance of the reference's rows.
        reference_groups, generated_groups: ``(rows,)``, the clip of each row; None: rows are independent.
        num_resamples: bootstrap draws, and as many permutations.
        seed: of both.

    Returns:
        Estimate.

    Raises:
        ValueError: see ``estimates``; a bandwidth that is not positive; a reference without any spread.
    """
    reference, generated = check_sets(reference, generated)
    bandwidth = median_distance(reference) if bandwidth is None else bandwidth
    if not bandwidth > 0.0:
        raise ValueError(
            f"bandwidth must be positive; got {bandwidth!r}. Where it is the median distance of the "
            "reference, most of its rows are equal: look for silent clips, or pass a bandwidth."
        )

    def gaussian(x, y):
        return np.exp(squared_distances(x, y) / (-2.0 * bandwidth**2))

    groups = (reference_groups, generated_groups)
    return _discrepancy(reference, generated, gaussian, groups, num_resamples, seed, scale=KAD_SCALE)


def kid(reference, generated, *, reference_groups=None, generated_groups=None, num_resamples=200, seed=0):
    """Kernel inception distance: as ``kad``, with the cubic kernel, which has no width to choose."""
    reference, generated = check_sets(reference, generated)

    def cubic(x, y):
        return (x @ y.T / x.shape[1] + 1.0) ** 3

    groups = (reference_groups, generated_groups)
    return _discrepancy(reference, generated, cubic, groups, num_resamples, seed)


def squared_distances(x, y):
    """Squared Euclidean distances ``(rows of x, rows of y)``; what rounding leaves below 0 is 0."""
    distances = x @ y.T
    distances *= -2.0  # in place: these matrices are most of what a score costs
    distances += np.sum(x**2, axis=1)[:, None]
    distances += np.sum(y**2, axis=1)
    return np.maximum(distances, 0.0, out=distances)


def median_distance(rows):
    """Median Euclidean distance over all pairs of different rows ``(rows, dimensions)``."""
    rows = rows - rows.mean(axis=0)
    pairs = [
        squared_distances(rows[start : start + BLOCK_ROWS], rows[start:])[
            np.triu_indices(min(BLOCK_ROWS, len(rows) - start), 1, len(rows) - start)
        ]
        for start in range(0, len(rows), BLOCK_ROWS)
    ]
    return float(np.median(np.sqrt(np.concatenate(pairs))))


def _discrepancy(reference, generated, kernel, groups, num_resamples, seed, *, scale=1.0):
    """The estimate from one pass over the kernel matrix of all rows of both sets.

    A bootstrap draw weighs clips by how often it holds them, a permutation by which set it puts them in.
    Each is a column of weights for either set, and the discrepancy a ratio of quadratic forms in them.
    """
    reference_clip = clip_numbers(groups[0], len(reference), "reference_groups")
    generated_clip = clip_numbers(groups[1], len(generated), "generated_groups")
    counts = reference_clip.max() + 1, generated_clip.max() + 1
    rows = np.concatenate([reference, generated])
    clips = rows_by_clip(np.concatenate([reference_clip, generated_clip + counts[0]]))
    weights = _weights(counts, num_resamples, np.random.default_rng(seed))
    sizes = np.array([len(clip) for clip in clips], "float64")
    values = scale * _weighted_discrepancies(rows, clips, sizes, kernel, *weights)
    value, resampled, permuted = values[0], values[1 : 1 + num_resamples], values[1 + num_resamples :]
    p_value = (1 + np.sum(permuted >= value)) / (1 + num_resamples)
    return Estimate(float(value), *percentile_interval(resampled), p_value=float(p_value))


def _weights(counts, num_resamples, rng):
    """How often each clip stands in either set: as measured, in bootstrap draws, in permutations.

    Returns:
        Two arrays ``(clips of both sets, 1 + 2 num_resamples)``, for the reference and the generated set.
    """
    total = sum(counts)
    is_reference = np.arange(total) < counts[0]
    measured = np.stack([is_reference, ~is_reference])[:, :, None].astype("float64")
    drawn = np.zeros((2, total, num_resamples))
    drawn[0, : counts[0]] = rng.multinomial(counts[0], np.full(counts[0], 1.0 / counts[0]), num_resamples).T
    drawn[1, counts[0] :] = rng.multinomial(counts[1], np.full(counts[1], 1.0 / counts[1]), num_resamples).T
    shuffled = rng.permuted(np.tile(is_reference, (num_resamples, 1)), axis=1).T
    permuted = np.stack([shuffled, ~shuffled]).astype("float64")
    return np.concatenate([measured, drawn, permuted], axis=2)


def _weighted_discrepancies(rows, clips, sizes, kernel, reference_weight, generated_weight):
    """Squared maximum mean discrepancy for each column of weights ``(clips, columns)``, ``(columns,)``."""
    rows = rows[np.concatenate(clips)]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
    within_reference = within_generated = across = 0.0
    for first, last in _blocks(starts):
        block = kernel(rows[starts[first] : starts[last]], rows)
        block = np.add.reduceat(block, starts[first:last] - starts[first], axis=0)
        block = np.add.reduceat(block, starts[:-1], axis=1)  # sums over pairs of rows of two clips
        block[np.arange(last - first), np.arange(first, last)] = 0.0
        to_reference, to_generated = block @ reference_weight, block @ generated_weight
        within_reference += np.sum(reference_weight[first:last] * to_reference, axis=0)
        within_generated += np.sum(generated_weight[first:last] * to_generated, axis=0)
        across += np.sum(reference_weight[first:last] * to_generated, axis=0)
    return (
        within_reference / _pairs(sizes, reference_weight, reference_weight)
        + within_generated / _pairs(sizes, generated_weight, generated_weight)
        - 2.0 * across / _pairs(sizes, reference_weight, generated_weight)
    )


def _blocks(starts):
    """Ranges of clips with about ``BLOCK_ROWS`` rows each, at least one clip."""
    first = 0
    while first < len(starts) - 1:
        last = int(np.searchsorted(starts, starts[first] + BLOCK_ROWS, side="right")) - 1
        last = max(last, first + 1)
        yield first, last
        first = last


def _pairs(sizes, weight, other_weight):
    """Weighted number of pairs of rows of different clips, for each column."""
    both = (sizes @ weight) * (sizes @ other_weight)
    return both - sizes**2 @ (weight * other_weight)
