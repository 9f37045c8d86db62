"""Recordings of hands, of every format that is read, and maps of motion."""

import functools
import io
import json
import zipfile

import numpy as np
import pytest
from fuzz.hostile import VALUES, damaged, fuzzed, misspelt, no_files, read_or_refused, refusal, twisted
from fuzz.test_weights_files import Touch
from hypothesis import given
from hypothesis import strategies as st

from audiozoo.errors import AudioZooError, MotionError
from audiozoo.latent import MotionMap, motion_features, read_motion
from audiozoo.latent.motion import HandMotion
from audiozoo.latent.motion_readers import READERS, write_motion

HANDS = np.random.default_rng(0).uniform(0.1, 0.9, (6, 21, 3)).round(3)
NAMES = [f"{axis}{point}" for point in range(21) for axis in "xyz"]
BONES = [
    f"l_{finger}_{bone}_{end}_{axis}"
    for finger in ("thumb", "index", "middle", "ring", "pinky")
    for bone, end in (("metacarpal", "end"), ("proximal", "end"), ("intermediate", "end"), ("distal", "end"))
    for axis in "xyz"
]


def csv_text(rows, header=None, delimiter=","):
    lines = [delimiter.join(map(str, row)) for row in ([header] if header else []) + list(rows)]
    return "\n".join(lines) + "\n"


def frames():
    return [
        {
            "landmarks": [[dict(zip("xyz", point, strict=True)) for point in hand.tolist()]],
            "handedness": [[{"categoryName": "Left"}]],
            "timestamp": 33 * number,
        }
        for number, hand in enumerate(HANDS)
    ]


TEXTS = {
    "mediapipe_json": json.dumps({"fps": 30.0, "frames": frames()[:2]}),
    "json lines": "\n".join(json.dumps(frame) for frame in frames()[:2]),
    "mediapipe_csv": csv_text(
        ([i, i * 33, "Left", *hand.ravel()] for i, hand in enumerate(HANDS)),
        ["frame", "timestamp_ms", "handedness", *NAMES],
    ),
    "asl_now": json.dumps([dict(zip("xyz", point, strict=True)) for point in HANDS[0].tolist()]),
    "dhg": csv_text(np.concatenate([hand.ravel(), [0.1, 0.2, 0.3]]) for hand in HANDS).replace(",", " "),
    "leap_csv": csv_text(
        ([i * 1e4, *hand.ravel()] for i, hand in enumerate(HANDS)),
        ["timestamp", "l_wrist_x", "l_wrist_y", "l_wrist_z", *BONES],
    ),
    "imu_csv": csv_text(
        ([i / 50, *np.sin(i * np.arange(1, 7)).round(3)] for i in range(40)),
        ["time", "ax", "ay", "az", "gx", "gy", "gz"],
    ),
}


@functools.cache
def npz_file():
    file = io.BytesIO()
    np.savez_compressed(
        file, hand_motion=np.array(1), points=HANDS[:, None], fps=30.0, valid=np.ones((6, 1), bool), label="a"
    )
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("motion")


def assert_motion(result):
    if isinstance(result, AudioZooError):
        return
    assert isinstance(result, HandMotion)
    assert not np.isinf(result.points).any()
    assert 0.0 < result.fps <= 10_000.0
    features, names = motion_features(result)
    assert features.shape == (result.frames, len(names))


@pytest.mark.parametrize("name", TEXTS)
def test_the_recording_is_right_before_it_is_spoilt(folder, name):
    path = folder / "hands.txt"
    path.write_text(TEXTS[name])
    motion = read_motion(path, format=name if name in READERS else None)
    assert motion.frames >= 1
    assert motion.hands == 1
    assert_motion(read_motion(path))


@fuzzed(150)
@given(data=st.data())
def test_a_misspelt_recording_is_read_or_refused(folder, data):
    name = data.draw(st.sampled_from(sorted(TEXTS)))
    path = folder / "hands.txt"
    path.write_text(data.draw(misspelt(TEXTS[name])), encoding="utf-8")
    assert_motion(read_or_refused(read_motion, path, MotionError))


@fuzzed(100)
@given(data=st.data())
def test_a_damaged_recording_is_read_or_refused_in_any_format(folder, data):
    contents = [text.encode() for text in TEXTS.values()] + [npz_file()]
    path = folder / "hands.txt"
    path.write_bytes(data.draw(st.sampled_from(contents).flatmap(damaged)))
    format = data.draw(st.sampled_from([None, *READERS]))
    assert_motion(read_or_refused(lambda path: read_motion(path, format=format), path, MotionError))


@fuzzed(150)
@given(
    values=twisted({"fps": 30.0, "label": "a", "frames": frames()[:2]})
    | twisted(frames()[:2])
    | st.lists(VALUES, min_size=1, max_size=3)
)
def test_json_of_other_things_is_read_or_refused(folder, values):
    path = folder / "hands.json"
    path.write_text(json.dumps(values))
    for format in (None, "mediapipe_json", "asl_now"):
        assert_motion(read_or_refused(lambda path: read_motion(path, format=format), path, MotionError))  # noqa: B023


NUMBERS = st.sampled_from(
    ["0", "-1", "1e300", "1e-300", "-1e300", "1e17", "NaN", "", "0.1", "5", "9" * 400, "inf"]
)


