"""The average of the weights against its definition, and the moments at which a model wears it."""

import keras
import numpy as np
import pytest

from audiozoo.training.averaging import AveragedValidation, averaged_weights

MOMENTUM = 0.8


def small_model(**settings):
    model = keras.Sequential(
        [keras.layers.Dense(3), keras.layers.Dropout(0.5, seed=0), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.Adam(0.1, **settings), loss="mse")
    model.build((None, 4))
    return model


def averaging_model():
    return small_model(use_ema=True, ema_momentum=MOMENTUM)


def weights(model):
    return [np.array(value) for value in model.get_weights()]


def clips(step):
    x = np.random.default_rng(step).normal(size=(8, 4)).astype("float32")
    return x, x[:, :1]


def assert_close(one, other, tolerance=0.0):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


def test_the_average_is_the_one_of_its_definition():
    model, average = averaging_model(), None
    for step in range(6):
        model.train_on_batch(*clips(step))
        now = [w.astype("float64") for w in weights(model)]
        pairs = zip(average or now, now, strict=True)
        average = [MOMENTUM * before + (1.0 - MOMENTUM) * w for before, w in pairs]
    own = weights(model)
    with averaged_weights(model):
        assert_close(weights(model), average, 1e-6)
        assert max(np.abs(a - b).max() for a, b in zip(own, average, strict=True)) > 0.01
    assert_close(weights(model), own)


def test_training_goes_on_as_if_nobody_had_looked():
    watched, alone = averaging_model(), averaging_model()
    alone.set_weights(weights(watched))
    for step in range(4):
        for model in (watched, alone):
            model.train_on_batch(*clips(step))
        with averaged_weights(watched):
            watched.predict_on_batch(clips(step)[0])
    assert_close(weights(watched), weights(alone))


def test_a_failure_within_gives_the_weights_back():
    model = averaging_model()
    for step in range(3):
        model.train_on_batch(*clips(step))
    own = weights(model)
    with pytest.raises(OSError, match="disk"), averaged_weights(model):
        raise OSError("disk")
    assert_close(weights(model), own)


def test_an_optimizer_without_averages_changes_nothing():
    model = small_model()
    model.train_on_batch(*clips(0))
    own = weights(model)
    with averaged_weights(model):
        assert_close(weights(model), own)


def test_validation_judges_the_average_and_training_its_own_weights():
    model = averaging_model()
    seen = {}

    class Notes(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.update(logs, own=weights(model))

    data = [clips(step) for step in range(5)]
    x, y = (np.concatenate(parts) for parts in zip(*data, strict=True))
    held_out = clips(99)
    model.fit(
        x, y, batch_size=8, validation_data=held_out, callbacks=[AveragedValidation(), Notes()], verbose=0
    )
    loss = model.evaluate(*held_out, verbose=0)  # of the average, which fit leaves in the model
    model.set_weights(seen["own"])
    own_loss = model.evaluate(*held_out, verbose=0)
    assert seen["val_loss"] == pytest.approx(loss, rel=1e-5)
    assert abs(own_loss - loss) > 1e-3
