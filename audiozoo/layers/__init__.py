"""The shared layer library; every class is serializable."""

from audiozoo.layers.frontends import AudioTransform
from audiozoo.layers.perceptron import Perceptron
from audiozoo.layers.recurrent import GRU, MinGRU
from audiozoo.layers.reverb import Reverb
from audiozoo.layers.synths import FilteredNoiseSynth, HarmonicSynth, Synth

__all__ = [
    "GRU",
    "AudioTransform",
    "FilteredNoiseSynth",
    "HarmonicSynth",
    "MinGRU",
    "Perceptron",
    "Reverb",
    "Synth",
]
