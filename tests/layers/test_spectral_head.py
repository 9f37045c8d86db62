"""The spectral head: against SciPy's inverse transform, and what its envelope says of loudness."""

import numpy as np
import pytest
import scipy.fft
from cases import LayerCase, numpy_of

from audiozoo.dsp.spectra import hann_window
from audiozoo.layers import SpectralHead
from audiozoo.layers.spectral_head import HIGHEST

WINDOW, HOP, FRAMES = 32, 8, 6


class TestSpectralHead(LayerCase):
    layer_class = SpectralHead
    config = {"window_length": WINDOW, "hop": HOP}
    tolerance = 1e-5

    def inputs(self):
        rng = np.random.default_rng(0)
        hidden, envelope = rng.standard_normal((2, FRAMES, 5)), rng.uniform(-3.0, 0.0, (2, FRAMES, 17))
        return [hidden.astype("float32"), envelope.astype("float32")]

    def oracle(self, layer, hidden, envelope):
        convolution = layer.convolution
        v, g, bias = (numpy_of(value) for value in (convolution.v, convolution.g, convolution.bias))
        kernel = g * v / np.sqrt((v**2).sum(axis=(0, 1)))
        above, phase = np.split(hidden @ kernel[0] + bias, 2, axis=-1)
        above = above - np.log1p(np.exp(above - HIGHEST))
        frames = scipy.fft.irfft(np.exp(envelope + above + 1j * phase), WINDOW)
        window = hann_window(WINDOW)
        audio, power = np.zeros((2, (FRAMES - 1) * HOP + WINDOW)), np.zeros((FRAMES - 1) * HOP + WINDOW)
        for frame in range(FRAMES):
            place = slice(frame * HOP, frame * HOP + WINDOW)
            audio[:, place] += frames[:, frame] * window
            power[place] += window**2
        middle = slice((WINDOW - HOP) // 2, (WINDOW - HOP) // 2 + FRAMES * HOP)
        return audio[:, middle] / power[middle]

    def test_matrices_do_what_the_fft_does(self):
        layer = self.make()
        expected = self.output(layer)
        layer.transforms = "matrices"
        np.testing.assert_allclose(self.output(layer), expected, atol=1e-5)

    def test_its_convolution_is_initialised_as_asked(self):
        layer = self.make(kernel_initializer="zeros")
        assert layer.get_config()["kernel_initializer"]["class_name"] == "Zeros"


@pytest.mark.parametrize("window_length, hop", [(32, 16), (33, 8), (36, 8), (0, 1)])
def test_windows_that_leave_gaps_are_refused(window_length, hop):
    with pytest.raises(ValueError, match="window_length must be"):
        SpectralHead(window_length, hop)
