"""Precision, recall, density, coverage: is what is generated real, and is all that is real generated?

A set's support is taken to be the union of balls around its rows, each reaching to the k-th nearest row of
the same set.

- precision: share of generated rows inside the reference's support. Falls with bad sounds.
- recall: share of reference rows inside the generated set's support. Falls with missing sounds.
  (Both: Kynkäänniemi et al., 2019, arXiv:1904.06991, eq. 1 and 2.)
- density: how many of the reference's balls hold a generated row, over k, on average: 1 for equal
  distributions, more where the generated set crowds. One outlier of the reference makes a huge ball, which
  precision counts in full and density as one ball among many.
- coverage: share of reference rows whose ball holds a generated row. The generated set's outliers do not
  matter to it. (Both: Naeem et al., 2020, arXiv:2002.09797, section 3.)

Precision and density ask where a row lies, not how good it sounds: sounds that were all made dull can stay
inside the support of a varied reference, and crowd there. Recall and coverage then fall. Report all four.

Rows of one clip are near each other for being of one recording, and would shrink the balls. So one row is
drawn from each clip, and the scores are means over several such draws: every draw is of independent rows, as
the definitions ask. Every clip counts alike, however long. Balls are closed.
"""

import dataclasses

import numpy as np

from audiozoo.metrics.estimates import Estimate, check_sets, clip_numbers, mean_estimate, rows_by_clip
from audiozoo.metrics.kernel import squared_distances

BLOCK_ROWS = 512  # rows of the matrix of distances computed at once: bounds memory
DRAWS = 10  # of one row a clip, where clips have several
ROUNDING = 1e-12  # of a squared distance that should be 0, relative to the largest squared norm


@dataclasses.dataclass(frozen=True)
class Coverage:
    """Precision, recall, density and coverage. Intervals take the balls as given."""

    precision: Estimate
    recall: Estimate
    density: Estimate
    coverage: Estimate


def prdc(
    reference, generated, *, k=5, reference_groups=None, generated_groups=None, num_resamples=200, seed=0
):
    """Precision, recall, density and coverage of a generated set.

    Args:
        reference, generated: ``(rows, dimensions)``.
        k: a ball reaches to the k-th nearest other row.
        reference_groups, generated_groups: ``(rows,)``, the clip of each row; None: rows are independent.
        num_resamples: bootstrap draws.
        seed: of all draws.

    Returns:
        Coverage.

    Raises:
        ValueError: see ``estimates``; k below 1, or not below the number of clips of either set.
    """
    reference, generated = check_sets(reference, generated)
    centre = reference.mean(axis=0)  # near 0, squared norms round less
    sets = reference - centre, generated - centre
    clips = [
        rows_by_clip(clip_numbers(reference_groups, len(reference), "reference_groups")),
        rows_by_clip(clip_numbers(generated_groups, len(generated), "generated_groups")),
    ]
    fewest = min(len(of_set) for of_set in clips)
    if not 1 <= k < fewest:
        raise ValueError(
            f"k must be between 1 and {fewest - 1}, one less than the clips of the smaller set; got {k!r}. "
            "Lower k, or embed more clips."
        )
    rng = np.random.default_rng(seed)
    alone = all(len(of_set) == len(rows) for of_set, rows in zip(clips, sets, strict=True))
    draws = [
        memberships(*(rows[one_of_each(of_set, rng)] for rows, of_set in zip(sets, clips, strict=True)), k)
        for _ in range(1 if alone else DRAWS)
    ]
    precise, dense, recalled, covered = (np.mean(values, axis=0) for values in zip(*draws, strict=True))
    bootstrap = {"rng": rng, "num_resamples": num_resamples}
    return Coverage(
        precision=mean_estimate(precise, **bootstrap),
        recall=mean_estimate(recalled, **bootstrap),
        density=mean_estimate(dense, **bootstrap),
        coverage=mean_estimate(covered, **bootstrap),
    )


def one_of_each(clips, rng):
    """Index of a random row of each clip, from row indices of each."""
    return np.array([rows[rng.integers(len(rows))] for rows in clips])


def memberships(reference, generated, k):
    """What the four scores are the means of, for two sets of independent rows.

    Returns:
        ``(precise, dense, recalled, covered)``: for each generated row, whether a ball of the reference holds
        it, and how many do, over k; for each reference row, whether a ball of the generated set holds it, and
        whether its own holds a generated row.
    """
    reference_reach, generated_reach = squared_reach(reference, k), squared_reach(generated, k)
    slack = ROUNDING * max(np.max(np.sum(rows**2, axis=1)) for rows in (reference, generated))
    balls = np.zeros(len(generated))  # of the reference, that hold each generated row
    recalled, covered = np.zeros(len(reference), bool), np.zeros(len(reference), bool)
    for start in range(0, len(generated), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        distances = squared_distances(generated[block], reference) - slack
        inside = distances <= reference_reach
        balls[block] = inside.sum(axis=1)
        covered |= inside.any(axis=0)
        recalled |= (distances <= generated_reach[block, None]).any(axis=0)
    return balls > 0, balls / k, recalled, covered


def squared_reach(rows, k):
    """Squared distance from each row ``(rows, dimensions)`` to its k-th nearest other one."""
    reach = np.empty(len(rows))
    for start in range(0, len(rows), BLOCK_ROWS):
        distances = squared_distances(rows[start : start + BLOCK_ROWS], rows)
        here = np.arange(len(distances))
        distances[here, start + here] = np.inf  # no row is its own neighbour
        reach[start + here] = np.partition(distances, k - 1, axis=1)[:, k - 1]
    return reach
