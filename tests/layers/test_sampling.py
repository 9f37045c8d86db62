"""To a Gaussian, and draws from it: their moments, their seed, and the gradient through them."""

import numpy as np
from cases import LayerCase, gradient_of, numpy_of
from keras import ops

from audiozoo.layers import GaussianHead, Sampling
from audiozoo.layers.sampling import INITIAL_LOG_VARIANCE


class TestSampling(LayerCase):
    layer_class = Sampling
    config = {"seed": 7}
    tolerance = 1e-7

    def inputs(self):
        return list(np.random.default_rng(0).standard_normal((2, 2, 5, 3)).astype("float32"))

    def oracle(self, layer, mean, log_variance):
        return mean


class TestGaussianHead(LayerCase):
    layer_class = GaussianHead
    config = {"latent_dim": 4, "mean_initializer": "zeros"}
    tolerance = 1e-5

    def make(self, **changes):
        layer = super().make(**changes)
        layer.build((None, None, 3))
        rng = np.random.default_rng(0)
        layer.set_weights([rng.standard_normal(w.shape) for w in layer.weights])
        return layer

    def inputs(self):
        return [np.random.default_rng(1).standard_normal((2, 5, 3)).astype("float32")]

    def oracle(self, layer, inputs):
        mean, mean_bias, log_variance, log_variance_bias = layer.get_weights()
        return inputs @ mean + mean_bias, inputs @ log_variance + log_variance_bias

    def test_an_item_is_treated_as_if_alone(self):
        layer = self.make()
        together, alone = self.output(layer), self.output(layer, [self.inputs()[0][1:]])
        np.testing.assert_allclose(alone[0][0], together[0][1], atol=1e-5)

    def test_output_repeats(self):
        np.testing.assert_array_equal(self.output(self.make())[0], self.output(self.make())[0])


def test_a_posterior_is_narrow_at_first():
    layer = GaussianHead(6)
    _, log_variance = numpy_of(layer(np.random.default_rng(0).standard_normal((50, 8)).astype("float32")))
    np.testing.assert_allclose(log_variance, INITIAL_LOG_VARIANCE, atol=0.3)
    mean, _ = numpy_of(GaussianHead(6, mean_initializer="zeros")(np.ones((2, 8), "float32")))
    assert not mean.any()


def test_draws_have_the_mean_and_the_variance_that_they_were_given():
    shape = (1, 100_000)
    mean, log_variance = np.full(shape, 0.5, "float32"), np.full(shape, np.log(0.09), "float32")
    drawn = numpy_of(Sampling()(mean, log_variance, training=True))
    # Standard errors: 0.3 / sqrt(1e5) of the mean, 0.09 sqrt(2 / 1e5) of the variance; four of each.
    assert abs(drawn.mean() - 0.5) < 4 * 0.3 / np.sqrt(1e5)
    assert abs(drawn.var() - 0.09) < 4 * 0.09 * np.sqrt(2 / 1e5)


def test_every_draw_is_new_and_equal_seeds_draw_alike():
    zeros = np.zeros((2, 8), "float32")
    one, same, other = Sampling(seed=3), Sampling(seed=3), Sampling(seed=4)
    first, second = (numpy_of(one(zeros, zeros, training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 0.1
    np.testing.assert_array_equal(numpy_of(same(zeros, zeros, training=True)), first)
    assert np.abs(numpy_of(other(zeros, zeros, training=True)) - first).max() > 0.1


def test_gradients_reach_mean_and_variance():
    point = np.full((2, 4), -1.0, "float32")
    expected = numpy_of(Sampling()(0 * point, point, training=True))
    through_mean = gradient_of(lambda x: ops.sum(Sampling()(x, 0 * x, training=True)), point)
    through_variance = gradient_of(lambda x: ops.sum(Sampling()(0 * x, x, training=True)), point)
    np.testing.assert_allclose(through_mean, np.ones((2, 4)))
    np.testing.assert_allclose(through_variance, 0.5 * expected, rtol=1e-5)
