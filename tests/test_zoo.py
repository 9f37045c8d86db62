import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import audiozoo
from audiozoo import backend, registry
from audiozoo.errors import (
    IncompatiblePreset,
    InvalidPreset,
    MissingDependency,
    UnknownPreset,
    WeightsCorrupt,
    WeightsUnavailable,
)
from audiozoo.models import DDSPDecoder
from audiozoo.models.base import AudioModel
from audiozoo.registry import Card, Preset, Weights, read_preset, write_preset
from audiozoo.weights import halve, sha256_of

CONFIG = {"num_units": 16, "num_harmonics": 8, "num_noise_bands": 9, "reverb_length": 400}
CARD = Card(summary="A small one.", weights_license="CC0-1.0")


@pytest.fixture(scope="module")
def small():
    # Not the seed that every test starts from: a model that loads nothing must not happen to equal this one.
    keras.utils.set_random_seed(123)
    return DDSPDecoder(**CONFIG)


@pytest.fixture(scope="module")
def master(small, tmp_path_factory):
    """A zoo of one preset with released weights, ``small``, and one recipe; both as they are shipped."""
    folder = tmp_path_factory.mktemp("zoo")
    (folder / "weights").mkdir()
    small.save_weights(folder / "single.weights.h5")
    file = folder / "weights" / "small.weights.h5"
    halve(folder / "single.weights.h5", file)
    stated = {"version": 1, "architecture": "DDSPDecoder", "config": CONFIG}
    card = CARD.model_copy(update={"parameters": small.count_params()})
    weights = Weights(file=file.name, sha256=sha256_of(file), size=file.stat().st_size)
    write_preset(Preset(name="small", weights=weights, card=card, **stated), folder / "small.yaml")
    write_preset(Preset(name="recipe", card=card, **stated), folder / "recipe.yaml")
    return folder


@pytest.fixture
def zoo(master, tmp_path, monkeypatch):
    """A copy of it, for the test to spoil."""
    shutil.copytree(master, tmp_path / "zoo")
    monkeypatch.setattr(registry, "ZOO", tmp_path / "zoo")
    return tmp_path / "zoo"


def rewrite(zoo, name="small", **changes):
    preset = read_preset(zoo / f"{name}.yaml")
    write_preset(preset.model_copy(update=changes), zoo / f"{name}.yaml")


def play(model):
    frames = np.linspace(200, 400, 50, dtype="float32").reshape(1, 50, 1)
    audio = model({"f0_hz": frames, "loudness_db": np.full_like(frames, -30)})
    return keras.ops.convert_to_numpy(audio)


def assert_plays_like(model, other, tolerance):
    expected = play(other)
    np.testing.assert_allclose(play(model), expected, atol=tolerance * np.abs(expected).max())


def test_a_name_loads_its_released_weights_in_single_precision(zoo, small):
    model = audiozoo.load("small")
    assert isinstance(model, DDSPDecoder)
    assert model.preset == audiozoo.info("small")
    assert model.sample_rate == 16000
    assert model.built
    assert not model.compiled
    assert {keras.backend.standardize_dtype(weight.dtype) for weight in model.trainable_weights} == {
        "float32"
    }
    assert_plays_like(model, small, tolerance=5e-3)  # half precision keeps 11 bits
    assert_plays_like(model, audiozoo.load("small"), tolerance=0)


def test_without_weights_a_model_is_untrained_and_needs_no_file(zoo, small):
    (zoo / "weights" / "small.weights.h5").unlink()
    model = audiozoo.load("small", weights=False)
    assert model.count_params() == small.count_params()
    assert np.abs(play(model) - play(small)).max() > 1e-3


def test_overrides_replace_arguments_of_the_preset(zoo):
    assert audiozoo.load("small", envelope="nearest").envelope == "nearest"
    assert audiozoo.load("recipe", weights=False, num_harmonics=5).num_harmonics == 5


