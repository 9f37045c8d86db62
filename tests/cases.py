"""The checks that every layer and every model inherits. A test of its own adds what is true of it alone."""

import inspect

import keras
import numpy as np
import pytest
from keras import ops

import audiozoo
from audiozoo.layers import Synth

SECTIONS = ("Args:", "Input:", "Output:", "Reference:")

on_one_backend = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="no part of it depends on the backend"
)


def plucks(samples=1024, sample_rate=4000):
    """Four decaying tones of three harmonics, ``(4, samples)``."""
    rng, t = np.random.default_rng(0), np.arange(samples) / sample_rate
    return np.stack(
        [
            sum(
                0.25 / k * np.sin(2 * np.pi * k * hz * t + rng.uniform(0, 6)) * np.exp(-3 * t)
                for k in (1, 2, 3)
            )
            for hz in (220.0, 330.0, 147.0, 262.0)
        ]
    ).astype("float32")


def numpy_of(tensors):
    """Tensors, nested in any way, as arrays."""
    return keras.tree.map_structure(ops.convert_to_numpy, tensors)


def loudest(arrays):
    return max(float(np.max(np.abs(array))) for array in keras.tree.flatten(arrays))


def only(batch, item):
    """A batch of one item of a batch."""
    return keras.tree.map_structure(lambda array: array[item : item + 1], batch)


def assert_close(actual, expected, tolerance):
    """Nested arrays agree within ``tolerance`` times the loudest expected sample."""
    limit = tolerance * loudest(expected)
    keras.tree.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=0.0, atol=limit), actual, expected
    )


def compiled(function):
    """The function itself; on JAX as one program, where every operation would be compiled by itself."""
    if keras.backend.backend() != "jax":
        return function
    import jax

    return jax.jit(function)


