"""The parts of a variational loss against integration, torch.distributions and scipy."""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from cases import assert_gradient_matches_differences, gradient_of, numpy_of
from keras import ops

from audiozoo.losses import (
    bernoulli_negative_log_likelihood,
    beta_vae_loss,
    gaussian_negative_log_likelihood,
    kl_per_dimension,
    kl_to_standard_normal,
    with_free_bits,
)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


@pytest.mark.parametrize("mean, log_variance", [(0.0, 0.0), (1.5, -2.0), (-0.3, 1.0), (4.0, -6.0)])
def test_kl_is_the_integral_that_it_stands_for(mean, log_variance):
    deviation = np.exp(0.5 * log_variance)

    def integrand(x):
        q = scipy.stats.norm.logpdf(x, mean, deviation)
        return np.exp(q) * (q - scipy.stats.norm.logpdf(x))

    integral, _ = scipy.integrate.quad(integrand, mean - 12 * deviation, mean + 12 * deviation)
    assert float(kl_to_standard_normal(mean, log_variance)) == pytest.approx(integral, rel=1e-5, abs=1e-7)


def test_kl_agrees_with_torch_distributions_elementwise():
    torch = pytest.importorskip("torch")
    mean, log_variance = noise(3, 5, 4), noise(3, 5, 4, seed=1)
    normal = torch.distributions.Normal
    q = normal(torch.tensor(mean), torch.tensor(np.exp(0.5 * log_variance)))
    theirs = torch.distributions.kl_divergence(q, normal(0.0, 1.0)).numpy()
    np.testing.assert_allclose(numpy_of(kl_to_standard_normal(mean, log_variance)), theirs, rtol=1e-5)
    np.testing.assert_allclose(
        numpy_of(kl_per_dimension(mean, log_variance)), theirs.mean(axis=(0, 1)), rtol=1e-5
    )


def test_kl_is_zero_for_the_prior_alone():
    assert float(kl_to_standard_normal(0.0, 0.0)) == 0.0
    assert numpy_of(kl_to_standard_normal(noise(100), noise(100, seed=1))).min() > 0.0


def test_free_bits_count_what_a_dimension_may_say_and_no_less():
    kl = np.array([0.0, 0.04, 0.3, 2.0], "float32")
    assert float(with_free_bits(ops.convert_to_tensor(kl), 0.05)) == pytest.approx(0.05 + 0.05 + 0.3 + 2.0)
    assert float(with_free_bits(ops.convert_to_tensor(kl), 0.0)) == pytest.approx(2.34)
    gradient = gradient_of(lambda x: with_free_bits(x, 0.05), kl)
    np.testing.assert_array_equal(gradient, [0.0, 0.0, 1.0, 1.0])


def test_beta_weighs_the_divergence_against_the_mean_reconstruction():
    reconstruction, kl = np.array([1.0, 3.0], "float32"), np.array([0.01, 0.5], "float32")
    loss = beta_vae_loss(*map(ops.convert_to_tensor, (reconstruction, kl)), beta=4.0, free_bits=0.1)
    assert float(loss) == pytest.approx(2.0 + 4.0 * 0.6)


def test_bernoulli_agrees_with_scipy():
    target = np.random.default_rng(0).integers(0, 2, (3, 4, 5))
    logits = 3.0 * noise(3, 4, 5)
    probability = 1.0 / (1.0 + np.exp(-logits.astype("float64")))
    expected = -scipy.stats.bernoulli.logpmf(target, probability).sum(axis=(1, 2))
    found = numpy_of(
        bernoulli_negative_log_likelihood(ops.convert_to_tensor(target.astype("float32")), logits)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_bernoulli_is_exact_where_a_probability_would_be_0_or_1():
    logits = np.array([[-200.0, 0.0, 200.0]], "float32")
    wrong, right = np.array([[1.0, 0.5, 0.0]], "float32"), np.array([[0.0, 0.5, 1.0]], "float32")
    found = [float(bernoulli_negative_log_likelihood(target, logits)[0]) for target in (wrong, right)]
    np.testing.assert_allclose(found, [400.0 + np.log(2), np.log(2)], rtol=1e-6)
    assert np.all(
        np.isfinite(gradient_of(lambda x: ops.sum(bernoulli_negative_log_likelihood(wrong, x)), logits))
    )


def test_bernoulli_of_audio_has_no_minimum():
    # A sample of -0.5: the further its logit falls, the better, for ever.
    target = np.full((1, 1), -0.5, "float32")
    losses = [
        float(bernoulli_negative_log_likelihood(target, np.full((1, 1), logit, "float32"))[0])
        for logit in (0.0, -10.0, -1e3, -1e6)
    ]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == pytest.approx(-5e5)


@pytest.mark.parametrize("log_variance", [0.0, -2.0, noise(2, 6, seed=2)])
def test_gaussian_agrees_with_scipy(log_variance):
    target, mean = noise(2, 6), noise(2, 6, seed=1)
    deviation = np.exp(0.5 * np.asarray(log_variance, "float64"))
    expected = -scipy.stats.norm.logpdf(target, mean, deviation).sum(axis=1)
    log_variance = ops.convert_to_tensor(np.asarray(log_variance, "float32"))
    found = numpy_of(gaussian_negative_log_likelihood(target, ops.convert_to_tensor(mean), log_variance))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_gradients_against_differences():
    target = ops.convert_to_tensor(noise(2, 6))
    for function in (
        lambda x: bernoulli_negative_log_likelihood(target, x),
        lambda x: gaussian_negative_log_likelihood(target, x, ops.convert_to_tensor(0.5)),
        lambda x: kl_to_standard_normal(x, 0.5 * x),
    ):
        assert_gradient_matches_differences(function, noise(2, 6, seed=1), step=1e-2, tolerance=1e-2)
