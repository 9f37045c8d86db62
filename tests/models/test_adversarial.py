import keras
import numpy as np
import pytest
from cases import numpy_of
from keras import layers, ops

from audiozoo.losses import adversarial
from audiozoo.models.adversarial import AdversarialModel
from audiozoo.training.averaging import averaged_weights
from audiozoo.training.callbacks import AdversarialFrom
from audiozoo.training.checkpoint import Checkpoint

ITEMS, NUMBERS = 4, 3


class LinearDiscriminator(layers.Layer):
    """Score and feature of an item: two matrices, and a normalisation that keeps state."""

    def __init__(self, normalize, **kwargs):
        super().__init__(**kwargs)
        self.hidden = layers.Dense(2, use_bias=False)
        self.norm = layers.BatchNormalization() if normalize else layers.Identity()
        self.score = layers.Dense(1, use_bias=False)

    def build(self, input_shape):
        self.hidden.build(input_shape)
        self.norm.build((None, 2))
        self.score.build((None, 2))

    def call(self, items, training=False):
        features = self.norm(self.hidden(items), training=training)
        return {"scores": [self.score(features)], "features": [features]}


class Linear(AdversarialModel, abstract=True):
    """The smallest adversarial model there is: items are rows of three numbers."""

    def __init__(self, *, weight=1.0, normalize=False, **kwargs):
        super().__init__(**kwargs)
        self.weight, self.normalize = weight, normalize
        self.generator = layers.Dense(NUMBERS, use_bias=False)
        self.discriminator = LinearDiscriminator(normalize, name="discriminator")
        self.generator.build((None, NUMBERS))
        self.built = True

    def build_discriminator(self):
        self.discriminator.build((None, NUMBERS))

    def call(self, inputs, training=False):
        return self.generator(inputs["noise"])

    def discriminator_loss(self, real, fake):
        return adversarial.least_squares_discriminator(real["scores"], fake["scores"])

    def generator_loss(self, real, fake):
        matching = adversarial.paired_feature_matching(real["features"], fake["features"])
        return self.weight * (adversarial.least_squares_generator(fake["scores"]) + matching)

    def reconstruction_loss(self, target, output):
        return ops.mean(ops.square(target - output))


def data():
    rng = np.random.default_rng(0)
    noise, real = rng.standard_normal((2, ITEMS, NUMBERS)).astype("float32")
    return {"noise": noise}, real


def trained(steps, *, optimizers=None, **changes):
    """A model after some steps, and the values of its weights by their path."""
    model = Linear(**changes)
    generator, discriminator = optimizers or (keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.05))
    model.compile(generator, discriminator_optimizer=discriminator)
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign(rng.standard_normal(weight.shape))
    for _ in range(steps):
        model.train_on_batch(*data())
    return model, [ops.convert_to_numpy(weight) for weight in model.trainable_weights]


def by_hand(steps, *, weight=1.0):
    """The same in float64, with both gradients written out."""
    rng = np.random.default_rng(1)
    g, h, s = (rng.standard_normal(shape) for shape in ((3, 3), (3, 2), (2, 1)))
    inputs, real = data()
    z, real = inputs["noise"].astype("float64"), real.astype("float64")
    for _ in range(steps):
        fake = z @ g
        on_real, on_fake = real @ h @ s - 1.0, fake @ h @ s
        to_score = (real @ h).T @ on_real + (fake @ h).T @ on_fake
        to_hidden = real.T @ on_real @ s.T + fake.T @ on_fake @ s.T
        away = (on_fake - 1.0) @ s.T @ h.T * 2.0 / ITEMS
        features = np.sign((fake - real) @ h) @ h.T / (2 * ITEMS)
        pull = 2.0 * (fake - real) / (NUMBERS * ITEMS)
        g = g - 0.1 * z.T @ (weight * (away + features) + pull)
        h, s = h - 0.05 * to_hidden * 2.0 / ITEMS, s - 0.05 * to_score * 2.0 / ITEMS
    return g, h, s


