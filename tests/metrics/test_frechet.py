"""The Fréchet distance against closed forms, scipy's matrix root and its own bias."""

import numpy as np
import pytest
import scipy.linalg

from audiozoo.metrics import (
    frechet_distance,
    frechet_distance_from_moments,
    frechet_estimates,
    frechet_infinity,
)
from audiozoo.metrics.frechet import few_rows


def normal(rows, dimensions, seed, *, mean=0.0, spread=1.0):
    return mean + spread * np.random.default_rng(seed).standard_normal((rows, dimensions))


def by_matrix_root(a, b):
    root = scipy.linalg.sqrtm(np.cov(a.T) @ np.cov(b.T))
    traces = np.trace(np.cov(a.T)) + np.trace(np.cov(b.T))
    return np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2) + traces - 2.0 * np.trace(root).real


def test_moments_of_commuting_gaussians_are_the_closed_form():
    # For diagonal covariances: |m1 - m2|^2 + sum (s1 - s2)^2.
    a, b = np.array([1.0, 2.0, 0.5]), np.array([3.0, 0.1, 0.5])
    distance = frechet_distance_from_moments(np.zeros(3), np.diag(a**2), np.array([2.0, 0, 0]), np.diag(b**2))
    assert distance == pytest.approx(4.0 + np.sum((a - b) ** 2), abs=1e-12)


def test_moments_of_rotated_gaussians_are_the_closed_form_in_two_dimensions():
    # Tr sqrt(C1 C2) = sqrt(Tr(C1 C2) + 2 sqrt(det C1 det C2)) for 2 x 2 matrices.
    angle = 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    a, b = np.diag([4.0, 1.0]), turn @ np.diag([2.0, 0.3]) @ turn.T
    overlap = np.sqrt(np.trace(a @ b) + 2.0 * np.sqrt(np.linalg.det(a) * np.linalg.det(b)))
    expected = np.trace(a) + np.trace(b) - 2.0 * overlap
    assert frechet_distance_from_moments(np.zeros(2), a, np.zeros(2), b) == pytest.approx(expected, abs=1e-12)


def test_samples_of_known_gaussians_are_within_three_standard_errors():
    # N(0, 1) and N(0.5, 1.5^2) in 4 dimensions: 4 (0.5^2 + 0.5^2) = 2, plus a bias of the order of 1 / n.
    values = [
        frechet_distance(normal(4000, 4, seed), normal(4000, 4, 1000 + seed, mean=0.5, spread=1.5))
        for seed in range(30)
    ]
    assert abs(np.mean(values) - 2.0) < 3.0 * np.std(values) / np.sqrt(30) + 40.0 / 4000


def test_eigenvalues_nuclear_norm_and_matrix_root_agree_to_a_hundred_millionth():
    from audiozoo.metrics.frechet import _distance_by_nuclear_norm

    mixing = normal(8, 8, 3)
    a, b = normal(300, 8, 1) @ mixing, normal(250, 8, 2) @ mixing + 0.3
    expected = by_matrix_root(a, b)
    assert frechet_distance(a, b) == pytest.approx(expected, abs=1e-8)
    assert _distance_by_nuclear_norm(a, b) == pytest.approx(expected, abs=1e-8)


@pytest.mark.filterwarnings("ignore:.*mostly bias")
@pytest.mark.parametrize("rows_a, rows_b", [(30, 25), (30, 200), (200, 30), (30, 40)])
def test_fewer_rows_than_dimensions_agree_with_the_eigendecompositions(rows_a, rows_b):
    a, b = normal(rows_a, 40, 1), normal(rows_b, 40, 2, mean=0.2)
    by_eigenvalues = frechet_distance_from_moments(a.mean(axis=0), np.cov(a.T), b.mean(axis=0), np.cov(b.T))
    # The eigenvalues that should be 0 are known to 1e-15, their roots to 3e-8.
    assert frechet_distance(a, b) == pytest.approx(by_eigenvalues, abs=1e-5)


@pytest.mark.filterwarnings("ignore:.*mostly bias")
@pytest.mark.parametrize("rows", [20, 500])
def test_a_set_against_itself_is_zero_and_order_does_not_matter(rows):
    a, b = normal(rows, 30, 1), normal(rows, 30, 2)
    assert frechet_distance(a, a) < 1e-6
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-9)
    shuffled = a[np.random.default_rng(0).permutation(rows)]
    assert frechet_distance(shuffled, b) == pytest.approx(frechet_distance(a, b), rel=1e-9)


def test_a_rotation_of_both_sets_changes_nothing():
    rotation = np.linalg.qr(normal(10, 10, 0))[0]
    a, b = normal(300, 10, 1), normal(300, 10, 2, mean=1.0)
    assert frechet_distance(a @ rotation, b @ rotation) == pytest.approx(frechet_distance(a, b), rel=1e-9)


