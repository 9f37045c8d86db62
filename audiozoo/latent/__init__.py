"""Looking into the codes of a VAE: which numbers matter, what they mean, and ways through them.

Codes are arrays ``(frames, dims)``, posterior means as a model's ``encode`` returns them. Numpy alone: no
framework is imported, and a model is whatever has ``encode`` and ``decode``.
"""

from audiozoo.latent.analysis import InformativeBasis, compact, informative_basis
from audiozoo.latent.motion import HandMotion, motion_features
from audiozoo.latent.motion_map import MotionMap, play_motion
from audiozoo.latent.motion_readers import read_motion, write_motion
from audiozoo.latent.motion_synthesis import hand_points, synthetic_motion
from audiozoo.latent.paths import linear_path, spherical_path
from audiozoo.latent.quality import log_dimensionless_jerk, sound_roughness_db, walk_quality
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
    "HandMotion",
    "InformativeBasis",
    "MotionMap",
    "align",
    "between",
    "compact",
    "gaussian_process",
    "hand_points",
    "informative_basis",
    "linear_path",
    "lissajous",
    "log_dimensionless_jerk",
    "morph",
    "motion_features",
    "ornstein_uhlenbeck",
    "perceptual_path_length",
    "play_motion",
    "read_motion",
    "sound_roughness_db",
    "spherical_path",
    "spline",
    "sweep",
    "synthetic_motion",
    "total_variation",
    "walk_quality",
    "write_motion",
]
