"""Kernel distances against the double sum, closed forms, and a distribution compared with itself."""

import numpy as np
import pytest

from audiozoo.metrics import kad, kid
from audiozoo.metrics.kernel import median_distance, squared_distances


def normal(rows, dimensions, seed, *, mean=0.0):
    return mean + np.random.default_rng(seed).standard_normal((rows, dimensions))


def double_sum(x, y, kernel):
    """Gretton et al. (2012), eq. 3, pair by pair."""
    m, n = len(x), len(y)
    xx = sum(kernel(x[i], x[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    yy = sum(kernel(y[i], y[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    xy = sum(kernel(a, b) for a in x for b in y) / (m * n)
    return xx + yy - 2.0 * xy


def test_kad_is_a_hundred_times_the_double_sum_with_the_references_median_distance():
    x, y = normal(30, 4, 1), normal(23, 4, 2, mean=0.5)
    gaps = [np.linalg.norm(x[i] - x[j]) for i in range(30) for j in range(i)]
    width = np.median(gaps)
    expected = 100.0 * double_sum(x, y, lambda a, b: np.exp(-np.sum((a - b) ** 2) / (2.0 * width**2)))
    assert kad(x, y, num_resamples=2).value == pytest.approx(expected, abs=1e-10)


def test_kid_is_the_double_sum_with_the_cubic_kernel():
    x, y = normal(30, 4, 1), normal(23, 4, 2, mean=0.5)
    expected = double_sum(x, y, lambda a, b: (a @ b / 4 + 1.0) ** 3)
    assert kid(x, y, num_resamples=2).value == pytest.approx(expected, rel=1e-10)


def test_many_blocks_are_one():
    x, y = normal(1500, 3, 1), normal(700, 3, 2, mean=0.1)
    width = 2.0
    k_xx, k_yy, k_xy = (
        np.exp(-squared_distances(a, b) / (2 * width**2)) for a, b in ((x, x), (y, y), (x, y))
    )
    expected = (k_xx.sum() - 1500) / (1500 * 1499) + (k_yy.sum() - 700) / (700 * 699) - 2.0 * k_xy.mean()
    assert kad(x, y, bandwidth=width, num_resamples=1).value == pytest.approx(100.0 * expected, abs=1e-9)


@pytest.mark.parametrize("rows", [2, 511, 512, 513, 1100])
def test_median_distance_is_scipys(rows):
    from scipy.spatial.distance import pdist

    points = normal(rows, 5, rows)
    assert median_distance(points) == pytest.approx(np.median(pdist(points)), rel=1e-9)


def test_kad_of_two_gaussians_is_the_closed_form():
    # E k(x, y) for N(0, I), N(m, I) and width s: (s^2 / (s^2 + 2))^(d / 2) exp(-|m|^2 / (2 (s^2 + 2))).
    width, dimensions, shift = 3.0, 5, 0.6
    alike = (width**2 / (width**2 + 2.0)) ** (dimensions / 2.0)
    apart = alike * np.exp(-dimensions * shift**2 / (2.0 * (width**2 + 2.0)))
    values = [
        kad(
            normal(300, dimensions, seed),
            normal(300, dimensions, 500 + seed, mean=shift),
            bandwidth=width,
            num_resamples=1,
        ).value
        for seed in range(40)
    ]
    expected = 100.0 * 2.0 * (alike - apart)
    assert np.mean(values) == pytest.approx(expected, abs=3.0 * np.std(values) / np.sqrt(40))


@pytest.mark.parametrize("score", [kad, kid])
def test_equal_distributions_read_zero_on_average(score):
    draws = [
        score(normal(30, 20, 2 * seed), normal(30, 20, 2 * seed + 1), num_resamples=1).value
        for seed in range(200)
    ]
    assert abs(np.mean(draws)) < 3.0 * np.std(draws) / np.sqrt(200)
    assert min(draws) < 0.0 < max(draws)


def test_rows_of_one_clip_do_not_count_as_pairs():
    # Each clip is one row four times. Counted as pairs, copies would move 0 by the mean of 1 - k over 3 of
    # the 119 partners of a row.
    def copies(seed):
        return np.repeat(normal(30, 20, seed), 4, axis=0)

    clip = np.repeat(np.arange(30), 4)
    groups = {"reference_groups": clip, "generated_groups": clip}
    settings = {"bandwidth": 6.0, "num_resamples": 1}
    pairs = [(copies(2 * seed), copies(2 * seed + 1)) for seed in range(100)]
    grouped = np.array([kad(*pair, **groups, **settings).value for pair in pairs])
    assert abs(grouped.mean()) < 3.0 * grouped.std() / 10.0
    alone = np.array([kad(*pair, **settings).value for pair in pairs])
    assert alone.mean() > 10.0 * alone.std() / 10.0
    once = [kad(x[::4], y[::4], **settings).value for x, y in pairs]
    np.testing.assert_allclose(grouped, once, atol=1e-9)


def test_order_of_rows_and_names_of_clips_do_not_matter():
    x, y = normal(60, 3, 1), normal(60, 3, 2)
    clip = np.repeat(np.arange(20), 3)
    order = np.random.default_rng(0).permutation(60)
    names = np.array([f"clip {number:02d}" for number in clip])
    plain = kad(x, y, reference_groups=clip, generated_groups=clip, num_resamples=1)
    mixed = kad(x[order], y, reference_groups=names[order], generated_groups=names, num_resamples=1)
    assert mixed.value == pytest.approx(plain.value, abs=1e-9)


def test_p_values_are_uniform_where_distributions_are_equal_and_small_where_not():
    alike = [
        kad(normal(40, 4, 2 * s), normal(40, 4, 2 * s + 1), num_resamples=99).p_value for s in range(100)
    ]
    # Of 100 uniform values, 25 +- 3 * 4.3 lie below 0.25.
    assert 12 <= np.sum(np.array(alike) <= 0.25) <= 38
    apart = kad(normal(60, 4, 1), normal(60, 4, 2, mean=1.0), num_resamples=99)
    assert apart.p_value == pytest.approx(0.01)
    assert apart.low > 0.0


def test_intervals_hold_the_true_value_as_often_as_they_say():
    width = 3.0
    alike = (width**2 / (width**2 + 2.0)) ** 2.5
    true = 200.0 * alike * (1.0 - np.exp(-5 * 0.5**2 / (2.0 * (width**2 + 2.0))))
    estimates = [
        kad(normal(80, 5, s), normal(80, 5, 500 + s, mean=0.5), bandwidth=width, num_resamples=99, seed=s)
        for s in range(60)
    ]
    held = sum(estimate.low <= true <= estimate.high for estimate in estimates)
    assert held >= 51  # 57 +- 3 * 1.7, and near 0 more
    assert all(estimate.low > -true for estimate in estimates)


def test_a_seed_repeats_interval_and_p_value():
    x, y = normal(40, 3, 1), normal(40, 3, 2)
    assert kid(x, y, seed=4) == kid(x, y, seed=4)
    assert kid(x, y, seed=4).low != kid(x, y, seed=5).low


def test_a_reference_without_spread_is_refused_with_its_likely_cause():
    with pytest.raises(ValueError, match="bandwidth must be positive; got 0.0.*silent clips"):
        kad(np.ones((20, 3)), normal(20, 3, 1))
    with pytest.raises(ValueError, match="bandwidth must be positive; got -1"):
        kad(normal(20, 3, 1), normal(20, 3, 2), bandwidth=-1)
