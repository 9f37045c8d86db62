"""Weights that users hand over: .weights.h5, and arrays that PyTorch has trained."""

import functools
import io
import pickle
import re
import tempfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from fuzz.hostile import damaged, fuzzed, no_files, read_or_refused, refusal
from hypothesis import given
from hypothesis import strategies as st

import audiozoo
from audiozoo.errors import AudioZooError, IncompatiblePreset, WeightsCorrupt, WeightsUnavailable
from audiozoo.models import Crepe, MelGANVocoder, MnistVAE
from audiozoo.registry import Card, Preset, Weights, write_preset
from audiozoo.weights import check_readable, sha256_of

CONFIG = {"image_size": 4, "hidden_units": 3, "latent_dim": 2}
REFUSALS = (IncompatiblePreset, WeightsCorrupt)


@functools.cache
def whole():
    with tempfile.TemporaryDirectory() as folder:
        MnistVAE(**CONFIG).save_weights(Path(folder) / "small.weights.h5")
        return (Path(folder) / "small.weights.h5").read_bytes()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("weights") / "mine.weights.h5"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A preset to load them into."""
    folder = tmp_path_factory.mktemp("recipe")
    card = Card(summary="", weights_license="")
    preset = Preset(name="small", version=1, architecture="MnistVAE", config=CONFIG, card=card)
    write_preset(preset, folder / "preset.yaml")
    return folder


def load_into(recipe):
    return lambda path: audiozoo.load(recipe, weights=path)


def spoilt(path, change):
    """The file with ``change(file, name of the largest array)`` done to it."""
    path.write_bytes(whole())
    with h5py.File(path, "a") as file:
        names = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        change(file, max(names, key=lambda name: file[name].size))
    return path


def test_the_file_is_right_before_it_is_spoilt(path, recipe):
    path.write_bytes(whole())
    assert isinstance(load_into(recipe)(path), MnistVAE)


@fuzzed(120)
@given(data=st.data())
def test_a_damaged_file_is_whole_or_refused(path, data):
    path.write_bytes(data.draw(damaged(whole())))
    read_or_refused(check_readable, path, WeightsCorrupt)


@fuzzed(12)
@given(data=st.data())
def test_a_damaged_file_is_loaded_or_refused(path, recipe, data):
    path.write_bytes(data.draw(damaged(whole())))
    model = read_or_refused(load_into(recipe), path, REFUSALS)
    if not isinstance(model, AudioZooError):
        assert all(np.isfinite(weight).all() for weight in model.get_weights())


def replaced(values, **settings):
    def change(file, name):
        del file[name]
        file.create_dataset(name, data=values, **settings)

    return change


def declared(shape, dtype="float32", **settings):
    def change(file, name):
        del file[name]
        file.create_dataset(name, shape, dtype, **settings)

    return change


def linked(link):
    def change(file, name):
        del file[name]
        file[name] = link

    return change


def external(file, name):
    del file[name]
    file.create_dataset(name, (10,), "float32", external=[("/etc/passwd", 0, 40)])


def virtual(file, name):
    del file[name]
    layout = h5py.VirtualLayout((10,), "float32")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (10,))
    file.create_virtual_dataset(name, layout)


def nested(file, name):
    group = file
    for _ in range(3000):
        group = group.create_group("g")


def cyclic(file, name):
    file["loop"] = file["/"]


def doubling(file, name):
    group = file
    for _ in range(40):  # 2^40 paths
        group["b"] = group.create_group("a")
        group = group["a"]


@pytest.mark.parametrize(
    "change, sentence",
    [
        (replaced(np.float32([np.nan])), "holds NaN or infinity"),
        (replaced(np.float32([np.inf])), "holds NaN or infinity"),
        (replaced(np.array([b"text"])), r"holds \|S4, no numbers"),
        (replaced(["text"]), "holds object, no numbers"),
        (replaced(np.zeros(3, "complex64")), "holds complex64, no numbers"),
        (replaced(np.zeros(3, [("a", "f4")])), "no numbers"),
        (declared((10**12,)), "it unpacks to more than 100 times its size"),
        (declared((10**12,), chunks=(1000,)), "it unpacks to more than 100 times its size"),
        (declared((2, 2**58)), "it unpacks to more than 100 times its size"),
        (declared((0,), chunks=(10**9,), maxshape=(None,)), "it unpacks to more than 100 times its size"),
        (replaced(np.zeros(10**7, "int8"), compression="gzip"), "it unpacks to more than 100 times its size"),
        (linked(h5py.ExternalLink("/etc/passwd", "/")), "refers to elsewhere"),
        (linked(h5py.SoftLink("/nowhere")), "refers to elsewhere"),
        (external, "lies in another file"),
        (virtual, "lies in another file"),
        (nested, "has groups within more than 100 others"),
        (cyclic, "stands twice"),
        (doubling, "stands twice"),
    ],
)
def test_what_is_no_array_of_numbers_of_its_own_is_refused(path, change, sentence):
    message = refusal(check_readable, spoilt(path, change), WeightsCorrupt)
    assert re.search(sentence, message), message


@pytest.mark.parametrize(
    "change",
    [
        replaced(np.zeros((2, 2), "float32")),
        replaced(np.float32(0)),
        replaced(np.zeros((0,), "float32")),
        lambda file, name: file.__delitem__(name),
        lambda file, name: file.__delitem__(name.split("/")[0]),
        lambda file, name: [file.__delitem__(key) for key in list(file)],
    ],
)
def test_arrays_of_another_model_are_refused(path, recipe, change):
    assert "does not fit MnistVAE" in refusal(load_into(recipe), spoilt(path, change), IncompatiblePreset)


def test_a_presets_own_weights_are_looked_at_too(path, recipe, tmp_path):
    file = tmp_path / "evil.weights.h5"
    file.write_bytes(spoilt(path, linked(h5py.ExternalLink("/etc/passwd", "/"))).read_bytes())
    stated = Weights(file=file.name, sha256=sha256_of(file), size=file.stat().st_size)
    preset = audiozoo.info(recipe).model_copy(update={"weights": stated})
    write_preset(preset, tmp_path / "preset.yaml")
    assert "refers to elsewhere" in refusal(audiozoo.load, tmp_path, WeightsCorrupt, named=file.name)


def test_what_is_no_file_is_refused_at_once(tmp_path):
    path = tmp_path / "odd.weights.h5"
    for odd in no_files(path, "missing", "fifo", "device"):
        refusal(check_readable, odd, WeightsUnavailable)
    path.write_bytes(b"")
    refusal(check_readable, path, WeightsCorrupt)


STATE = {"model.1.weight": np.zeros((4, 80, 7), "float32"), "model.1.bias": np.zeros(4, "float32")}


class Touch:
    """An object whose pickle, loaded, makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@functools.cache
