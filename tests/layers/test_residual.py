"""Residual blocks: the one that learns in every weight, and the published one, which does not."""

import keras
import numpy as np
import pytest
from cases import LayerCase, gradient_of, numpy_of
from keras import ops

from audiozoo.layers import DilatedResidual, Resnet1DBlock, SeedResnet1DBlock


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def with_random_weights(layer, shape):
    layer.build(shape)
    layer.set_weights([0.5 * noise(*w.shape, seed=i) for i, w in enumerate(layer.weights)])
    return layer


def leaky(x, slope):
    return np.where(x > 0, x, slope * x)


def normalized(x, scale, shift):
    return (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-3) * scale + shift


class TestResnet1DBlock(LayerCase):
    layer_class = Resnet1DBlock
    config = {"filters": 6, "kernel_size": 5, "dilation": 3, "dropout": 0.3}
    tolerance = 1e-5

    def make(self, **changes):
        return with_random_weights(super().make(**changes), (None, None, 6))

    def inputs(self):
        return [noise(2, 40, 6)]

    def oracle(self, layer, inputs):
        x = inputs.astype("float64")
        weights = [layer.conv.kernel, layer.norm.scale, layer.norm.shift, layer.mix.kernel, layer.mix.bias]
        kernel, scale, shift, mix, bias = (numpy_of(w).astype("float64") for w in weights)
        padded = np.pad(leaky(x, 0.2), ((0, 0), (6, 6), (0, 0)))
        hidden = sum(padded[:, 3 * tap : 3 * tap + 40] @ kernel[tap] for tap in range(5))
        branch = leaky(normalized(hidden, scale, shift), 0.2) @ mix[0] + bias
        return x + numpy_of(layer.gain) * branch


def test_without_normalisation_a_step_depends_on_its_neighbours_only():
    layer = with_random_weights(Resnet1DBlock(6, 3, dilation=4, normalize=False), (None, None, 6))
    inputs = noise(1, 40, 6)
    changed = inputs.copy()
    changed[:, 20] += 1.0
    difference = np.abs(numpy_of(layer(inputs)) - numpy_of(layer(changed))).max(axis=(0, 2))
    assert set(np.flatnonzero(difference > 1e-6)) == {16, 20, 24}
    assert layer.get_config()["normalize"] is False


