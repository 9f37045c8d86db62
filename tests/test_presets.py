"""Every preset of the zoo: valid, honest, loadable, and sounding as it did when it was released."""

import importlib.util
from pathlib import Path

import keras
import numpy as np
import pytest

import audiozoo
from audiozoo.models import AudioModel
from audiozoo.registry import ZOO, read_preset, write_preset
from audiozoo.weights import locate, sha256_of

HERE = Path(__file__).parent
NAMES = audiozoo.list_models()
RELEASED = [name for name in NAMES if audiozoo.info(name).weights]
TOLERANCE = 1e-4  # of the loudest sample: float32 on another backend or processor, nothing audible

# By its path: tests are no package.
specification = importlib.util.spec_from_file_location("make_golden", HERE / "make_golden.py")
make_golden = importlib.util.module_from_spec(specification)
specification.loader.exec_module(make_golden)


@pytest.fixture(scope="module")
def untrained():
    """The models of all presets, each built once, from their configuration alone."""
    built = {}

    def load(name):
        if name not in built:
            built[name] = audiozoo.load(name, weights=False)
        return built[name]

    return load


def test_the_zoo_holds_nothing_that_no_preset_names():
    assert NAMES
    named = {audiozoo.info(name).weights.file for name in RELEASED if not audiozoo.info(name).weights.url}
    assert {path.name for path in (ZOO / "weights").glob("*")} == named
    goldens = {path.stem for path in make_golden.GOLDEN.glob("*")}
    assert goldens == set(RELEASED), "python tests/make_golden.py NAME, or remove what no preset needs"


@pytest.mark.parametrize("name", NAMES)
def test_the_card_leaves_nothing_open(name, tmp_path):
    preset = audiozoo.info(name)
    card = preset.card.model_dump(exclude={"results", "command"})
    assert all(card.values()), [key for key, value in card.items() if not value]
    if AudioModel.architectures[preset.architecture].trains_on is None:
        assert preset.train is None, "what is not trained here has no way to be"
    else:
        assert preset.train is not None, "there must be a way to train it again"
    if preset.weights:
        assert preset.card.results, "what was released must have been measured"
        assert preset.card.command, "and must say how it was made"
    write_preset(preset, tmp_path / "again.yaml")
    assert read_preset(tmp_path / "again.yaml").model_dump() == preset.model_dump()


@pytest.mark.parametrize("name", NAMES)
def test_it_builds_with_the_parameters_that_its_card_states(name, untrained):
    model = untrained(name)
    assert model.count_params() == audiozoo.info(name).card.parameters
    assert type(model).__name__ == audiozoo.info(name).architecture
    if "sample_rate" in model.argument_names():
        assert model.sample_rate == audiozoo.info(name).config["sample_rate"]


@pytest.mark.parametrize("name", NAMES)
def test_its_configuration_states_every_argument(name, untrained):
    """A default that changes later must not change a preset."""
    stated, config = audiozoo.info(name).config, untrained(name).get_config()
    arguments = {key: config[key] for key in type(untrained(name)).argument_names()}
    assert stated == {key: list(v) if isinstance(v, tuple) else v for key, v in arguments.items()}


@pytest.mark.parametrize("name", RELEASED)
def test_its_weights_are_those_that_were_released(name):
    weights = audiozoo.info(name).weights
    if weights.url:
        pytest.skip("its weights are downloaded, which tests never do")
    path = locate(audiozoo.info(name), offline=True)
    assert sha256_of(path) == weights.sha256
    assert path.stat().st_size == weights.size


@pytest.mark.parametrize("name", RELEASED)
def test_it_sounds_as_it_did(name):
    path = make_golden.GOLDEN / f"{name}.npz"
    assert path.exists(), f"no golden file: python tests/make_golden.py {name}"
    with np.load(path) as golden:
        inputs = {key.removeprefix("input."): golden[key] for key in golden if key.startswith("input.")}
        expected = {key.removeprefix("output."): golden[key] for key in golden if key.startswith("output.")}
    found = make_golden.outputs(name, inputs)
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        largest = np.abs(values).max()
        assert largest > 0, f"{key} of the golden file is silent"
        values_now = keras.ops.convert_to_numpy(found[key])
        np.testing.assert_allclose(values_now, values, rtol=0, atol=TOLERANCE * largest, err_msg=key)
