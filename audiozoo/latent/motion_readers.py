"""Files of moving hands, read into ``HandMotion``.

None of these formats says which it is, so that it is found from what a file holds. Sources:

- MediaPipe JSON: results of the Hand Landmarker, one a frame, https://ai.google.dev/edge/api/mediapipe/js/
  tasks-vision.handlandmarkerresult (``landmarks``), .../python/mp/tasks/vision/HandLandmarkerResult
  (``hand_landmarks``), and of the solution before it (``multiHandLandmarks``, ``multi_hand_landmarks``).
  There is no official file: a list of results, an object with ``frames``, or a result a line are read.
- MediaPipe CSV: as recorders write it, ``x0, y0, z0, ... z20``, a frame a line.
- ASL-Now: a list of 21 landmarks, one posture a file (https://huggingface.co/datasets/sid220/
  asl-now-fingerspelling, MIT).
- DHG-14/28 and SHREC'17: ``skeleton(s)_world.txt``, 22 joints a line, metres, 30 frames a second (De Smedt et
  al., 2016, CVPRW, http://www-rech.telecom-lille.fr/DHGdataset; De Smedt et al., 2017, 3DOR). The second
  joint, the middle of the palm, is left out; the other 21 are MediaPipe's, in its order.
- Leap Motion CSV: there is no official file. Columns are found by the words of the API
  (https://docs.ultraleap.com/api-reference/tracking-api): side, finger, bone, beginning or end, axis, as in
  ``L.Index_P_e_x`` of the recorder of BROCA (github.com/ahmed-bahaa/BROCA) or
  ``left_index_proximal_next_joint_x``. Millimetres.
- Phone CSV: phyphox (``Acceleration x (m/s^2)``, ``Gyroscope x (rad/s)``), or ``ax, ay, az, gx, gy, gz``.
"""

import csv
import io
import itertools
import json
import pathlib
import re

import numpy as np
from scipy.integrate import cumulative_trapezoid
from scipy.signal import butter, sosfiltfilt
from scipy.spatial.transform import Rotation

from audiozoo.atomic import replacing
from audiozoo.errors import MotionError, one_line
from audiozoo.foreign import content, npz_arrays, obstacle, refused
from audiozoo.latent.motion import CHAINS, FINGERS, MOST_FRAMES, NUM_POINTS, WRIST, HandMotion, check_fps

CAMERA_FPS = 30.0  # where a file does not say
DHG_FPS, DHG_JOINTS, DHG_PALM = 30.0, 22, 1
FILE_VERSION = 1
MOST_BYTES = 1 << 31  # of an .npz, unpacked: 20 hours of two hands at 30 frames a second
LANDMARK_KEYS = ("landmarks", "hand_landmarks", "multiHandLandmarks", "multi_hand_landmarks")
SIDE_KEYS = ("handedness", "handednesses", "multiHandedness", "multi_handedness")
# Names of columns and keys of time, and how many of its units are a second.
TIMES = {
    "timestamp_ms": 1e3,
    "timestampms": 1e3,
    "time_ms": 1e3,
    "timestamp_us": 1e6,
    "seconds_elapsed": 1.0,
    "seconds": 1.0,
    "time_s": 1.0,
    "timestamp_s": 1.0,
    "time": 1.0,
    "t": 1.0,
}
LABEL_COLUMNS = ("label", "class", "gesture", "sign")
SIDES = {"l": 0, "left": 0, "r": 1, "right": 1}
BONES = {
    "m": 0, "metacarpal": 0, "p": 1, "proximal": 1, "i": 2, "intermediate": 2, "middle": 2, "d": 3, "distal":
    3 }  # fmt: skip
BONE_ENDS = {"s": 0, "start": 0, "prev": 0, "e": 1, "end": 1, "next": 1}
SLOWEST_HZ = 0.3  # of what is kept of a phone's movement: below, integrated noise is larger
LEAST_SAMPLES = 30  # of a phone, from which a filter can start


