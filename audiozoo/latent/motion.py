"""Moving hands in one form, and what they do, as a few numbers a frame.

Points are those of MediaPipe Hands (Zhang et al., 2020, arXiv:2006.10214, figure 2): the wrist, then four for
each finger from its root to its tip. Units are those of the recording: shares of the image for a camera,
metres or millimetres for a sensor; features divide by the length of the hand, so that they hardly matter.
"""

import dataclasses
import numbers

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from audiozoo.arguments import check_range
from audiozoo.errors import MotionError

NUM_POINTS = 21
WRIST = 0
FINGERS = ("thumb", "index", "middle", "ring", "pinky")
CHAINS = np.arange(1, NUM_POINTS).reshape(5, 4)  # points of each finger, root to tip
THUMB_TIP, INDEX_TIP = 4, 8
INDEX_ROOT, MIDDLE_ROOT, PINKY_ROOT = 5, 9, 17
MOST_FPS = 10_000.0
MOST_FRAMES = 1 << 21  # of a recording: 10 hours at 60 frames a second
LONGEST_GAP_SECONDS = 0.25
# How far the joints of a finger bend together, degrees: at its root, in its middle, at its end; of the thumb
# the two outer ones (American Academy of Orthopaedic Surgeons, 1965, Joint Motion).
FULL_FLEXION_DEGREES = np.array([50.0 + 80.0] + 4 * [90.0 + 100.0 + 90.0])
FEATURES = (
    *(f"position_{axis}" for axis in "xyz"),
    *(f"palm_normal_{axis}" for axis in "xyz"),
    *(f"flexion_{finger}" for finger in FINGERS),
    "spread",
    "pinch",
    "speed",
    "quantity_of_motion",
)


@dataclasses.dataclass(frozen=True, eq=False)
class HandMotion:
    """A recording of hands.

    Attributes:
        points: float64 ``(frames, hands, 21, 3)``. All are NaN where a hand was not seen; single ones are,
            where a recording lacks them.
        fps: frames a second.
        valid: bool ``(frames, hands)``, whether a hand was seen; by default where its wrist is known.
        label: what it shows, where that is known.

    Raises:
        MotionError: arrays of other shapes, no frame, infinite points, a hand said to be seen whose wrist is
            not known; ``fps`` out of range.
    """

    points: np.ndarray
    fps: float
    valid: np.ndarray | None = None
    label: str = ""

    def __post_init__(self):
        points = self._checked_points()
        check_fps(self.fps)
        known = np.isfinite(points[:, :, WRIST]).all(axis=-1)
        valid = known if self.valid is None else np.array(self.valid)
        if valid.shape != known.shape or valid.dtype != bool:
            raise MotionError(
                f"valid must be bool {known.shape}, one for each frame and hand; got {valid.dtype} "
                f"{valid.shape}."
            )
        if (valid & ~known).any():
            frame, hand = np.argwhere(valid & ~known)[0]
            raise MotionError(
                f"valid must be False where the wrist is not known; frame {frame} of hand {hand} has none."
            )
        points[~valid] = np.nan
        for name, value in (("points", points), ("valid", valid), ("fps", float(self.fps))):
            object.__setattr__(self, name, value)
        for array in (points, valid):
            array.flags.writeable = False

    def _checked_points(self):
        try:
            points = np.array(self.points, "float64")
        except (TypeError, ValueError) as error:
            raise MotionError(f"points must be numbers (frames, hands, 21, 3); {error}.") from error
        if points.ndim != 4 or points.shape[2:] != (NUM_POINTS, 3) or not points.size:
            raise MotionError(
                f"points must be (frames, hands, 21, 3), at least one frame of one hand; got {points.shape}. "
                "For one hand write points[:, None]."
            )
        if np.isinf(points).any():
            frame = int(np.argwhere(np.isinf(points))[0, 0])
            raise MotionError(f"points must be finite, or NaN where missing; frame {frame} is infinite.")
        return points

    @property
    def frames(self):
        """How many frames there are."""
        return len(self.points)

    @property
    def hands(self):
        """How many hands there are, seen or not."""
        return self.points.shape[1]

    @property
    def seconds(self):
        """Length, from the first frame's beginning to the last one's end."""
        return self.frames / self.fps

    def with_gaps_filled(self, longest_seconds=LONGEST_GAP_SECONDS):
        """The same with short gaps filled: between frames where a hand was seen, its points go on smoothly.

        Longer gaps, and those at either end, remain gaps: nobody knows where the hand was.

        Args:
            longest_seconds: longest gap that is filled.

        Returns:
            HandMotion.

        Raises:
            ValueError: a negative or infinite length.
        """
        check_range("longest_seconds", longest_seconds, 0.0, 3600.0)
        points = self.points.copy()
        longest = longest_seconds * self.fps
        for hand in range(self.hands):
            seen = np.flatnonzero(self.valid[:, hand])
            for before, after in zip(seen[:-1], seen[1:], strict=True):
                if 1 < after - before <= longest + 1:
                    # Two frames on either side give the slopes; they may lie beyond a further gap.
                    around = seen[
                        max(0, np.searchsorted(seen, before) - 1) : np.searchsorted(seen, after) + 2
                    ]
                    gap = np.arange(before + 1, after)
                    points[gap, hand] = interpolated(around, self.points[around, hand], gap)
        return dataclasses.replace(self, points=points, valid=None)

    def resampled(self, fps):
        """The same at another rate.

        Between frames, points follow a monotone cubic (Fritsch and Carlson, 1980): no overshoot where a hand
        rests. Where frames get fewer, what moves faster than they can show is smoothed away first. A frame
        shows a hand where both of its neighbours in the recording do.

        Args:
            fps: frames a second.

        Returns:
            HandMotion, whose first frame is this one's and whose last lies at this one's last or before.

        Raises:
            MotionError: ``fps`` out of range.
        """
        check_fps(fps)
        points = resampled_columns(self.points.reshape(self.frames, -1), self.fps, fps)
        return dataclasses.replace(
            self, points=points.reshape(-1, *self.points.shape[1:]), fps=fps, valid=None
        )


