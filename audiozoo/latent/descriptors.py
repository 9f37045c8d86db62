"""What is heard while a code is this or that: descriptors of its frames, and which numbers go along.

Frames of one recording are not independent. So what is resampled are groups of frames, recordings or clips,
and what is cross-validated holds out whole groups.

- Spearman's correlation of ranks: does a descriptor rise or fall with a number? Intervals by the cluster
  bootstrap (Davison and Hinkley, 1997, section 3.8), with ranks anew in every draw.
- Distance correlation (Szekely, Rizzo and Bakirov, 2007, arXiv:0803.4101): does it depend on it in any way?
  Without bias, as by Szekely and Rizzo (2014, arXiv:1310.2926, eq. 3.1): 0 on average where it does not. Of
  one frame a group. Copies of a group would look dependent, so intervals are from halves of the groups drawn
  without replacement, which differ by as much as samples of all do (Shao and Wu, 1989, delete-d jackknife).
- Linear probe: the share of a descriptor's variance that a linear function of the whole code predicts in
  groups that it was not fitted to.
"""

import dataclasses

import numpy as np

from audiozoo.arguments import check_whole
from audiozoo.data.pitch import estimate_f0
from audiozoo.errors import DataError
from audiozoo.metrics import describe
from audiozoo.metrics.descriptors import LOUDNESS_FLOOR_DB
from audiozoo.metrics.estimates import CONFIDENCE, rows_by_clip

NAMES = ("loudness", "centroid", "bandwidth", "roll-off", "flatness", "zero crossings", "f0")
UNITS = ("dB", "octaves", "octaves", "octaves", "", "", "octaves")
WINDOW_SECONDS = 0.046  # 2048 samples at 44.1 kHz
LOWEST_HZ = 10.0  # of what is put in octaves
FEWEST_GROUPS = 8  # of which an interval can say something
SPEARMAN_ROWS = 20000
DISTANCE_GROUPS = 500
FOLDS = 5
RIDGE = 1e-6  # of the number of rows: keeps dimensions that never change from dividing by 0


def frame_descriptors(audio, *, sample_rate, hop, frames, pitch="swift"):
    """What a sound is like at each frame of its code.

    Frequencies are in octaves above 1 Hz, as they are heard; what has no value is NaN: all but loudness in
    silence, f0 where no pitch is heard.

    Args:
        audio: ``(samples,)``.
        sample_rate: Hz.
        hop: samples between codes.
        frames: number of codes.
        pitch: method of ``data.pitch.estimate_f0``; None: no f0, which saves most of the time.

    Returns:
        float64 ``(frames, 7)``, in the order of ``NAMES``.

    Raises:
        ValueError: audio that is not ``(samples,)``, empty or not finite; ``hop`` below 1.
    """
    check_whole("hop", hop, 1)
    check_whole("frames", frames, 1)
    window_length = 1 << round(np.log2(WINDOW_SECONDS * sample_rate))
    found = describe(audio, sample_rate=sample_rate, window_length=window_length, hop=hop)
    loudness, centroid, bandwidth, rolloff, flatness, crossings = dataclasses.astuple(found)
    f0_hz = np.zeros(len(loudness))
    if pitch is not None:
        track = estimate_f0(audio, sample_rate, method=pitch, hop=hop)
        f0_hz[: len(track.f0_hz)] = np.where(track.voiced, track.f0_hz, 0.0)[: len(f0_hz)]
    octaves = [np.log2(np.maximum(hz, LOWEST_HZ)) for hz in (centroid, bandwidth, rolloff, f0_hz)]
    rows = np.stack([loudness, *octaves[:3], flatness, crossings, octaves[3]], axis=1)
    rows[loudness <= LOUDNESS_FLOOR_DB, 1:] = np.nan
    rows[f0_hz < LOWEST_HZ, -1] = np.nan
    # A model may say one frame more or less than the analysis has; its last one goes on.
    return rows[np.minimum(np.arange(frames), len(rows) - 1)]


