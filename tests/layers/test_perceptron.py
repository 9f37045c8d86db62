"""Dense, layer normalisation, leaky ReLU."""

import numpy as np
import pytest
from cases import LayerCase
from keras import ops

from audiozoo.layers import Perceptron


class TestPerceptron(LayerCase):
    layer_class = Perceptron
    config = {"units": 6, "depth": 2, "first_bias": 0.5}
    tolerance = 1e-5

    def inputs(self):
        return [np.random.default_rng(0).standard_normal((2, 5, 3)).astype("float32")]

    def oracle(self, layer, inputs):
        hidden = inputs.astype("float64")
        for dense, norm in zip(layer.dense, layer.norm, strict=True):
            kernel, bias = (weight.astype("float64") for weight in dense.get_weights())
            gain, offset = norm.get_weights()
            hidden = hidden @ kernel + bias
            deviation = np.sqrt(hidden.var(axis=-1, keepdims=True) + 1e-5)
            hidden = (hidden - hidden.mean(axis=-1, keepdims=True)) / deviation * gain + offset
            hidden = np.where(hidden > 0, hidden, 0.01 * hidden)
        return hidden


def one_channel_output(first_bias):
    scalars = np.array([[[0.2], [0.5], [0.9]]], "float32")
    return ops.convert_to_numpy(Perceptron(units=8, first_bias=first_bias)(scalars))[0]


def test_a_scalar_input_is_lost_with_a_zero_bias_and_kept_with_a_random_one():
    lost, kept = one_channel_output(0.0), one_channel_output(1.0)
    np.testing.assert_allclose(
        lost, lost[:1].repeat(3, axis=0), atol=0.02
    )  # epsilon of the norm is all there is
    assert np.abs(kept[0] - kept[2]).max() > 0.2


@pytest.mark.parametrize("first_bias", [0.0, 1.0])
def test_only_the_first_bias_is_random_and_within_its_bound(first_bias):
    layer = Perceptron(units=64, first_bias=first_bias)
    layer.build((None, None, 1))
    first, *others = [ops.convert_to_numpy(dense.bias) for dense in layer.dense]
    assert np.abs(first).max() <= first_bias
    assert (np.unique(first).size > 32) == (first_bias > 0)
    assert not np.any(others)


def test_the_shape_is_known_without_running():
    layer = Perceptron(units=6)
    assert layer.compute_output_shape((None, 7, 3)) == (None, 7, 6)
    layer.build((None, 7, 3))
    assert layer.built
    assert layer(np.zeros((2, 4, 3), "float32")).shape == (2, 4, 6)
