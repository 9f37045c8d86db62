"""What the code of a variational autoencoder says: how much, in how many dimensions, how like the prior.

The posterior of each item, or frame, is a diagonal Gaussian, given as two arrays ``(rows, dims)``: its mean
and the logarithm of its variance. Leading axes, as in ``(batch, frames, dims)``, are rows too. The prior is
the standard normal distribution. Everything is in nats.
"""

import numpy as np

from audiozoo.metrics.kernel import kad

ACTIVE_VARIANCE = 0.01


def kl_per_dimension(mean, log_variance):
    """How much each dimension says: divergence of the posterior from the prior, averaged over rows.

    Args:
        mean, log_variance: ``(..., dims)``.

    Returns:
        float64 ``(dims,)``, at least 0; near 0 for a collapsed dimension.

    Raises:
        ValueError: unequal shapes, no rows, or values that are not finite.
    """
    mean, log_variance = check_posterior(mean, log_variance)
    return np.mean(gaussian_kl(mean, log_variance), axis=0)


def active_units(mean, *, threshold=ACTIVE_VARIANCE):
    """Which dimensions change with the input: the variance of their posterior mean is above a threshold.

    Burda, Grosse and Salakhutdinov (2015), Importance Weighted Autoencoders, arXiv:1509.00519, section 5.2.

    Args:
        mean: ``(..., dims)``, at least 2 rows.
        threshold: variance; the paper's is 0.01.

    Returns:
        bool ``(dims,)``.

    Raises:
        ValueError: as ``kl_per_dimension``, or a single row.
    """
    mean, _ = check_posterior(mean, np.zeros_like(np.asarray(mean, "float64")))
    if len(mean) < 2:
        raise ValueError("mean must hold at least 2 rows, or nothing can change; got 1. Encode more clips.")
    return np.var(mean, axis=0) > threshold


def prior_mismatch(mean, log_variance):
    """How far the codes of all rows together lie from the prior, in each dimension.

    Divergence from the prior of the Gaussian that has the mean and variance of the aggregate posterior, the
    mixture of all rows' posteriors. The mixture's own is at least as large. Where it is large, draws from the
    prior are codes that no sound has.

    Args:
        mean, log_variance: ``(..., dims)``.

    Returns:
        float64 ``(dims,)``, at least 0.

    Raises:
        ValueError: as ``kl_per_dimension``.
    """
    mean, log_variance = check_posterior(mean, log_variance)
    variance = np.var(mean, axis=0) + np.mean(np.exp(log_variance), axis=0)
    return gaussian_kl(np.mean(mean, axis=0), np.log(variance))


def prior_distance(mean, log_variance, *, groups=None, seed=0):
    """Distance of drawn codes from draws from the prior, in all dimensions at once and whatever their shape.

    Args:
        mean, log_variance: ``(..., dims)``, at least 2 rows.
        groups: ``(rows,)``, the clip of each row, see ``kad``; None: rows are independent.
        seed: of one draw from each row's posterior, and as many from the prior.

    Returns:
        ``Estimate``: ``kad`` with the prior as reference, about 0 for codes that are distributed like it,
        with the p-value of the hypothesis that they are.

    Raises:
        ValueError: as ``kl_per_dimension``, and as ``kad``.
    """
    mean, log_variance = check_posterior(mean, log_variance)
    prior, noise = np.random.default_rng(seed).standard_normal((2, *mean.shape))
    drawn = mean + np.exp(0.5 * log_variance) * noise
    return kad(prior, drawn, generated_groups=groups, seed=seed)


def gaussian_kl(mean, log_variance):
    """Divergence from the prior: ``(mean^2 + variance - log variance - 1) / 2``."""
    return 0.5 * (mean**2 + np.exp(log_variance) - 1.0 - log_variance)


def check_posterior(mean, log_variance):
    """Both as float64 ``(rows, dims)``. Raises ValueError, see ``kl_per_dimension``."""
    mean, log_variance = np.asarray(mean, "float64"), np.asarray(log_variance, "float64")
    if mean.shape != log_variance.shape or mean.ndim < 2 or not mean.size:
        raise ValueError(
            "mean and log_variance must both be (rows, dims), or (batch, frames, dims), not empty; got "
            f"shapes {mean.shape} and {log_variance.shape}."
        )
    for name, values in (("mean", mean), ("log_variance", log_variance)):
        if not np.isfinite(values).all():
            raise ValueError(
                f"{name} must be finite; {int((~np.isfinite(values)).sum())} values are NaN or infinite. "
                "Look at the clips that they come from, and at the training."
            )
    dims = mean.shape[-1]
    return mean.reshape(-1, dims), log_variance.reshape(-1, dims)
