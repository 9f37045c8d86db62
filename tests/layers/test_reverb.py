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
        (taps,) = layer.get_weights()
        wet = scipy.signal.fftconvolve(audio.astype("float64"), np.tanh(taps.astype("float64"))[None], axes=1)
        return audio + wet[:, :700]

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
        layer.taps.assign(np.linspace(-50, 50, 300))
        response = ops.convert_to_numpy(layer.impulse_response())
        assert response[1:].min() == -1.0
        assert response.max() == 1.0

    def test_a_room_is_learned_from_dry_and_wet(self):
        layer = self.built()
        wet = self.oracle(self.built(), AUDIO)
        layer.taps.assign(np.zeros(300))
        model = keras.Sequential([layer])
        model.compile(keras.optimizers.Adam(1e-2), loss="mse")
        assert_trains(layer, lambda: model.train_on_batch(AUDIO, 2 * wet))

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