def read_motion(path, *, format=None, fps=None):
    """Read a recording of hands.

    A hand that a file lacks, or writes as empty cells, NaN or zeros, is NaN. Frames count as even, at the
    rate that their times have on average.

    A phone has no hand in it. It becomes one whose wrist moves as the phone does and whose fingers are
    unknown, so that features that need fingers are NaN: acceleration is turned by the integrated rotation to
    where the phone lay at first, and integrated twice, without what is slower than 0.3 Hz, which the noise of
    such sensors drowns. It is known where the hand shakes, swings and beats, and not where it is.

    Args:
        path: the file.
        format: ``"mediapipe_json"``, ``"mediapipe_csv"``, ``"asl_now"``, ``"dhg"``, ``"leap_csv"``,
            ``"imu_csv"``, ``"npz"`` (what ``write_motion`` writes), or None: found from what the file holds.
        fps: frames a second; None: what the file says, or else 30.

    Returns:
        HandMotion. MediaPipe's are in shares of the image, with depth in the same measure as its width; those
        of sensors in metres.

    Raises:
        MotionError: the file is missing, empty, of no known format, or broken; the message names the line.
        ValueError: an unknown format.
    """
    path = pathlib.Path(path)
    if format is not None and format not in READERS:
        raise ValueError(f"format must be one of {', '.join(READERS)}, or None; got {format!r}.")
    if fps is not None:
        check_fps(fps)
    with refused(
        MotionError, f"path {str(path)!r} cannot be read as moving hands", "Copy or export it again."
    ):
        data = contents(path)
        if format is None and data.startswith(b"PK"):
            format = "npz"
        if format == "npz":
            return read_npz(path, fps)
        text = decoded(path, data)
        format = format or format_of(path, text)
        try:
            return READERS[format](path, text, fps)
        except MotionError as error:
            if str(path) in str(error):
                raise
            raise MotionError(f"path {str(path)!r}: {error}") from error


def write_motion(path, motion):
    """Write a motion as an ``.npz`` that ``read_motion`` reads again, whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    with replacing(path) as draft, open(draft, "wb") as file:
        np.savez_compressed(
            file,
            hand_motion=np.array(FILE_VERSION),
            points=motion.points,
            fps=np.array(motion.fps),
            valid=motion.valid,
            label=np.array(motion.label),
        )


def contents(path):
    """Bytes of a file. Raises MotionError if there are none."""
    reason = obstacle(path)
    if reason:
        raise MotionError(f"path must be a file of moving hands; {str(path)!r} {reason}.")
    data = content(path)
    if not data.strip():
        raise MotionError(f"path {str(path)!r} must hold moving hands; the file is empty. Copy it again.")
    return data


def decoded(path, data):
    """Text of a file. Raises MotionError for what is none, naming the line."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + data[: error.start].count(b"\n")
        raise broken(path, line, "is no text", "Is it a video, or a recording of another program?") from error
    if "\0" in text:
        raise broken(
            path, 1 + text[: text.index("\0")].count("\n"), "holds bytes of value 0", "It is no text."
        )
    return text


def broken(path, line, what, advice="Copy or export it again."):
    """The error that names the file and its line."""
    return MotionError(f"path {str(path)!r}, line {line}: {what}. {advice}")


def format_of(path, text):
    """Name of the format that a text looks like. Raises MotionError."""
    stripped = text.lstrip()
    if stripped[0] in "[{":
        return "asl_now" if re.match(r"\[\s*\{\s*\"[xyz]\"", stripped) else "mediapipe_json"
    header, rows = table(path, text)
    if header is None:
        width = len(rows[0][1])
        if width == 3 * DHG_JOINTS:
            return "dhg"
        if width in (3 * NUM_POINTS, 6 * NUM_POINTS):
            return "mediapipe_csv"
        raise broken(
            path,
            rows[0][0],
            f"has {width} numbers; files without a header have 63 or 126 (MediaPipe) or 66 (DHG)",
            "Give format=, or a header.",
        )
    if point_columns(header):
        return "mediapipe_csv"
    if leap_columns(header):
        return "leap_csv"
    if imu_columns(header)["acceleration"]:
        return "imu_csv"
    raise broken(
        path,
        1,
        f"has columns of no known recorder: {', '.join(header[:6]):.200} ...",
        "Known are x0 ... z20 (MediaPipe), bones (Leap Motion), and acceleration (phone).",
    )


