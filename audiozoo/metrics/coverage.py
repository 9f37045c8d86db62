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
  matter to it. (Both: Naeem et al., 2020, arXiv:2002.09797, eq. 3 and 4.)

Precision and density ask where a row lies, not how good it sounds: sounds that were all made dull can stay
inside the support of a varied reference, and crowd there. Recall and coverage then fall. Report all four.

Neighbours within one clip are passed over: they are near for being of one recording. Balls are closed.
"""

import dataclasses

import numpy as np

from audiozoo.metrics.estimates import Estimate, check_sets, clip_numbers, mean_estimate
from audiozoo.metrics.kernel import squared_distances

BLOCK_ROWS = 512  # rows of the matrix of distances computed at once: bounds memory
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
        k: a ball reaches to the k-th nearest row of another clip.
        reference_groups, generated_groups: ``(rows,)``, the clip of each row; None: rows are independent.
        num_resamples: bootstrap draws.
        seed: of the draws.

    Returns:
        Coverage.

    Raises:
        ValueError: see ``estimates``; k below 1, or not below the number of rows of other clips.
    """
    reference, generated = check_sets(reference, generated)
    centre = reference.mean(axis=0)  # near 0, squared norms round less
    reference, generated = reference - centre, generated - centre
    reference_clip = clip_numbers(reference_groups, len(reference), "reference_groups")
    generated_clip = clip_numbers(generated_groups, len(generated), "generated_groups")
    reference_reach = squared_reach(reference, reference_clip, k, "reference")
    generated_reach = squared_reach(generated, generated_clip, k, "generated")
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

    draws = {"rng": np.random.default_rng(seed), "num_resamples": num_resamples}
    return Coverage(
        precision=mean_estimate(balls > 0, generated_clip, **draws),
        recall=mean_estimate(recalled, reference_clip, **draws),
        density=mean_estimate(balls / k, generated_clip, **draws),
        coverage=mean_estimate(covered, reference_clip, **draws),
    )


def squared_reach(rows, clip, k, name):
    """Squared distance from each row ``(rows, dimensions)`` to the k-th nearest one of another clip."""
    others = len(rows) - np.bincount(clip).max()
    if not 1 <= k <= others:
        raise ValueError(
            f"k must be between 1 and {others}, the rows of {name} that each row has in other clips; "
            f"got {k!r}. Lower k, or embed more clips."
        )
    reach = np.empty(len(rows))
    for start in range(0, len(rows), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        distances = squared_distances(rows[block], rows)
        distances[clip[block, None] == clip] = np.inf
        reach[block] = np.partition(distances, k - 1, axis=1)[:, k - 1]
    return reach