@pytest.mark.parametrize("weight", [1.0, 3.0])
def test_twelve_steps_are_those_of_both_gradients_by_hand(weight):
    _, weights = trained(12, weight=weight)
    for actual, expected in zip(weights, by_hand(12, weight=weight), strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_no_loss_of_the_generator_reaches_the_discriminator():
    _, once = trained(1, weight=1.0)
    _, scaled = trained(1, weight=1000.0)
    assert np.abs(scaled[0] - once[0]).max() > 1.0
    for a, b in zip(once[1:], scaled[1:], strict=True):
        np.testing.assert_array_equal(a, b)


def test_state_of_the_discriminator_sees_real_and_generated_items_once_and_together():
    model, _ = trained(1, normalize=True)
    inputs, real = data()
    _, before = trained(0, normalize=True)
    items = np.concatenate([real, inputs["noise"] @ before[0]])
    mean = 0.01 * (items @ before[1]).mean(axis=0)
    np.testing.assert_allclose(ops.convert_to_numpy(model.discriminator.norm.moving_mean), mean, atol=1e-6)


def test_without_the_discriminator_only_the_reconstruction_is_learned():
    model, before = trained(0, optimizers=(keras.optimizers.Adam(0.1), keras.optimizers.Adam(0.1)))
    model.set_adversarial(False)
    errors = [model.train_on_batch(*data(), return_dict=True)["reconstruction_loss"] for _ in range(20)]
    assert errors[-1] < 0.5 * errors[0]
    after = [ops.convert_to_numpy(weight) for weight in model.trainable_weights]
    np.testing.assert_array_equal(after[1], before[1])
    model.set_adversarial(True)
    model.train_on_batch(*data())
    assert np.abs(ops.convert_to_numpy(model.trainable_weights[1]) - before[1]).max() > 1e-3


def test_discriminator_exists_only_while_it_is_trained():
    model = Linear()
    assert model.count_params() == 9
    assert [tuple(weight.shape) for weight in model.weights] == [(3, 3)]
    model.compile(keras.optimizers.Adam(use_ema=True))
    assert model.count_params() == 9
    assert len(model.weights) == 3
    assert [array.shape for array in model.released_weights()] == [(3, 3)]
    averages = [optimizer.use_ema for optimizer in model.optimizer.optimizers]
    assert sorted(averages) == [False, True]


def test_fit_evaluate_and_predict_run(tmp_path):
    model = Linear()
    model.compile(keras.optimizers.SGD(0.01))
    inputs, real = data()
    history = model.fit(
        inputs, real, epochs=2, batch_size=2, validation_data=(inputs, real), verbose=0
    ).history
    assert {"loss", "discriminator_loss", "generator_loss", "reconstruction_loss", "val_loss"} <= set(history)
    assert np.all(np.isfinite(list(history.values())))
    np.testing.assert_allclose(
        model.predict(inputs, verbose=0), inputs["noise"] @ numpy_of(model.weights[0]), atol=1e-5
    )
    with pytest.raises(ValueError, match="sample_weight must be None"):
        model.train_on_batch(inputs, real, sample_weight=np.ones(ITEMS))


@keras.saving.register_keras_serializable("audiozoo_tests")
class SavedLinear(Linear, abstract=True):
    pass


def test_a_compiled_model_is_saved_with_both_optimizers(tmp_path):
    model = SavedLinear()
    model.compile(keras.optimizers.Adam(0.01), discriminator_optimizer=keras.optimizers.SGD(0.02))
    model.train_on_batch(*data())
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for a, b in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(numpy_of(a), numpy_of(b))
    model.train_on_batch(*data())
    loaded.train_on_batch(*data())
    for a, b in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_allclose(numpy_of(a), numpy_of(b), atol=1e-7)


class Watch(keras.callbacks.Callback):
    """Notes the discriminator's first matrix at the end of every epoch."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(numpy_of(self.model.discriminator.hidden.kernel))


@pytest.mark.parametrize("first_epoch", [0, 2])
def test_in_one_run_the_discriminator_may_begin_later(first_epoch):
    model, before = trained(0)
    watch = Watch()
    inputs, real = data()
    history = model.fit(
        inputs,
        real,
        epochs=4,
        initial_epoch=first_epoch,
        callbacks=[AdversarialFrom(2), watch],
        validation_data=(inputs, real),
        verbose=0,
    ).history
    moved = [not np.array_equal(kernel, before[1]) for kernel in watch.seen]
    assert moved == [False, False, True, True][first_epoch:]
    for name in ("discriminator_loss", "val_discriminator_loss"):
        assert [value > 0.0 for value in history[name]] == moved


def test_a_checkpoint_holds_both_optimizers(tmp_path):
    def make():
        return trained(0, optimizers=(keras.optimizers.Adam(0.1, use_ema=True), keras.optimizers.Adam(0.2)))[
            0
        ]

    def weights_after(model, steps):
        for _ in range(steps):
            model.train_on_batch(*data())
        return [numpy_of(weight) for weight in model.weights]

    whole, first, second = make(), make(), make()
    expected = weights_after(whole, 5)
    checkpoint = Checkpoint(tmp_path / "checkpoint.npz", first)
    weights_after(first, 3)
    checkpoint.save(epoch=3)
    assert Checkpoint(tmp_path / "checkpoint.npz", second).restore() == {"epoch": 3}
    for actual, wanted in zip(weights_after(second, 2), expected, strict=True):
        np.testing.assert_array_equal(actual, wanted)
    with averaged_weights(whole), averaged_weights(second):
        for a, b in zip(whole.weights, second.weights, strict=True):
            np.testing.assert_array_equal(numpy_of(a), numpy_of(b))
        assert not np.array_equal(numpy_of(whole.weights[0]), expected[0])
        np.testing.assert_array_equal(numpy_of(whole.weights[1]), expected[1])
