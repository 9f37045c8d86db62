"""Descriptors of a code's frames, and correlations: planted ones are found, absent ones are not."""

import numpy as np
import pytest
from scipy import stats

from audiozoo.latent.descriptors import (
    NAMES,
    distance_correlation,
    frame_descriptors,
    linear_probe,
    spearman,
)


def rows(seed=0, *, clips=60, frames=10, noise=0.1):
    """Codes of four numbers; of the descriptors the first goes along with number 0, the last is of itself.

    The third depends on the square of number 2. Frames of one clip are alike.
    """
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(clips), frames)
    codes = rng.standard_normal((clips, 4))[groups] + 0.1 * rng.standard_normal((clips * frames, 4))
    wander = rng.standard_normal((clips, 4))[groups] * noise
    found = np.stack([np.exp(codes[:, 0]), -codes[:, 1], codes[:, 2] ** 2, 0 * groups], axis=1) + wander
    found[:, 3] = rng.standard_normal(clips)[groups]
    return codes, found, groups


def test_a_sine_is_described_at_every_frame():
    t = np.arange(22050) / 22050
    found = frame_descriptors(
        0.5 * np.sin(2 * np.pi * 1000 * t), sample_rate=22050, hop=500, frames=45, pitch="yin"
    )
    assert found.shape == (45, len(NAMES))
    middle = dict(zip(NAMES, found[10:-10].T, strict=True))
    np.testing.assert_allclose(middle["loudness"], 20 * np.log10(0.5 / np.sqrt(2)), atol=0.1)
    np.testing.assert_allclose(middle["centroid"], np.log2(1000), atol=0.02)
    np.testing.assert_allclose(middle["f0"], np.log2(1000), atol=0.02)
    np.testing.assert_allclose(middle["zero crossings"], 2000 / 22050, rtol=0.02)
    assert middle["flatness"].max() < 1e-3


def test_silence_has_a_loudness_and_nothing_else():
    found = frame_descriptors(np.zeros(8000), sample_rate=8000, hop=64, frames=125, pitch="yin")
    np.testing.assert_array_equal(found[:, 0], -100.0)
    assert np.isnan(found[:, 1:]).all()


def test_a_code_may_have_a_frame_more_than_the_analysis():
    sound = np.random.default_rng(0).uniform(-0.1, 0.1, 1000)
    found = frame_descriptors(sound, sample_rate=8000, hop=100, frames=15, pitch=None)
    np.testing.assert_array_equal(found[11:], found[[10] * 4])
    assert np.isnan(found[:, -1]).all()


def test_spearman_agrees_with_scipy_and_finds_what_is_planted():
    codes, found, groups = rows()
    result = spearman(codes, found, groups)
    expected = stats.spearmanr(np.hstack([codes, found])).statistic[:4, 4:]
    np.testing.assert_allclose(result.value, expected, atol=1e-12)
    assert result.low[0, 0] > 0.9
    assert result.high[1, 1] < -0.9
    assert np.all((result.low <= result.value) & (result.value <= result.high))
    assert np.all((result.low[:, 3] < 0) & (result.high[:, 3] > 0))  # of itself: no interval without 0


def test_intervals_of_what_is_absent_hold_zero_as_often_as_they_say():
    inside = [
        (result.low < 0) & (result.high > 0)
        for result in (spearman(*rows(seed)[:1], rows(seed + 1000)[1], rows(seed)[2]) for seed in range(25))
    ]
    assert 0.9 < np.mean(inside) <= 1.0  # of 400; taken for independent, frames would say it of a third


def test_ties_and_a_dimension_that_never_changes():
    codes, found, groups = rows()
    codes[:, 0], found[:, 0] = np.round(codes[:, 0]), np.round(found[:, 0])
    codes[:, 3] = 1.0
    result = spearman(codes, found, groups, num_resamples=5)
    assert result.value[0, 0] == pytest.approx(stats.spearmanr(codes[:, 0], found[:, 0]).statistic)
    assert np.isnan(result.value[3]).all()
    assert np.isnan(distance_correlation(codes, found, groups, num_resamples=5).value[3]).all()
    assert np.isfinite(linear_probe(codes, found, groups).value).all()