class TestSeedResnet1DBlock(LayerCase):
    layer_class = SeedResnet1DBlock
    config = {"kernel_size": 4, "filters": 1, "kind": "decode", "dropout": 0.3}
    tolerance = 1e-5

    def make(self, **changes):
        layer = with_random_weights(super().make(**changes), (None, 1, 6))
        for norm in (layer.norm_a, layer.norm_b):
            norm.moving_variance.assign(np.full(1, 0.7))
        return layer

    def inputs(self):
        return [noise(2, 1, 6)]

    def oracle(self, layer, inputs):
        x = inputs[:, 0].astype("float64")
        hidden = np.maximum(x, 0)
        for conv, norm in ((layer.conv_a, layer.norm_a), (layer.conv_b, layer.norm_b)):
            # One step in, one step out: of all taps the one where they meet counts, the middle.
            kernel = numpy_of(conv.kernel).astype("float64")
            hidden = hidden @ kernel[(len(kernel) - 1) // 2].T + numpy_of(conv.bias)
            centred = (hidden - numpy_of(norm.moving_mean)) / np.sqrt(0.7 + 1e-3)
            hidden = leaky(centred * numpy_of(norm.gamma) + numpy_of(norm.beta), 0.4)
        return np.maximum(x + hidden, 0)[:, None]


def gradients(layer, inputs):
    """Gradient of the weighted sum of the layer's output by each of its weights, by name."""
    weighting = ops.convert_to_tensor(noise(*inputs.shape, seed=9))
    layer(inputs)
    found = {}
    for weight in layer.trainable_weights:

        def output(value, weight=weight):
            with keras.StatelessScope(state_mapping=[(weight, value)]):
                return ops.sum(layer(inputs) * weighting)

        found[weight.path] = gradient_of(output, numpy_of(weight))
    return found


def test_every_weight_of_the_repaired_block_receives_gradient():
    found = gradients(Resnet1DBlock(6, 3, dilation=3), noise(2, 40, 6))
    assert len(found) == 6
    for path, gradient in found.items():
        assert np.all(np.abs(gradient) > 1e-7), path


def test_of_the_published_block_only_the_last_shift_is_alive():
    found = gradients(SeedResnet1DBlock(64, 1, "encode"), noise(2, 1, 64))
    alive = [path for path, gradient in found.items() if np.any(gradient)]
    assert len(found) == 8
    assert [path.split("/")[-1] for path in alive] == ["shift"]


@pytest.mark.parametrize(
    "block", [Resnet1DBlock(64, dropout=0.3), SeedResnet1DBlock(8, 64, "decode", dropout=0.3)]
)
def test_dropout_drops_its_share_in_training_and_nothing_else(block):
    rate, steps = 0.3, (1 if isinstance(block, SeedResnet1DBlock) else 500)
    x = np.abs(noise(500 // steps, steps, 64))
    evaluated = numpy_of(block(x))
    np.testing.assert_array_equal(numpy_of(block(x)), evaluated)
    trained = [numpy_of(block(x, training=True)) for _ in range(2)]
    assert np.abs(trained[0] - trained[1]).max() > 0
    drop = block.drop if isinstance(block, Resnet1DBlock) else block.drop_b
    dropped = numpy_of(drop(np.ones((500, 64), "float32"), training=True)) == 0
    assert dropped.mean() == pytest.approx(rate, abs=4 * np.sqrt(rate * (1 - rate) / dropped.size))


def test_loudness_passes_by_the_normalisation():
    block = Resnet1DBlock(4)
    x = noise(1, 100, 4)
    quiet, loud = numpy_of(block(0.1 * x)), numpy_of(block(10.0 * x))
    assert np.std(loud) > 20 * np.std(quiet)


def test_other_channels_and_signals_with_time_are_refused():
    with pytest.raises(ValueError, match="filters must be the channels of the input, 3; got 8"):
        Resnet1DBlock(8).build((None, 10, 3))
    with pytest.raises(ValueError, match=r"input must be \(batch, 1, channels\)"):
        SeedResnet1DBlock(4, 1).build((None, 10, 3))
    with pytest.raises(ValueError, match="kind must be 'encode' or 'decode'; got 'both'"):
        SeedResnet1DBlock(4, 1, "both")


class TestDilatedResidual(LayerCase):
    layer_class = DilatedResidual
    config = {
        "filters": 6,
        "kernel_size": 5,
        "dilation": 3,
        "normalization": "none",
        "kernel_initializer": keras.initializers.serialize(keras.initializers.HeNormal(seed=1)),
    }
    tolerance = 1e-5

    def make(self, **changes):
        return with_random_weights(super().make(**changes), (None, None, 4))

    def inputs(self):
        return [noise(2, 20, 4)]

    def oracle(self, layer, x):
        look, bias, mix, mix_bias, shortcut, shortcut_bias = (
            value.astype("float64") for value in layer.get_weights()
        )
        padded = np.pad(leaky(x.astype("float64"), 0.2), ((0, 0), (6, 6), (0, 0)), mode="reflect")
        hidden = sum(padded[:, 3 * tap : 3 * tap + 20] @ look[tap] for tap in range(5)) + bias
        return x @ shortcut[0] + shortcut_bias + leaky(hidden, 0.2) @ mix[0] + mix_bias

    def test_two_axes_are_seen_alike(self):
        """A picture that is the same along frequency comes out the same along frequency."""
        layer = DilatedResidual(3, dilation=2)
        picture = np.repeat(noise(1, 12, 1, 3), 9, axis=2)
        result = numpy_of(layer(picture))
        assert result.shape == (1, 12, 9, 3)
        np.testing.assert_allclose(result, np.repeat(result[:, :, :1], 9, axis=2), atol=1e-5)
