"""Looking into the codes of a VAE: which numbers matter, what they mean, and ways through them.

Codes are arrays ``(frames, dims)``, posterior means as a model's ``encode`` returns them. Numpy alone: no
framework is imported, and a model is whatever has ``encode`` and ``decode``.
"""

from audiozoo.latent.analysis import InformativeBasis, compact, informative_basis
from audiozoo.latent.paths import linear_path, spherical_path

__all__ = [
    "InformativeBasis",
    "compact",
    "informative_basis",
    "linear_path",
    "spherical_path",
]