def test_weights_of_ones_own(zoo, small, tmp_path):
    model = audiozoo.load("recipe", weights=zoo / "single.weights.h5")
    assert_plays_like(model, small, tolerance=1e-6)
    wide = DDSPDecoder(**(CONFIG | {"num_units": 24}))
    wide.save_weights(tmp_path / "wide.weights.h5")
    assert_plays_like(
        audiozoo.load("small", weights=str(tmp_path / "wide.weights.h5"), num_units=24), wide, 1e-6
    )


def test_a_saved_preset_folder_loads_from_any_kind_of_path(zoo, tmp_path, monkeypatch):
    model = audiozoo.load("small")
    model.save_to_preset(tmp_path / "mine", name="mine")
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / "mine", "./mine", Path("mine"), "mine/preset.yaml"):
        loaded = audiozoo.load(path)
        assert loaded.preset.name == "mine"
    assert_plays_like(loaded, model, tolerance=0)  # what was in half precision stays so
    assert loaded.preset.card.weights_license == "CC0-1.0"


def test_a_keras_file_loads_as_the_same_model(small, tmp_path):
    small.save(tmp_path / "small.keras")
    model = audiozoo.load(str(tmp_path / "small.keras"))
    assert isinstance(model, DDSPDecoder)
    assert model.preset is None
    assert_plays_like(model, small, tolerance=1e-6)


def test_an_unknown_preset_suggests_the_close_one(zoo):
    with pytest.raises(UnknownPreset, match="Did you mean small?"):
        audiozoo.load("smal")
    with pytest.raises(UnknownPreset, match="there is no such file"):
        audiozoo.load("nowhere.keras")


def test_a_wrong_yaml_is_refused(zoo):
    (zoo / "small.yaml").write_text(
        (zoo / "small.yaml").read_text().replace("num_units: 16", "num_units: 1e1")
    )
    with pytest.raises(InvalidPreset, match=r"config.num_units is the text '1e1'; write 1.0e\+1"):
        audiozoo.load("small")


def test_a_recipe_is_never_silently_random(zoo):
    with pytest.raises(WeightsUnavailable, match="'audiozoo train recipe --data DIR'.*weights=False"):
        audiozoo.load("recipe")


@pytest.mark.parametrize("content", [lambda whole: whole[:-500], lambda whole: whole[:-500] + bytes(500)])
def test_truncated_or_altered_released_weights_are_refused(zoo, content):
    file = zoo / "weights" / "small.weights.h5"
    file.write_bytes(content(file.read_bytes()))
    with pytest.raises(WeightsCorrupt, match="small.weights.h5 is truncated or altered"):
        audiozoo.load("small")


def test_weights_of_ones_own_that_are_missing_or_damaged_or_of_another_shape(zoo, tmp_path):
    with pytest.raises(WeightsUnavailable, match="nowhere.weights.h5: there is no such file"):
        audiozoo.load("small", weights=tmp_path / "nowhere.weights.h5")
    damaged = tmp_path / "damaged.weights.h5"
    damaged.write_bytes((zoo / "single.weights.h5").read_bytes()[:3000])
    with pytest.raises(WeightsCorrupt, match="damaged.weights.h5 is not a complete"):
        audiozoo.load("small", weights=damaged)
    DDSPDecoder(**(CONFIG | {"num_units": 24})).save_weights(tmp_path / "wide.weights.h5")
    with pytest.raises(
        IncompatiblePreset, match="wide.weights.h5 does not fit DDSPDecoder.*another architecture"
    ):
        audiozoo.load("small", weights=tmp_path / "wide.weights.h5")
    with h5py.File(tmp_path / "foreign.weights.h5", "w") as file:
        file["numbers"] = np.arange(3)
    with pytest.raises(IncompatiblePreset, match="foreign.weights.h5 does not fit DDSPDecoder"):
        audiozoo.load("small", weights=tmp_path / "foreign.weights.h5")


@pytest.mark.parametrize("weights", [None, 1, 0.5, ["a"]])
def test_weights_that_are_no_path_are_refused(zoo, weights):
    with pytest.raises(IncompatiblePreset, match="weights must be True, False or the path"):
        audiozoo.load("small", weights=weights)


