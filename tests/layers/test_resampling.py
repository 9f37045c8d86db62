"""Strided convolutions: exact lengths, one grid, and each the transpose of the other."""

import numpy as np
import pytest
from cases import LayerCase, numpy_of

from audiozoo.layers import Downsample1D, Upsample1D


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


class TestDownsample1D(LayerCase):
    layer_class = Downsample1D
    config = {"filters": 5, "stride": 4}
    tolerance = 1e-5

    def inputs(self):
        return [noise(2, 31, 3)]

    def oracle(self, layer, inputs):
        kernel, bias = (w.astype("float64") for w in layer.get_weights())
        padded = np.pad(inputs.astype("float64"), ((0, 0), (2, 3), (0, 0)))  # to 32, and half a stride around
        frames = np.stack([padded[:, 4 * t : 4 * t + 8] for t in range(8)], axis=1)
        return np.einsum("btkc,kcf->btf", frames, kernel) + bias


class TestUpsample1D(LayerCase):
    layer_class = Upsample1D
    config = {"filters": 5, "stride": 3}
    tolerance = 1e-5

    def inputs(self):
        return [noise(2, 7, 4)]

    def oracle(self, layer, inputs):
        """Every step adds a kernel of two strides, from half a stride before its own steps on."""
        bias, kernel = (w.astype("float64") for w in layer.get_weights())
        # Tap 1 makes the first stride of a step's kernel, tap 0, which looks back, the second.
        kernel = kernel[::-1].reshape(2, 4, 3, 5).transpose(0, 2, 1, 3).reshape(6, 4, 5)
        whole = np.zeros((2, 24, 5))
        for step in range(7):
            whole[:, 3 * step : 3 * step + 6] += np.einsum("bc,kcf->bkf", inputs[:, step], kernel)
        return whole[:, 1:22] + bias


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize("length", [1, 2, 5, 6, 7])
def test_lengths_are_exact(stride, length):
    down, up = Downsample1D(2, stride), Upsample1D(2, stride)
    coarse = -(-length // stride)
    x = noise(1, length, 3)
    assert down(x).shape == down.compute_output_shape(x.shape) == (1, coarse, 2)
    assert up(x).shape == up.compute_output_shape(x.shape) == (1, length * stride, 2)


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_a_step_up_is_the_transpose_of_a_step_down(stride):
    # <down(x), y> = <x, up(y)> for all x and y, if both have one kernel. So a sound is not shifted either.
    down, up = Downsample1D(2, stride), Upsample1D(3, stride)
    x, y = noise(1, 5 * stride, 3), noise(1, 5, 2, seed=1)
    down.build(x.shape)
    up.build(y.shape)
    kernel = noise(2 * stride, 3, 2, seed=2)
    down.set_weights([kernel, np.zeros(2)])
    taps = kernel.reshape(2, stride, 3, 2)[::-1].transpose(0, 3, 1, 2).reshape(2, 2, 3 * stride)
    up.set_weights([np.zeros(3), taps])
    assert np.sum(numpy_of(down(x)) * y) == pytest.approx(np.sum(x * numpy_of(up(y))), rel=1e-4)


@pytest.mark.parametrize("layer", [Downsample1D, Upsample1D])
@pytest.mark.parametrize("stride", [0, -2, 1.5])
def test_an_impossible_stride_is_refused(layer, stride):
    with pytest.raises(ValueError, match=f"stride must be a whole number of at least 1; got {stride}"):
        layer(4, stride)
