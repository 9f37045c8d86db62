"""Training any preset's architecture on a folder of recordings."""

from audiozoo.training.train import train

__all__ = ["train"]