# --- JSON ---


def read_mediapipe_json(path, text, fps):
    """Results of MediaPipe, see ``read_motion``."""
    frames, meta = [], {}
    stamps = []
    for line, frame in json_frames(path, text, meta):
        hands = frame_hands(path, line, frame)
        frames.append(hands)
        stamps.append(frame_time(path, line, frame))
    if not frames:
        raise broken(path, 1, "holds no frame")
    said = meta.get("fps")
    if said is not None and (not isinstance(said, int | float) or isinstance(said, bool)):
        raise broken(path, 1, f"fps must be a number; it is {said!r}")
    points = placed(frames)
    if fps is None:
        fps = said or rate_of(stamps) or CAMERA_FPS
    label = meta.get("label")
    return HandMotion(points=points, fps=fps, label=label if isinstance(label, str) else "")


def read_asl_now(path, text, fps):
    """One posture of ASL-Now: a single frame, labelled by its folder, as the data set is laid out."""
    landmarks = parsed(path, text)
    if not isinstance(landmarks, list):
        raise broken(path, 1, "must be a list of 21 landmarks")
    points = hand_of(path, 1, landmarks)
    return HandMotion(points=points[None, None], fps=fps or CAMERA_FPS, label=path.absolute().parent.name)


def parsed(path, text):
    """JSON as Python. Raises MotionError, naming the line."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise broken(path, error.lineno, f"is no JSON ({error.msg})") from error
    except RecursionError as error:
        raise broken(path, 1, "is nested too deeply") from error


def json_frames(path, text, meta):
    """Yield ``(line, result)`` of every frame; what an object says beside its frames goes to ``meta``."""
    try:
        whole = parsed(path, text)
    except MotionError:
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        if not is_json_lines(lines):
            raise
        for number, line in lines:
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError as error:
                raise broken(path, number, f"is no JSON ({error.msg})") from error
        return
    start = text.index("[") if isinstance(whole, list) else None
    if isinstance(whole, dict) and isinstance(whole.get("frames"), list):
        meta |= {key: value for key, value in whole.items() if key != "frames"}
        start = re.search(r'"frames"\s*:\s*\[', text).end() - 1
        whole = whole["frames"]
    if isinstance(whole, dict):
        yield 1, whole
        return
    yield from zip(element_lines(text, start, len(whole)), whole, strict=True)


def is_json_lines(lines):
    """Whether lines are JSON each by itself, as far as the first of them tells."""
    try:
        return len(lines) > 1 and isinstance(json.loads(lines[0][1]), dict | list)
    except json.JSONDecodeError:
        return False


def element_lines(text, start, count):
    """Line on which each of ``count`` elements of the JSON array at ``start`` begins.

    Where no such array is there, because a text within the file only looked like it, all are on the first.
    """
    decoder, place, line, counted = json.JSONDecoder(), start + 1, 1 + text[:start].count("\n"), start
    between = re.compile(r"[\s,]*")
    lines = []
    try:
        for _ in range(count):
            place = between.match(text, place).end()
            line, counted = line + text.count("\n", counted, place), place
            lines.append(line)
            _, place = decoder.raw_decode(text, place)
    except json.JSONDecodeError:
        return [1] * count
    return lines


def frame_hands(path, line, frame):
    """``(side or None, points (21, 3))`` of each hand of a frame."""
    if isinstance(frame, list):  # of points, or of hands
        hands = [frame] if len(frame) == NUM_POINTS and not is_hand(frame[0]) else frame
        return [(None, hand_of(path, line, hand)) for hand in hands]
    if not isinstance(frame, dict):
        raise broken(path, line, f"must be a result of MediaPipe; it is {frame!r:.40}")
    key = next((key for key in LANDMARK_KEYS if key in frame), None)
    if key is None:
        raise broken(
            path, line, f"has none of {', '.join(LANDMARK_KEYS)}", "Write MediaPipe's results as JSON."
        )
    hands = frame[key] or []
    if not isinstance(hands, list):
        raise broken(path, line, f"{key} must be a list of hands; it is {hands!r:.40}")
    if len(hands) == NUM_POINTS and not is_hand(hands[0]):  # of one hand, unwrapped
        hands = [hands]
    sides = next((frame[key] for key in SIDE_KEYS if frame.get(key)), [])
    sides = sides if isinstance(sides, list) else [sides]
    pairs = itertools.zip_longest(hands, sides[: len(hands)])
    return [(side_of(side), hand_of(path, line, hand)) for hand, side in pairs]


def is_hand(value):
    """Whether this is a hand, and no point: a list of points, or the object that wraps one."""
    if isinstance(value, dict):
        return "landmark" in value
    return isinstance(value, list) and bool(value) and isinstance(value[0], list | dict)


def hand_of(path, line, hand):
    """Points ``(21, 3)`` of a hand's landmarks, objects or triples."""
    if isinstance(hand, dict) and "landmark" in hand:
        hand = hand["landmark"]
    if not isinstance(hand, list) or len(hand) != NUM_POINTS:
        count = len(hand) if isinstance(hand, list) else repr(hand)[:40]
        raise broken(path, line, f"a hand must have {NUM_POINTS} landmarks; it has {count}")
    points = np.empty((NUM_POINTS, 3))
    for row, landmark in zip(points, hand, strict=True):
        try:
            if isinstance(landmark, dict):
                landmark = [landmark["x"], landmark["y"], landmark.get("z", 0.0)]  # of a flat one
            x, y, z = (np.nan if value is None else float(value) for value in landmark)
            row[:] = x, y, z
        except (KeyError, TypeError, ValueError) as error:
            raise broken(path, line, f"a landmark must be x, y and z; it is {landmark!r:.60}") from error
    if np.isinf(points).any():
        raise broken(path, line, "a landmark is infinite")
    return points