def gradient_of(function, point):
    """Gradient of a scalar function of one float32 array, by the active backend's own means."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        point = tf.constant(point)
        with tf.GradientTape() as tape:
            tape.watch(point)
            value = function(point)
        gradient = tape.gradient(value, point)
    elif keras.backend.backend() == "jax":
        import jax

        gradient = jax.jit(jax.grad(function))(point)
    else:
        import torch

        point = torch.tensor(point, requires_grad=True)
        (gradient,) = torch.autograd.grad(function(point), point)
    return ops.convert_to_numpy(gradient)


def assert_gradient_matches_differences(function, point, *, step, tolerance, directions=3):
    """The gradient of ``sum(weights * function(point))`` agrees with central differences.

    Along random directions, with random weights. ``function`` computes in float32, so its values are
    summed in float64: what is left of rounding is about ``1e-7 * |value| / step``; the step must be
    large enough for that and small enough for the curvature, and the caller says both.

    Args:
        function: array to tensor.
        point: float32 array.
        step: length of the step, largest change of any element.
        tolerance: relative to the norm of the gradient along the direction.
        directions: how many.
    """
    function, rng = compiled(function), np.random.default_rng(0)
    weights = rng.standard_normal(np.shape(ops.convert_to_numpy(function(point)))).astype("float32")
    on_device = ops.convert_to_tensor(weights)
    gradient = gradient_of(lambda x: ops.sum(function(x) * on_device), point).astype("float64")
    assert np.all(np.isfinite(gradient))
    assert np.any(gradient)

    def value(x):
        output = ops.convert_to_numpy(function(x.astype("float32")))
        return np.sum(output.astype("float64") * weights)

    for _ in range(directions):
        direction = rng.uniform(-1.0, 1.0, point.shape)
        # The difference of what float32 really represents, not of what was asked for.
        ahead, behind = (
            (point + step * direction).astype("float32"),
            (point - step * direction).astype("float32"),
        )
        moved = ahead.astype("float64") - behind.astype("float64")
        measured, predicted = value(ahead) - value(behind), np.sum(gradient * moved)
        scale = np.linalg.norm(gradient) * np.linalg.norm(moved) / np.sqrt(moved.size)
        assert abs(measured - predicted) <= tolerance * scale, (
            f"along a random direction the value changes by {measured}, the gradient says {predicted}"
        )


def assert_sections(documented, sections=SECTIONS):
    text = inspect.getdoc(documented)
    missing = [section for section in sections if f"\n{section}\n" not in text]
    assert not missing, f"the docstring of {documented.__name__} lacks {missing}"


def assert_refuses_unknown_arguments(make):
    try:
        make(no_such_argument=1)
    except (TypeError, ValueError) as error:
        assert "no_such_argument" in str(error)  # noqa: PT017  (either type is right, the name is what counts)
    else:
        raise AssertionError("an unknown argument was accepted")


def assert_trains(trainable, step, steps=8):
    """One batch again and again: the loss falls by a tenth, and every weight moves."""
    before = [ops.convert_to_numpy(weight) for weight in trainable.trainable_weights]
    losses = [float(step()) for _ in range(steps)]
    assert losses[-1] < 0.9 * losses[0], f"the loss goes {losses}"
    for weight, old in zip(trainable.trainable_weights, before, strict=True):
        assert np.any(ops.convert_to_numpy(weight) != old), f"{weight.path} received no gradient"


class LayerCase:
    """A layer, called on fixed inputs.

    Attributes:
        layer_class: the layer.
        config: constructor arguments; they differ from the defaults, or a lost one would not be seen.
        tolerance: of ``oracle``, relative to the loudest expected value.
    """

    layer_class: type
    config: dict
    tolerance: float

    def make(self, **changes):
        return self.layer_class(**(self.config | changes))

    def inputs(self):
        """Positional arguments of the layer, a batch of two."""
        raise NotImplementedError

    def oracle(self, layer, *inputs):
        """The layer's output in float64 numpy, scipy, librosa or torch, from its weights and inputs."""
        raise NotImplementedError

    def output(self, layer, inputs=None):
        return numpy_of(layer(*(self.inputs() if inputs is None else inputs)))

    def test_agrees_with_the_oracle(self):
        layer = self.make()
        output = self.output(layer)
        assert_close(output, self.oracle(layer, *self.inputs()), self.tolerance)

    def test_config_rebuilds_the_same_layer(self):
        layer = self.make()
        expected = self.output(layer)
        config = layer.get_config()
        assert {name: config[name] for name in self.config} == self.config
        rebuilt = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
        assert type(rebuilt) is self.layer_class
        assert rebuilt.get_config() == config
        self.output(rebuilt)
        rebuilt.set_weights(layer.get_weights())
        np.testing.assert_array_equal(self.output(rebuilt), expected)

    def test_an_unknown_argument_is_refused(self):
        assert_refuses_unknown_arguments(self.make)

    def test_output_repeats(self):
        layer = self.make()
        np.testing.assert_array_equal(self.output(layer), self.output(layer))

    def test_an_item_is_treated_as_if_alone(self):
        layer = self.make()
        together = self.output(layer)
        assert np.abs(together[0] - together[1]).max() > 0
        for item in range(2):
            alone = self.output(layer, [value[item : item + 1] for value in self.inputs()])
            assert_close(alone[0], together[item], 1e-5)

    def test_half_precision_is_finite_and_signals_stay_in_single(self):
        with_policy(lambda: self._check_half_precision())

    def _check_half_precision(self):
        layer = self.make()
        for output in keras.tree.flatten(layer(*self.inputs())):
            assert np.all(np.isfinite(ops.convert_to_numpy(ops.cast(output, "float32"))))
            if issubclass(self.layer_class, Synth):
                assert keras.backend.standardize_dtype(output.dtype) == "float32"

    def test_docstring_says_what_goes_in_and_out(self):
        assert_sections(self.layer_class)


