"""From hidden frames to sound by way of a spectrum."""

import math

import keras
from keras import layers, ops

from audiozoo.arguments import check_choice, check_whole
from audiozoo.dsp.spectra import istft
from audiozoo.layers.convolution import Convolution

HIGHEST = 3.0  # nepers, 26 dB, above the envelope: a partial of a sound in the widest band


@keras.saving.register_keras_serializable("audiozoo")
class SpectralHead(layers.Layer):
    """A spectrum for each frame, and the sound of it by an inverse Fourier transform.

    Of each bin a weight-normalised 1x1 convolution says by how much its magnitude is above an envelope that
    is given (a logarithm: 0.1 is 10 %), and its phase in radians. So levels, however low, are right from the
    start, and what is left to be learned is detail.

    Args:
        window_length: samples of a frame's window.
        hop: samples between frames; at least four fit into a window.
        kernel_initializer: of the convolution.
        transforms: ``"fft"``, or ``"matrices"`` for programs that are to run where there is no FFT.

    Input:
        ``(batch, frames, channels)``, and the envelope, natural logarithms of magnitudes ``(batch, frames,
        window_length // 2 + 1)``.

    Output:
        Audio ``(batch, frames * hop)``, float32; see ``audiozoo.dsp.spectra.istft``.

    Reference:
        Kaneko et al. (2022), iSTFTNet, arXiv:2203.02395, and Siuzdak (2023), Vocos, arXiv:2306.00814,
        section 3, both without an envelope.
    """

    def __init__(self, window_length, hop, *, kernel_initializer="lecun_normal", transforms="fft", **kwargs):
        super().__init__(**({"autocast": False} | kwargs))
        check_whole("window_length", window_length, 2)
        check_whole("hop", hop, 1)
        check_choice("transforms", transforms, ("fft", "matrices"))
        if window_length % hop or window_length % 2 or window_length < 4 * hop:
            raise ValueError(
                f"window_length must be an even multiple of hop={hop}, at least four times; got "
                f"{window_length}. Use {4 * hop}."
            )
        self.window_length, self.hop, self.transforms = window_length, hop, transforms
        self.convolution = Convolution(
            window_length + 2, 1, normalization="weight", kernel_initializer=kernel_initializer
        )

    def build(self, inputs_shape, envelope_shape=None):
        self.convolution.build(inputs_shape)

    def call(self, inputs, envelope, training=False):
        spectrum = ops.cast(self.convolution(inputs, training=training), "float32")
        above, phase = ops.split(spectrum, 2, axis=-1)
        above = above - ops.softplus(above - HIGHEST)
        # No frame within -1..1 is louder than its window is long.
        magnitude = ops.exp(ops.minimum(ops.cast(envelope, "float32") + above, math.log(self.window_length)))
        real, imaginary = magnitude * ops.cos(phase), magnitude * ops.sin(phase)
        return istft(real, imaginary, hop=self.hop, transforms=self.transforms)

    def compute_output_shape(self, inputs_shape, envelope_shape=None):
        frames = inputs_shape[1]
        return (inputs_shape[0], None if frames is None else frames * self.hop)

    def get_config(self):
        return super().get_config() | {
            "window_length": self.window_length,
            "hop": self.hop,
            "transforms": self.transforms,
            "kernel_initializer": self.convolution.get_config()["kernel_initializer"],
        }
