"""Controls and signal, apart."""

import keras
import numpy as np
import pytest
import scipy.signal
import scipy.special
from cases import LayerCase
from keras import ops

from audiozoo.dsp.filters import fir_basis
from audiozoo.layers import FilteredNoiseSynth, HarmonicSynth, Synth

FRAMES, HOP, RATE = 12, 80, 8000


def sigmoid(x):
    return 2.0 * scipy.special.expit(x.astype("float64")) ** np.log(10.0) + 1e-7


class TestHarmonicSynth(LayerCase):
    layer_class = HarmonicSynth
    config = {"sample_rate": RATE, "hop": HOP, "envelope": "nearest"}
    tolerance = 1e-4  # the phase of harmonic 6 at 1e-6 cycles

    def inputs(self):
        rng = np.random.default_rng(0)
        amplitude, harmonics = rng.standard_normal((2, FRAMES, 1)), rng.standard_normal((2, FRAMES, 6))
        f0_hz = rng.uniform(300, 900, (2, FRAMES, 1))  # from 667 Hz on harmonic 6 is beyond Nyquist
        f0_hz[0, 3:5] = 0
        return [x.astype("float32") for x in (amplitude, harmonics, f0_hz)]

    def oracle(self, layer, amplitude_logits, harmonic_logits, f0_hz):
        f0_hz = f0_hz.astype("float64")
        number = np.arange(1, 7)
        audible = (f0_hz > 0) & (number * f0_hz < RATE / 2)
        distribution = sigmoid(harmonic_logits) * audible
        distribution /= np.maximum(distribution.sum(axis=-1, keepdims=True), 1e-7)
        cycles = np.cumsum(np.repeat(f0_hz, HOP, axis=1) / RATE, axis=1)
        cycles = np.concatenate([np.zeros((2, 1, 1)), cycles[:, :-1]], axis=1)
        level = np.repeat(sigmoid(amplitude_logits) * distribution, HOP, axis=1)
        return np.sum(level * np.sin(2 * np.pi * number * cycles), axis=-1)

    def test_the_distribution_sums_to_one_over_what_can_be_heard(self):
        amplitude_logits, harmonic_logits, f0_hz = self.inputs()
        controls = self.make().get_controls(amplitude_logits, harmonic_logits, f0_hz)  # arrays will do
        controls = {name: ops.convert_to_numpy(value) for name, value in controls.items()}
        assert set(controls) == {"f0_hz", "amplitude", "harmonic_distribution"}
        voiced = f0_hz[..., 0] > 0
        total = controls["harmonic_distribution"].sum(axis=-1)
        np.testing.assert_allclose(total[voiced], 1.0, atol=1e-6)
        assert not np.any(total[~voiced])
        beyond = np.arange(1, 7) * f0_hz >= RATE / 2
        assert beyond.any()
        assert not np.any(controls["harmonic_distribution"][beyond])
        np.testing.assert_allclose(controls["amplitude"], sigmoid(amplitude_logits), rtol=1e-5)

    def test_linear_is_the_default_envelope(self):
        controls = self.make().get_controls(*map(ops.convert_to_tensor, self.inputs()))
        default = HarmonicSynth(sample_rate=RATE, hop=HOP)
        assert default.envelope == "linear"
        linear, nearest = default.get_signal(**controls), self.make().get_signal(**controls)
        assert np.abs(ops.convert_to_numpy(linear) - ops.convert_to_numpy(nearest)).max() > 0.01

    def test_an_unknown_envelope_is_refused_at_once(self):
        with pytest.raises(ValueError, match=r"envelope must be one of .*; got 'smooth'. Use 'linear'"):
            self.make(envelope="smooth")


class TestFilteredNoiseSynth(LayerCase):
    layer_class = FilteredNoiseSynth
    config = {"hop": HOP, "tails": "cut", "initial_bias": -1.0, "seed": 5}
    tolerance = 1e-5

    def inputs(self):
        return [np.random.default_rng(0).standard_normal((2, FRAMES, 9)).astype("float32")]

    def oracle(self, layer, noise_logits):
        noise = keras.random.uniform((1, FRAMES, HOP), -1.0, 1.0, seed=5)
        noise = ops.convert_to_numpy(noise).astype("float64")
        response = np.zeros((2, FRAMES, HOP))
        taps = sigmoid(noise_logits - 1.0) @ fir_basis(9)
        response[..., :8], response[..., -8:] = taps[..., 8:], taps[..., :8]
        return scipy.signal.fftconvolve(noise, response, axes=-1)[..., :HOP].reshape(2, -1)

    def test_training_draws_anew_and_evaluation_repeats(self):
        layer = self.make()
        (logits,) = self.inputs()
        drawn = [ops.convert_to_numpy(layer(logits, training=True)) for _ in range(2)]
        assert np.abs(drawn[0] - drawn[1]).max() > 0.1 * np.abs(drawn[0]).max()
        np.testing.assert_array_equal(self.output(layer), self.output(self.make()))
        again = self.make()
        np.testing.assert_array_equal(ops.convert_to_numpy(again(logits, training=True)), drawn[0])

    def test_another_seed_is_another_noise(self):
        assert np.abs(self.output(self.make()) - self.output(self.make(seed=6))).max() > 0

    def test_white_noise_is_uniform_and_white(self):
        noise = ops.convert_to_numpy(self.make().white_noise(np.zeros((2, 500, 9), "float32"))).astype(
            "float64"
        )
        assert noise.shape == (1, 500, HOP)
        assert np.abs(noise).max() <= 1.0
        count = noise.size  # five deviations of each estimate
        assert abs(noise.mean()) < 5 * np.sqrt(1 / 3 / count)
        assert abs(noise.var() - 1 / 3) < 5 * np.sqrt(4 / 45 / count)
        flat = noise.ravel()
        assert abs(np.mean(flat[1:] * flat[:-1])) < 5 / 3 / np.sqrt(count)

    def test_given_noise_is_used(self):
        magnitudes = np.ones((2, FRAMES, 9), "float32")
        noise = np.random.default_rng(0).uniform(-1, 1, (2, FRAMES, HOP)).astype("float32")
        audio = ops.convert_to_numpy(self.make().get_signal(magnitudes, noise))
        np.testing.assert_allclose(audio, noise.reshape(2, -1), atol=1e-6)

    def test_an_untrained_network_hardly_hisses(self):
        layer = FilteredNoiseSynth(hop=HOP)
        assert np.abs(ops.convert_to_numpy(layer(np.zeros((1, FRAMES, 9), "float32")))).max() < 1e-4

    def test_unknown_tails_are_refused_at_once(self):
        with pytest.raises(ValueError, match=r"tails must be one of .*; got 'wrap'. Use 'overlap'"):
            self.make(tails="wrap")


def test_a_synth_is_its_controls_then_its_signal():
    class Doubler(Synth):
        def get_controls(self, level):
            return {"gain": 2.0 * level}

        def get_signal(self, gain):
            return gain + 1.0

    synth = Doubler(dtype="mixed_bfloat16")
    assert synth.dtype_policy.name == "float32"
    np.testing.assert_array_equal(
        ops.convert_to_numpy(synth(np.ones((1, 3), "float32"))), np.full((1, 3), 3.0)
    )
