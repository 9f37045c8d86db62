"""Training losses."""

from audiozoo.losses.spectral import MultiScaleSpectralLoss

__all__ = ["MultiScaleSpectralLoss"]
