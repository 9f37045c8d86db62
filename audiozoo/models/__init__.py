"""Architectures, one a file. Importing this package registers them all with Keras."""

from audiozoo.models.base import AudioModel
from audiozoo.models.ddsp import DDSPDecoder

__all__ = ["AudioModel", "DDSPDecoder"]