@fuzzed(100)
@given(data=st.data())
def test_tables_of_extreme_numbers_are_read_or_refused(folder, data):
    name = data.draw(st.sampled_from(["mediapipe_csv", "dhg", "leap_csv", "imu_csv"]))
    separator = " " if name == "dhg" else ","
    lines = [line.split(separator) for line in TEXTS[name].splitlines()]
    for _ in range(data.draw(st.integers(1, 8))):
        row = data.draw(st.integers(0 if name == "dhg" else 1, len(lines) - 1))
        # Times and numbers of frames are the first cells, the wrist those after.
        lines[row][data.draw(st.integers(0, 6))] = data.draw(NUMBERS)
    path = folder / "hands.csv"
    path.write_text(csv_text(lines, delimiter=separator))
    fps = data.draw(st.sampled_from([None, 60.0, 10_000.0]))
    assert_motion(read_or_refused(lambda path: read_motion(path, fps=fps), path, MotionError))


def test_a_number_of_a_frame_makes_no_billion_of_them(folder):
    lines = TEXTS["mediapipe_csv"].splitlines()
    path = folder / "hands.csv"
    for number in (10**7, 10**12, 10**30):
        path.write_text("\n".join([*lines[:3], str(number) + lines[3][1:]]))
        assert "beyond the first" in refusal(read_motion, path, MotionError)
    rows = ["\n".join(f"{i}{line[1:]}" for line in lines[1:2]) for i in range(3000)]
    path.write_text("\n".join([lines[0], *rows, f"{2_999_999}{lines[1][1:]}"]))
    assert "beyond the first" in refusal(read_motion, path, MotionError)


def test_a_phone_that_lay_for_an_age_is_not_resampled_to_an_age_of_frames(folder):
    path = folder / "phone.csv"
    lines = TEXTS["imu_csv"].splitlines()
    path.write_text("\n".join([*lines[:-1], "1e12" + lines[-1][lines[-1].index(",") :]]))
    assert_motion(read_or_refused(read_motion, path, MotionError))
    message = refusal(lambda path: read_motion(path, fps=1000.0), path, MotionError)
    assert "frames" in message


@pytest.mark.parametrize(
    "text", ["[" * 10**5, '{"a":' * 10**5, "[" * 10**5 + "]" * 10**5, '"' + "x" * 10**6, "1 " * 10**6]
)
def test_what_is_deep_or_long_is_refused_in_time(folder, text):
    path = folder / "deep.json"
    path.write_text(text)
    for format in (None, "mediapipe_json", "asl_now", "dhg"):
        refusal(lambda path: read_motion(path, format=format), path, MotionError)  # noqa: B023


def test_an_npz_is_no_pickle_and_no_bomb(folder, tmp_path):
    path = folder / "hands.npz"
    np.savez(path, hand_motion=np.array([Touch(tmp_path / "ran")], object))
    refusal(read_motion, path, MotionError)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, shape in {"hand_motion": (), "points": (10**10, 1, 21, 3), "fps": (), "valid": ()}.items():
            header = io.BytesIO()
            described = {"descr": "<f8", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(header, described)
            archive.writestr(f"{name}.npy", header.getvalue() + bytes(8))
    refusal(read_motion, path, MotionError)
    assert not (tmp_path / "ran").exists()


def test_what_is_no_file_is_refused_at_once(tmp_path):
    for path in no_files(tmp_path / "hands.csv", "fifo", "device"):
        assert "is a pipe or a device" in refusal(read_motion, path, MotionError)
    assert "cannot be reached" in refusal(read_motion, tmp_path / ("x" * 300), MotionError)


@functools.cache
def map_file():
    features = np.random.default_rng(0).normal(size=(400, 4)).cumsum(axis=0)
    coordinates = np.random.default_rng(1).normal(size=(300, 3))
    fitted = MotionMap("whiten_quantile").fit(features, coordinates)
    file = io.BytesIO()
    settings = {
        name: getattr(fitted, name) for name in ("method", "fidelity", "others", "neighbours", "seed")
    }
    settings |= {"version": 1, "names": list(fitted.names)}
    np.savez_compressed(file, settings=np.array(json.dumps(settings)), **fitted._fitted())
    return file.getvalue()


def assert_map(result):
    if not isinstance(result, AudioZooError):
        used = len(result._fitted()["used"])
        assert np.isfinite(result.map(np.zeros((3, used)))).all()


def test_the_map_is_right_before_it_is_spoilt(folder):
    path = folder / "map.npz"
    path.write_bytes(map_file())
    assert_map(MotionMap.load(path))


@fuzzed(40)
@given(data=st.data())
def test_a_damaged_map_is_read_or_refused(folder, data):
    path = folder / "map.npz"
    path.write_bytes(data.draw(damaged(map_file())))
    assert_map(read_or_refused(MotionMap.load, path, MotionError))


@fuzzed(80)
@given(data=st.data())
def test_a_map_of_other_arrays_is_read_or_refused(folder, data):
    path = folder / "map.npz"
    with np.load(io.BytesIO(map_file())) as file:
        arrays = dict(file)
    name = data.draw(st.sampled_from(sorted(arrays)))
    match data.draw(st.sampled_from(["drop", "zeros", "nan", "text", "settings"])):
        case "drop":
            del arrays[name]
        case "zeros":
            arrays[name] = np.zeros(data.draw(st.lists(st.integers(0, 5), max_size=3)))
        case "nan":
            arrays[name] = np.full(arrays[name].shape, np.nan)
        case "text":
            arrays[name] = np.full(arrays[name].shape, "text")
        case "settings":
            settings = data.draw(twisted(json.loads(str(arrays["settings"]))))
            arrays["settings"] = np.array(json.dumps(settings))
    np.savez(path, **arrays)
    assert_map(read_or_refused(MotionMap.load, path, MotionError))


def test_what_was_written_is_read_again(tmp_path):
    path = tmp_path / "hands.npz"
    motion = HandMotion(points=HANDS[:, None], fps=30.0)
    write_motion(path, motion)
    np.testing.assert_array_equal(read_motion(path).points, motion.points)