def check_fps(fps):
    """Raise MotionError unless this is a number of frames a second."""
    if not isinstance(fps, numbers.Real) or isinstance(fps, bool) or not 0.0 < fps <= MOST_FPS:
        raise MotionError(f"fps must be above 0 and at most {MOST_FPS:.0f} frames a second; got {fps!r}.")


def resampled_columns(values, rate, new_rate):
    """Columns ``(frames, columns)`` at another rate, see ``HandMotion.resampled``; NaN beside what is NaN."""
    last = (len(values) - 1) * new_rate / rate
    if not last < MOST_FRAMES:
        raise MotionError(
            f"fps must leave at most {MOST_FRAMES} frames; {new_rate:g} makes {last:.3g} of {len(values)} "
            f"frames at {rate:.3g} a second. Is the time of the recording right?"
        )
    count = 1 + int(np.floor(last + 1e-9))
    times = np.minimum(np.arange(count) * rate / new_rate, len(values) - 1)  # in old frames
    below, above = np.floor(times).astype(int), np.ceil(times).astype(int)
    known = np.isfinite(values)
    resampled = np.full((count, values.shape[1]), np.nan)
    # Columns that are known in the same frames, as those of a hand are, go together.
    patterns, pattern_of = np.unique(known, axis=1, return_inverse=True)
    for number, pattern in enumerate(patterns.T):
        columns = np.flatnonzero(pattern_of.ravel() == number)
        for first, last in runs(pattern):
            here = np.flatnonzero((below >= first) & (above < last))
            run = values[first:last, columns]
            if new_rate < rate and last - first > 1:
                run = smoothed(run, rate / new_rate)
            if here.size:
                resampled[np.ix_(here, columns)] = interpolated(np.arange(first, last), run, times[here])
    return resampled


