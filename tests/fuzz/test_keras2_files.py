"""Weights that Keras 2 saved, TensorFlow Addons among them: damaged, or written by an enemy."""

import functools
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from cases import on_one_backend
from fuzz.hostile import damaged, fuzzed, no_files, read_or_refused, refusal
from fuzz.test_weights_files import (
    cyclic,
    declared,
    doubling,
    external,
    linked,
    nested,
    replaced,
    virtual,
)
from hypothesis import given
from hypothesis import strategies as st

from audiozoo.errors import AudioZooError, IncompatiblePreset, WeightsCorrupt, WeightsUnavailable
from audiozoo.keras2_weights import load_keras2_weights, read_keras2_weights
from audiozoo.layers import Convolution

pytestmark = on_one_backend

ORACLES = Path(__file__).parents[1] / "oracles"
NAMES = ["tfa_layers.h5", "tfa_melgan.h5", "tfa_stage.h5", "tfa_stage_new.h5"]


@functools.cache
def whole(name):
    return (ORACLES / name).read_bytes()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("weights") / "old.h5"


@pytest.fixture(scope="module")
def layer():
    layer = Convolution(4, 3, normalization="weight")
    layer.build((None, None, read_keras2_weights(ORACLES / NAMES[0])["conv1d"]["v"].shape[1]))
    return layer


@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_right_before_it_is_spoilt(name):
    assert len(read_keras2_weights(ORACLES / name)) > 2


@fuzzed(60)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(path, data):
    path.write_bytes(data.draw(damaged(whole(data.draw(st.sampled_from(NAMES))))))
    found = read_or_refused(read_keras2_weights, path, (WeightsCorrupt, WeightsUnavailable))
    if not isinstance(found, AudioZooError):
        arrays = [array for arrays in found.values() for array in arrays.values()]
        assert all(np.isfinite(array).all() for array in arrays)
        assert sum(array.nbytes for array in arrays) <= path.stat().st_size


@fuzzed(10)
@given(data=st.data())
def test_a_layer_is_given_all_of_a_damaged_file_or_nothing(path, layer, data):
    path.write_bytes(data.draw(damaged(whole(NAMES[0]))))
    load_keras2_weights(layer, ORACLES / NAMES[0], names=["conv1d"])
    before = layer.get_weights()
    refusals = (IncompatiblePreset, WeightsCorrupt, WeightsUnavailable)
    if isinstance(
        read_or_refused(lambda path: load_keras2_weights(layer, path, names=["conv1d"]), path, refusals),
        AudioZooError,
    ):
        for mine, theirs in zip(layer.get_weights(), before, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def spoilt(path, change):
    """A model that was saved whole, with ``change(file, name of an array)`` done to it."""
    path.write_bytes(whole("tfa_melgan.h5"))
    with h5py.File(path, "a") as file:
        names = []
        file["model_weights"].visititems(
            lambda name, item: names.append(f"model_weights/{name}") if name.endswith("/g:0") else None
        )
        change(file, names[0])
    return path


def named(attribute, names):
    """Names of layers, or of the arrays of the layer with ``name``."""

    def change(file, name):
        weights = file["model_weights"]
        group = weights if attribute == "layer_names" else weights[name.split("/")[1]]
        group.attrs[attribute] = names(group.attrs[attribute])

    return change


def huge_single(file, name):
    shape = file[name].shape
    del file[name]
    file.create_dataset(name, data=np.full(shape, 1e300))


@pytest.mark.parametrize(
    "change, sentence",
    [
        (replaced(np.float32([np.nan])), "is not finite throughout"),
        (huge_single, "is not finite throughout"),
        (replaced(np.zeros(10**6, "float32")), "has no kernel for its g"),
        (replaced(np.float32(1)), "has no kernel for its g"),
        (replaced(np.zeros(3, "complex64")), "holds complex64, no numbers"),
        (replaced(["text"]), "holds object, no numbers"),
        (declared((10**12,)), "unpacks to"),
        (declared((0,), chunks=(10**9,), maxshape=(None,)), "unpacks to"),
        (declared((10**6,), chunks=(1000,)), "is no array as Keras 2 wrote them"),
        (linked(h5py.ExternalLink("/etc/passwd", "/")), "refers to elsewhere"),
        (linked(h5py.SoftLink("/model_weights")), "refers to elsewhere"),
        (external, "lies in another file"),
        (virtual, "lies in another file"),
        (nested, "has groups within more than 100 others"),
        (cyclic, "stands twice"),
        (doubling, "stands twice"),
        (named("layer_names", lambda names: [b"missing"]), "lacks 'missing'"),
        (named("layer_names", lambda names: 3), "old.h5 is no complete"),
        (named("layer_names", lambda names: [b"\xff"]), "old.h5 is no complete"),
        (named("layer_names", lambda names: [b"../.."]), "lacks"),
        (named("layer_names", lambda names: [b"x" * 60000]), "lacks"),
        (named("weight_names", lambda names: [b"."]), "lacks|is no array as Keras 2 wrote them"),
    ],
)
def test_what_is_no_array_of_keras_2_is_refused(path, change, sentence):
    message = refusal(read_keras2_weights, spoilt(path, change), WeightsCorrupt)
    assert re.search(sentence, message), message


@pytest.mark.parametrize("attribute", ["layer_names", "weight_names"])
def test_names_that_stand_many_times_are_read_once(path, attribute):
    found = read_keras2_weights(spoilt(path, named(attribute, lambda names: np.tile(names, 50))))
    expected = read_keras2_weights(ORACLES / "tfa_melgan.h5")
    assert {name: list(arrays) for name, arrays in found.items()} == {
        name: list(arrays) for name, arrays in expected.items()
    }


def test_what_an_optimizer_remembered_may_be_anything(path):
    spoilt(path, lambda file, name: file["optimizer_weights"].create_dataset("m", data=[np.nan]))
    assert read_keras2_weights(path).keys() == read_keras2_weights(ORACLES / "tfa_melgan.h5").keys()


def test_what_is_no_file_is_refused_at_once(tmp_path):
    path = tmp_path / "odd.h5"
    for odd in no_files(path, "missing", "fifo", "device"):
        refusal(read_keras2_weights, odd, WeightsUnavailable)
    path.write_bytes(b"")
    refusal(read_keras2_weights, path, WeightsCorrupt)
