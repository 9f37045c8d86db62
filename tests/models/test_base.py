"""What every model can do, shown on the smallest one."""

import types

import keras
import numpy as np
import pytest
from cases import ModelCase, numpy_of
from keras import layers, ops

import audiozoo
from audiozoo.errors import InvalidPreset, OutputError
from audiozoo.models import AudioModel
from audiozoo.registry import Card, Train

X = np.random.default_rng(0).standard_normal((2, 6, 3)).astype("float32")


@pytest.fixture(scope="module", autouse=True)
def gain():
    """A model of this file's own; the table of architectures is afterwards what it was."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AudioModel, "architectures", dict(AudioModel.architectures))

        class Gain(AudioModel):
            """Dense, for these tests.

            Args:
                units: channels.
                sizes: nothing.

            Input:
                ``(batch, frames, 3)``.

            Output:
                ``(batch, frames, units)``.

            Reference:
                None.
            """

            sample_rate = 16000

            def __init__(self, *, units=2, sizes=(1, 2), **kwargs):
                super().__init__(**kwargs)
                self.units, self.sizes = units, tuple(sizes)
                self.dense = layers.Dense(units)
                self(ops.zeros((1, 1, 3)))

            def call(self, inputs):
                return self.dense(inputs)

            def doubled(self, inputs):
                return {"twice": 2.0 * self(inputs["x"]), "frames": inputs["x"].shape[1]}

            def training_loss(self):
                return "mse"

        TestGain.model_class = Gain
        yield Gain


class TestGain(ModelCase):
    config = {"units": 5, "sizes": (3, 4)}
    learning_rate = 0.1

    def batch(self):
        return X

    def target(self):
        return np.ones((2, 6, 5), "float32")


def test_a_subclass_registers_itself_with_the_zoo_and_with_keras(gain):
    assert AudioModel.architectures["Gain"] is gain
    assert keras.saving.get_registered_name(gain) == "audiozoo>Gain"


def test_the_arguments_are_the_configuration(gain):
    assert gain.argument_names() == ["units", "sizes"]
    assert gain(units=7, name="mine").get_config() == {"name": "mine", "units": 7, "sizes": (1, 2)}


def test_a_model_that_was_loaded_from_nowhere_has_no_preset(gain):
    assert gain().preset is None


def test_compiled_functions_give_arrays_and_are_kept_for_each_shape(gain):
    model = gain()
    for frames in (6, 4, 6):
        result = model.run_compiled(model.doubled, {"x": X[:, :frames]})
        assert isinstance(result["twice"], np.ndarray)
        np.testing.assert_allclose(
            result["twice"], 2.0 * numpy_of(model(X[:, :frames])), rtol=1e-5, atol=1e-6
        )
    assert len(model._compiled_functions) == 2


def test_inputs_of_compiled_functions_may_be_nested_and_results_stay_on_the_device(gain):
    model = gain()

    def summed(self, inputs):
        return {"state": {"sum": inputs["state"]["sum"] + self.dense(inputs["x"])}}

    inputs = {"x": X, "state": {"sum": np.zeros((2, 6, 2), "float32")}}
    program = model.compile_function(types.MethodType(summed, model), inputs)
    for _ in range(3):
        inputs |= program(inputs)
    assert ops.is_tensor(inputs["state"]["sum"])
    np.testing.assert_allclose(
        numpy_of(inputs["state"]["sum"]), 3.0 * numpy_of(model(X)), rtol=1e-5, atol=1e-6
    )
    assert model.compile_function(types.MethodType(summed, model), inputs) == program


def test_compiled_functions_follow_the_weights_and_do_not_add_any(gain):
    model = gain()
    model.run_compiled(model.doubled, {"x": X})
    model.dense.set_weights([np.ones((3, 2)), np.zeros(2)])
    after = model.run_compiled(model.doubled, {"x": X})["twice"]
    np.testing.assert_allclose(after, np.repeat(2.0 * X.sum(axis=-1, keepdims=True), 2, axis=-1), atol=1e-5)
    assert model.count_params() == 8
    assert len(model.weights) == 2


def test_a_model_that_has_played_can_still_be_saved(gain, tmp_path):
    model = gain()
    model.run_compiled(model.doubled, {"x": X})
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy_of(audiozoo.load(tmp_path / "model.keras")(X)), numpy_of(model(X)))


def test_a_preset_holds_what_training_needs_to_know_and_no_optimizer(gain, tmp_path):
    model = gain()
    model.compile("adam", loss="mse")
    model.train_on_batch(X, X[..., :2])
    card = Card(summary="a gain", weights_license="CC0-1.0", parameters=1)
    folder = model.save_to_preset(tmp_path / "a" / "gain", name="gain", card=card, train=Train(epochs=3))
    assert sorted(path.name for path in folder.iterdir()) == ["gain.weights.h5", "preset.yaml"]
    loaded = audiozoo.load(folder)
    assert not loaded.compiled
    assert loaded.preset.name == "gain"
    assert loaded.preset.config == {"units": 2, "sizes": [1, 2]}
    assert loaded.preset.train == Train(epochs=3)
    assert loaded.preset.card == Card(summary="a gain", weights_license="CC0-1.0", parameters=8)
    assert (folder / "gain.weights.h5").stat().st_size < 20_000
    (tmp_path / "plain").mkdir()
    assert folder.stat().st_mode == (tmp_path / "plain").stat().st_mode  # others may read it


def test_every_bit_of_the_weights_is_kept_where_it_is_asked_for(gain, tmp_path):
    model = gain()
    model.dense.kernel.assign(np.full((3, 2), 1e6 + 0.5))  # beyond half precision in both ways
    loaded = audiozoo.load(model.save_to_preset(tmp_path / "mine", name="mine", half_precision=False))
    for ours, theirs in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["mine.weights.h5", "preset.yaml"]


def test_a_fresh_copy_has_weights_of_its_own(gain, tmp_path):
    model = audiozoo.load(gain().save_to_preset(tmp_path / "mine", name="mine"))
    model.compile("adam", loss="mse")
    copy = model.fresh_copy()
    np.testing.assert_array_equal(numpy_of(copy(X)), numpy_of(model(X)))
    assert (copy.preset, copy.compiled, copy.get_config()) == (model.preset, False, model.get_config())
    before = numpy_of(model(X))
    copy.dense.set_weights([np.zeros((3, 2)), np.zeros(2)])
    np.testing.assert_array_equal(numpy_of(model(X)), before)


def test_card_and_recipe_of_a_loaded_model_travel_on(gain, tmp_path):
    card = Card(summary="a gain", weights_license="CC0-1.0")
    gain().save_to_preset(tmp_path / "one", name="one", card=card, train=Train(seed=4))
    again = audiozoo.load(audiozoo.load(tmp_path / "one").save_to_preset(tmp_path / "two", name="two")).preset
    assert (again.name, again.card.summary, again.train.seed) == ("two", "a gain", 4)


def test_an_earlier_preset_is_replaced_and_nothing_else_is_left(gain, tmp_path):
    gain().save_to_preset(tmp_path / "mine", name="first")
    gain(units=4).save_to_preset(tmp_path / "mine", name="second")
    assert audiozoo.load(tmp_path / "mine").units == 4
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["preset.yaml", "second.weights.h5"]


def test_a_folder_with_other_files_is_not_touched(gain, tmp_path):
    (tmp_path / "thesis.txt").write_text("three years of work")
    with pytest.raises(
        OutputError, match="folder must be new, empty or an earlier preset; .* holds other files"
    ):
        gain().save_to_preset(tmp_path, name="mine")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    "folder, message",
    [
        ("file", r"folder must be new, empty or an earlier preset; '.*file' is a file .*Choose another"),
        ("file/below", r"cannot write .*file/below: .*Choose a place"),
    ],
)
def test_a_file_in_the_way_is_named_and_left_alone(gain, tmp_path, folder, message):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match=message):
        gain().save_to_preset(tmp_path / folder, name="mine")
    assert (tmp_path / "file").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_name_that_is_no_file_name_is_refused_and_leaves_nothing(gain, tmp_path):
    with pytest.raises(InvalidPreset, match="name must be letters, digits.*got '../mine'"):
        gain().save_to_preset(tmp_path / "mine", name="../mine")
    assert not list(tmp_path.iterdir())


def test_weights_beyond_half_precision_are_refused_and_the_earlier_preset_stays(gain, tmp_path):
    model = gain()
    folder = model.save_to_preset(tmp_path / "mine", name="mine")
    expected = numpy_of(audiozoo.load(folder)(X))
    model.dense.kernel.assign(np.full((3, 2), 1e6))
    with pytest.raises(ValueError, match="65504|half"):
        model.save_to_preset(folder, name="mine")
    np.testing.assert_array_equal(numpy_of(audiozoo.load(folder)(X)), expected)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
