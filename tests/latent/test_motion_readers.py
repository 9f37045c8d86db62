"""Every format: a small file made from its specification reads as it says; a broken one names its line."""

import json

import numpy as np
import pytest

from audiozoo.errors import MotionError, OutputError
from audiozoo.latent import HandMotion, motion_features, read_motion, synthetic_motion, write_motion

HAND = np.random.default_rng(0).uniform(0.1, 0.9, (5, 21, 3))  # five frames
BONES = ("M", "P", "I", "D")
FINGERS = ("Thumb", "Index", "Middle", "Ring", "Pinky")


def objects(hand):
    return [dict(zip("xyz", map(float, point), strict=True)) for point in hand]


def as_json(frames, **beside):
    return json.dumps({"frames": frames} | beside if beside else frames, indent=1)


def csv_text(rows, header=None, delimiter=","):
    lines = [delimiter.join(header)] if header else []
    return "\n".join([*lines, *(delimiter.join(map(str, row)) for row in rows)]) + "\n"


def columns(prefix="", first=0):
    return [f"{prefix}{axis}{point + first}" for point in range(21) for axis in "xyz"]


def read(tmp_path, text, name="hands.txt", **settings):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_motion(path, **settings)


def refusal(tmp_path, text, name="hands.txt", **settings):
    with pytest.raises(MotionError) as caught:
        read(tmp_path, text, name, **settings)
    assert str(tmp_path / name) in str(caught.value)
    return str(caught.value)


# --- MediaPipe JSON ---


@pytest.mark.parametrize(
    "frame",
    [
        lambda hand: {
            "landmarks": [objects(hand)],
            "handedness": [[{"categoryName": "Right", "score": 0.9}]],
        },
        lambda hand: {"hand_landmarks": [objects(hand)], "handedness": [[{"category_name": "Right"}]]},
        lambda hand: {"multiHandLandmarks": [objects(hand)], "multiHandedness": [{"label": "Right"}]},
        lambda hand: {"multi_hand_landmarks": [{"landmark": objects(hand)}]},
        lambda hand: [objects(hand)],
        lambda hand: hand.tolist(),
    ],
    ids=["javascript", "python", "javascript before", "python before", "hands", "points"],
)
def test_mediapipe_json_of_every_interface(tmp_path, frame):
    motion = read(tmp_path, as_json([frame(hand) for hand in HAND]))
    assert motion.fps == 30.0
    np.testing.assert_array_equal(motion.points[:, 0], HAND)


def test_mediapipe_json_a_line_and_in_an_object_with_times(tmp_path):
    frames = [{"timestamp": 20 * i, "landmarks": [objects(hand)]} for i, hand in enumerate(HAND)]
    lines = "\n".join(json.dumps(frame) for frame in frames)
    for text in (lines, as_json(frames, label="wave"), as_json(frames)):
        motion = read(tmp_path, text)
        assert motion.fps == pytest.approx(50.0)
        np.testing.assert_array_equal(motion.points[:, 0], HAND)
    assert read(tmp_path, as_json(frames, label="wave", fps=24)).fps == 24.0
    assert read(tmp_path, as_json(frames, label="wave")).label == "wave"
    assert read(tmp_path, lines, fps=99.0).fps == 99.0


def test_mediapipe_json_puts_hands_where_their_sides_are_and_leaves_missing_ones_out(tmp_path):
    def frame(*hands):
        return {
            "landmarks": [objects(hand) for hand, _ in hands],
            "handedness": [[{"categoryName": side}] for _, side in hands],
        }

    a, b = HAND[0], HAND[1]
    frames = [frame((a, "Right"), (b, "Left")), frame((a, "Right")), frame(), frame((b, "Left"), (a, "Left"))]
    motion = read(tmp_path, as_json(frames))
    assert motion.valid.tolist() == [[True, True], [False, True], [False, False], [True, True]]
    np.testing.assert_array_equal(motion.points[0], [b, a])
    np.testing.assert_array_equal(motion.points[3], [b, a])


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda frames: frames[3]["landmarks"][0].pop(), "a hand must have 21 landmarks; it has 20"),
        (lambda frames: frames[3]["landmarks"][0][7].update(y="high"), "a landmark must be x, y and z"),
        (lambda frames: frames[3]["landmarks"][0][7].update(y=[1]), "a landmark must be x, y and z"),
        (lambda frames: frames[3]["landmarks"][0][7].pop("x"), "a landmark must be x, y and z"),
        (lambda frames: frames[3]["landmarks"][0].__setitem__(7, [1.0]), "a landmark must be x, y and z"),
        (lambda frames: frames[3]["landmarks"][0].__setitem__(7, 5), "a landmark must be x, y and z"),
        (lambda frames: frames[3]["landmarks"][0][7].update(y=1e999), "a landmark is infinite"),
        (lambda frames: frames[3].pop("landmarks"), "has none of landmarks"),
        (lambda frames: frames[3].update(landmarks=5), "landmarks must be a list of hands; it is 5"),
        (lambda frames: frames[3].update(timestamp="noon"), "timestamp must be a number; it is 'noon'"),
        (lambda frames: frames.__setitem__(3, 5), "must be a result of MediaPipe; it is 5"),
    ],
)
def test_broken_mediapipe_json_names_the_line_of_the_frame(tmp_path, change, message):
    frames = [{"landmarks": [objects(hand)]} for hand in HAND]
    change(frames)
    one_a_line = [json.dumps(frame) for frame in frames]
    listed = "[\n" + ",\n".join(one_a_line) + "\n]"
    assert f"line 5: {message}" in refusal(tmp_path, listed)
    if isinstance(frames[3], dict):
        assert f"line 4: {message}" in refusal(tmp_path, "\n".join(one_a_line))


