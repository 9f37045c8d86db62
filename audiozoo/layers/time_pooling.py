"""Between one vector for each frame and one vector for all of them."""

import keras
import numpy as np
from keras import layers, ops

WAVELENGTHS_FRAMES = tuple(2.0**k for k in range(2, 13))
NUM_CLOCKS = 1 + 2 * len(WAVELENGTHS_FRAMES)


@keras.saving.register_keras_serializable("audiozoo")
class TimePool(layers.Layer):
    """Mean over time, weighted by clocks.

    Each channel has its own weighting of the clocks, so that the mean keeps when something happened.

    Args:
        kwargs: of every layer; it has none of its own.

    Input:
        ``(batch, frames, channels)``, any number of frames.

    Output:
        ``(batch, channels)``.

    Reference:
        Clocks: the positional encoding of Vaswani et al. (2017), arXiv:1706.03762, section 3.5.
    """

    def build(self, input_shape):
        self.weighting = layers.Dense(input_shape[-1])
        self.weighting.build((1, None, NUM_CLOCKS))

    def call(self, inputs):
        return ops.mean(inputs * self.weighting(clocks(inputs.shape[1])), axis=1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])


@keras.saving.register_keras_serializable("audiozoo")
class TimeSpread(layers.Layer):
    """A code at every frame, each channel of it weighted by clocks: the transpose of ``TimePool``.

    Args:
        channels: of the output.

    Input:
        ``(batch, dims)``; and as ``frames`` their number.

    Output:
        ``(batch, frames, channels)``.

    Reference:
        As for ``TimePool``.
    """

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)
        self.channels = channels
        self.project = layers.Dense(channels)
        self.weighting = layers.Dense(channels)

    def build(self, input_shape):
        self.project.build(input_shape)
        self.weighting.build((1, None, NUM_CLOCKS))

    def call(self, latent, frames):
        return self.project(latent)[:, None] * self.weighting(clocks(frames))

    def get_config(self):
        return super().get_config() | {"channels": self.channels}


def clocks(frames):
    """Cosines and sines of the frame's number, and a constant, ``(1, frames, 1 + 2 * wavelengths)``."""
    turns = 2.0 * np.pi * np.arange(frames)[:, None] / np.array(WAVELENGTHS_FRAMES)
    features = np.concatenate([np.ones((frames, 1)), np.cos(turns), np.sin(turns)], axis=1)
    return ops.convert_to_tensor(features[None].astype("float32"))