def side_of(side):
    """0 for a left hand, 1 for a right one, None where that is not said."""
    side = side[0] if isinstance(side, list) and side else side
    if isinstance(side, dict):
        nested = side.get("classification")
        side = nested[0] if isinstance(nested, list) and nested else side
        names = ("categoryName", "category_name", "label", "displayName", "display_name")
        side = next((side[name] for name in names if isinstance(side.get(name), str)), None)
    return SIDES.get(side.lower()) if isinstance(side, str) else None


def frame_time(path, line, frame):
    """Time of a frame in seconds, or None. MediaPipe counts ``timestamp`` in milliseconds."""
    if not isinstance(frame, dict):
        return None
    spelled = {key.lower(): key for key in frame}
    for name, units in ({"timestamp": 1e3} | TIMES).items():
        value = frame.get(spelled.get(name))
        if value is not None:
            if not isinstance(value, int | float) or isinstance(value, bool) or not np.isfinite(value):
                raise broken(path, line, f"{spelled[name]} must be a number; it is {value!r:.40}")
            return value / units
    return None


def placed(frames):
    """Points ``(frames, hands, 21, 3)`` of hands with or without sides.

    Where sides are said, a left hand is the first and a right one the second, if both ever occur; a hand
    whose side is taken goes to the other.
    """
    sides = {side for hands in frames for side, _ in hands} - {None}
    both = len(sides) == 2
    count = max(1, 2 if both else 0, *(len(hands) for hands in frames))
    points = np.full((len(frames), count, NUM_POINTS, 3), np.nan)
    for frame, hands in zip(points, frames, strict=True):
        free = list(range(count))
        for side, hand in hands:
            place = side if both and side in free else free[0]
            free.remove(place)
            frame[place] = hand
    return without_zeros(points)