def test_an_override_that_changes_shapes_says_what_to_do(zoo):
    with pytest.raises(
        IncompatiblePreset, match="DDSPDecoder with num_units=24. Leave that out, or pass weights=False"
    ):
        audiozoo.load("small", num_units=24)


def test_an_unknown_argument_is_refused_wherever_it_stands(zoo):
    with pytest.raises(
        IncompatiblePreset, match="DDSPDecoder has no argument 'num_unit'. Allowed: sample_rate"
    ):
        audiozoo.load("small", num_unit=24)
    rewrite(zoo, config=CONFIG | {"num_unit": 24})
    with pytest.raises(IncompatiblePreset, match="DDSPDecoder has no argument 'num_unit'"):
        audiozoo.load("small")


def test_an_argument_that_the_model_refuses_is_quoted(zoo):
    with pytest.raises(
        IncompatiblePreset, match="refuses the arguments of preset 'small': .*envelope.*'cubic'"
    ):
        audiozoo.load("small", envelope="cubic")


def test_an_unknown_architecture_is_refused(zoo):
    rewrite(zoo, architecture="Theremin")
    with pytest.raises(
        IncompatiblePreset, match="architecture 'Theremin'; this version of audiozoo has .*DDSPDecoder"
    ):
        audiozoo.load("small")


def test_a_parameter_count_other_than_the_cards_is_refused(zoo, small):
    rewrite(zoo, card=CARD.model_copy(update={"parameters": 7}))
    with pytest.raises(IncompatiblePreset, match=f"states 7 parameters.* has {small.count_params()}"):
        audiozoo.load("small")


def test_a_keras_file_that_is_damaged_or_something_else(small, tmp_path):
    small.save(tmp_path / "small.keras")
    whole = (tmp_path / "small.keras").read_bytes()
    damaged = tmp_path / "damaged.keras"
    middle = len(whole) // 2
    inverted = bytes(255 - byte for byte in whole[middle : middle + 100])
    for content in (b"text", b"", whole[:-100], whole[:middle] + inverted + whole[middle + 100 :]):
        damaged.write_bytes(content)
        with pytest.raises(WeightsCorrupt, match="damaged.keras is not a complete .keras file"):
            audiozoo.load(damaged)
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(tmp_path / "plain.keras")
    with pytest.raises(IncompatiblePreset, match="holds a Sequential; audiozoo.load returns only its own"):
        audiozoo.load(tmp_path / "plain.keras")


def test_a_keras_file_of_an_unknown_class_is_refused_and_runs_no_code(small, tmp_path):
    class Stranger(AudioModel):
        def call(self, inputs):
            return inputs

    model = Stranger()
    model(keras.ops.zeros((1, 1)))
    model.save(tmp_path / "stranger.keras")
    del AudioModel.architectures["Stranger"]
    keras.saving.get_custom_objects().pop("audiozoo>Stranger")
    with pytest.raises(IncompatiblePreset, match="stranger.keras asks for architecture 'Stranger'"):
        audiozoo.load(tmp_path / "stranger.keras")
    inputs = keras.Input((1,))
    keras.Model(inputs, keras.layers.Lambda(lambda x: x + 1)(inputs)).save(tmp_path / "code.keras")
    with pytest.raises(
        IncompatiblePreset, match="code.keras holds a Functional; audiozoo.load returns only its own"
    ):
        audiozoo.load(tmp_path / "code.keras")


def test_a_keras_file_takes_no_weights_and_no_overrides():
    with pytest.raises(
        IncompatiblePreset, match="its own weights and configuration; got weights=False, hop=80"
    ):
        audiozoo.load("x.keras", weights=False, hop=80)


def test_download_returns_the_path_of_the_checked_file(zoo):
    assert audiozoo.download("small") == zoo / "weights" / "small.weights.h5"
    with pytest.raises(UnknownPreset):
        audiozoo.download("smal")


