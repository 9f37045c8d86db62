"""Ways through a code: correlations as asked, ends where they should be, every seed repeats."""

import numpy as np
import pytest

from audiozoo.latent import (
    align,
    between,
    gaussian_process,
    informative_basis,
    linear_path,
    lissajous,
    morph,
    ornstein_uhlenbeck,
    perceptual_path_length,
    spherical_path,
    spline,
    sweep,
    total_variation,
)

RANDOM = [gaussian_process, ornstein_uhlenbeck]


def correlation(way, lag):
    """Of values so many frames apart, over all dimensions; mean and variance are known to be 0 and 1."""
    return np.mean(way[lag:] * way[: len(way) - lag])


@pytest.mark.parametrize("way", RANDOM)
@pytest.mark.parametrize("time", [0.5, 5, 20.5])
def test_random_ways_have_unit_variance_from_the_first_frame_on(way, time):
    values = np.stack([way(10, 400, correlation_frames=time, seed=seed) for seed in range(50)])
    np.testing.assert_allclose(values.mean(axis=(0, 2)), 0.0, atol=0.04)
    np.testing.assert_allclose(values.var(axis=(0, 2)), 1.0, atol=0.05)


@pytest.mark.parametrize("time", [4, 25])
def test_correlation_times_are_those_asked_for(time):
    smooth = gaussian_process(4000, 400, correlation_frames=time, seed=1)
    rough = ornstein_uhlenbeck(4000, 400, correlation_frames=time, seed=1)
    for lag in (time // 2, time, 2 * time):
        assert correlation(smooth, lag) == pytest.approx(np.exp(-0.5 * (lag / time) ** 2), abs=0.02)
        assert correlation(rough, lag) == pytest.approx(np.exp(-lag / time), abs=0.02)
    # Mean square of the step, 2 (1 - r(1)): the smooth one moves far less from frame to frame.
    assert np.mean(np.diff(smooth, axis=0) ** 2) == pytest.approx(2 - 2 * np.exp(-0.5 / time**2), rel=0.05)
    assert np.mean(np.diff(rough, axis=0) ** 2) == pytest.approx(2 - 2 * np.exp(-1 / time), rel=0.05)


@pytest.mark.parametrize("way", RANDOM)
def test_one_seed_is_one_way(way):
    first, again, other = (way(50, 3, correlation_frames=5, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)
    assert abs(np.corrcoef(way(5000, 2, correlation_frames=5).T)[0, 1]) < 0.1


def test_a_spline_meets_its_anchors_and_has_no_kink():
    anchors = np.random.default_rng(0).standard_normal((5, 3))
    way = spline(anchors, 401)
    np.testing.assert_allclose(way[::100], anchors, atol=1e-12)
    assert np.abs(np.diff(way, 2, axis=0)).max() < 1e-2
    np.testing.assert_allclose(spline([[0.0], [1.0]], 5)[:, 0], np.linspace(0, 1, 5), atol=1e-12)


def test_lissajous_is_closed_and_of_unit_variance():
    way = lissajous(300, 4)
    np.testing.assert_allclose(way.var(axis=0), 1.0)
    np.testing.assert_allclose(way.T @ way / 300, np.eye(4), atol=1e-12)
    assert np.linalg.norm(way[0] - way[-1]) < 3.0 * np.linalg.norm(way[1] - way[0])
    circle = lissajous(100, 2, cycles=[3, 3], phases=[0.0, np.pi / 2])
    np.testing.assert_allclose(np.linalg.norm(circle, axis=1), np.sqrt(2.0))


def test_warping_brings_together_what_belongs_together():
    step = np.repeat([[0.0, 0.0], [1.0, 2.0], [5.0, 5.0]], [10, 20, 30], axis=0)
    late = np.repeat([[0.0, 0.0], [1.0, 2.0], [5.0, 5.0]], [30, 20, 20], axis=0)
    warped, evenly = align(step, late), align(step, late, method="resample")
    assert warped[0].shape == warped[1].shape == (70, 2)
    assert np.abs(warped[0] - warped[1]).max() < 1e-9
    assert np.abs(evenly[0] - evenly[1]).max() > 1.0
    for pair in (warped, evenly):
        np.testing.assert_allclose([way[[0, -1]] for way in pair], [step[[0, -1]], late[[0, -1]]])
    assert align(step, late, frames=12)[0].shape == (12, 2)


def test_between_keeps_the_norm_on_the_arc_where_the_line_sags():
    a, b = np.random.default_rng(0).standard_normal((2, 30, 64))
    a, b = (way / np.linalg.norm(way, axis=1, keepdims=True) for way in (a, b))
    arc = between(a, b, [0.0, 0.5, 1.0], method="resample")
    line = between(a, b, [0.0, 0.5, 1.0], spherical=False, method="resample")
    np.testing.assert_allclose(np.linalg.norm(arc, axis=2), 1.0)
    assert np.linalg.norm(line[1], axis=1).max() < 0.9
    np.testing.assert_allclose(arc[[0, 2]], [a, b], atol=1e-12)


def test_a_morph_passes_over_from_one_to_the_other():
    a, b = np.full((20, 3), 1.0), np.full((40, 3), 3.0)
    for spherical in (True, False):
        way = morph(a, b, spherical=spherical)
        np.testing.assert_allclose(way[:, 0], np.linspace(1.0, 3.0, 40))
    np.testing.assert_allclose(morph(a[:1], b[:1]), a[:1])


def test_a_sweep_moves_one_coordinate_and_no_other():
    codes = np.random.default_rng(0).standard_normal((500, 4)) * [4.0, 3.0, 2.0, 1.0]
    basis = informative_basis(codes)
    places, swept = sweep(basis, 1, around=codes[:6])
    np.testing.assert_allclose(places, [-3, -2, -1, 0, 1, 2, 3])
    moved = (basis.coordinates(swept) - basis.coordinates(codes[:6])) / basis.deviations
    np.testing.assert_allclose(moved[..., 1], np.repeat(places[:, None], 6, axis=1), atol=1e-9)
    np.testing.assert_allclose(np.delete(moved, 1, axis=2), 0.0, atol=1e-9)
    np.testing.assert_allclose(sweep(basis, 0)[1][3], basis.centre[None])


def test_path_length_is_the_squared_speed():
    start, end = np.random.default_rng(0).standard_normal((2, 10, 8))

    def line(positions):
        return linear_path(start, end, positions)

    lengths = perceptual_path_length(lambda codes: 2.0 * codes, line)
    np.testing.assert_allclose(lengths, 4.0 * np.sum((end - start) ** 2), rtol=1e-6)
    # On the arc between unit vectors it is the squared angle.
    a, b = (vector[0] / np.linalg.norm(vector[0]) for vector in (start, end))
    arc = perceptual_path_length(lambda codes: codes, lambda t: spherical_path(a, b, t), epsilon=1e-4)
    np.testing.assert_allclose(arc, np.arccos(a @ b) ** 2, rtol=1e-4)
    np.testing.assert_array_equal(
        perceptual_path_length(np.sin, line, seed=3), perceptual_path_length(np.sin, line, seed=3)
    )


def test_total_variation_counts_detours_twice():
    assert total_variation([1.0, 2.0, 5.0]) == 4.0
    assert total_variation([1.0, 6.0, 5.0]) == 6.0
    assert total_variation([3.0]) == 0.0


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: gaussian_process(0, 2, correlation_frames=3), "frames must be a whole number of at least 1"),
        (lambda: gaussian_process(5, 2, correlation_frames=0), "correlation_frames must be a number between"),
        (lambda: ornstein_uhlenbeck(5, 2.5, correlation_frames=1), "dims must be a whole number"),
        (lambda: gaussian_process(5, 2, correlation_frames=1, seed=-1), "seed must be a whole number"),
        (lambda: spline(np.ones((1, 3)), 9), "anchors must be at least 2; got 1"),
        (lambda: spline(np.ones((5, 3)), 4), "frames must be a whole number of at least 5; got 4"),
        (lambda: lissajous(10, 6), "frames must be at least 12, two for each cycle; got 10"),
        (lambda: lissajous(10, 2, cycles=[1.5, 1]), "cycles must be 2 whole numbers"),
        (lambda: align(np.ones((3, 2)), np.ones((3, 4))), "codes of one size; got 2 and 4"),
        (
            lambda: align(np.ones((3, 2)), np.ones((3, 2)), method="hope"),
            "method must be one of dtw, resample",
        ),
        (lambda: align(np.full((3, 2), np.inf), np.ones((3, 2))), "a must be finite"),
        (lambda: between(np.ones((3, 2)), np.ones((3, 2)), [0.5, 1.5]), "positions must be numbers between"),
        (lambda: perceptual_path_length(abs, abs, epsilon=0), "epsilon must be a number between"),
        (lambda: total_variation([1.0, np.nan]), "values must be finite"),
        (lambda: sweep(informative_basis(np.eye(3)), 3), "dimension must be at most 2; got 3"),
    ],
)
def test_wrong_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
