"""Training losses."""

from audiozoo.losses.adversarial import (
    hinge_discriminator,
    hinge_generator,
    least_squares_discriminator,
    least_squares_generator,
    mean_feature_matching,
    paired_feature_matching,
)
from audiozoo.losses.mixture import mixture_negative_log_likelihood, mixture_parameters, mixture_sample
from audiozoo.losses.reconstruction import (
    reconstruction_error,
    relative_spectral_error,
    relative_squared_error,
)
from audiozoo.losses.spectral import MultiScaleSpectralLoss, multi_resolution_stft_loss
from audiozoo.losses.variational import (
    bernoulli_negative_log_likelihood,
    beta_vae_loss,
    gaussian_negative_log_likelihood,
    kl_per_dimension,
    kl_to_standard_normal,
    with_free_bits,
)

__all__ = [
    "MultiScaleSpectralLoss",
    "bernoulli_negative_log_likelihood",
    "beta_vae_loss",
    "gaussian_negative_log_likelihood",
    "hinge_discriminator",
    "hinge_generator",
    "kl_per_dimension",
    "kl_to_standard_normal",
    "least_squares_discriminator",
    "least_squares_generator",
    "mean_feature_matching",
    "mixture_negative_log_likelihood",
    "mixture_parameters",
    "mixture_sample",
    "multi_resolution_stft_loss",
    "paired_feature_matching",
    "reconstruction_error",
    "relative_spectral_error",
    "relative_squared_error",
    "with_free_bits",
]
