"""Convolution layers: lengths, the stock layers' values, normalised kernels and their folding."""

import keras
import numpy as np
import pytest
from cases import LayerCase, numpy_of
from keras import ops

from audiozoo.layers import Convolution, NormalizedDense, TransposedConvolution, fold_weight_norm


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


class TestConvolution(LayerCase):
    layer_class = Convolution
    config = {
        "filters": 6,
        "kernel_size": 4,
        "stride": 2,
        "groups": 2,
        "padding": "reflect",
        "normalization": "weight",
    }
    tolerance = 1e-5

    def inputs(self):
        return [noise(2, 9, 4)]

    def oracle(self, layer, inputs):
        """By PyTorch."""
        torch = pytest.importorskip("torch")
        v, g, bias = (torch.from_numpy(weight.astype("float64")) for weight in layer.get_weights())
        own = torch.nn.Conv1d(4, 6, 4, stride=2, groups=2, dtype=torch.float64)
        own = torch.nn.utils.parametrizations.weight_norm(own)
        own.parametrizations.weight.original1.data = v.permute(2, 1, 0)
        own.parametrizations.weight.original0.data = g[:, None, None]
        own.bias.data = bias
        padded = np.pad(inputs.astype("float64"), ((0, 0), (1, 2), (0, 0)), mode="reflect")
        return own(torch.from_numpy(padded).permute(0, 2, 1)).permute(0, 2, 1).detach().numpy()


class TestTransposedConvolution(LayerCase):
    layer_class = TransposedConvolution
    config = {"filters": 5, "kernel_size": 8, "stride": 4, "normalization": "weight"}
    tolerance = 1e-5

    def inputs(self):
        return [noise(2, 7, 3)]

    def oracle(self, layer, inputs):
        """By PyTorch, whose weight normalisation here has a length for every channel of the input."""
        torch = pytest.importorskip("torch")
        v, g, bias = (torch.from_numpy(weight.astype("float64")) for weight in layer.get_weights())
        own = torch.nn.ConvTranspose1d(3, 5, 8, stride=4, padding=2, dtype=torch.float64)
        own = torch.nn.utils.parametrizations.weight_norm(own)
        own.parametrizations.weight.original1.data = v.permute(2, 1, 0)
        own.parametrizations.weight.original0.data = g[:, None, None]
        own.bias.data = bias
        signal = torch.from_numpy(inputs.astype("float64")).permute(0, 2, 1)
        return own(signal).permute(0, 2, 1).detach().numpy()


class TestNormalizedDense(LayerCase):
    layer_class = NormalizedDense
    config = {"units": 5, "normalization": "weight"}
    tolerance = 1e-5

    def inputs(self):
        return [noise(2, 3, 4)]

    def oracle(self, layer, inputs):
        v, g, bias = (weight.astype("float64") for weight in layer.get_weights())
        return inputs @ (v * g / np.linalg.norm(v, axis=0)) + bias


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("kernel_size, dilation", [(1, 1), (3, 1), (3, 3), (4, 1)])
def test_without_stride_the_length_stays(axes, padding, kernel_size, dilation):
    layer = Convolution(4, kernel_size, dilation=dilation, padding=padding)
    shape = (1, *[11] * axes, 2)
    assert layer(noise(*shape)).shape == layer.compute_output_shape(shape) == (1, *[11] * axes, 4)


def test_a_layer_over_two_axes_is_the_stock_one():
    ours, stock = Convolution(6, 3, padding="zeros"), keras.layers.Conv2D(6, 3, padding="same")
    signal = noise(2, 8, 9, 4)
    ours.build(signal.shape)
    stock.build(signal.shape)
    stock.set_weights(ours.get_weights())
    np.testing.assert_allclose(numpy_of(ours(signal)), numpy_of(stock(signal)), atol=1e-5)


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("kernel_size, stride", [(4, 4), (8, 4), (5, 2), (3, 1)])
def test_a_transposed_layer_has_stride_times_the_steps(axes, kernel_size, stride):
    layer = TransposedConvolution(3, kernel_size, stride=stride)
    shape = (2, *[5] * axes, 2)
    assert layer(noise(*shape)).shape == layer.compute_output_shape(shape) == (2, *[5 * stride] * axes, 3)


def make_normalized(normalization):
    return [
        Convolution(6, 3, groups=2, normalization=normalization),
        TransposedConvolution(6, 4, stride=2, normalization=normalization),
        NormalizedDense(6, normalization=normalization),
    ]


