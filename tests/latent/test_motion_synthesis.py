"""Synthetic hands move by the laws that they are named after."""

import numpy as np
import pytest

from audiozoo.latent import motion_features, synthetic_motion
from audiozoo.latent.motion import CHAINS, WRIST
from audiozoo.latent.motion_synthesis import BONES, HAND_LENGTH, KINDS, hand_points, minimum_jerk, tremor


def wrist(motion):
    return motion.points[:, 0, WRIST]


def test_a_minimum_jerk_reach_rests_at_both_ends_and_is_fastest_in_the_middle():
    seconds, start, end = 0.8, np.array([0.0, 0.1, 0.0]), np.array([0.3, 0.1, 0.4])
    time = np.linspace(0.0, seconds, 4001)
    path = minimum_jerk(start, end, time / seconds)
    speed = np.linalg.norm(np.gradient(path, time, axis=0), axis=1)
    np.testing.assert_allclose(path[[0, -1]], [start, end], atol=1e-12)
    assert speed[[0, -1]].max() < 1e-3
    assert np.argmax(speed) == 2000
    assert speed[2000] == pytest.approx(1.875 * 0.5 / seconds, rel=1e-4)  # a bell, 15/8 of its mean
    np.testing.assert_allclose(speed, speed[::-1], atol=1e-6)


def test_reaches_are_bells_of_speed_one_after_the_other():
    motion = synthetic_motion("reach", seconds=20.0, fps=200.0, seed=1)
    speed = np.linalg.norm(np.diff(wrist(motion), axis=0), axis=1) * motion.fps
    peaks = (speed[1:-1] > speed[:-2]) & (speed[1:-1] >= speed[2:])
    assert 20.0 / 1.5 - 2 <= peaks.sum() <= 20.0 / 0.5 + 1
    assert np.abs(wrist(motion)).max() <= 0.25


def test_a_circle_keeps_its_distance_and_its_pace():
    path = wrist(synthetic_motion("circle", seconds=5.0, fps=100.0, seed=3))
    distance, speed = np.linalg.norm(path, axis=1), np.linalg.norm(np.diff(path, axis=0), axis=1)
    assert np.ptp(distance) < 1e-12
    assert np.ptp(speed) < 1e-9
    assert np.linalg.matrix_rank(path, tol=1e-9) == 2


def test_each_axis_of_a_lissajous_figure_has_one_frequency():
    path = wrist(synthetic_motion("lissajous", seconds=200.0, fps=20.0, seed=2))
    power = np.abs(np.fft.rfft(path * np.hanning(len(path))[:, None], axis=0)) ** 2
    peaks = np.argmax(power, axis=0)
    assert len(set(peaks)) == 3
    for axis, peak in enumerate(peaks):
        assert power[peak - 3 : peak + 4, axis].sum() > 0.999 * power[:, axis].sum()


def test_tremor_lies_between_8_and_12_hz_and_is_as_strong_as_asked():
    path = wrist(synthetic_motion("tremor", seconds=60.0, fps=100.0, seed=4))
    hz = np.fft.rfftfreq(len(path), 0.01)
    power = np.sum(np.abs(np.fft.rfft(path, axis=0)) ** 2, axis=1)
    assert 8.0 <= hz[np.argmax(power)] <= 12.0
    assert power[(hz >= 8.0) & (hz <= 12.0)].sum() > 0.999 * power.sum()
    np.testing.assert_allclose(np.sqrt(np.mean(path**2, axis=0)), 1e-3, rtol=1e-9)
    added = wrist(synthetic_motion("reach", seconds=4.0, tremor_metres=2e-3)) - wrist(
        synthetic_motion("reach", seconds=4.0)
    )
    np.testing.assert_allclose(np.sqrt(np.mean(added**2, axis=0)), 2e-3, rtol=1e-9)


def test_a_rate_that_cannot_show_tremor_has_none():
    assert not tremor(100, 10.0, np.random.default_rng(0)).any()


def test_flexion_bends_fingers_and_leaves_the_wrist():
    motion = synthetic_motion("flexion", seconds=10.0, seed=5)
    features, names = motion_features(motion)
    flexion = features[:, [name.startswith("flexion") for name in names]]
    assert not wrist(motion).any()
    assert flexion.min() >= -1e-9
    assert flexion.max() <= 1.05
    assert np.all(flexion.max(axis=0) - flexion.min(axis=0) > 0.3)
    correlations = np.corrcoef(flexion.T)[np.triu_indices(5, 1)]
    assert np.abs(correlations).max() < 0.9  # each of its own


def test_flexion_closes_the_fist_and_bones_keep_their_lengths():
    points = hand_points(np.zeros((11, 3)), np.linspace(0.0, 1.0, 11)[:, None] * np.ones(5))
    tips = np.linalg.norm(points[:, CHAINS[1:, -1]] - points[:, CHAINS[1:, 0]], axis=-1)
    assert np.all(tips[-1] < 0.45 * tips[0])
    lengths = np.linalg.norm(np.diff(points[:, CHAINS], axis=2), axis=-1)
    np.testing.assert_allclose(lengths, np.broadcast_to(HAND_LENGTH * BONES, lengths.shape), atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_alone_decides(kind):
    first, again, other = (synthetic_motion(kind, seconds=2.0, seed=seed) for seed in (7, 7, 8))
    assert (first.frames, first.fps, first.label) == (120, 60.0, kind)
    assert first.valid.all()
    np.testing.assert_array_equal(first.points, again.points)
    assert np.abs(first.points - other.points).max() > 1e-4


def test_play_moves_everything():
    features, _ = motion_features(synthetic_motion("play", seconds=30.0))
    assert np.all(features.std(axis=0) > 0.05)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"kind": "wave"}, "kind must be one of play.*got 'wave'"),
        ({"seconds": 0.0}, "seconds must be"),
        ({"fps": 0.5}, "fps must be"),
        ({"tremor_metres": -1.0}, "tremor_metres must be"),
        ({"seed": 0.5}, "seed must be"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        synthetic_motion(**arguments)