@dataclasses.dataclass(frozen=True, eq=False)
class Association:
    """How closely columns of codes and descriptors go along, with intervals of 95 %.

    Attributes:
        value, low, high: ``(dims, descriptors)``, or ``(descriptors,)`` for a probe; NaN where fewer than
            8 groups have the descriptor, or it never changes.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def spearman(codes, descriptors, groups, *, num_resamples=200, seed=0):
    """Rank correlation of each number of a code with each descriptor.

    Of more than 20,000 frames, every second, third ... is taken.

    Args:
        codes: ``(rows, dims)``.
        descriptors: ``(rows, descriptors)``, NaN where there is no value.
        groups: ``(rows,)``, the recording of each row.
        num_resamples: bootstrap draws.
        seed: of the draws.

    Returns:
        Association, -1 to 1.

    Raises:
        ValueError: arrays that do not fit each other, codes that are not finite.
        DataError: fewer than 8 groups.
    """
    codes, descriptors, groups = check_rows(codes, descriptors, groups)
    every = slice(None, None, -(-len(codes) // SPEARMAN_ROWS))
    codes, descriptors, groups = codes[every], descriptors[every], groups[every]
    rng, result = np.random.default_rng(seed), empty(codes.shape[1], descriptors.shape[1])
    for columns, rows in columns_by_rows(descriptors):
        _, clip = np.unique(groups[rows], return_inverse=True)
        if not len(clip) or clip.max() + 1 < FEWEST_GROUPS:
            continue
        left = [np.unique(column, return_inverse=True)[1] for column in codes[rows].T]
        right = [np.unique(column, return_inverse=True)[1] for column in descriptors[rows][:, columns].T]
        count = clip.max() + 1
        draws = [np.ones(count), *rng.multinomial(count, np.full(count, 1 / count), num_resamples)]
        values = [rank_correlation(left, right, weights[clip].astype("float64")) for weights in draws]
        store(result, columns, values[0], values[1:])
    return result


def rank_correlation(left, right, weights):
    """Pearson's correlation of mean ranks, of rows that count ``weights`` times, ``(left, right)``.

    Args:
        left, right: lists of ``(rows,)``, the place of each row's value among the different values.
        weights: ``(rows,)``.
    """
    sides = [np.stack([mean_ranks(places, weights) for places in side]) for side in (left, right)]
    sides = [side - (side @ weights / weights.sum())[:, None] for side in sides]
    lengths = [np.sqrt(side**2 @ weights) for side in sides]
    with np.errstate(invalid="ignore", divide="ignore"):  # what never changes has no correlation: NaN
        return (sides[0] * weights) @ sides[1].T / np.outer(*lengths)


def mean_ranks(places, weights):
    """Mean rank of each row among rows that count ``weights`` times; equal values share one."""
    counts = np.bincount(places, weights)
    return (np.cumsum(counts) - 0.5 * counts)[places]


def distance_correlation(codes, descriptors, groups, *, num_resamples=100, seed=0):
    """Distance correlation of each number of a code with each descriptor.

    It is the root of the unbiased estimate of its square, with the sign of that: where nothing depends on
    anything, as often below 0 as above. Of more than 500 groups, 500 are drawn.

    Args, Raises: as ``spearman``.

    Returns:
        Association, about 0 to 1.
    """
    codes, descriptors, groups = check_rows(codes, descriptors, groups)
    rng, result = np.random.default_rng(seed), empty(codes.shape[1], descriptors.shape[1])
    for columns, rows in columns_by_rows(descriptors):
        _, clip = np.unique(groups[rows], return_inverse=True)
        if not len(clip) or clip.max() + 1 < FEWEST_GROUPS:
            continue
        clips = rows_by_clip(clip)
        drawn = rng.permutation(len(clips))[:DISTANCE_GROUPS]
        chosen = rows[[clips[number][rng.integers(len(clips[number]))] for number in drawn]]
        left, right = (distances(side) for side in (codes[chosen], descriptors[chosen][:, columns]))
        halves = [rng.permutation(len(chosen))[: max(4, len(chosen) // 2)] for _ in range(num_resamples)]
        values = [
            dependence(left[:, half][:, :, half], right[:, half][:, :, half])
            for half in (np.arange(len(chosen)), *halves)
        ]
        store(result, columns, values[0], values[1:])
    return result


def distances(rows):
    """Absolute differences within each column of ``(rows, columns)``, ``(columns, rows, rows)``, float32."""
    rows = (rows - rows.mean(axis=0)).T.astype("float32")
    return np.abs(rows[:, :, None] - rows[:, None, :])


def dependence(left, right):
    """Signed root of the unbiased squared distance correlation, ``(left, right)``, of distance matrices."""
    sides = [centred(side).reshape(len(side), -1) for side in (left, right)]
    with np.errstate(invalid="ignore", divide="ignore"):
        lengths = np.outer(*(np.sqrt(np.sum(side**2, axis=1)) for side in sides))
        squared = (sides[0] @ sides[1].T) / lengths
    return np.sign(squared) * np.sqrt(np.abs(squared))


def centred(matrices):
    """U-centred distance matrices: each row and column sums to 0, the diagonal is left out."""
    count = matrices.shape[-1]
    rows = matrices.sum(axis=-1) / (count - 2)
    result = matrices - rows[:, :, None] - rows[:, None, :]
    result += (matrices.sum(axis=(1, 2)) / ((count - 1) * (count - 2)))[:, None, None]
    result[:, np.arange(count), np.arange(count)] = 0.0
    return result


def linear_probe(codes, descriptors, groups, *, num_resamples=200, seed=0):
    """Share of each descriptor's variance that a linear function of the code predicts in unheard groups.

    Least squares in five folds of groups. 1: the code says it, and says it plainly; 0: no better than the
    mean; below 0: what was learned misleads.

    Args, Raises: as ``spearman``.

    Returns:
        Association, ``(descriptors,)``, with the bootstrap interval of groups drawn with replacement.
    """
    codes, descriptors, groups = check_rows(codes, descriptors, groups)
    rng = np.random.default_rng(seed)
    result = Association(*(np.full(descriptors.shape[1], np.nan) for _ in range(3)))
    for columns, rows in columns_by_rows(descriptors):
        _, clip = np.unique(groups[rows], return_inverse=True)
        if not len(clip) or clip.max() + 1 < FEWEST_GROUPS:
            continue
        fold = rng.permutation(np.arange(clip.max() + 1) % FOLDS)[clip]
        inputs, targets = codes[rows], descriptors[rows][:, columns]
        error = targets - held_out_predictions(inputs, targets, fold)
        spread = targets - targets.mean(axis=0)
        sums = [
            np.stack([np.bincount(clip, column**2) for column in side.T]) for side in (error, spread)
        ]  # of each group
        draws = rng.integers(clip.max() + 1, size=(num_resamples, clip.max() + 1))
        with np.errstate(invalid="ignore", divide="ignore"):
            resampled = np.stack(
                [1.0 - np.divide(*(side[:, draw].sum(1) for side in sums)) for draw in draws]
            )
            value = 1.0 - np.divide(*(side.sum(axis=1) for side in sums))
        store(result, columns, value, resampled)
    return result


def held_out_predictions(inputs, targets, fold):
    """What least squares on the other folds say of each row's targets, ``(rows, targets)``."""
    predicted = np.empty_like(targets)
    for number in range(FOLDS):
        here = fold == number
        centre, middle = inputs[~here].mean(axis=0), targets[~here].mean(axis=0)
        centred_inputs = inputs[~here] - centre
        ridge = RIDGE * len(centred_inputs) * np.eye(inputs.shape[1])
        weights = np.linalg.solve(
            centred_inputs.T @ centred_inputs + ridge, centred_inputs.T @ (targets[~here] - middle)
        )
        predicted[here] = (inputs[here] - centre) @ weights + middle
    return predicted


