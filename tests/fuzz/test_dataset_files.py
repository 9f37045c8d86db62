"""What comes with data sets: images, the table of MAESTRO, the metadata of the Freesound Loop Dataset."""

import functools
import io
import json
import zipfile

import numpy as np
import pytest
from fuzz.hostile import damaged, fuzzed, misspelt, no_files, read_or_refused, refusal, twisted
from fuzz.test_weights_files import Touch
from hypothesis import given
from hypothesis import strategies as st

from audiozoo.data.freesound import freesound_loops, read_metadata
from audiozoo.data.images import ImageBatches, Images, load_images
from audiozoo.data.maestro import about_maestro
from audiozoo.errors import AudioZooError, DataError

TABLE = """canonical_composer,canonical_title,split,year,audio_filename,duration
Claude Debussy,"Images, Book 1",train,2006,2006/a.wav,100.5
Franz Liszt,Étude,test,2008,2008/b.wav,50.0
"""
METADATA = {
    "12": {"license": "http://creativecommons.org/publicdomain/zero/1.0/", "username": "a", "tags": ["loop"]},
    "34": {"license": "http://creativecommons.org/licenses/by-nc/3.0/", "username": "b"},
}


@functools.cache
def images():
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (10, 4, 4), "uint8")
    np.savez(file, x_train=pixels, y_train=np.arange(10), x_test=pixels[:3] / 255.0, y_test=np.arange(3))
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


def assert_images(result):
    if not isinstance(result, AudioZooError):
        assert isinstance(result, Images)
        batch = ImageBatches(result, batch_size=2).batch(0)["image"]
        assert batch.min() >= 0.0
        assert batch.max() <= 1.0


def test_the_images_are_right_before_they_are_spoilt(folder):
    path = folder / "images.npz"
    path.write_bytes(images())
    assert len(load_images(path).pixels) == 13


@fuzzed(60)
@given(data=st.data())
def test_damaged_images_are_read_or_refused(folder, data):
    path = folder / "images.npz"
    path.write_bytes(data.draw(damaged(images())))
    assert_images(read_or_refused(load_images, path, DataError))


@fuzzed(60)
@given(data=st.data())
def test_arrays_of_another_kind_are_read_or_refused(folder, data):
    path = folder / "images.npz"
    with np.load(io.BytesIO(images())) as file:
        arrays = dict(file)
    for name in data.draw(st.lists(st.sampled_from(sorted(arrays)), min_size=1, max_size=3, unique=True)):
        shape = data.draw(st.lists(st.integers(0, 5), max_size=4))
        dtype = data.draw(
            st.sampled_from(["uint8", "float32", "int64", "U3", "complex64", "bool", "datetime64[s]"])
        )
        value = data.draw(st.sampled_from([0, 1, 0.5, 200, -1, np.nan]))
        with np.errstate(invalid="ignore"):
            arrays[name] = np.full(shape, value).astype(dtype)
    np.savez(path, **arrays)
    assert_images(read_or_refused(load_images, path, DataError))


def test_images_are_no_pickle_and_no_bomb(folder, tmp_path):
    path = folder / "images.npz"
    np.savez(path, x_train=np.array([Touch(tmp_path / "ran")], object))
    refusal(load_images, path, DataError)
    np.save(path.with_suffix(".npy"), np.zeros(3))
    path.write_bytes(path.with_suffix(".npy").read_bytes())
    refusal(load_images, path, DataError)
    header = io.BytesIO()
    described = {"descr": "|u1", "fortran_order": False, "shape": (10**14, 2, 2)}
    np.lib.format.write_array_header_1_0(header, described)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x_train.npy", header.getvalue() + bytes(1000))
    refusal(load_images, path, DataError)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x_train.npy", b"")
        archive.infolist()[0].file_size = (
            1 << 40
        )  # what the directory says, and all that is needed to refuse it
    assert "it unpacks to 1099511627776 bytes" in refusal(load_images, path, DataError)
    assert not (tmp_path / "ran").exists()


@pytest.fixture(scope="module")
def maestro(folder):
    for name in ("2006/a.wav", "2008/b.wav"):
        (folder / "maestro" / name).parent.mkdir(parents=True)
        (folder / "maestro" / name).touch()
    return folder / "maestro"


def pieces(table):
    return about_maestro(table.parent, [table.parent / "2006/a.wav", table.parent / "2008/b.wav"])


def assert_pieces(result):
    if not isinstance(result, AudioZooError):
        assert result
        assert all(isinstance(about["label"], str) for about in result.values())
        assert all(isinstance(about["recording"], str) for about in result.values())


@fuzzed(80)
@given(text=misspelt(TABLE))
def test_a_misspelt_table_is_read_or_refused(maestro, text):
    path = maestro / "maestro-v3.0.0.csv"
    path.write_text(text, encoding="utf-8")
    assert_pieces(read_or_refused(pieces, path, DataError))


@fuzzed(60)
@given(data=damaged(TABLE.encode()))
def test_a_damaged_table_is_read_or_refused(maestro, data):
    path = maestro / "maestro-v3.0.0.csv"
    path.write_bytes(data)
    assert_pieces(read_or_refused(pieces, path, DataError))


@fuzzed(60)
@given(values=twisted(METADATA))
def test_other_metadata_are_read_or_refused(folder, values):
    path = folder / "metadata.json"
    path.write_text(json.dumps(values))
    read_or_refused(read_metadata, path, DataError)


@fuzzed(60)
@given(data=damaged(json.dumps(METADATA).encode()))
def test_damaged_metadata_are_read_or_refused(folder, data):
    path = folder / "metadata.json"
    path.write_bytes(data)
    read_or_refused(read_metadata, path, DataError)


def test_metadata_of_a_data_set_without_sound_are_refused(tmp_path):
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps(METADATA))
    refusal(lambda path: freesound_loops(path.parent), path, DataError, named=str(tmp_path))
    path.write_text("[" * 10**5)
    refusal(lambda path: freesound_loops(path.parent), path, DataError)


def test_what_is_no_file_is_refused_at_once(tmp_path):
    for name, read in (
        ("images.npz", load_images),
        ("metadata.json", read_metadata),
        ("maestro-v3.0.0.csv", pieces),
    ):
        for path in no_files(tmp_path / name, "fifo", "device"):
            assert "is a pipe or a device" in refusal(read, path, DataError)
