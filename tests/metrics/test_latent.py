"""What codes say, on posteriors whose answer is known."""

import numpy as np
import pytest

from audiozoo.metrics import active_units, kl_per_dimension, prior_distance, prior_mismatch


def collapsed_and_active(rows=2000):
    """Two dimensions: one that says nothing, one that says much; together both are like the prior."""
    rng = np.random.default_rng(0)
    mean = np.stack([np.zeros(rows), np.sqrt(0.99) * rng.standard_normal(rows)], axis=1)
    return mean, np.log(np.broadcast_to([1.0, 0.01], (rows, 2)))


def test_kl_is_zero_where_nothing_is_said_and_grows_with_precision():
    mean, log_variance = collapsed_and_active()
    kl = kl_per_dimension(mean, log_variance)
    assert kl[0] == 0.0
    # Of a code that carries all but a hundredth of a standard normal value: log(1 / 0.1) nats.
    assert kl[1] == pytest.approx(np.log(10.0), rel=0.02)


def test_kl_agrees_with_torch_distributions():
    torch = pytest.importorskip("torch")
    mean, log_variance = np.random.default_rng(0).standard_normal((2, 4, 5, 3))
    normal = torch.distributions.Normal
    q = normal(torch.tensor(mean), torch.tensor(np.exp(0.5 * log_variance)))
    theirs = torch.distributions.kl_divergence(q, normal(0.0, 1.0)).mean(dim=(0, 1)).numpy()
    np.testing.assert_allclose(kl_per_dimension(mean, log_variance), theirs, rtol=1e-12)


def test_units_that_follow_the_input_are_active():
    mean, _ = collapsed_and_active()
    np.testing.assert_array_equal(active_units(mean), [False, True])
    np.testing.assert_array_equal(active_units(mean, threshold=2.0), [False, False])
    np.testing.assert_array_equal(active_units(mean.reshape(20, 100, 2)), [False, True])
    # A constant is no information, however far from 0.
    np.testing.assert_array_equal(active_units(mean + 100.0), [False, True])


def test_codes_that_together_are_the_prior_do_not_mismatch_it():
    mean, log_variance = collapsed_and_active()
    np.testing.assert_allclose(prior_mismatch(mean, log_variance), 0.0, atol=2e-3)


def test_a_mismatch_is_the_divergence_of_the_mixture_where_that_is_gaussian():
    rng = np.random.default_rng(0)
    mean = 2.0 + 0.5 * rng.standard_normal((100_000, 1))
    log_variance = np.full_like(mean, np.log(0.05))
    variance = 0.25 + 0.05
    expected = 0.5 * (4.0 + variance - 1.0 - np.log(variance))
    np.testing.assert_allclose(prior_mismatch(mean, log_variance), expected, rtol=0.02)


def test_distance_sees_a_shape_that_mean_and_variance_do_not():
    rng = np.random.default_rng(0)
    mean, log_variance = collapsed_and_active(800)
    fitting = prior_distance(mean, log_variance)
    two_humps = 0.995 * rng.choice([-1.0, 1.0], (800, 2))
    humped = prior_distance(two_humps, np.full((800, 2), np.log(0.01)))
    np.testing.assert_allclose(prior_mismatch(two_humps, np.full((800, 2), np.log(0.01))), 0.0, atol=0.02)
    assert fitting.low <= 0.0 <= fitting.high or fitting.p_value > 0.01
    assert humped.p_value < 0.02
    assert humped.value > 10 * abs(fitting.value)
    assert prior_distance(mean, log_variance) == fitting


@pytest.mark.parametrize("function", [kl_per_dimension, prior_mismatch, prior_distance])
@pytest.mark.parametrize(
    "mean, log_variance, message",
    [
        (
            np.zeros((3, 2)),
            np.zeros((3, 1)),
            r"must both be \(rows, dims\).*got shapes \(3, 2\) and \(3, 1\)",
        ),
        (np.zeros(3), np.zeros(3), r"must both be \(rows, dims\)"),
        (np.zeros((0, 2)), np.zeros((0, 2)), "not empty"),
        (np.full((3, 2), np.nan), np.zeros((3, 2)), "mean must be finite; 6 values are NaN"),
        (np.zeros((3, 2)), np.full((3, 2), np.inf), "log_variance must be finite"),
    ],
)
def test_what_is_no_posterior_is_refused(function, mean, log_variance, message):
    with pytest.raises(ValueError, match=message):
        function(mean, log_variance)


def test_a_single_row_cannot_be_active():
    with pytest.raises(ValueError, match="mean must hold at least 2 rows.*Encode more clips"):
        active_units(np.zeros((1, 4)))
