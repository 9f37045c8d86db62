"""The shared layer library; every class is serializable."""

from audiozoo.layers.axial import (
    CentralizedLayer,
    FrequencyDelayedLayer,
    SurroundingLayer,
    TimeDelayedLayer,
)
from audiozoo.layers.conditional import ConditionalBatchNorm, Projection
from audiozoo.layers.convolution import Convolution, NormalizedDense, TransposedConvolution
from audiozoo.layers.frontends import AudioTransform, MelSpectrogram
from audiozoo.layers.normalization import InstanceNorm
from audiozoo.layers.perceptron import Perceptron
from audiozoo.layers.recurrent import GRU, MinGRU
from audiozoo.layers.resampling import Downsample1D, Upsample1D
from audiozoo.layers.residual import DilatedResidual, Resnet1DBlock, SeedResnet1DBlock
from audiozoo.layers.reverb import Reverb
from audiozoo.layers.sampling import GaussianHead, Sampling
from audiozoo.layers.spectral_head import SpectralHead
from audiozoo.layers.synths import FilteredNoiseSynth, HarmonicSynth, Synth
from audiozoo.layers.time_pooling import TimePool, TimeSpread
from audiozoo.layers.weight_norm import fold_weight_norm, unfold_weight_norm

__all__ = [
    "GRU",
    "AudioTransform",
    "CentralizedLayer",
    "ConditionalBatchNorm",
    "Convolution",
    "DilatedResidual",
    "Downsample1D",
    "FilteredNoiseSynth",
    "FrequencyDelayedLayer",
    "GaussianHead",
    "HarmonicSynth",
    "InstanceNorm",
    "MelSpectrogram",
    "MinGRU",
    "NormalizedDense",
    "Perceptron",
    "Projection",
    "Resnet1DBlock",
    "Reverb",
    "Sampling",
    "SeedResnet1DBlock",
    "SpectralHead",
    "SurroundingLayer",
    "Synth",
    "TimeDelayedLayer",
    "TimePool",
    "TimeSpread",
    "TransposedConvolution",
    "Upsample1D",
    "fold_weight_norm",
    "unfold_weight_norm",
]
