"""A score with its interval, and what every comparison of two sets shares: checks, clips, draws.

A set is an array ``(rows, dimensions)``, one row an embedding of a piece of sound. Rows of one clip are not
independent, so intervals and tests draw whole clips (the cluster bootstrap: Davison and Hinkley, 1997,
Bootstrap Methods and their Application, section 3.8). Without ``groups`` every row is a clip of its own.
"""

import dataclasses

import numpy as np

CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A score and where it may lie.

    Attributes:
        value: the score.
        low, high: ends of the interval of 95 % confidence.
        p_value: of the hypothesis that both sets come from one distribution; None where it is not tested.
    """

    value: float
    low: float
    high: float
    p_value: float | None = None


def check_sets(reference, generated):
    """Both sets as float64 ``(rows, dimensions)``.

    Raises:
        ValueError: a set of the wrong shape, with fewer than two rows, or not finite; different dimensions.
    """
    reference, generated = check_set(reference, "reference"), check_set(generated, "generated")
    if reference.shape[1] != generated.shape[1]:
        raise ValueError(
            f"reference and generated must have equal dimensions; got {reference.shape[1]} and "
            f"{generated.shape[1]}. Embed both with the same embedding."
        )
    return reference, generated


def check_set(rows, name):
    """One set as float64 ``(rows, dimensions)``. Raises ValueError, see ``check_sets``."""
    rows = np.asarray(rows, dtype="float64")
    if rows.ndim != 2 or rows.shape[1] < 1:
        raise ValueError(f"{name} must be (rows, dimensions); got shape {rows.shape}.")
    if len(rows) < 2:
        raise ValueError(
            f"{name} must hold at least 2 rows, or it has no spread; got {len(rows)}. Embed more clips."
        )
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"{name} must be finite; {int((~finite).sum())} rows hold NaN or infinity, the first is row "
            f"{int(np.argmin(finite))}. Look at the clip that it comes from."
        )
    return rows


def clip_numbers(groups, rows, name):
    """Number of each row's clip, 0 to clips - 1.

    Args:
        groups: ``(rows,)``, equal for rows of one clip, of any type; None: every row is a clip.
        rows: how many there are.
        name: of the argument, for the message.

    Returns:
        int ``(rows,)``.

    Raises:
        ValueError: not one label for each row, or all rows of one clip.
    """
    if groups is None:
        return np.arange(rows)
    groups = np.asarray(groups)
    if groups.shape != (rows,):
        raise ValueError(
            f"{name} must name the clip of each of the {rows} rows; got shape {groups.shape}. "
            f"Pass an array ({rows},)."
        )
    numbers = np.unique(groups, return_inverse=True)[1]
    if numbers.max() == 0:
        raise ValueError(
            f"{name} must name at least 2 clips; all {rows} rows are of one. Cut a long recording into clips."
        )
    return numbers


def rows_by_clip(clip):
    """Row indices of each clip, a list of arrays, from clip numbers ``(rows,)``."""
    return np.split(np.argsort(clip, kind="stable"), np.cumsum(np.bincount(clip))[:-1])


def percentile_interval(draws):
    """Ends of the middle 95 % of draws ``(draws,)``."""
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(draws, [tail, 100.0 - tail])
    return float(low), float(high)


def mean_estimate(values, *, rng, num_resamples):
    """Mean of one value a clip ``(clips,)`` with the bootstrap interval of clips drawn with replacement."""
    means = values[rng.integers(len(values), size=(num_resamples, len(values)))].mean(axis=1)
    return Estimate(float(np.mean(values)), *percentile_interval(means))