def test_two_sets_of_one_gaussian_read_the_bias_and_infinity_reads_zero():
    # d = 20, n = 200 on both sides: (2 d + d (d + 1) / 2) / n = 250 / n = 1.25.
    pairs = [(normal(200, 20, 2 * seed), normal(200, 20, 2 * seed + 1)) for seed in range(60)]
    plain = np.array([frechet_distance(a, b) for a, b in pairs])
    assert plain.mean() == pytest.approx(1.25, abs=3.0 * plain.std() / np.sqrt(60) + 0.02)
    infinity = [frechet_infinity(a, b, num_resamples=40, seed=seed) for seed, (a, b) in enumerate(pairs[:12])]
    assert abs(np.mean([estimate.value for estimate in infinity])) < 0.2
    # 95 % each, and conservative where sets are alike: of twelve, eleven at least.
    assert sum(estimate.low < 0.0 < estimate.high for estimate in infinity) >= 11
    assert all(estimate.low <= estimate.value <= estimate.high for estimate in infinity)


def test_infinity_finds_the_true_distance_of_sets_of_unequal_size():
    values = [
        frechet_infinity(
            normal(300, 10, seed), normal(900, 10, 100 + seed, mean=0.5), num_resamples=2, seed=seed
        ).value
        for seed in range(20)
    ]
    assert np.mean(values) == pytest.approx(2.5, abs=3.0 * np.std(values) / np.sqrt(20) + 0.02)


def test_what_draws_miss_to_one_side_is_added_on_the_other(monkeypatch):
    # Draws between 1 below and 3 above the true distance of their world: ours lies 3 below to 1 above.
    monkeypatch.setattr("audiozoo.metrics.frechet.percentile_interval", lambda draws: (-1.0, 3.0))
    estimates = frechet_estimates(normal(200, 4, 1), normal(200, 4, 2, mean=3.0), num_resamples=2)
    for estimate in (estimates.plain, estimates.infinity):
        assert estimate.low == pytest.approx(estimate.value - 3.0)
        assert estimate.high == pytest.approx(estimate.value + 1.0)


@pytest.mark.filterwarnings("ignore:.*mostly bias")
def test_intervals_draw_clips_not_rows():
    rows = np.repeat(normal(60, 5, 1), 10, axis=0), np.repeat(normal(60, 5, 2), 10, axis=0)
    clip = np.repeat(np.arange(60), 10)
    alone = frechet_infinity(*rows)
    grouped = frechet_infinity(*rows, reference_groups=clip, generated_groups=clip)
    assert grouped.high - grouped.low > 2.0 * (alone.high - alone.low)
    # Ten copies of a row say no more than one: the same distance, and 600 rows make it no surer.
    once = frechet_infinity(rows[0][::10], rows[1][::10])
    assert grouped.high - grouped.low == pytest.approx(once.high - once.low, rel=0.35)


def test_plain_interval_holds_its_value_and_a_seed_repeats_it():
    a, b = normal(250, 6, 1), normal(250, 6, 2, mean=0.4)
    first, again = (frechet_estimates(a, b, num_resamples=30, seed=7) for _ in range(2))
    assert first == again
    assert first != frechet_estimates(a, b, num_resamples=30, seed=8)
    assert 0.0 <= first.plain.low < first.plain.value < first.plain.high
    assert first.plain.value == pytest.approx(frechet_distance(a, b), rel=1e-12)


@pytest.mark.filterwarnings("ignore:.*mostly bias")
def test_small_sets_warn_with_their_size_and_large_ones_do_not(recwarn):
    with pytest.warns(UserWarning, match="reference holds 199 rows of 199 clips in 3 dimensions.*kad"):
        frechet_distance(normal(199, 3, 1), normal(200, 3, 2))
    with pytest.warns(UserWarning, match="generated holds 399 rows.*below 400 rows"):
        frechet_distance(normal(400, 200, 1), normal(399, 200, 2))
    clip = np.repeat(np.arange(60), 5)
    with pytest.warns(UserWarning, match="reference holds 300 rows of 60 clips"):
        frechet_infinity(normal(300, 3, 1), normal(300, 3, 2), reference_groups=clip, num_resamples=2)
    recwarn.clear()
    frechet_distance(normal(200, 100, 1), normal(200, 100, 2))
    assert not recwarn.list
    assert few_rows("generated", 4000, 20, clips=199)
    assert not few_rows("generated", 4000, 20, clips=200)


def test_too_few_clips_to_extrapolate_are_refused():
    clip = np.repeat(np.arange(5), 40)
    with pytest.raises(ValueError, match="generated must hold at least 6 clips.*got 5.*frechet_distance"):
        frechet_infinity(normal(200, 3, 1), normal(200, 3, 2), generated_groups=clip)