def state_file():
    file = io.BytesIO()
    np.savez(file, **STATE)
    return file.getvalue()


@pytest.mark.parametrize("model_class", [Crepe, MelGANVocoder])
def test_arrays_of_pytorch_are_no_pickle_and_no_bomb(model_class, tmp_path):
    ran = tmp_path / "ran"
    path = tmp_path / "state.npz"
    np.savez(path, **{"model.1.weight": np.array([Touch(ran)], object)})
    refusal(model_class.from_torch, path, WeightsCorrupt)
    path.write_bytes(pickle.dumps(Touch(ran)))
    refusal(model_class.from_torch, path, WeightsCorrupt)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "<f4", "fortran_order": False, "shape": (10**12,)}
        )
        archive.writestr("model.1.weight.npy", header.getvalue() + bytes(1000))
    refusal(model_class.from_torch, path, WeightsCorrupt)
    refusal(model_class.from_torch, tmp_path / "missing.npz", WeightsCorrupt)
    assert not ran.exists()


@fuzzed(40)
@given(data=st.data())
def test_damaged_arrays_of_pytorch_are_refused(path, data):
    # Undamaged they are half a network, which is refused as such; no combination of accidents makes it whole.
    path = path.with_suffix(".npz")
    path.write_bytes(data.draw(damaged(state_file())))
    try:
        message = str(read_or_refused(MelGANVocoder.from_torch, path, WeightsCorrupt))
    except ValueError as error:
        message = str(error)
    assert "state must" in message or path.name in message