def test_distance_correlation_finds_what_ranks_cannot():
    codes, found, groups = rows(clips=400)
    result = distance_correlation(codes, found, groups)
    assert result.value[0, 0] > 0.9
    assert result.low[2, 2] > 0.3
    assert abs(spearman(codes, found, groups).value[2, 2]) < 0.2
    assert result.low[1, 3] < 0 < result.high[1, 3]
    again = distance_correlation(codes, found, groups)
    np.testing.assert_array_equal(result.value, again.value)


def test_distance_correlation_is_what_its_definition_says():
    # Szekely and Rizzo (2014), eq. 2.4 and 3.1, entry by entry; of a Gaussian pair, their 2007 theorem 7.
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 12))

    def u_centred(values):
        a, n = np.abs(values[:, None] - values[None]), len(values)
        total = a.sum() / ((n - 1) * (n - 2))
        return np.array(
            [
                [0.0 if i == j else a[i, j] - a[i].sum() / (n - 2) - a[:, j].sum() / (n - 2) + total
                 for j in range(n)]
                for i in range(n)
            ]
        )  # fmt: skip

    a, b = u_centred(x), u_centred(y)
    square = np.sum(a * b) / np.sqrt(np.sum(a * a) * np.sum(b * b))
    found = distance_correlation(x[:, None], y[:, None], np.arange(12), num_resamples=2).value[0, 0]
    assert found == pytest.approx(np.sign(square) * np.sqrt(abs(square)), rel=1e-4)
    rho = 0.6
    x = rng.standard_normal((500, 20))
    y = rho * x + np.sqrt(1 - rho**2) * rng.standard_normal((500, 20))
    diagonal = np.diag(distance_correlation(x, y, np.arange(500), num_resamples=2).value)
    theory = rho * np.arcsin(rho) + np.sqrt(1 - rho**2) - rho * np.arcsin(rho / 2) - np.sqrt(4 - rho**2) + 1
    assert np.mean(diagonal**2) == pytest.approx(theory / (1 + np.pi / 3 - np.sqrt(3)), abs=0.03)


def test_a_linear_probe_reads_what_is_said_plainly():
    codes, found, groups = rows(clips=200)
    mixed = codes @ np.linalg.qr(np.random.default_rng(1).standard_normal((4, 4)))[0]  # no number alone
    result = linear_probe(mixed, found, groups)
    assert result.value[1] == pytest.approx(1.0 / (1.0 + 0.1**2), abs=0.01)
    assert abs(result.value[2]) < 0.2  # a square is not linear
    assert result.value[3] < 0.05  # an own number for each clip is not learned by heart
    assert np.all((result.low <= result.value) & (result.value <= result.high))


def test_frames_without_a_value_are_left_out():
    codes, found, groups = rows()
    holes = found.copy()
    holes[::3, 0] = np.nan
    kept = np.isfinite(holes[:, 0])
    whole = spearman(codes[kept], found[kept], groups[kept], num_resamples=3)
    np.testing.assert_allclose(
        spearman(codes, holes, groups, num_resamples=3).value[:, 0], whole.value[:, 0], atol=1e-12
    )
    holes[groups > 4, 0] = np.nan  # in five groups only
    for measure in (spearman, distance_correlation, linear_probe):
        assert np.isnan(measure(codes, holes, groups, num_resamples=3).value[..., 0]).all()


@pytest.mark.parametrize("measure", [spearman, distance_correlation, linear_probe])
def test_what_does_not_fit_is_refused(measure):
    codes, found, groups = rows()
    with pytest.raises(ValueError, match=r"of equal rows; got shapes \(600, 4\), \(599, 4\)"):
        measure(codes, found[1:], groups)
    with pytest.raises(ValueError, match="codes must be finite; 4 values"):
        measure(np.where(np.arange(600)[:, None] == 3, np.nan, codes), found, groups)
    with pytest.raises(ValueError, match="groups must be at least 8, .* got 2. Add recordings"):
        measure(codes, found, groups > 3)
