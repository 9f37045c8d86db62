"""Mixtures of Gaussians: how unlikely a value is under one, and values drawn from it."""

import math

from keras import ops

LEAST_LOG_DEVIATION = -6.0  # what is quieter than this is silence; without it a constant has infinite density


def mixture_parameters(parameters):
    """The network's numbers as weights, means and standard deviations of Gaussians.

    Args:
        parameters: ``(..., 3 * components)``: means, logarithms of deviations, logits of weights.

    Returns:
        ``(log_weights, means, log_deviations)``, ``(..., components)`` each, in float32. A deviation goes
        smoothly towards exp(``LEAST_LOG_DEVIATION``) from above, and never loses its gradient.
    """
    means, log_deviations, logits = ops.split(ops.cast(parameters, "float32"), 3, axis=-1)
    log_deviations = LEAST_LOG_DEVIATION + ops.softplus(log_deviations - LEAST_LOG_DEVIATION)
    return ops.log_softmax(logits, axis=-1), means, log_deviations


def mixture_negative_log_likelihood(target, parameters):
    """``-log p(target)`` of each value, in nats; the sum over components is taken of logarithms.

    Vasquez and Lewis (2019), MelNet, arXiv:1906.01083, eq. 2 to 4. Densities themselves would be infinite or
    0 in float32 where the logarithm is an ordinary number.

    Args:
        target: any shape.
        parameters: that shape, and ``3 * components``; see ``mixture_parameters``.

    Returns:
        float32, shape of the target.
    """
    log_weights, means, log_deviations = mixture_parameters(parameters)
    distance = (ops.cast(target, "float32")[..., None] - means) * ops.exp(-log_deviations)
    log_density = -0.5 * ops.square(distance) - log_deviations - 0.5 * math.log(2.0 * math.pi)
    return -ops.logsumexp(log_weights + log_density, axis=-1)


def mixture_sample(parameters, choice, normal, temperature):
    """Values drawn from mixtures, a function of the random numbers that are given.

    Args:
        parameters: see ``mixture_parameters``.
        choice: of the component, evenly distributed in 0..1, in the shape of the values.
        normal: normally distributed, in the same shape.
        temperature: factor on the deviations, and what the logarithms of weights are divided by: below 1,
            what is likely becomes more so. Spreads to that shape.

    Returns:
        float32, in that shape.
    """
    log_weights, means, log_deviations = mixture_parameters(parameters)
    choice, normal, temperature = (
        ops.cast(given, "float32")[..., None] for given in (choice, normal, temperature)
    )
    last = ops.cumsum(ops.softmax(log_weights / temperature), axis=-1)[..., :-1]
    number = ops.sum(ops.cast(choice >= last, "int32"), axis=-1)
    chosen = ops.one_hot(number, means.shape[-1], dtype="float32")
    drawn = means + temperature * ops.exp(log_deviations) * normal
    return ops.sum(chosen * drawn, axis=-1)
