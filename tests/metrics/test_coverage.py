"""Precision, recall, density, coverage: against the definitions, and on sets whose answer is known."""

import numpy as np
import pytest

from audiozoo.metrics import prdc


def normal(rows, seed, *, dimensions=8, mean=0.0, spread=1.0):
    return mean + spread * np.random.default_rng(seed).standard_normal((rows, dimensions))


def values(reference, generated, **settings):
    scores = prdc(reference, generated, num_resamples=2, **settings)
    return [scores.precision.value, scores.recall.value, scores.density.value, scores.coverage.value]


def by_definition(real, fake, k):
    """Naeem et al. (2020), eq. 1 to 4 and Kynkäänniemi et al. (2019), row by row."""

    def radius(rows, i):
        return np.sort(np.linalg.norm(rows - rows[i], axis=1))[k]  # the 0-th is the row itself

    gaps = np.linalg.norm(real[:, None] - fake[None], axis=2)
    in_real = gaps <= np.array([radius(real, i) for i in range(len(real))])[:, None]
    in_fake = gaps <= np.array([radius(fake, j) for j in range(len(fake))])[None]
    return [in_real.any(0).mean(), in_fake.any(1).mean(), in_real.sum(0).mean() / k, in_real.any(1).mean()]


@pytest.mark.parametrize("k", [1, 5])
def test_agrees_with_the_definitions(k):
    real, fake = normal(70, 1), normal(50, 2, mean=0.3, spread=0.8)
    np.testing.assert_allclose(values(real, fake, k=k), by_definition(real, fake, k), atol=1e-12)


def test_more_rows_than_a_block_agree_too():
    real, fake = normal(700, 1, dimensions=3), normal(600, 2, dimensions=3, mean=0.5)
    np.testing.assert_allclose(values(real, fake), by_definition(real, fake, 5), atol=1e-12)


def test_a_set_against_itself_is_perfect():
    real = normal(100, 1)
    precision, recall, density, coverage = values(real, real)
    assert (precision, recall, coverage) == (1.0, 1.0, 1.0)
    assert density == pytest.approx(1.2)  # k neighbours and the row itself, over k


def test_equal_distributions_read_one_in_density():
    # A new row is as likely to be any of the N nearest: it lies in a ball with probability k / N.
    densities = [values(normal(300, 2 * s), normal(300, 2 * s + 1))[2] for s in range(60)]
    assert np.mean(densities) == pytest.approx(1.0, abs=3.0 * np.std(densities) / np.sqrt(60))


def test_sets_far_apart_share_nothing():
    assert values(normal(100, 1), normal(100, 2, mean=100.0)) == [0.0, 0.0, 0.0, 0.0]


def test_dropping_a_mode_costs_recall_and_coverage_but_not_precision():
    both = np.concatenate([normal(200, 1), normal(200, 2, mean=50.0)])
    everything = np.concatenate([normal(200, 3), normal(200, 4, mean=50.0)])
    one_mode = normal(400, 5)
    whole, dropped = values(both, everything), values(both, one_mode)
    assert dropped[0] > 0.9 * whole[0]
    assert dropped[1] == pytest.approx(0.5 * whole[1], abs=0.05)
    assert dropped[3] == pytest.approx(0.5 * whole[3], abs=0.05)


def test_an_outlier_of_the_reference_fools_precision_but_not_density():
    real, bad = normal(300, 1), normal(300, 2, mean=8.0)
    with_outlier = np.concatenate([real, np.full((1, 8), 12.0)])
    assert values(real, bad)[0] == 0.0
    fooled = values(with_outlier, bad)
    assert fooled[0] > 0.9
    assert fooled[2] < 0.25
    # And an outlier that is generated covers nothing.
    good = np.concatenate([normal(299, 3), np.full((1, 8), 60.0)])
    assert values(real, good)[3] == pytest.approx(values(real, normal(300, 3))[3], abs=0.02)


def test_a_collapsed_generator_is_precise_and_covers_little():
    whole = values(normal(400, 1), normal(400, 2))
    precision, recall, density, coverage = values(normal(400, 1), normal(400, 2, spread=0.3))
    assert precision == 1.0 > whole[0]
    assert recall < 0.1 * whole[1]
    assert density > 2.0 * whole[2]
    assert coverage < 0.6 * whole[3]


def test_copies_within_a_clip_change_nothing():
    real, fake = normal(150, 1), normal(150, 2)
    clip = np.repeat(np.arange(150), 8)
    copies = [np.repeat(rows, 8, axis=0) for rows in (real, fake)]
    groups = {"reference_groups": clip, "generated_groups": clip}
    np.testing.assert_allclose(values(*copies, **groups), values(real, fake), atol=1e-12)
    assert values(*copies)[0] < 0.02  # taken for independent, copies shrink the balls to nothing


def test_density_of_clips_whose_rows_are_alike_is_one_on_average_too():
    def clips(seed):
        return np.repeat(normal(100, seed), 6, axis=0) + 0.3 * normal(600, 1000 + seed)

    clip = np.repeat(np.arange(100), 6)
    groups = {"reference_groups": clip, "generated_groups": clip}
    densities = [values(clips(2 * s), clips(2 * s + 1), **groups)[2] for s in range(40)]
    assert np.mean(densities) == pytest.approx(1.0, abs=3.0 * np.std(densities) / np.sqrt(40))


def test_equal_rows_lie_in_each_others_balls():
    # Silent clips embed to one and the same row, far from all others.
    real = np.concatenate([normal(100, 1), np.full((30, 8), -1e3)])
    fake = np.concatenate([normal(100, 2), np.full((30, 8), -1e3)])
    scores, without = values(real, fake), values(normal(100, 1), normal(100, 2))
    assert scores[0] * 130 == pytest.approx(without[0] * 100 + 30)
    assert scores[3] * 130 == pytest.approx(without[3] * 100 + 30)


def test_intervals_hold_their_values_and_repeat():
    first, again = (prdc(normal(200, 1), normal(200, 2, mean=0.3), seed=3) for _ in range(2))
    assert first == again
    for score in (first.precision, first.recall, first.density, first.coverage):
        assert score.low < score.value < score.high
    # A share p of n rows has a standard error of sqrt(p (1 - p) / n).
    share = first.precision
    expected = 2.0 * 1.96 * np.sqrt(share.value * (1.0 - share.value) / 200)
    assert share.high - share.low == pytest.approx(expected, rel=0.25)


@pytest.mark.parametrize("k", [0, 10, -1])
def test_a_k_that_no_row_has_neighbours_for_is_refused(k):
    with pytest.raises(ValueError, match=f"k must be between 1 and 9,.*got {k}"):
        prdc(normal(10, 1), normal(10, 2), k=k)
