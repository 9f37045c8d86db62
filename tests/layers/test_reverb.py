"""A trainable room against scipy."""

import keras
import numpy as np
import scipy.signal
from cases import LayerCase, assert_gradient_matches_differences, assert_trains
from keras import ops

from audiozoo.dsp.filters import fft_convolve
from audiozoo.layers import Reverb

AUDIO = np.random.default_rng(0).standard_normal((2, 700)).astype("float32")


class TestReverb(LayerCase):
    layer_class = Reverb
    config = {"length": 300}
    tolerance = 1e-5

    def inputs(self):
        return [AUDIO]

    def oracle(self, layer, audio):
        (weights,) = layer.get_weights()
        response = np.tanh(0.1 * np.exp(-4.0 * np.arange(300) / 300) * weights.astype("float64"))
        return audio + scipy.signal.fftconvolve(audio, response[None], axes=1)[:, :700]

    def test_an_impulse_comes_back_as_the_impulse_response(self):
        layer = self.make()
        clap = np.zeros((1, 700), "float32")
        clap[0, 100] = 1.0
        heard = self.output(layer, [clap])[0]
        response = ops.convert_to_numpy(layer.impulse_response())
        assert response.shape == (300,)
        np.testing.assert_allclose(heard[100:400], response, atol=1e-6)
        np.testing.assert_allclose(np.delete(heard, np.s_[100:400]), 0.0, atol=1e-6)

    def test_an_untrained_room_is_faint_and_decays(self):
        response = ops.convert_to_numpy(self.built().impulse_response())
        assert abs(response[0] - 1.0) < 0.05
        assert np.abs(response[1:]).max() < 0.05
        assert np.abs(response[200:]).max() < 0.1 * np.abs(response[1:100]).max()

    def test_taps_never_pass_full_scale(self):
        layer = self.built()
        layer.taps.assign(np.where(np.arange(300) % 2, 1e6, -1e6))
        response = ops.convert_to_numpy(layer.response())
        np.testing.assert_allclose(response, np.where(np.arange(300) % 2, 1.0, -1.0))

    def test_a_room_is_learned_from_dry_and_wet(self):
        layer, other = self.built(), self.built()
        other.taps.assign(np.random.default_rng(1).standard_normal(300))
        wet = self.output(other)
        model = keras.Sequential([layer])
        model.compile(keras.optimizers.Adam(0.1), loss="mse")
        assert_trains(layer, lambda: model.train_on_batch(AUDIO, wet))

    def test_gradient_of_the_taps_against_differences(self):
        taps = np.random.default_rng(1).standard_normal(300).astype("float32")
        # tanh bends: at a step of 1e-2 the third-order term is 1e-4 / 3; rounding is 1e-5 of the sum.
        assert_gradient_matches_differences(
            lambda w: fft_convolve(AUDIO, ops.tanh(w)), taps, step=1e-2, tolerance=1e-3
        )

    def test_the_shape_is_known_without_running(self):
        assert self.make().compute_output_shape((None, 700)) == (None, 700)

    def built(self):
        layer = self.make()
        layer.build((None, None))
        return layer