def test_every_submodule_is_there_without_being_imported_by_hand():
    assert audiozoo.dsp is sys.modules["audiozoo.dsp"]
    assert {"load", "info", "list_models", "download", "models", "errors", "zoo"} <= set(dir(audiozoo))
    for name in ("theremin", "__wrapped__", "__main__"):
        with pytest.raises(AttributeError, match=name):
            getattr(audiozoo, name)


class TestBackend:
    """The choice of a backend, as it is made before Keras is imported."""

    @pytest.fixture(autouse=True)
    def no_keras_yet(self, monkeypatch):
        monkeypatch.delitem(sys.modules, "keras")
        monkeypatch.delenv("KERAS_BACKEND", raising=False)

    @pytest.fixture
    def installed(self, monkeypatch):
        return lambda *names: monkeypatch.setattr(backend, "find_spec", lambda name: name in names)

    @pytest.mark.parametrize(
        "names, chosen",
        [
            (["torch", "jax", "tensorflow"], "tensorflow"),
            (["torch", "jax"], "jax"),
            (["torch"], "torch"),
            ([], None),
        ],
    )
    def test_the_first_installed_is_taken(self, installed, names, chosen):
        installed(*names)
        backend.choose()
        assert os.environ.pop("KERAS_BACKEND", None) == chosen

    def test_the_active_one_is_that_of_keras_or_else_the_chosen_one(self, monkeypatch):
        assert backend.active() is None
        monkeypatch.setenv("KERAS_BACKEND", "jax")
        assert backend.active() == "jax"
        monkeypatch.setitem(sys.modules, "keras", keras)
        assert backend.active() == keras.config.backend()

    def test_what_tensorflow_prints_while_it_is_imported_is_not_seen(self, tmp_path):
        (tmp_path / "tensorflow.py").write_text("import os\nos.write(2, b'chatter')")
        program = (
            "import sys; from audiozoo import backend; backend.silence_tensorflow(); "
            "import tensorflow; print(tensorflow.__name__, file=sys.stderr)"
        )
        paths = [tmp_path, Path(audiozoo.__file__).parents[1]]
        finished = subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))},
            capture_output=True,
            text=True,
        )
        assert finished.stderr == "tensorflow\n"

    def test_a_choice_is_respected(self, installed, monkeypatch):
        installed("tensorflow", "torch")
        monkeypatch.setenv("KERAS_BACKEND", "torch")
        backend.choose()
        backend.check()
        assert os.environ["KERAS_BACKEND"] == "torch"

    @pytest.mark.parametrize(
        "choice, sentence",
        [
            ("theano", "must be one of tensorflow, jax, torch; got 'theano'"),
            ("", "must be one of tensorflow, jax, torch; got ''"),
            ("jax", "KERAS_BACKEND is 'jax', which is not installed. pip install jax"),
            (None, "needs one of tensorflow, jax, torch; none is installed. pip install tensorflow"),
        ],
    )
    def test_a_wrong_choice_is_explained(self, installed, monkeypatch, choice, sentence):
        installed("torch")
        if choice is not None:
            monkeypatch.setenv("KERAS_BACKEND", choice)
        with pytest.raises(MissingDependency, match=sentence):
            backend.check()


WRONG_BACKEND = """
import json, sys
import audiozoo
from audiozoo.errors import MissingDependency

said = []
for needs_keras in (lambda: audiozoo.load(sys.argv[1]), lambda: audiozoo.models, lambda: audiozoo.layers):
    try:
        needs_keras()
    except MissingDependency as error:
        said.append(str(error))
print(json.dumps([audiozoo.info(sys.argv[1]).name, said]))
"""


def test_a_wrong_backend_is_explained_where_keras_is_first_needed_and_not_before(zoo):
    environment = os.environ | {"KERAS_BACKEND": "theano", "AUDIOZOO_CACHE": str(zoo)}
    command = [sys.executable, "-c", WRONG_BACKEND, str(zoo / "small.yaml")]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    name, said = json.loads(result.stdout)
    assert name == "small"
    assert len(said) == 3
    assert all("KERAS_BACKEND must be one of tensorflow, jax, torch; got 'theano'" in words for words in said)