def test_truncated_json_names_the_line(tmp_path):
    text = as_json([{"landmarks": [objects(hand)]} for hand in HAND])
    cut = text[: len(text) // 2]
    assert f"line {cut.count(chr(10)) + 1}: is no JSON" in refusal(tmp_path, cut)
    lines = "\n".join(json.dumps({"landmarks": [objects(hand)]}) for hand in HAND)
    assert "line 5: is no JSON" in refusal(tmp_path, lines[:-9])
    assert "holds no frame" in refusal(tmp_path, "[]")
    assert "nested too deeply" in refusal(tmp_path, "[" * 100_000)


# --- ASL-Now ---


def test_asl_now_is_one_posture_labelled_by_its_folder(tmp_path):
    motion = read(tmp_path, json.dumps(objects(HAND[0]), indent=2), "B/1d20c568.json")
    assert (motion.frames, motion.label) == (1, "B")
    np.testing.assert_array_equal(motion.points[0, 0], HAND[0])
    assert "21 landmarks; it has 20" in refusal(tmp_path, json.dumps(objects(HAND[0])[:20]), "B/2.json")
    assert "must be a list" in refusal(tmp_path, '{"x": 1}', format="asl_now")


# --- MediaPipe CSV ---


@pytest.mark.parametrize(
    "header, delimiter",
    [(None, ","), (columns(), ","), (columns(first=1), ","), (columns("right_"), ";"), (columns(), "\t")],
)
def test_mediapipe_csv_of_one_hand(tmp_path, header, delimiter):
    motion = read(tmp_path, csv_text(HAND.reshape(5, 63), header, delimiter))
    assert motion.points.shape == (5, 1, 21, 3)
    np.testing.assert_array_equal(motion.points[:, 0], HAND)


@pytest.mark.parametrize("header", [None, columns("left_") + columns("right_")])
def test_mediapipe_csv_of_two_hands(tmp_path, header):
    both = np.concatenate([HAND, 1.0 - HAND], axis=1).reshape(5, 126)
    motion = read(tmp_path, csv_text(both, header))
    np.testing.assert_array_equal(motion.points[:, 1], 1.0 - HAND)


def test_mediapipe_csv_with_times_label_and_missing_hands(tmp_path):
    rows = [[i / 25, *hand.ravel(), "fist"] for i, hand in enumerate(HAND)]
    rows[1][1:64] = [""] * 63
    rows[2][1:64] = [0.0] * 63  # as recorders write a hand that they did not find
    rows[3][1:64] = ["nan"] * 63
    motion = read(tmp_path, csv_text(rows, ["time_s", *columns(), "label"]))
    assert motion.fps == pytest.approx(25.0)
    assert motion.label == "fist"
    assert motion.valid[:, 0].tolist() == [True, False, False, False, True]


def test_a_line_of_empty_cells_is_a_frame_without_a_hand(tmp_path):
    rows = [[""] * 63, *HAND[:2].reshape(2, 63), [""] * 63]
    for header in (None, columns()):
        motion = read(tmp_path, csv_text(rows, header) + "\n\n")
        assert motion.valid[:, 0].tolist() == [False, True, True, False]


def test_a_text_that_looks_like_frames_does_no_harm(tmp_path):
    frames = [{"landmarks": [objects(hand)]} for hand in HAND]
    motion = read(tmp_path, json.dumps({"note": 'not "frames": [1, 2', "frames": frames}))
    assert motion.frames == 5


def test_flat_landmarks_have_no_depth_and_unknown_ones_are_nan(tmp_path):
    hand = [{"x": point["x"], "y": point["y"]} for point in objects(HAND[0])]
    hand[7]["y"] = None
    motion = read(tmp_path, as_json([{"landmarks": [hand]}]))
    assert not motion.points[0, 0, [0, 8], 2].any()
    assert np.isnan(motion.points[0, 0, 7, 1])
    assert motion.valid.all()


def test_mediapipe_csv_of_a_line_a_hand(tmp_path):
    rows = [[0, "Left", *HAND[0].ravel()], [0, "Right", *HAND[1].ravel()], [2, "Right", *HAND[2].ravel()]]
    motion = read(tmp_path, csv_text(rows, ["frame", "handedness", *columns()]))
    assert motion.valid.tolist() == [[True, True], [False, False], [False, True]]
    np.testing.assert_array_equal(motion.points[2, 1], HAND[2])


def test_broken_mediapipe_csv_names_the_line(tmp_path):
    rows = HAND.reshape(5, 63).tolist()
    assert "line 6: has 40 cells, where 63 belong" in refusal(
        tmp_path, csv_text([*rows[:4], rows[4][:40]], columns())
    )
    assert "line 3: cell 8 must be a number; it is 'left'" in refusal(
        tmp_path, csv_text([rows[0], rows[1], rows[2][:7] + ["left"] + rows[2][8:]])
    )
    assert "line 2: cell 1 is infinite" in refusal(tmp_path, csv_text([rows[0], ["inf", *rows[1][1:]]]))
    assert "line 1: has 40 numbers" in refusal(tmp_path, csv_text([row[:40] for row in rows]))
    assert "line 1: is a header with no line after it" in refusal(tmp_path, csv_text([], columns()))
    assert "line 3: time goes back" in refusal(
        tmp_path, csv_text([[1, *rows[0]], [0, *rows[1]]], ["time", *columns()])
    )
    assert "line 2: frame must be a whole number" in refusal(
        tmp_path, csv_text([[0.5, *rows[0]]], ["frame", *columns()])
    )


# --- DHG and SHREC'17 ---


def test_dhg_is_mediapipe_without_the_middle_of_the_palm(tmp_path):
    # 22 joints: wrist, palm, then each finger from its root to its tip.
    joints = np.insert(HAND, 1, 7.0, axis=1)
    text = csv_text(joints.reshape(5, 66), delimiter=" ")
    motion = read(tmp_path, text, "gesture_3/finger_1/subject_2/essai_1/skeletons_world.txt")
    assert (motion.fps, motion.label) == (30.0, "gesture_3/finger_1")
    np.testing.assert_array_equal(motion.points[:, 0], HAND)


def test_broken_dhg_names_the_line(tmp_path):
    rows = np.insert(HAND, 1, 7.0, axis=1).reshape(5, 66).tolist()
    assert "line 4: has 65 cells, where 66 belong" in refusal(
        tmp_path, csv_text([*rows[:3], rows[3][:65]], delimiter=" ")
    )
    assert "line 2: cell 5 must be a number; it is '0.1.2'" in refusal(
        tmp_path, csv_text([rows[0], [*rows[1][:4], "0.1.2", *rows[1][5:]]], delimiter=" ")
    )


# --- Leap Motion ---


def leap_columns(side):
    names = [f"{side}.hand.palm_position_{axis}" for axis in "xyz"]
    names += [f"{side}.wrist position_{axis}" for axis in "xyz"]
    names += [f"{side}.elbow position_{axis}" for axis in "xyz"]
    return names + [
        f"{side}.{finger}_{bone}_{end}_{axis}"
        for finger in FINGERS
        for bone in BONES
        for end in "sed"
        for axis in "xyz"
    ]


def leap_row(hand):
    """Palm, wrist, elbow; of each bone beginning, end, direction. The thumb's metacarpal is a point."""
    cells = [*np.full(3, 5.0), *hand[0], *np.full(3, 6.0)]
    for finger in range(5):
        joints = hand[1 + 4 * finger : 5 + 4 * finger]
        ends = [hand[0] if finger else joints[0], *joints]
        for begin, end in zip(ends[:-1], ends[1:], strict=True):
            cells += [*begin, *end, *np.full(3, 9.0)]
    return cells


def test_leap_motion_csv_of_two_hands_in_metres(tmp_path):
    header = ["Frame id", "timestamp", *leap_columns("L"), *leap_columns("R")]
    rows = [
        [i, 1_000_000 + 10_000 * i, *leap_row(1000.0 * hand), *leap_row(2000.0 * hand)]
        for i, hand in enumerate(HAND)
    ]
    rows[2][2 : 2 + len(leap_columns("L"))] = [""] * len(leap_columns("L"))
    motion = read(tmp_path, csv_text(rows, header))
    assert motion.fps == pytest.approx(100.0)
    assert motion.valid.tolist() == [[True, True], [True, True], [False, True], [True, True], [True, True]]
    np.testing.assert_allclose(motion.points[4], [HAND[4], 2.0 * HAND[4]])


def test_leap_motion_csv_in_the_words_of_the_api(tmp_path):
    names = ("metacarpal", "proximal", "intermediate", "distal")
    header = ["timestamp"] + [f"right_wrist_{axis}" for axis in "xyz"]
    rows = [[20_000 * i, *(1000.0 * hand[0])] for i, hand in enumerate(HAND)]
    for finger, fingers_name in enumerate(FINGERS):
        for bone, name in enumerate(names):
            header += [f"right_{fingers_name}_{name}_next_joint_{axis}" for axis in "xyz"]
            for row, hand in zip(rows, HAND, strict=True):
                row += list(1000.0 * hand[1 + 4 * finger + bone])
    motion = read(tmp_path, csv_text(rows, header))
    assert motion.fps == pytest.approx(50.0)
    np.testing.assert_allclose(motion.points[:, 0], HAND)
    assert "line 4: has 3 cells" in refusal(tmp_path, csv_text([*rows[:2], rows[2][:3]], header))
    assert "has no column of time" in refusal(tmp_path, csv_text([r[1:] for r in rows], header[1:]))
    assert read(tmp_path, csv_text([r[1:] for r in rows], header[1:]), fps=60.0).fps == 60.0


# --- Phones ---

PHYPHOX = ["Time (s)"] + [f"Acceleration {axis} (m/s^2)" for axis in "xyz"]
PHYPHOX += [f"Gyroscope {axis} (rad/s)" for axis in "xyz"]


def swinging(seconds=10.0, rate=100.0, hz=1.5, metres=0.1):
    """Time, way and acceleration of a phone that swings along x."""
    time = np.arange(round(seconds * rate)) / rate
    way = metres * np.sin(2.0 * np.pi * hz * time)
    return time, way, -((2.0 * np.pi * hz) ** 2) * way


def test_a_phone_is_a_wrist_that_moves_and_has_no_fingers(tmp_path):
    time, way, acceleration = swinging()
    rows = np.stack([time, acceleration, 0 * time, 0 * time + 9.81, 0 * time, 0 * time, 0 * time], axis=1)
    motion = read(tmp_path, csv_text(rows, [f'"{name}"' for name in PHYPHOX]))
    assert motion.fps == pytest.approx(100.0)
    wrist = motion.points[100:-100, 0, 0]
    np.testing.assert_allclose(wrist[:, 0], way[100:-100][: len(wrist)], atol=0.01)
    np.testing.assert_allclose(wrist[:, 1:], 0.0, atol=1e-3)  # gravity moves nothing
    assert np.isnan(motion.points[:, :, 1:]).all()
    features, names = motion_features(motion)
    assert np.isfinite(features[:, names.index("speed")]).all()
    assert np.isnan(features[:, names.index("flexion_index")]).all()


def test_a_phone_that_turns_while_it_swings_is_turned_back(tmp_path):
    time, way, acceleration = swinging()
    turned = 0.8 * np.sin(2.0 * np.pi * 0.7 * time)  # radians about z
    rate = 0.8 * 2.0 * np.pi * 0.7 * np.cos(2.0 * np.pi * 0.7 * time)
    # What the phone feels along its own axes: the world's x, turned back by its angle.
    rows = [
        time,
        acceleration * np.cos(turned),
        -acceleration * np.sin(turned),
        0 * time,
        0 * time,
        0 * time,
        rate,
    ]
    text = csv_text(np.stack(rows, axis=1), ["t", "ax", "ay", "az", "gx", "gy", "gz"])
    wrist = read(tmp_path, text).points[100:-100, 0, 0]
    np.testing.assert_allclose(wrist[:, 0], way[100:-100][: len(wrist)], atol=0.015)
    assert np.abs(wrist[:, 1]).max() < 0.015


def test_sensors_of_a_phone_that_report_in_turns_are_brought_together(tmp_path):
    time, way, acceleration = swinging()
    rows = []
    for i, second in enumerate(time):
        rows.append([second, acceleration[i], 0.0, 9.81, "", "", ""])
        rows.append([second + 0.002, "", "", "", 0.0, 0.0, 0.0])
    wrist = read(tmp_path, csv_text(rows, PHYPHOX)).points[100:-100, 0, 0]
    np.testing.assert_allclose(wrist[:, 0], way[100:-100][: len(wrist)], atol=0.01)


def test_broken_phone_csv_names_the_line(tmp_path):
    time, _, acceleration = swinging(seconds=1.0)
    rows = np.stack([time, acceleration, acceleration, acceleration], axis=1).tolist()
    header = PHYPHOX[:4]
    rows[40][2] = "x"
    assert "line 42: cell 3 must be a number; it is 'x'" in refusal(tmp_path, csv_text(rows, header))
    rows[40][2] = 0.0
    assert "must hold 30 samples of acceleration; it holds 9" in refusal(tmp_path, csv_text(rows[:9], header))
    assert "no column of time" in refusal(tmp_path, csv_text([row[1:] for row in rows], header[1:]))
    assert read(tmp_path, csv_text([row[1:] for row in rows], header[1:]), fps=100.0).frames > 90


# --- Our own, and what is none ---


def test_our_own_file_comes_back_whole(tmp_path):
    motion = synthetic_motion("play", seconds=1.0)
    points = motion.points.copy()
    points[3:9] = np.nan
    motion = HandMotion(points=points, fps=59.94, label="play")
    write_motion(tmp_path / "motion.npz", motion)
    back = read_motion(tmp_path / "motion.npz")
    assert (back.fps, back.label) == (59.94, "play")
    np.testing.assert_array_equal(back.points, motion.points)
    np.testing.assert_array_equal(back.valid, motion.valid)
    with pytest.raises(OutputError):
        write_motion(tmp_path / "nowhere" / "motion.npz", motion)


def test_a_broken_file_of_our_own_is_refused(tmp_path):
    write_motion(tmp_path / "motion.npz", synthetic_motion("reach", seconds=1.0))
    data = (tmp_path / "motion.npz").read_bytes()
    assert "must be an .npz of write_motion" in refusal(tmp_path, data[: len(data) // 2], "cut.npz")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    assert "must be an .npz" in refusal(tmp_path, (tmp_path / "other.npz").read_bytes(), "other.npz")
    np.savez(tmp_path / "odd.npz", hand_motion=1, points=np.zeros((2, 3)), fps=30, valid=True, label="")
    assert "is broken: points must be" in refusal(tmp_path, (tmp_path / "odd.npz").read_bytes(), "odd.npz")
    np.savez(tmp_path / "code.npz", hand_motion=np.array([{}], object))
    assert "must be an .npz" in refusal(tmp_path, (tmp_path / "code.npz").read_bytes(), "code.npz")


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "the file is empty"),
        (b" \n\t\n", "the file is empty"),
        (b"x0,y0\n\xff\xfe", "line 2: is no text"),
        (b"1,2\n3,\x004", "line 2: holds bytes of value 0"),
        (bytes(range(1, 256)) * 50, "is no text"),
        (b"a,b,c\n1,2,3\n", "has columns of no known recorder: a, b, c"),
        (b"1 2 3\n", "line 1: has 3 numbers"),
        (b"# nothing but remarks\n", "line 1: holds no data"),
        (b'"x0,y0\n', "no known recorder|header with no line|is no CSV"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path, data, message):
    import re

    assert re.search(message, refusal(tmp_path, data))


def test_a_missing_file_a_folder_and_an_unknown_format_are_refused(tmp_path):
    with pytest.raises(MotionError, match="does not exist"):
        read_motion(tmp_path / "none.csv")
    with pytest.raises(MotionError, match="is a folder"):
        read_motion(tmp_path)
    with pytest.raises(ValueError, match="format must be one of mediapipe_json.*got 'bvh'"):
        read_motion(tmp_path, format="bvh")
    assert "line 1: is no JSON" in refusal(tmp_path, csv_text(HAND.reshape(5, 63)), format="mediapipe_json")
    assert "x0, y0, z0 to" in refusal(tmp_path, "a,b\n1,2\n", format="mediapipe_csv")
    assert "must be 66 numbers" in refusal(tmp_path, "a,b\n1,2\n", format="dhg")
    assert "must have columns of the wrist" in refusal(tmp_path, "a,b\n1,2\n", format="leap_csv")
    assert "must have columns of acceleration" in refusal(tmp_path, "a,b\n1,2\n", format="imu_csv")
    for fps in (-1.0, 0, "30", np.nan):
        with pytest.raises(MotionError, match="fps must be"):
            read(tmp_path, csv_text(HAND.reshape(5, 63)), fps=fps)
    at_once = [[1e-9 * i, *hand.ravel()] for i, hand in enumerate(HAND)]
    assert "fps must be" in refusal(tmp_path, csv_text(at_once, ["time", *columns()]))
