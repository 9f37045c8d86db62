"""Searching for the hyper-parameters of a preset, as its ``tune`` section says.

Examples:
    >>> from audiozoo import tuning
    >>> result = tuning.search("conv1d_resnet_vae", "music/", out="runs/search", trials=24)
    >>> model = audiozoo.load(result["preset_folder"])
"""

from audiozoo.tuning.report import summary
from audiozoo.tuning.search import search
from audiozoo.tuning.zoo_hypermodel import ZooHyperModel, hypermodel

__all__ = ["ZooHyperModel", "hypermodel", "search", "summary"]
