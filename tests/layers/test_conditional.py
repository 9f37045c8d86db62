"""Layers that know the class: each class has its own scale, shift and score."""

import keras
import numpy as np
import pytest
from cases import LayerCase, numpy_of
from keras import ops

from audiozoo.layers import ConditionalBatchNorm, Projection

LABELS = np.array([2, 0], "int32")


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def make_norm(**changes):
    """A layer whose four weights are all random, variances among them positive."""
    layer = ConditionalBatchNorm(3, **changes)
    layer.build((None, None, None, 4))
    layer.set_weights([noise(3, 4), noise(3, 4, seed=1), noise(4, seed=2), 0.5 + noise(4, seed=3) ** 2])
    return layer


class TestConditionalBatchNorm(LayerCase):
    layer_class = ConditionalBatchNorm
    config = {"num_classes": 3, "momentum": 0.9, "epsilon": 1e-3}
    tolerance = 1e-5

    def inputs(self):
        return [noise(2, 5, 3, 4), LABELS]

    def oracle(self, layer, inputs, labels):
        scale, shift, mean, variance = (weight.astype("float64") for weight in layer.get_weights())
        normal = (inputs - mean) / np.sqrt(variance + 1e-3)
        return normal * scale[labels][:, None, None] + shift[labels][:, None, None]

    def test_agrees_with_the_oracle_in_training(self):
        layer, (inputs, labels) = make_norm(epsilon=1e-3), self.inputs()
        scale, shift, _, _ = layer.get_weights()
        mean, variance = inputs.mean(axis=(0, 1, 2)), inputs.var(axis=(0, 1, 2))
        normal = (inputs.astype("float64") - mean) / np.sqrt(variance + 1e-3)
        expected = normal * scale[labels][:, None, None] + shift[labels][:, None, None]
        np.testing.assert_allclose(numpy_of(layer(inputs, labels, training=True)), expected, atol=1e-5)


def test_running_averages_follow_the_batches():
    layer, mean, variance = make_norm(momentum=0.9), *make_norm().get_weights()[2:]
    for seed in range(3):
        batch = noise(6, 4, 2, 4, seed=seed) + 2.0
        layer(batch, np.zeros(6, "int32"), training=True)
        mean = 0.9 * mean + 0.1 * batch.mean(axis=(0, 1, 2))
        variance = 0.9 * variance + 0.1 * batch.var(axis=(0, 1, 2))
    np.testing.assert_allclose(numpy_of(layer.mean), mean, atol=1e-5)
    np.testing.assert_allclose(numpy_of(layer.variance), variance, atol=1e-5)
    layer(batch, np.zeros(6, "int32"))  # out of training nothing moves
    np.testing.assert_allclose(numpy_of(layer.mean), mean, atol=1e-5)


def test_with_one_class_it_is_the_stock_layer():
    """Keras's own batch normalisation is the oracle, in training and after it."""
    stock = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3)
    stock.build((None, 5, 4))
    ours = ConditionalBatchNorm(1, momentum=0.9, epsilon=1e-3)
    ours.build((None, 5, 4))
    signal, labels = noise(3, 5, 4), np.zeros(3, "int32")
    for training in (True, False):
        np.testing.assert_allclose(
            numpy_of(ours(signal, labels, training=training)),
            numpy_of(stock(signal, training=training)),
            atol=1e-5,
        )
    for own, other in zip(ours.get_weights()[2:], stock.get_weights()[2:], strict=True):
        np.testing.assert_allclose(own, other, atol=1e-6)


class TestProjection(LayerCase):
    layer_class = Projection
    config = {"num_classes": 3, "normalization": "none"}
    tolerance = 1e-5

    def inputs(self):
        return [noise(2, 7), LABELS]

    def oracle(self, layer, features, labels):
        kernel, bias, vectors = (weight.astype("float64") for weight in layer.get_weights())
        return features @ kernel + bias + np.sum(vectors[labels] * features, axis=1, keepdims=True)


def test_the_class_changes_the_score_and_its_gradient():
    layer = Projection(3)
    features = noise(2, 7)
    scores = [numpy_of(layer(features, np.full(2, label, "int32"))) for label in range(3)]
    assert np.abs(scores[0] - scores[1]).min() > 1e-3
    assert np.abs(scores[1] - scores[2]).min() > 1e-3


def test_a_spectrally_normalised_projection_is_bounded():
    """Both matrices have the largest singular value 1: no features are told apart further than that."""
    layer = Projection(3)
    features, labels = noise(50, 7), np.arange(50, dtype="int32") % 3
    for _ in range(80):
        layer(features, labels, training=True)
    for part in (layer.score, layer.vectors):
        largest = np.linalg.svd(numpy_of(part.kernel_now()), compute_uv=False)[0]
        assert largest == pytest.approx(1.0, abs=1e-3)
    scores = numpy_of(layer(features, labels))[:, 0]
    assert np.all(np.abs(scores) <= 2.0 * np.linalg.norm(features, axis=1) * 1.001)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: ConditionalBatchNorm(0), "num_classes must be a whole number of at least 1; got 0"),
        (lambda: ConditionalBatchNorm(2, momentum=1.5), "momentum must be a number between"),
        (lambda: Projection(0), "num_classes must be a whole number of at least 1; got 0"),
        (lambda: Projection(2, normalization="batch"), "normalization must be one of none, weight, spectral"),
    ],
)
def test_what_makes_no_layer_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_only_the_class_that_is_seen_learns():
    layer = make_norm()
    before = layer.get_weights()

    class One(keras.Model):
        def __init__(self):
            super().__init__()
            self.norm = layer

        def call(self, inputs):
            return self.norm(inputs["signal"], inputs["label"], training=True)

    model = One()
    model.compile(keras.optimizers.SGD(0.1), "mse")
    signal, labels = noise(4, 5, 3, 4), np.ones(4, "int32")
    model.train_on_batch({"signal": signal, "label": labels}, ops.zeros_like(signal))
    for old, new in zip(before[:2], layer.get_weights()[:2], strict=True):
        np.testing.assert_array_equal(new[[0, 2]], old[[0, 2]])
        assert np.abs(new[1] - old[1]).max() > 1e-4
