"""A .keras file is a name, values and numbers: nothing in it is run, followed or unpacked without bounds."""

import functools
import io
import json
import os
import sys
import tempfile
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from fuzz.hostile import damaged, fuzzed, no_files, read_or_refused, refusal, time_limit, twisted
from hypothesis import given
from hypothesis import strategies as st

import audiozoo
from audiozoo.errors import AudioZooError, IncompatiblePreset, UnknownPreset, WeightsCorrupt
from audiozoo.models import MelGANVocoder, MelNet, MelNetSeed, MnistVAE

REFUSALS = (IncompatiblePreset, WeightsCorrupt)


@functools.cache
def small():
    return MnistVAE(image_size=4, hidden_units=3, latent_dim=2)


@functools.cache
def whole():
    with tempfile.TemporaryDirectory() as folder:
        small().save(Path(folder) / "small.keras")
        return (Path(folder) / "small.keras").read_bytes()


@functools.cache
def members():
    with zipfile.ZipFile(io.BytesIO(whole())) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("spoilt") / "spoilt.keras"


def write(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def with_config(**changes):
    return members() | {"config.json": json.dumps(json.loads(members()["config.json"]) | changes)}


def assert_model(result):
    if not isinstance(result, AudioZooError):
        assert type(result) in audiozoo.models.AudioModel.architectures.values()
        assert all(np.isfinite(keras.ops.convert_to_numpy(weight)).all() for weight in result.weights)


def test_the_file_is_right_before_it_is_spoilt(path):
    write(path, members())
    loaded = audiozoo.load(path)
    assert loaded.get_config() | {"name": ""} == small().get_config() | {"name": ""}
    for mine, theirs in zip(loaded.get_weights(), small().get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@fuzzed(25)
@given(data=st.data())
def test_a_damaged_archive_is_read_or_refused(path, data):
    path.write_bytes(data.draw(damaged(whole())))
    assert_model(read_or_refused(audiozoo.load, path, REFUSALS))


@fuzzed(25)
@given(data=st.data())
def test_a_damaged_member_is_read_or_refused(path, data):
    name = data.draw(st.sampled_from(["config.json", "model.weights.h5"]))
    write(path, members() | {name: data.draw(damaged(members()[name]))})
    assert_model(read_or_refused(audiozoo.load, path, REFUSALS))


@fuzzed(25)
@given(data=st.data())
def test_another_configuration_is_read_or_refused(path, data):
    config = data.draw(twisted(json.loads(members()["config.json"])))
    write(path, members() | {"config.json": json.dumps(config)})
    assert_model(read_or_refused(audiozoo.load, path, REFUSALS))


HOSTILE_CONFIGS = {
    "a module to import": {"module": "os", "class_name": "system", "registered_name": None},
    "a function": {
        "module": "builtins",
        "class_name": "function",
        "config": "exec",
        "registered_name": "exec",
    },
    "another package": {"registered_name": "evil>MnistVAE"},
    "a Lambda": {"module": "keras.layers", "class_name": "Lambda", "registered_name": None},
    "an architecture that is none": {"registered_name": "audiozoo>os.system"},
    "no class": {"registered_name": None, "class_name": None},
}


@pytest.mark.parametrize("name", HOSTILE_CONFIGS)
def test_a_class_that_is_not_ours_is_neither_imported_nor_made(path, name):
    write(path, with_config(**HOSTILE_CONFIGS[name]))
    refusal(audiozoo.load, path, IncompatiblePreset)


LAMBDA = {"class_name": "__lambda__", "config": {"value": "4wEAAAAAAAAAAAAAAAA="}}


@pytest.mark.parametrize(
    "value",
    [
        LAMBDA,
        {"module": "keras.layers", "class_name": "Lambda", "config": {"function": LAMBDA}},
        {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"},
        {"class_name": "__tuple__", "items": [LAMBDA]},
        {"class_name": "__tensor__", "config": {"value": [0], "dtype": "float32"}},
        [[LAMBDA]],
        {"config": {"layers": [LAMBDA]}},
    ],
)
def test_an_argument_that_is_an_object_is_refused(path, value):
    config = small().get_config() | {"latent_dim": value}
    write(path, with_config(config=config))
    assert "an argument is" in refusal(audiozoo.load, path, REFUSALS)


def test_code_in_a_file_is_not_run(path, tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(os, "system", ran.append)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "evil_module.py").write_text("class Evil: pass\n")
    inputs = keras.Input((1,))
    keras.Model(inputs, keras.layers.Lambda(lambda x: ran.append(1) or x)(inputs)).save(path)
    ran.clear()
    assert "holds a Functional" in refusal(audiozoo.load, path, REFUSALS)
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
        weights = archive.read("model.weights.h5")
    evil = {"module": "evil_module", "class_name": "Evil", "registered_name": "audiozoo>Evil"}
    ours = {"registered_name": "audiozoo>MnistVAE"}  # what it is not
    for changes in (ours, evil, ours | {"build_config": evil, "compile_config": evil}):
        write(path, {"config.json": json.dumps(config | changes), "model.weights.h5": weights})
        refusal(audiozoo.load, path, REFUSALS)
    assert not ran
    assert "evil_module" not in sys.modules


@pytest.mark.parametrize("size", [10**7 + 1, 2**63, 10**300, -1, 0, 1e308, float("nan"), True, "9"])
def test_numbers_that_no_constructor_takes_are_refused(path, size):
    for name in ("hidden_units", "image_size"):
        write(path, with_config(config=small().get_config() | {name: size}))
        refusal(audiozoo.load, path, REFUSALS)


def test_a_model_that_no_memory_holds_is_refused(path):
    write(path, with_config(config=small().get_config() | {"hidden_units": 10**6, "latent_dim": 10**6}))
    message = refusal(audiozoo.load, path, IncompatiblePreset)
    assert "would have more than 1073741824 weights" in message
    assert keras.layers.Layer.add_weight.__qualname__ == "Layer.add_weight"


@pytest.mark.parametrize(
    "model_class, arguments",
    [
        (MelNet, {"depths": [10**6]}),
        (MelNet, {"depths": [1] * 65}),
        (MelNetSeed, {"depths": [1, 10**6]}),
        (MelGANVocoder, {"discriminator_scales": 10**6}),
        (MelGANVocoder, {"dilations": [1] * 65}),
    ],
)
def test_layers_without_end_are_not_begun(model_class, arguments):
    with time_limit(5.0), pytest.raises(ValueError, match=rf"{next(iter(arguments))} must be at most 64"):
        model_class(**arguments)


def test_members_beside_those_of_keras_are_not_unpacked(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    strange = {
        "../escaped": b"x",
        "/tmp/audiozoo-escaped": b"x",
        "assets/../../escaped": b"x",
        "x" * 300: b"x",
    }
    write(path, members() | strange)
    read_or_refused(audiozoo.load, path)
    assert not list(tmp_path.iterdir())
    assert not os.path.exists("/tmp/audiozoo-escaped")
    assert not (path.parent.parent / "escaped").exists()


def test_a_member_is_missing_or_packed(path):
    for name in ("config.json", "model.weights.h5"):
        write(path, {other: content for other, content in members().items() if other != name})
        assert "not a complete .keras file" in refusal(audiozoo.load, path, WeightsCorrupt)
    write(path, members(), zipfile.ZIP_DEFLATED)  # one that unpacks to a thousand times its size looks so
    assert "is packed" in refusal(audiozoo.load, path, WeightsCorrupt)
    write(path, {})
    refusal(audiozoo.load, path, WeightsCorrupt)
    write(path, members() | {"config.json": b" " * (1 << 20) + members()["config.json"]})
    assert "has more than 262144 bytes" in refusal(audiozoo.load, path, WeightsCorrupt)
    write(path, members() | {"config.json": b"[" * 100_000})
    refusal(audiozoo.load, path, WeightsCorrupt)


def test_weights_that_are_no_numbers_are_refused(path):
    content = io.BytesIO(members()["model.weights.h5"])
    with h5py.File(content, "a") as file:
        names = []
        file.visit(names.append)
        kernel = next(name for name in names if isinstance(file[name], h5py.Dataset) and file[name].ndim == 2)
        file[kernel][0, 0] = np.nan
    write(path, members() | {"model.weights.h5": content.getvalue()})
    assert "holds NaN or infinity" in refusal(audiozoo.load, path, WeightsCorrupt)


def test_what_is_no_file_is_refused_at_once(tmp_path):
    for path in no_files(tmp_path / "odd.keras", "missing", "fifo", "device", "folder"):
        refusal(audiozoo.load, path, UnknownPreset)
