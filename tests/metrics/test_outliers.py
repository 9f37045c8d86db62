"""Distance of a clip from the reference: calibrated, and against scikit-learn's shrinkage."""

import numpy as np
import pytest

from audiozoo.metrics.outliers import ReferenceDistance, ledoit_wolf_shrinkage


def normal(rows, dimensions, seed):
    return np.random.default_rng(seed).standard_normal((rows, dimensions))


@pytest.mark.parametrize("rows, dimensions", [(30, 60), (500, 10)])
def test_shrinkage_is_scikit_learns(rows, dimensions):
    covariance = pytest.importorskip("sklearn.covariance")
    samples = normal(rows, dimensions, 0) * np.linspace(0.3, 3.0, dimensions)
    samples -= samples.mean(axis=0)
    assert ledoit_wolf_shrinkage(samples) == pytest.approx(covariance.ledoit_wolf(samples)[1], rel=1e-9)


def test_the_reference_itself_is_at_one_whatever_its_scale_and_its_like_are_near():
    mixing = normal(10, 10, 5) * np.geomspace(1e-3, 1e3, 10)
    rows = normal(4000, 10, 1) @ mixing
    distance = ReferenceDistance(rows)
    assert distance.of(rows) == pytest.approx(1.0, rel=1e-9)
    assert distance.of(normal(4000, 10, 2) @ mixing) == pytest.approx(1.0, abs=0.05)


def test_it_is_the_mahalanobis_distance_where_rows_are_many():
    rows, clip = normal(50000, 4, 1) @ normal(4, 4, 6), normal(7, 4, 2)
    deviation = clip - rows.mean(axis=0)
    squared = np.einsum("rd,de,re->r", deviation, np.linalg.inv(np.cov(rows.T)), deviation)
    assert ReferenceDistance(rows).of(clip) == pytest.approx(np.sqrt(squared.mean() / 4), rel=0.01)


def test_a_shift_counts_in_standard_deviations():
    # d^2 = mean over dimensions of 1 + shift^2.
    distance = ReferenceDistance(normal(20000, 4, 1))
    shifted = normal(20000, 4, 2) + np.array([6.0, 0, 0, 0])
    assert distance.of(shifted) == pytest.approx(np.sqrt(1.0 + 36.0 / 4.0), rel=0.02)


def test_fewer_rows_than_dimensions_do_not_make_new_clips_look_far():
    distance = ReferenceDistance(normal(40, 100, 1))
    alike, apart = distance.of(normal(30, 100, 2)), distance.of(normal(30, 100, 3) + 1.0)
    assert 0.7 < alike < 1.5
    assert apart > 1.2 * alike


def test_a_dimension_in_which_the_reference_never_moves_is_finite_and_counts():
    rows = normal(200, 3, 1)
    rows[:, 2] = 5.0
    distance = ReferenceDistance(rows)
    assert distance.of(rows) == pytest.approx(1.0, abs=0.3)
    assert 10.0 < distance.of(rows + np.array([0.0, 0.0, 1.0])) < np.inf
    assert np.isfinite(ReferenceDistance(np.ones((5, 3))).of(np.zeros((2, 3))))
