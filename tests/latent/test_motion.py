"""Hands in one form: what is refused, gaps, other rates, and features whose values are known."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from audiozoo.errors import MotionError
from audiozoo.latent import HandMotion, hand_points, motion_features
from audiozoo.latent.motion import FEATURES

FLAT, FIST = np.zeros(5), np.ones(5)


def still(flexion, frames=10, **pose):
    points = hand_points(np.zeros((frames, 3)), np.tile(flexion, (frames, 1)), **pose)
    return HandMotion(points=points[:, None], fps=50.0)


def moving(path, fps=50.0):
    return HandMotion(points=hand_points(path, np.zeros((len(path), 5)))[:, None], fps=fps)


def named(motion):
    features, names = motion_features(motion)
    return dict(zip(names, features.T, strict=True))


@pytest.mark.parametrize(
    "points, fps, valid, message",
    [
        (
            np.zeros((4, 21, 3)),
            30,
            None,
            r"points must be \(frames, hands, 21, 3\).*got \(4, 21, 3\).*\[:, None",
        ),
        (np.zeros((0, 1, 21, 3)), 30, None, "at least one frame"),
        ("hand", 30, None, "points must be numbers"),
        (np.full((1, 1, 21, 3), np.inf), 30, None, "frame 0 is infinite"),
        (np.zeros((4, 1, 21, 3)), 0, None, "fps must be above 0.*got 0"),
        (np.zeros((4, 1, 21, 3)), "30", None, "fps must be.*got '30'"),
        (np.zeros((4, 1, 21, 3)), np.nan, None, "fps must be.*got nan"),
        (
            np.zeros((4, 1, 21, 3)),
            30,
            np.ones((4, 2), bool),
            r"valid must be bool \(4, 1\).*got bool \(4, 2\)",
        ),
        (np.full((4, 1, 21, 3), np.nan), 30, np.ones((4, 1), bool), "frame 0 of hand 0 has none"),
    ],
)
def test_what_is_no_motion_is_refused(points, fps, valid, message):
    with pytest.raises(MotionError, match=message):
        HandMotion(points=points, fps=fps, valid=valid)


def test_a_hand_that_is_not_seen_has_no_points():
    points = np.zeros((4, 2, 21, 3))
    valid = np.array([[True, False]] * 4)
    motion = HandMotion(points=points, fps=30, valid=valid)
    assert np.isnan(motion.points[:, 1]).all()
    assert np.isfinite(motion.points[:, 0]).all()
    assert np.isfinite(points).all()  # those that were handed over are as they were
    assert motion.seconds == pytest.approx(4 / 30)
    with pytest.raises(ValueError, match="read-only"):
        motion.points[0] = 0.0


def test_without_valid_a_hand_is_seen_where_its_wrist_is_known():
    points = np.zeros((3, 1, 21, 3))
    points[1, 0, 0, 2] = np.nan
    points[2, 0, 5] = np.nan  # a single point that is lacking does not hide the hand
    assert HandMotion(points=points, fps=30).valid[:, 0].tolist() == [True, False, True]


def test_short_gaps_are_filled_smoothly_and_long_ones_and_ends_are_not():
    time = np.arange(100) / 50.0
    path = np.stack([np.sin(2.0 * np.pi * time), time, np.zeros(100)], axis=1)
    whole = moving(path)
    points = whole.points.copy()
    points[:3], points[20:30], points[50:70] = np.nan, np.nan, np.nan  # the middle one lasts 0.2 s
    filled = HandMotion(points=points, fps=50.0).with_gaps_filled(0.25)
    assert np.flatnonzero(~filled.valid[:, 0]).tolist() == [0, 1, 2, *range(50, 70)]
    np.testing.assert_allclose(filled.points[20:30], whole.points[20:30], atol=0.06)
    assert not np.allclose(filled.points[20:30, 0, 0, 0], np.linspace(path[19, 0], path[30, 0], 12)[1:-1])


@pytest.mark.parametrize("fps", [125.0, 50.0, 20.0])
def test_another_rate_shows_the_same_movement(fps):
    time = np.arange(151) / 50.0
    resampled = moving(np.stack([np.sin(2.0 * np.pi * time), time, 0 * time], axis=1)).resampled(fps)
    new_time = np.arange(1 + 3 * fps) / fps
    assert (resampled.fps, resampled.frames) == (fps, len(new_time))
    inner = slice(5, -5)
    # What 20 frames a second can still show loses little: the Gaussian halves 10 Hz, and 1 Hz by 0.7 %.
    np.testing.assert_allclose(
        resampled.points[inner, 0, 0, 0], np.sin(2.0 * np.pi * new_time)[inner], atol=0.012
    )


def test_what_a_lower_rate_cannot_show_is_smoothed_away_not_folded():
    time = np.arange(600) / 100.0
    shaking = moving(np.stack([np.sin(2.0 * np.pi * 19.0 * time), 0 * time, 0 * time], axis=1), fps=100.0)
    assert np.abs(shaking.resampled(20.0).points[5:-5, 0, 0, 0]).max() < 0.1  # sampled, it would be 1 Hz


def test_a_frame_beside_a_gap_is_known_at_another_rate_only_between_known_ones():
    points = np.zeros((6, 1, 21, 3))
    points[3] = np.nan
    known = HandMotion(points=points, fps=10.0).resampled(20.0).valid[:, 0]
    assert known.tolist() == [True] * 5 + [False] * 3 + [True] * 3


def test_a_single_frame_can_be_resampled_and_has_features():
    motion = still(FLAT, frames=1)
    assert motion.resampled(100.0).frames == 1
    assert named(motion)["speed"] == [0.0]


def test_a_flat_hand_is_not_bent_however_spread_and_a_fist_is():
    for spread in (0.0, 0.5, 1.0):
        features = named(still(FLAT, spread=spread))
        for finger in ("thumb", "index", "middle", "ring", "pinky"):
            np.testing.assert_allclose(features[f"flexion_{finger}"], 0.0, atol=1e-9)
    fist = named(still(FIST))
    for finger in ("thumb", "index", "middle", "ring", "pinky"):
        np.testing.assert_allclose(fist[f"flexion_{finger}"], 1.0, atol=0.02)


def test_half_bent_fingers_are_about_half_bent_each_by_itself():
    features = named(still([0.0, 0.5, 0.0, 0.25, 0.0]))
    assert features["flexion_index"][0] == pytest.approx(0.5, abs=0.01)
    assert features["flexion_ring"][0] == pytest.approx(0.25, abs=0.01)
    assert features["flexion_middle"][0] == pytest.approx(0.0, abs=1e-9)


def test_spread_fingers_are_wider_and_a_touching_thumb_pinches():
    wide, narrow = (named(still(FLAT, spread=spread))["spread"][0] for spread in (1.0, 0.0))
    assert wide > 1.5 * narrow
    motion = still(FLAT)
    points = motion.points.copy()
    points[:, :, 4] = points[:, :, 8]
    assert named(HandMotion(points=points, fps=50.0))["pinch"][0] == 0.0
    assert named(motion)["pinch"][0] > 0.5


def test_the_palm_of_a_right_hand_that_lies_down_points_down():
    features = named(still(FLAT))
    normal = [features[f"palm_normal_{axis}"][0] for axis in "xyz"]
    np.testing.assert_allclose(normal, [0.0, 0.0, -1.0], atol=1e-12)


def test_speed_is_that_of_the_wrist_in_hand_lengths():
    path = np.outer(np.arange(20) / 50.0, [0.09, 0.0, 0.0])  # a hand length a second
    features = named(moving(path))
    np.testing.assert_allclose(features["speed"], 1.0, atol=1e-9)
    np.testing.assert_allclose(features["quantity_of_motion"], 1.0, atol=1e-9)
    np.testing.assert_allclose(features["position_x"], np.arange(20) / 50.0, atol=1e-12)


def test_fingers_that_move_alone_are_motion_without_speed():
    flexion = np.tile(np.linspace(0.0, 1.0, 50)[:, None], (1, 5))
    motion = HandMotion(points=hand_points(np.zeros((50, 3)), flexion)[:, None], fps=50.0)
    features = named(motion)
    assert np.all(features["speed"] == 0.0)
    assert np.all(features["quantity_of_motion"] > 0.3)


def test_turning_and_scaling_a_recording_leaves_what_the_hand_does():
    rng = np.random.default_rng(0)
    path, flexion = rng.standard_normal((40, 3)).cumsum(0), rng.uniform(0, 1, (40, 5))
    points = hand_points(0.01 * path, flexion)
    rotation = Rotation.from_euler("xyz", [0.3, 1.2, -0.7]).as_matrix()
    here = named(HandMotion(points=points[:, None], fps=60.0))
    there = named(HandMotion(points=1000.0 * points[:, None] @ rotation.T, fps=60.0))
    for name in FEATURES[6:]:
        np.testing.assert_allclose(there[name], here[name], rtol=1e-9, atol=1e-9)
    for vector in ("position", "palm_normal"):
        a, b = (np.stack([which[f"{vector}_{axis}"] for axis in "xyz"], axis=1) for which in (here, there))
        np.testing.assert_allclose(b, a @ rotation.T, atol=1e-9)


def test_a_missing_hand_has_no_features_and_the_other_is_not_touched():
    points = np.tile(still(FLAT, frames=40).points, (1, 2, 1, 1))
    points[:20, 1] = np.nan
    features, names = motion_features(HandMotion(points=points, fps=30.0))
    assert names[0] == "hand_1 / position_x"
    assert len(names) == features.shape[1] == 2 * len(FEATURES)
    assert np.isfinite(features[:, :15]).all()
    assert np.isnan(features[:20, 15:]).all()
    assert np.isfinite(features[20:, 15:]).all()


def test_one_point_alone_has_a_place_and_a_speed():
    points = np.full((10, 1, 21, 3), np.nan)
    points[:, 0, 0] = np.arange(10)[:, None]
    features = named(HandMotion(points=points, fps=1.0))
    np.testing.assert_allclose(features["speed"], np.sqrt(3.0))
    assert np.isnan(features["flexion_index"]).all()
    assert np.isnan(features["quantity_of_motion"]).all()


def test_features_of_something_else_are_refused():
    with pytest.raises(MotionError, match="motion must be a HandMotion; got ndarray"):
        motion_features(np.zeros((3, 1, 21, 3)))
