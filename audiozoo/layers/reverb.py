"""A trainable room."""

import keras
import numpy as np
from keras import layers, ops

from audiozoo.dsp.filters import fft_convolve

# An optimizer like Adam moves every weight by about its learning rate at each step, whatever the
# gradient. Thousands of taps that each tremble by 1e-3 are a loud noise in every room, so a weight
# moves its tap by a tenth of that at the start of the response, and less as it dies away.
TAP_SCALE = 0.1
DECAY_NEPER = 4.0


@keras.saving.register_keras_serializable("audiozoo")
class Reverb(layers.Layer):
    """Direct sound plus its convolution with a learned impulse response ``tanh(s w)``.

    One response for all sounds: trained together with a synthesizer it takes up what all notes
    of the recordings share, the room. tanh bounds each tap to -1..1;
    ``s`` is a fixed, decaying scale that steadies training.

    Args:
        length: taps of the response.

    Input:
        Audio ``(batch, samples)``, dry.

    Output:
        Audio ``(batch, samples)``, in the room.

    Reference:
        Engel et al. (2020), DDSP, arXiv:2001.04643, section 3.4 (explicit response).
    """

    def __init__(self, *, length, **kwargs):
        super().__init__(**(kwargs | {"dtype": "float32"}))  # FFTs know no half precision
        self.length = length

    def build(self, input_shape):
        self.taps = self.add_weight(name="taps", shape=(self.length,), initializer=self.initial_taps)

    def initial_taps(self, shape, dtype=None):
        """A faint noise: any loud start would have to be unlearned tap by tap."""
        return ops.cast(0.02 * keras.random.normal(shape, seed=0), dtype)

    def call(self, audio):
        return audio + fft_convolve(audio, self.response())

    def response(self):
        """The learned part of the room, without the direct sound, ``(length,)``."""
        decay = np.exp(-DECAY_NEPER * np.arange(self.length) / self.length).astype("float32")
        return ops.tanh(self.taps * ops.convert_to_tensor(TAP_SCALE * decay))

    def impulse_response(self):
        """Response to a unit impulse, direct sound included, ``(length,)``."""
        direct = np.zeros(self.length, "float32")
        direct[0] = 1.0
        return self.response() + ops.convert_to_tensor(direct)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"length": self.length}
