"""Instance normalisation against numpy, and what it does to a single step."""

import numpy as np
import pytest
from cases import LayerCase, numpy_of
from keras import layers

from audiozoo.layers import InstanceNorm


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


class TestInstanceNorm(LayerCase):
    layer_class = InstanceNorm
    config = {"epsilon": 1e-5}
    tolerance = 1e-5

    def inputs(self):
        return [3.0 + 2.0 * noise(2, 50, 4)]

    def make(self, **changes):
        layer = super().make(**changes)
        layer.build((None, None, 4))
        layer.set_weights([noise(4, seed=1), noise(4, seed=2)])
        return layer

    def oracle(self, layer, inputs):
        scale, shift = layer.get_weights()
        x = inputs.astype("float64")
        return (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5) * scale + shift


def test_agrees_with_keras_group_normalization_of_one_channel_a_group():
    theirs, ours = layers.GroupNormalization(groups=-1, epsilon=1e-3), InstanceNorm()
    x = 0.1 + noise(2, 300, 8)
    np.testing.assert_allclose(numpy_of(ours(x)), numpy_of(theirs(x)), atol=2e-5)


@pytest.mark.parametrize("level", [0.0, 100.0])
def test_one_step_becomes_the_shift_and_constants_do_not_explode(level):
    layer = InstanceNorm()
    x = noise(2, 1, 3)
    layer.build(x.shape)
    layer.set_weights([np.ones(3), np.arange(3.0)])
    np.testing.assert_array_equal(numpy_of(layer(x)), np.broadcast_to(np.arange(3.0), (2, 1, 3)))
    constant = np.full((2, 20, 3), level, "float32")
    np.testing.assert_allclose(
        numpy_of(layer(constant)), np.broadcast_to(np.arange(3.0), (2, 20, 3)), atol=1e-3
    )


def test_over_two_axes_it_is_what_it_is_over_all_their_steps_in_a_row():
    layer, maps = InstanceNorm(), 2.0 + noise(2, 6, 5, 3)
    in_a_row = numpy_of(layer(maps.reshape(2, 30, 3)))
    np.testing.assert_allclose(numpy_of(layer(maps)), in_a_row.reshape(maps.shape), atol=1e-6)
