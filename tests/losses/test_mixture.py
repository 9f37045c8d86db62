"""Mixtures of Gaussians against SciPy in float64."""

import numpy as np
import pytest
from cases import assert_gradient_matches_differences, gradient_of, numpy_of
from keras import ops
from scipy.special import logsumexp
from scipy.stats import norm

from audiozoo.losses import mixture_negative_log_likelihood, mixture_parameters
from audiozoo.losses.mixture import LEAST_LOG_DEVIATION

COMPONENTS = 3


def numbers(*shape, scale=1.0, seed=0):
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype("float32")


def by_scipy(target, parameters):
    means, log_deviations, logits = np.split(parameters.astype("float64"), 3, axis=-1)
    floor = LEAST_LOG_DEVIATION
    log_deviations = floor + np.logaddexp(0.0, log_deviations - floor)
    log_weights = logits - logsumexp(logits, axis=-1, keepdims=True)
    density = norm.logpdf(target[..., None].astype("float64"), means, np.exp(log_deviations))
    return -logsumexp(log_weights + density, axis=-1)


@pytest.mark.parametrize("scale", [1.0, 5.0, 50.0])
def test_agrees_with_scipy_also_where_densities_are_infinite_or_nothing(scale):
    target, parameters = numbers(4, 7), numbers(4, 7, 3 * COMPONENTS, scale=scale, seed=1)
    found = numpy_of(mixture_negative_log_likelihood(target, parameters))
    np.testing.assert_allclose(found, by_scipy(target, parameters), rtol=1e-4, atol=1e-4)
    gradient = gradient_of(lambda p: ops.sum(mixture_negative_log_likelihood(target, p)), parameters)
    assert np.all(np.isfinite(gradient))


def test_a_density_has_an_integral_of_one():
    parameters = numbers(1, 3 * COMPONENTS, seed=2)
    grid = np.linspace(-30.0, 30.0, 60_001).astype("float32")
    found = numpy_of(mixture_negative_log_likelihood(grid, np.repeat(parameters, len(grid), axis=0)))
    assert np.trapezoid(np.exp(-found.astype("float64")), grid) == pytest.approx(1.0, abs=1e-4)


def test_a_constant_has_a_finite_density_and_a_way_back():
    target = np.zeros((1, 1), "float32")
    sharpest = np.array([[[0.0, -1e4, 0.0]]], "float32")
    found = float(numpy_of(mixture_negative_log_likelihood(target, sharpest))[0, 0])
    assert found == pytest.approx(LEAST_LOG_DEVIATION + 0.5 * np.log(2 * np.pi), abs=1e-4)
    narrow = np.array([[[1.0, LEAST_LOG_DEVIATION, 0.0]]], "float32")
    gradient = gradient_of(lambda p: ops.sum(mixture_negative_log_likelihood(target, p)), narrow)
    assert gradient[0, 0, 1] < -1.0


def test_gradient_against_differences():
    target = numbers(3, seed=4)
    assert_gradient_matches_differences(
        lambda p: mixture_negative_log_likelihood(target, p),
        numbers(3, 3 * COMPONENTS, seed=5),
        step=1e-2,
        tolerance=1e-2,
    )


def test_weights_sum_to_one():
    log_weights, means, log_deviations = mixture_parameters(numbers(2, 3 * COMPONENTS))
    np.testing.assert_allclose(np.exp(numpy_of(log_weights)).sum(axis=-1), 1.0, atol=1e-6)
    assert means.shape == log_deviations.shape == (2, COMPONENTS)
