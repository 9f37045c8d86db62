"""One vector for all frames: it keeps when something happened, and says it again."""

import numpy as np
from cases import LayerCase, numpy_of

from audiozoo.layers import TimePool, TimeSpread
from audiozoo.layers.time_pooling import NUM_CLOCKS, clocks


def noise(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def clocks_by_hand(frames):
    """``(frames, 23)``: a constant, and cosine and sine of 2^2 .. 2^12 frames."""
    columns = [np.ones(frames)]
    columns += [np.cos(2 * np.pi * np.arange(frames) / 2**k) for k in range(2, 13)]
    columns += [np.sin(2 * np.pi * np.arange(frames) / 2**k) for k in range(2, 13)]
    return np.stack(columns, axis=1)


class TestTimePool(LayerCase):
    layer_class = TimePool
    config = {}
    tolerance = 1e-5

    def make(self, **changes):
        layer = super().make(**changes)
        layer.build((None, None, 5))
        layer.set_weights([0.5 * noise(*w.shape) for w in layer.weights])
        return layer

    def inputs(self):
        return [noise(2, 30, 5)]

    def oracle(self, layer, inputs):
        kernel, bias = (weight.astype("float64") for weight in layer.get_weights())
        return np.mean(inputs * (clocks_by_hand(30) @ kernel + bias), axis=1)


def test_a_code_is_spread_by_the_clocks():
    layer = TimeSpread(4)
    latent = noise(2, 3)
    layer.build(latent.shape)
    project, bias, weighting, offset = layer.get_weights()
    spread = numpy_of(layer(latent, frames=20))
    expected = (latent @ project + bias)[:, None] * (clocks_by_hand(20) @ weighting + offset)
    np.testing.assert_allclose(spread, expected, atol=1e-5)
    assert layer.get_config()["channels"] == 4


def test_a_pool_tells_early_from_late():
    layer = TimePool()
    early = np.zeros((1, 64, 3), "float32")
    early[:, 5] = 1.0
    assert np.abs(numpy_of(layer(early)) - numpy_of(layer(early[:, ::-1]))).max() > 1e-3


def test_clocks_of_fewer_frames_are_a_piece_of_those_of_more():
    assert clocks(7).shape == (1, 7, NUM_CLOCKS)
    np.testing.assert_array_equal(numpy_of(clocks(7))[0], numpy_of(clocks(50))[0, :7])
