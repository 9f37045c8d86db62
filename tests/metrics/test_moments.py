"""Rows in passing: moments as if all were there, and a sample that favours none."""

import numpy as np
import pytest

from audiozoo.metrics.moments import RowSample, RunningMoments


@pytest.mark.parametrize("offset", [0.0, 1e7])
def test_moments_are_those_of_all_rows_in_any_batches(offset):
    rng = np.random.default_rng(0)
    rows = offset + rng.standard_normal((500, 4)) @ rng.standard_normal((4, 4))
    moments = RunningMoments(4)
    for batch in np.split(rows, [1, 2, 7, 100, 101, 350]):
        moments.add(batch)
    assert moments.count == 500
    np.testing.assert_allclose(moments.mean, rows.mean(axis=0), rtol=1e-12, atol=1e-12)
    # Far from 0, sums of squares would be wrong in the first digit.
    np.testing.assert_allclose(moments.covariance, np.cov(rows.T), rtol=1e-7, atol=1e-7)


def test_a_sample_is_all_rows_as_long_as_they_fit_in_order():
    rows = np.arange(20.0).reshape(10, 2)
    sample = RowSample(10, seed=0)
    for clip in range(5):
        sample.add(rows[2 * clip : 2 * clip + 2], clip)
    clips, kept = sample.result()
    np.testing.assert_array_equal(kept, rows)
    np.testing.assert_array_equal(clips, np.repeat(np.arange(5), 2))


def test_every_row_has_the_same_chance_to_stay_and_keeps_its_clip():
    stays = np.zeros(60)
    for seed in range(400):
        sample = RowSample(12, seed)
        for clip in range(20):
            sample.add(np.arange(3.0 * clip, 3.0 * clip + 3.0)[:, None], clip)
        clips, kept = sample.result()
        assert len(kept) == 12
        np.testing.assert_array_equal(kept[:, 0] // 3, clips)
        stays[kept[:, 0].astype(int)] += 1
    # 400 draws at 12 / 60: 80 +- 8 each; the sum of their squares is chi-squared with 59 degrees of freedom.
    chi_squared = np.sum((stays - 80.0) ** 2) / (80.0 * 0.8)
    assert 59 - 4 * np.sqrt(118) < chi_squared < 59 + 4 * np.sqrt(118)


def test_memory_holds_no_more_than_twice_the_sample():
    sample, largest = RowSample(50, seed=0), 0
    for clip in range(1000):
        sample.add(np.zeros((7, 2)), clip)
        largest = max(largest, sum(len(rows) for _, _, rows in sample.batches))
    assert largest <= 107