def check_rows(codes, descriptors, groups):
    """All three as arrays. Raises ValueError, see ``spearman``."""
    codes, descriptors = np.asarray(codes, "float64"), np.asarray(descriptors, "float64")
    groups = np.asarray(groups)
    if codes.ndim != 2 or descriptors.ndim != 2 or not len(codes) == len(descriptors) == len(groups):
        raise ValueError(
            "codes, descriptors and groups must be (rows, dims), (rows, descriptors) and (rows,), of equal "
            f"rows; got shapes {codes.shape}, {descriptors.shape} and {groups.shape}."
        )
    if not np.isfinite(codes).all():
        raise ValueError(f"codes must be finite; {int((~np.isfinite(codes)).sum())} values are not.")
    if len(np.unique(groups)) < FEWEST_GROUPS:
        raise DataError(
            f"groups must be at least {FEWEST_GROUPS}, for intervals to mean something; got "
            f"{len(np.unique(groups))}. Add recordings, or cut long ones into clips and pass these as groups."
        )
    return codes, descriptors, groups


def columns_by_rows(descriptors):
    """``(columns, rows)``: descriptors that have values in the same rows, together."""
    finite = np.isfinite(descriptors)
    patterns, which = np.unique(finite, axis=1, return_inverse=True)
    for number, pattern in enumerate(patterns.T):
        yield np.flatnonzero(which.ravel() == number), np.flatnonzero(pattern)


def empty(dims, descriptors):
    """An Association of nothing but NaN."""
    return Association(*(np.full((dims, descriptors), np.nan) for _ in range(3)))


def store(result, columns, value, resampled):
    """Write values and the ends of their intervals into columns of an Association."""
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(resampled, [tail, 100.0 - tail], axis=0)
    for target, numbers in ((result.value, value), (result.low, low), (result.high, high)):
        target[..., columns] = numbers
