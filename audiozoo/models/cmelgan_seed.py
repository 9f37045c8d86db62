"""The conditional MelGAN as a student project published it: its layers, its losses, its faults.

Origin: Kaunismaa et al. (2022), arXiv:2205.07319, and their public code (JacksonKaunismaa/neural-music, folder
cMelGAN), which this follows where the two differ.

It is here to be compared with, and not to be used: all that it made was noise. Why:

- Spectrograms are of power, neither logarithmic nor standardised, and the output has no bounds: a few loud values
  make up the whole loss, and the last layer of all is a residual block of a single channel.
- Least squares of a sigmoid have no slope where the discriminator is sure.
- One score for ten seconds, and a map of 65,536 numbers for each class that is learned number by number.
- Half of all values are dropped, in every stage. (The project never switched that off, not even to sample.)
- The discriminator's second layer has a stride of 4 and is padded by 393 on every side, so that 256 steps stay 256:
  15 of 16 of its outputs are convolutions of zeros, and it costs 16 times what it should.
- In its large version, "no 1D", the one-dimensional stages are built and never called: 10,839,040 parameters that
  learn nothing.

``CMelGAN`` is what works.
"""

import math

from keras import layers, ops

from audiozoo.arguments import check_range, check_whole, whole_numbers
from audiozoo.layers import Convolution, DilatedResidualStack, NormalizedDense, TransposedConvolution
from audiozoo.losses import least_squares_discriminator, least_squares_generator
from audiozoo.models.spectrogram_gan import SpectrogramGAN

SLOPE = 0.2  # of the leaky ReLUs below 0
DILATIONS = (1, 3, 9)


class SeedResidual(layers.Layer):
    """For each dilation ``shortcut(x) + narrow(lrelu(wide(lrelu(x))))``, of one or two axes."""

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)
        weight = {"normalization": "weight"}
        self.shortcuts = [Convolution(channels, 1, **weight) for _ in DILATIONS]
        self.wide = [Convolution(channels, 3, dilation=d, padding="reflect", **weight) for d in DILATIONS]
        self.narrow = [Convolution(channels, 1, **weight) for _ in DILATIONS]

    def build(self, input_shape):
        for layer in (*self.shortcuts, *self.wide, *self.narrow):
            layer.build(input_shape)

    def call(self, signal):
        for shortcut, wide, narrow in zip(self.shortcuts, self.wide, self.narrow, strict=True):
            branch = ops.leaky_relu(wide(ops.leaky_relu(signal, SLOPE)), SLOPE)
            signal = shortcut(signal) + narrow(branch)
        return signal