@pytest.mark.parametrize("layer", make_normalized("weight"), ids=lambda layer: type(layer).__name__)
def test_weight_norm_begins_as_the_layer_without_it(layer):
    signal = noise(2, 7, 4)
    layer.build(signal.shape)
    without = type(layer).from_config(layer.get_config() | {"normalization": "none"})
    without.build(signal.shape)
    v, _, bias = layer.get_weights()
    without.set_weights([v, bias])
    np.testing.assert_allclose(numpy_of(layer(signal)), numpy_of(without(signal)), atol=1e-6)
    assert [weight.name for weight in layer.weights] == ["v", "g", "bias"]


@pytest.mark.parametrize("layer", make_normalized("weight"), ids=lambda layer: type(layer).__name__)
def test_the_length_of_v_says_nothing_and_g_scales(layer):
    signal = noise(2, 7, 4)
    layer.build(signal.shape)
    before = numpy_of(layer(signal))
    v, g, bias = layer.get_weights()
    layer.set_weights([3.0 * v, g, bias])
    np.testing.assert_allclose(numpy_of(layer(signal)), before, atol=1e-6)
    layer.set_weights([v, 2.0 * g, bias])  # the bias is 0
    np.testing.assert_allclose(numpy_of(layer(signal)), 2.0 * before, atol=1e-5)


def test_folded_is_the_same_and_costs_nothing_more():
    model = keras.Sequential(make_normalized("weight")[:2])
    signal = noise(2, 7, 4)
    model(signal)
    for layer in model.layers:
        v, g, bias = layer.get_weights()
        layer.set_weights([v, g * noise(*g.shape, seed=1), bias])
    before = numpy_of(model(signal))
    fold_weight_norm(model)
    np.testing.assert_allclose(numpy_of(model(signal)), before, atol=1e-6)
    for layer in model.layers:
        np.testing.assert_array_equal(numpy_of(layer.kernel_now()), layer.get_weights()[0])
    fold_weight_norm(model)  # a second time nothing happens
    np.testing.assert_allclose(numpy_of(model(signal)), before, atol=1e-6)


@pytest.mark.parametrize("layer", make_normalized("spectral"), ids=lambda layer: type(layer).__name__)
def test_a_spectrally_normalised_kernel_has_the_largest_singular_value_1(layer):
    signal = noise(2, 7, 4)
    for _ in range(60):
        layer(signal, training=True)
    kernel = numpy_of(layer.kernel_now())
    largest = np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)[0]
    assert largest == pytest.approx(1.0, abs=1e-3)
    u = numpy_of(layer.u)
    layer(signal)
    np.testing.assert_array_equal(numpy_of(layer.u), u)  # out of training nothing moves


@pytest.mark.parametrize("channels", [2, 5])
def test_groups_see_their_own_channels_only(channels):
    layer = Convolution(2 * channels, 3, groups=channels)
    signal = noise(1, 9, channels)
    before = numpy_of(layer(signal))
    signal[..., 0] += 1.0
    changed = np.abs(numpy_of(layer(signal)) - before).max(axis=(0, 1))
    assert (changed[:2] > 0.01).all()
    assert (changed[2:] == 0.0).all()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Convolution(0, 3), "filters must be a whole number of at least 1; got 0"),
        (
            lambda: Convolution(2, 3, stride=2, dilation=2),
            "stride and dilation cannot both be above 1; got 2 and 2",
        ),
        (
            lambda: Convolution(2, 3, padding="same"),
            "padding must be one of zeros, reflect, none; got 'same'",
        ),
        (
            lambda: Convolution(2, 3, normalization="batch"),
            "normalization must be one of none, weight, spectral",
        ),
        (
            lambda: Convolution(4, 3, groups=3).build((1, 9, 6)),
            "groups must divide .* 6, and filters, 4; got 3",
        ),
        (lambda: Convolution(4, 3).build((1, 9)), r"the input must be \(batch, time, channels\)"),
        (lambda: Convolution(4, 9, padding="reflect")(noise(1, 4, 1)), "more than 4 steps to be mirrored"),
        (lambda: TransposedConvolution(2, 3, stride=4), "kernel_size must be at least stride, 4, .*; got 3"),
        (
            lambda: fold_weight_norm(keras.Sequential([NormalizedDense(2, normalization="weight")])),
            "must be built",
        ),
    ],
)
def test_what_makes_no_layer_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_gradients_reach_length_and_direction():
    layer = Convolution(3, 3, normalization="weight")
    target = noise(4, 9, 3, seed=1)
    model = keras.Sequential([layer])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    signal = noise(4, 9, 2)
    model(signal)
    before = layer.get_weights()
    model.fit(signal, target, epochs=2, verbose=0)
    for old, new in zip(before, layer.get_weights(), strict=True):
        assert np.abs(old - new).max() > 1e-4
    assert ops.shape(layer.kernel_now()) == (3, 2, 3)