# --- Tables ---


def table(path, text):
    """Header, or None, and rows ``(line, cells)`` of a CSV, or of numbers with spaces between them.

    Lines that begin with # and empty ones are passed over.
    """
    first = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), None)
    if first is None:
        raise broken(path, 1, "holds no data, only remarks")
    delimiter = next((mark for mark in ("\t", ";", ",") if mark in first), None)
    rows = []
    if delimiter is None:
        numbered = enumerate(text.splitlines(), 1)
        rows = [(number, line.split()) for number, line in numbered]
    else:
        reader = csv.reader(io.StringIO(text), delimiter=delimiter)
        try:
            rows = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
        except csv.Error as error:
            raise broken(path, reader.line_num, f"is no CSV ({error})") from error
    # A line of empty cells is a frame without a hand; a line of nothing is none.
    rows = [(number, cells) for number, cells in rows if len(cells) > 1 or any(cells)]
    rows = [(number, cells) for number, cells in rows if not cells[0].startswith("#")]
    header = None
    if any(rows[0][1]) and not any(is_number(cell) for cell in rows[0][1]):
        header = [cell.lower() for cell in rows[0][1]]
        if not rows[1:]:
            raise broken(path, rows[0][0], "is a header with no line after it")
        rows = rows[1:]
    return header, rows


def is_number(cell):
    """Whether a cell is a number; a comma may be its point."""
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def cells_of(path, rows, columns, width):
    """Numbers ``(rows, columns)`` of cells; empty ones are NaN."""
    values = np.empty((len(rows), len(columns)))
    for row, (line, cells) in zip(values, rows, strict=True):
        if len(cells) != width:
            raise broken(path, line, f"has {len(cells)} cells, where {width} belong")
        for place, column in enumerate(columns):
            cell = cells[column]
            try:
                row[place] = float(cell.replace(",", ".")) if cell else np.nan
            except ValueError as error:
                raise broken(path, line, f"cell {column + 1} must be a number; it is {cell!r:.40}") from error
        if np.isinf(row).any():
            raise broken(path, line, f"cell {columns[int(np.argmax(np.isinf(row)))] + 1} is infinite")
    return values


