"""What a variational autoencoder minimises: how unlikely the data are, and how much the code says.

Everything is in nats. A code ``(batch, dims)`` or ``(batch, frames, dims)`` is a diagonal Gaussian, given by
its mean and the logarithm of its variance; the prior is the standard normal distribution.
"""

import math

from keras import ops


def kl_to_standard_normal(mean, log_variance):
    """Kullback-Leibler divergence from the prior, of each dimension by itself.

    ``(mean^2 + variance - log variance - 1) / 2`` (Kingma and Welling, 2013, arXiv:1312.6114, appendix B).

    Args:
        mean, log_variance: tensors of one shape.

    Returns:
        That shape, at least 0.
    """
    mean, log_variance = (ops.convert_to_tensor(value, "float32") for value in (mean, log_variance))
    return 0.5 * (ops.square(mean) + ops.exp(log_variance) - 1.0 - log_variance)


def kl_per_dimension(mean, log_variance):
    """The divergence of each dimension, averaged over items and frames.

    Args:
        mean, log_variance: ``(batch, ..., dims)``.

    Returns:
        ``(dims,)``.
    """
    kl = kl_to_standard_normal(mean, log_variance)
    return ops.mean(ops.reshape(kl, (-1, kl.shape[-1])), axis=0)


def with_free_bits(kl, free_bits):
    """Sum over dimensions, of which each counts for ``free_bits`` at least.

    Below that, a dimension costs nothing more and receives no gradient: it is not pushed to say nothing
    (Kingma et al., 2016, Inverse Autoregressive Flow, arXiv:1606.04934, appendix C.8, with every dimension a
    group).

    Args:
        kl: ``(dims,)``, averaged over the batch, as ``kl_per_dimension`` makes it.
        free_bits: nats per dimension, and per frame where there are frames; 0 for none.

    Returns:
        Scalar.
    """
    return ops.sum(ops.maximum(kl, free_bits))


def beta_vae_loss(reconstruction, kl, *, beta, free_bits=0.0):
    """``reconstruction + beta * KL`` with free bits.

    Args:
        reconstruction: ``(batch,)``, negative log-likelihood or any other error.
        kl: ``(dims,)``, of ``kl_per_dimension``.
        beta: weight of the divergence (Higgins et al., 2017, beta-VAE, ICLR); 1 for the evidence lower bound.
        free_bits: see ``with_free_bits``.

    Returns:
        Scalar.
    """
    return ops.mean(reconstruction) + beta * with_free_bits(kl, free_bits)


def bernoulli_negative_log_likelihood(target, logits):
    """``-log p(target)`` of independent binary values with probability ``sigmoid(logits)``: cross-entropy.

    Finite and exact for any logits. For targets outside of 0..1, such as audio, it is no likelihood and has
    no minimum: every negative sample pulls its logit towards minus infinity.

    Args:
        target: ``(batch, ...)``, 0..1.
        logits: the same shape.

    Returns:
        ``(batch,)``, summed over all other axes.
    """
    target, logits = (ops.convert_to_tensor(value, "float32") for value in (target, logits))
    # max(l, 0) - l t + log(1 + exp(-|l|)): no exponential of a positive number.
    nats = ops.maximum(logits, 0.0) - logits * target + ops.log1p(ops.exp(-ops.abs(logits)))
    return sum_of_item(nats)


def gaussian_negative_log_likelihood(target, mean, log_variance=0.0):
    """``-log p(target)`` of independent normal values.

    Args:
        target: ``(batch, ...)``.
        mean: the same shape.
        log_variance: the same shape, or one number for all.

    Returns:
        ``(batch,)``, summed over all other axes.
    """
    target, mean, log_variance = (
        ops.convert_to_tensor(value, "float32") for value in (target, mean, log_variance)
    )
    scaled = ops.square(target - mean) * ops.exp(-log_variance)
    return sum_of_item(0.5 * (scaled + log_variance + math.log(2.0 * math.pi)))


def sum_of_item(values):
    """Sum over all axes but the first."""
    return ops.sum(ops.reshape(values, (-1, math.prod(values.shape[1:]))), axis=-1)