def runs(flags):
    """``(first, beyond the last)`` of every run of True in ``(frames,)``."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    return list(zip(edges[::2], edges[1::2], strict=True))


def interpolated(times, values, new_times):
    """Values ``(times, ...)`` at other times within theirs; one value alone is that value."""
    if len(times) == 1:
        return np.repeat(values, len(new_times), axis=0)
    # Points that a recording lacks are NaN throughout: a number in their place, and NaN again.
    filled = PchipInterpolator(times, np.nan_to_num(values), axis=0)(new_times)
    missing = np.isnan(values).any(axis=0)
    return np.where(missing, np.nan, filled)


def smoothed(values, ratio):
    """Values ``(frames, ...)`` through a Gaussian that halves what moves at half of the new frame rate.

    Its gain at f cycles a frame is ``exp(-2 (pi sigma f)^2)``.
    """
    frequency = 0.5 / ratio
    sigma = np.sqrt(0.5 * np.log(2.0)) / (np.pi * frequency)
    return gaussian_filter1d(values, sigma, axis=0, mode="nearest")


def motion_features(motion):
    """What hands do, frame by frame: 15 numbers a hand.

    Lengths are in lengths of the hand, from the wrist to the root of the middle finger, the median over the
    recording; where that is not known, as with a phone, in units of the recording.

    - ``position``: of the wrist, from the origin of the recording.
    - ``palm_normal``: unit vector across the palm, (index root - wrist) x (pinky root - wrist). It points out
      of the palm of one hand and out of the back of the other.
    - ``flexion``: how far a finger is bent, its joints together, as a share of what joints can do: 0 for a
      flat hand, however spread, about 1 for a fist.
    - ``spread``: mean distance of neighbouring finger tips, index to pinky.
    - ``pinch``: distance of the tips of thumb and index.
    - ``speed``: of the wrist, lengths a second.
    - ``quantity_of_motion``: mean speed of all points (after Camurri et al., 2003, EyesWeb).

    Gaps of up to a quarter of a second are filled. Turning a recording leaves flexion, spread, pinch and
    speeds as they are.

    Args:
        motion: HandMotion.

    Returns:
        ``(features, names)``: float64 ``(frames, 15 hands)``, NaN where a hand, or what a feature needs of
        it, is missing; and as many names, ``hand_1 / position_x`` where there are several hands.

    Raises:
        MotionError: ``motion`` is none.
    """
    if not isinstance(motion, HandMotion):
        raise MotionError(
            f"motion must be a HandMotion; got {type(motion).__name__}. Read files with read_motion."
        )
    motion = motion.with_gaps_filled()
    columns = [hand_features(motion.points[:, hand], motion.fps) for hand in range(motion.hands)]
    if motion.hands == 1:
        return columns[0], FEATURES
    names = tuple(f"hand_{hand + 1} / {name}" for hand in range(motion.hands) for name in FEATURES)
    return np.concatenate(columns, axis=1), names


def hand_features(points, fps):
    """Features ``(frames, 15)`` of one hand's points ``(frames, 21, 3)``, see ``motion_features``."""
    points = points / hand_length(points)
    wrist = points[:, WRIST]
    normal = unit(np.cross(points[:, INDEX_ROOT] - wrist, points[:, PINKY_ROOT] - wrist))
    tips = points[:, CHAINS[1:, -1]]
    spread = np.linalg.norm(np.diff(tips, axis=1), axis=-1).mean(axis=1)
    pinch = np.linalg.norm(points[:, THUMB_TIP] - points[:, INDEX_TIP], axis=-1)
    speeds = np.linalg.norm(velocity(points, fps), axis=-1)
    scalars = np.stack([spread, pinch, speeds[:, WRIST], speeds.mean(axis=1)], axis=1)
    return np.concatenate([wrist, normal, flexions(points, normal), scalars], axis=1)


def hand_length(points):
    """Median distance from the wrist to the root of the middle finger; 1 where it is unknown or 0."""
    lengths = np.linalg.norm(points[:, MIDDLE_ROOT] - points[:, WRIST], axis=-1)
    lengths = lengths[np.isfinite(lengths)]
    median = float(np.median(lengths)) if lengths.size else 0.0
    return median if median > 0.0 else 1.0


def velocity(points, fps):
    """Central differences, per second, ``(frames, ...)``; of a single frame, 0 where it is known."""
    if len(points) == 1:
        return np.where(np.isfinite(points), 0.0, np.nan)
    moved = np.empty_like(points)
    moved[1:-1] = 0.5 * (points[2:] - points[:-2])
    ahead = np.diff(points, axis=0)
    # Beside a gap, and at either end, the difference to the one neighbour that there is.
    moved[0], moved[-1] = ahead[0], ahead[-1]
    for one_sided in (ahead[1:], ahead[:-1]):
        inner = moved[1:-1]
        moved[1:-1] = np.where(np.isnan(inner), one_sided, inner)
    lonely = np.isnan(moved) & np.isfinite(points)
    moved[lonely] = 0.0
    return moved * fps


def flexions(points, normal):
    """Flexion ``(frames, 5)``: the angles between a finger's bones, added up, over what joints can do."""
    bones = points[:, CHAINS[:, 1:]] - points[:, CHAINS[:, :-1]]  # (frames, 5, 3, 3)
    bends = angle(bones[:, :, :-1], bones[:, :, 1:]).sum(axis=-1)
    # At its root a finger bends and spreads. What it spreads lies in the palm, across the bone before.
    palm = unit(points[:, CHAINS[1:, 0]] - points[:, WRIST : WRIST + 1])
    across = np.cross(normal[:, None], palm)
    first = bones[:, 1:, 0]
    first = first - np.sum(first * across, axis=-1, keepdims=True) * across
    bends[:, 1:] += angle(palm, first)
    return np.degrees(bends) / FULL_FLEXION_DEGREES


def angle(a, b):
    """Angle between vectors of the last axis, radians; 0 where one is 0."""
    # atan2 is exact for small angles, where the cosine says nothing.
    crossed = np.linalg.norm(np.cross(a, b), axis=-1)
    return np.arctan2(crossed, np.sum(a * b, axis=-1))


def unit(vectors):
    """Vectors of length 1 along the last axis; 0 remains 0."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0.0, lengths, 1.0)
