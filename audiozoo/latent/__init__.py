"""Looking into the codes of a VAE: which numbers matter, what they mean, and ways through them.

Codes are arrays ``(frames, dims)``, posterior means as a model's ``encode`` returns them. Numpy alone: no
framework is imported, and a model is whatever has ``encode`` and ``decode``.
"""

from audiozoo.latent.analysis import InformativeBasis, compact, informative_basis
from audiozoo.latent.paths import linear_path, spherical_path
from audiozoo.latent.trajectories import (
    align,
    between,
    gaussian_process,
    lissajous,
    morph,
    ornstein_uhlenbeck,
    perceptual_path_length,
    spline,
    sweep,
    total_variation,
)

__all__ = [
    "InformativeBasis",
    "align",
    "between",
    "compact",
    "gaussian_process",
    "informative_basis",
    "linear_path",
    "lissajous",
    "morph",
    "ornstein_uhlenbeck",
    "perceptual_path_length",
    "spherical_path",
    "spline",
    "sweep",
    "total_variation",
]