def read_mediapipe_csv(path, text, fps):
    """Columns of landmarks, see ``read_motion``. Hands are columns, or lines of one ``frame``."""
    header, rows = table(path, text)
    if header is None:
        width = len(rows[0][1])
        if width not in (3 * NUM_POINTS, 6 * NUM_POINTS):
            raise broken(path, rows[0][0], f"has {width} numbers, where 63 or 126 belong")
        hands = {
            hand: range(3 * NUM_POINTS * hand, 3 * NUM_POINTS * (hand + 1)) for hand in range(width // 63)
        }
    else:
        width, hands = len(header), point_columns(header)
        if not hands:
            raise broken(path, 1, "must have columns x0, y0, z0 to x20, y20, z20")
    blocks = [cells_of(path, rows, list(columns), width) for columns in hands.values()]
    points = np.stack(blocks, axis=1).reshape(len(rows), len(blocks), NUM_POINTS, 3)
    points = without_zeros(points)
    seconds = times(path, header, rows, width)
    if header and "frame" in header:
        points, seconds = by_frame(path, header, rows, points, seconds)
    if fps is None:
        fps = rate_of(seconds) or CAMERA_FPS
    return HandMotion(points=points, fps=fps, label=common_label(header, rows))


def point_columns(header):
    """Columns of each hand, ``{hand: 63 indices}``, or an empty dict.

    ``x0`` or ``x_0``, with what names the hand before it; points are counted from 0 or from 1.
    """
    found = {}
    for column, name in enumerate(header):
        match = re.fullmatch(r"(.*?)[ _.]?([xyz])[ _.]?(\d+)", name)
        if match:
            found.setdefault(match[1], {})[int(match[3]), match[2]] = column
    hands = {}
    for hand, columns in found.items():
        for first in (0, 1):
            wanted = [(point + first, axis) for point in range(NUM_POINTS) for axis in "xyz"]
            if all(key in columns for key in wanted) and (first == 1 or (NUM_POINTS, "x") not in columns):
                hands[hand] = [columns[key] for key in wanted]
    return hands


def by_frame(path, header, rows, points, seconds):
    """Frames from lines that name their ``frame``, a hand each; frames that are not there have no hand."""
    numbers = cells_of(path, rows, [header.index("frame")], len(header))[:, 0]
    if not np.isfinite(numbers).all() or (numbers != np.round(numbers)).any() or numbers.min() < 0:
        line = rows[int(np.argmax(~np.isfinite(numbers) | (numbers != np.round(numbers)) | (numbers < 0)))][0]
        raise broken(path, line, "frame must be a whole number, 0 or more")
    numbers -= numbers.min()
    if numbers.max() >= min(MOST_FRAMES, 1000 * len(rows)):
        raise broken(path, rows[int(np.argmax(numbers))][0], f"frame is {numbers.max():g} beyond the first")
    numbers = numbers.astype(int)
    sides = next((header.index(name) for name in ("handedness", "hand") if name in header), None)
    frames = [[] for _ in range(numbers.max() + 1)]
    for (_, cells), number, hands in zip(rows, numbers, points, strict=True):
        side = SIDES.get(cells[sides].lower()) if sides is not None else None
        frames[number] += [(side if len(hands) == 1 else None, hand) for hand in hands]
    if seconds is not None:
        span = numbers[-1] - numbers[0]
        seconds = [seconds[0], seconds[0] + (seconds[-1] - seconds[0]) / span] if span else None
    return placed(frames), seconds


def read_dhg(path, text, fps):
    """22 joints a line, see ``read_motion``; labelled by the folders ``gesture_N/finger_N``."""
    header, rows = table(path, text)
    if header is not None:
        raise broken(path, 1, "must be 66 numbers", "DHG has no header.")
    values = cells_of(path, rows, list(range(3 * DHG_JOINTS)), 3 * DHG_JOINTS)
    points = np.delete(values.reshape(len(rows), 1, DHG_JOINTS, 3), DHG_PALM, axis=2)
    label = "/".join(part for part in path.absolute().parts if re.fullmatch(r"(gesture|finger)_\d+", part))
    return HandMotion(points=without_zeros(points), fps=fps or DHG_FPS, label=label)


def read_leap_csv(path, text, fps):
    """Bones, see ``read_motion``.

    The root of each finger is the end of its metacarpal, and each of the further bones ends in a joint. The
    thumb of Leap Motion has a metacarpal of length 0, so that the same holds for it.
    """
    header, rows = table(path, text)
    hands = leap_columns(header or [])
    if not hands:
        raise broken(path, 1, "must have columns of the wrist and of the bones of five fingers")
    blocks = [cells_of(path, rows, columns, len(header)) for _, columns in sorted(hands.items())]
    points = 1e-3 * np.stack(blocks, axis=1).reshape(len(rows), len(blocks), NUM_POINTS, 3)
    if fps is None:
        seconds = times(path, header, rows, len(header), scales={"timestamp": 1e6} | TIMES)
        fps = rate_of(seconds)
    if fps is None:
        raise MotionError(
            f"path {str(path)!r} has no column of time. Give fps, the frames a second of the recording."
        )
    return HandMotion(points=without_zeros(points), fps=fps, label=common_label(header, rows))


def leap_columns(header):
    """Columns of each hand's 21 points, ``{side: 63 indices}``, of the hands that are complete."""
    found = {}
    for column, name in enumerate(header):
        words = re.findall(r"[a-z]+", name)
        if len(words) < 2 or words[-1] not in "xyz":
            continue
        axis, side = "xyz".index(words[-1]), next((SIDES[word] for word in words if word in SIDES), 0)
        words = ["pinky" if word == "little" else word for word in words]
        finger = next((place for place, word in enumerate(words) if word in FINGERS), None)
        if "wrist" in words:
            found.setdefault((side, WRIST, axis), column)
        if finger is None:
            continue
        rest = words[finger + 1 : -1]
        bone = next((BONES[word] for word in rest if word in BONES), None)
        end = next((BONE_ENDS[word] for word in rest if word in BONE_ENDS), None)
        if bone is None or end is None:
            continue
        joint = bone + end - 1  # the beginning of a bone is the end of the one before
        if joint >= 0:
            point = CHAINS[FINGERS.index(words[finger]), joint]
            if end == 1 or (side, point, axis) not in found:
                found[side, point, axis] = column
    hands = {}
    for side in (0, 1):
        wanted = [(side, point, axis) for point in range(NUM_POINTS) for axis in range(3)]
        if all(key in found for key in wanted):
            hands[side] = [found[key] for key in wanted]
    return hands


def read_imu_csv(path, text, fps):
    """A phone's sensors, see ``read_motion``."""
    header, rows = table(path, text)
    columns = imu_columns(header or [])
    if not columns["acceleration"]:
        raise broken(path, 1, "must have columns of acceleration along x, y and z")
    acceleration = cells_of(path, rows, columns["acceleration"], len(header))
    turning = np.zeros_like(acceleration)
    if columns["rotation"]:
        turning = cells_of(path, rows, columns["rotation"], len(header))
    # Sensors report at their own times: where one is silent its cells are empty.
    known = np.isfinite(acceleration).all(axis=1)
    if known.sum() < LEAST_SAMPLES:
        raise MotionError(
            f"path {str(path)!r} must hold {LEAST_SAMPLES} samples of acceleration; it holds {known.sum()}. "
            "Record longer."
        )
    seconds = times(path, header, rows, len(header))
    if seconds is None and fps is None:
        raise MotionError(f"path {str(path)!r} has no column of time. Give fps, the samples a second.")
    seconds = np.arange(len(rows)) / fps if seconds is None else np.array(seconds)
    rate = rate_of(seconds[known])
    if rate is None:
        raise broken(path, rows[0][0], "times must rise")
    even = np.arange(seconds[known][0], seconds[known][-1], 1.0 / rate)
    acceleration = evened(even, seconds, acceleration)
    turning = evened(even, seconds, turning)
    points = np.full((len(even), 1, NUM_POINTS, 3), np.nan)
    points[:, 0, WRIST] = travelled(acceleration, turning, rate)
    motion = HandMotion(points=points, fps=rate, label=common_label(header, rows))
    return motion if fps is None else motion.resampled(fps)


def imu_columns(header):
    """Columns of acceleration and of rotation along x, y, z; empty lists where they are not.

    Acceleration without gravity, which phones also compute, goes before that with it.
    """
    patterns = {
        "acceleration": (
            r"linear[ _]?acceleration[ _]%s\b.*",
            r"acc(?:eleration|elerometer|el)?[ _]%s\b.*",
            r"a%s",
        ),
        "rotation": (r"gyro(?:scope)?[ _]%s\b.*", r"g%s"),
    }
    found = {}
    for kind, spellings in patterns.items():
        found[kind] = []
        for spelling in spellings:
            columns = [
                next((i for i, name in enumerate(header) if re.fullmatch(spelling % axis, name)), None)
                for axis in "xyz"
            ]
            if None not in columns:
                found[kind] = columns
                break
    return found


def evened(even, seconds, values):
    """Values ``(samples, 3)`` at even times; where a sensor was silent, straight on."""
    known = np.isfinite(values).all(axis=1)
    if not known.any():
        return np.zeros((len(even), 3))
    return np.stack([np.interp(even, seconds[known], column) for column in values[known].T], axis=1)


def travelled(acceleration, turning, rate):
    """Way of a phone ``(samples, 3)``, metres, from acceleration (m/s^2) and turning (rad/s) in its own axes.

    What acceleration has on average once it is turned back is gravity, or nothing where the phone has taken
    gravity out.
    """
    steps = Rotation.from_rotvec(turning / rate)
    turned, now = np.empty_like(acceleration), Rotation.identity()
    for index in range(len(acceleration)):
        turned[index] = now.apply(acceleration[index])
        now = now * steps[index]
    way = turned - turned.mean(axis=0)
    highpass = butter(2, min(SLOWEST_HZ, 0.4 * rate), "highpass", fs=rate, output="sos")
    # A filter needs the time of its slowest swings to settle: the signal is mirrored at both ends, which a
    # movement that goes on leaves as it is more nearly than anything else.
    ahead = min(len(way) - 1, int(3.0 * rate / SLOWEST_HZ))
    for _ in range(2):
        way = cumulative_trapezoid(way, dx=1.0 / rate, axis=0, initial=0.0)
        way = sosfiltfilt(highpass, way - way.mean(axis=0), axis=0, padtype="even", padlen=ahead)
    return way


def times(path, header, rows, width, scales=TIMES):
    """Seconds of each row, or None where no column says them."""
    spelled = {re.sub(r"\W+", "_", name).strip("_"): column for column, name in enumerate(header or [])}
    for name, units in scales.items():  # those that say their unit before those that do not
        if name in spelled:
            seconds = cells_of(path, rows, [spelled[name]], width)[:, 0] / units
            if not np.isfinite(seconds).all():
                line = rows[int(np.argmin(np.isfinite(seconds)))][0]
                raise broken(path, line, f"{name} must be a number")
            if (np.diff(seconds) < 0.0).any():
                raise broken(path, rows[1 + int(np.argmax(np.diff(seconds) < 0.0))][0], f"{name} goes back")
            return seconds
    return None


def rate_of(seconds):
    """Frames a second of frames at these times, or None where they do not tell."""
    if seconds is None or len(seconds) < 2 or any(second is None for second in seconds):
        return None
    span = seconds[-1] - seconds[0]
    return float((len(seconds) - 1) / span) if span > 0.0 else None


def common_label(header, rows):
    """What all rows say in a column of labels, or an empty string."""
    column = next((header.index(name) for name in LABEL_COLUMNS if name in header), None) if header else None
    labels = {cells[column] for _, cells in rows} if column is not None else set()
    return labels.pop() if len(labels) == 1 else ""


def without_zeros(points):
    """Points with hands of zeros, which recorders write for a missing one, as NaN; and what has no wrist."""
    points = points.copy()
    points[(points == 0.0).all(axis=(-1, -2))] = np.nan
    points[~np.isfinite(points[:, :, WRIST]).all(axis=-1)] = np.nan
    return points


# --- Our own ---


def read_npz(path, fps):
    """What ``write_motion`` has written."""
    with refused(
        MotionError,
        f"path {str(path)!r} must be an .npz of write_motion; it cannot be read as one",
        "Copy or write it again.",
    ):
        arrays = npz_arrays(path, most_bytes=MOST_BYTES)
        if int(arrays["hand_motion"]) != FILE_VERSION:
            raise ValueError("it is of another version")
        rate, label = float(arrays["fps"]) if fps is None else fps, str(arrays["label"])
        try:
            return HandMotion(points=arrays["points"], fps=rate, valid=arrays["valid"], label=label)
        except MotionError as error:
            raise MotionError(f"path {str(path)!r} is broken: {one_line(error)}") from error


READERS = {
    "mediapipe_json": read_mediapipe_json,
    "mediapipe_csv": read_mediapipe_csv,
    "asl_now": read_asl_now,
    "dhg": read_dhg,
    "leap_csv": read_leap_csv,
    "imu_csv": read_imu_csv,
    "npz": read_npz,
}
