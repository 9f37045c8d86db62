"""Measuring sound: sets against sets, a sound against its reconstruction, a pitch track against another.

Numpy in float64; no framework is imported. Functions on sets take ``(rows, dimensions)`` arrays, the
reference first. What has an interval is an ``Estimate``, everything else a float or an array.

Examples:
    >>> from audiozoo import metrics
    >>> report = metrics.compare("recordings/", "generated/")
    >>> report["scores"]["kad"]["value"]
"""

from audiozoo.metrics.coverage import Coverage, prdc
from audiozoo.metrics.descriptors import Descriptors, describe
from audiozoo.metrics.embeddings import (
    MFCC,
    CallableEmbedding,
    EmbeddedSet,
    Embedding,
    EncoderEmbedding,
    MelStatistics,
    RandomConv,
    embed_folder,
)
from audiozoo.metrics.estimates import Estimate
from audiozoo.metrics.frechet import (
    FrechetEstimates,
    frechet_distance,
    frechet_distance_from_moments,
    frechet_estimates,
    frechet_infinity,
)
from audiozoo.metrics.kernel import kad, kid
from audiozoo.metrics.latent import active_units, kl_per_dimension, prior_distance, prior_mismatch
from audiozoo.metrics.pitch import (
    deviation_cents,
    raw_pitch_accuracy,
    voicing_false_alarm,
    voicing_recall,
)
from audiozoo.metrics.pretrained import OnnxEmbedding, clap, encodec, vggish
from audiozoo.metrics.scores import compare
from audiozoo.metrics.spectral import (
    log_spectral_distance,
    multi_scale_spectral_distance,
    nmse,
    relative_spectral_distance,
    si_sdr_db,
    snr_db,
    spectral_convergence,
)

__all__ = [
    "MFCC",
    "CallableEmbedding",
    "Coverage",
    "Descriptors",
    "EmbeddedSet",
    "Embedding",
    "EncoderEmbedding",
    "Estimate",
    "FrechetEstimates",
    "MelStatistics",
    "OnnxEmbedding",
    "RandomConv",
    "active_units",
    "clap",
    "compare",
    "describe",
    "deviation_cents",
    "embed_folder",
    "encodec",
    "frechet_distance",
    "frechet_distance_from_moments",
    "frechet_estimates",
    "frechet_infinity",
    "kad",
    "kid",
    "kl_per_dimension",
    "log_spectral_distance",
    "multi_scale_spectral_distance",
    "nmse",
    "prdc",
    "prior_distance",
    "prior_mismatch",
    "raw_pitch_accuracy",
    "relative_spectral_distance",
    "si_sdr_db",
    "snr_db",
    "spectral_convergence",
    "vggish",
    "voicing_false_alarm",
    "voicing_recall",
]