def with_policy(check, policy="mixed_bfloat16"):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        return check()
    finally:
        keras.config.set_dtype_policy(before)


class ModelCase:
    """A model, called on one small batch.

    Attributes:
        model_class: the model.
        config: constructor arguments; they differ from the defaults, or a lost one would not be seen.
        half_precision: what storing weights in float16 (11 bits) may change, relative to the peak.
        learning_rate: of Adam, for eight steps on one batch.
    """

    model_class: type
    config: dict
    half_precision = 5e-3
    learning_rate = 1e-2

    def make(self):
        keras.utils.set_random_seed(0)
        return self.model_class(**self.config)

    def batch(self):
        """Inputs of the model, a batch of two."""
        raise NotImplementedError

    def target(self):
        """What training compares the output with."""
        raise NotImplementedError

    def output(self, model, batch=None):
        return numpy_of(model(self.batch() if batch is None else batch))

    def test_config_rebuilds_the_same_model(self):
        config = self.make().get_config()
        assert {name: config[name] for name in self.config} == self.config
        assert self.model_class.from_config(config).get_config() == config

    def test_the_config_of_these_tests_differs_from_every_default(self):
        defaults = inspect.signature(self.model_class.__init__).parameters
        assert list(self.config) == self.model_class.argument_names()
        same = [name for name, value in self.config.items() if defaults[name].default == value]
        assert not same, f"{same} have their default values: that they are kept cannot be seen"

    def test_an_unknown_argument_is_refused(self):
        assert_refuses_unknown_arguments(lambda **more: self.model_class(**self.config, **more))

    def test_a_keras_file_sounds_the_same(self, tmp_path):
        model = self.make()
        model.save(tmp_path / "model.keras")
        loaded = audiozoo.load(tmp_path / "model.keras")
        assert loaded.get_config() == model.get_config()
        keras.tree.map_structure(np.testing.assert_array_equal, self.output(loaded), self.output(model))

    def test_a_preset_folder_sounds_the_same(self, tmp_path):
        model = self.make()
        loaded = audiozoo.load(model.save_to_preset(tmp_path / "mine", name="mine"))
        assert {**loaded.get_config(), "name": None} == {**model.get_config(), "name": None}
        assert loaded.preset.card.parameters == model.count_params()
        assert_close(self.output(loaded), self.output(model), self.half_precision)
        # What was half precision once is so for good: saved again, not one bit changes.
        again = audiozoo.load(loaded.save_to_preset(tmp_path / "again", name="again"))
        keras.tree.map_structure(np.testing.assert_array_equal, self.output(again), self.output(loaded))

    def test_compiled_equals_eager(self):
        model = self.make()
        # Compilers reorder sums; phase, the most sensitive part, turns that into some 1e-5 of the peak.
        assert_close(model.predict(self.batch(), verbose=0), self.output(model), 1e-4)

    def test_an_item_is_treated_as_if_alone(self):
        model = self.make()
        together = self.output(model)
        for item in range(2):
            alone = self.output(model, only(self.batch(), item))
            assert_close(alone, only(together, item), 1e-5)

    def test_evaluation_repeats(self):
        model = self.make()
        keras.tree.map_structure(np.testing.assert_array_equal, self.output(model), self.output(model))

    def test_the_loss_falls_and_every_weight_moves(self):
        model = self.make()
        model.compile(keras.optimizers.Adam(self.learning_rate), loss=model.training_loss())
        assert_trains(
            model, lambda: model.train_on_batch(self.batch(), self.target(), return_dict=True)["loss"]
        )

    def test_half_precision_is_finite(self):
        def single(tensor):
            return ops.cast(tensor, "float32")

        output = with_policy(lambda: numpy_of(keras.tree.map_structure(single, self.make()(self.batch()))))
        assert all(np.all(np.isfinite(array)) for array in keras.tree.flatten(output))

    def test_docstring_says_what_goes_in_and_out(self):
        assert_sections(self.model_class)
