"""Folders of records: an index that says what it likes, shards as a disk or an enemy leaves them."""

import functools
import hashlib
import json
import os
import shutil
import struct
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from cases import on_one_backend
from fuzz.hostile import damaged, fuzzed, listing, misspelt, outcome, read_or_refused, refusal, twisted
from hypothesis import given
from hypothesis import strategies as st

from audiozoo.data.audio_io import write_audio
from audiozoo.data.records import (
    damage_named,
    read_records,
    stored_clips,
    stored_recordings,
    verify_records,
    write_records,
)
from audiozoo.data.shards import record_ends
from audiozoo.errors import AudioZooError, DataError, OutputError

tf = pytest.importorskip("tensorflow")

pytestmark = on_one_backend

RATE, CLIP, HOP = 8000, 800, 80
SETTINGS = {"sample_rate": RATE, "clip_seconds": CLIP / RATE, "hop": HOP, "f0_method": "yin"}
SETTINGS |= {"clips_per_shard": 2}
SHARD = "clips-00000-of-00003.tfrecord"  # two whole clips, as the next


@functools.cache
def home():
    """A folder with recordings, records of them, and the plan of those."""
    folder = Path(tempfile.mkdtemp())
    for name, hz, samples in (("a", 300, 2400), ("b", 400, 2000)):
        tone = 0.4 * np.sin(2 * np.pi * hz * np.arange(samples) / RATE)
        write_audio(folder / "data" / f"{name}.wav", tone.astype("float32"), RATE)
    write_again(folder / "whole")
    return folder


def write_again(folder):
    root = folder.parent if folder.name == "whole" else home()
    return write_records(root / "data", folder, cache=root / "cache", **SETTINGS)


@functools.cache
def index():
    return json.loads((home() / "whole" / "records.json").read_text())


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module", autouse=True)
def swept():
    yield
    shutil.rmtree(home())
    home.cache_clear()  # a worker may come back to this module, with tests of another's


@pytest.fixture
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("home") / "records"


def copied(folder, *, killed=False):
    """Whole records, anew; or what a killed run leaves: all shards, and a plan."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(home() / "whole", folder)
    if killed:
        (folder / "records.json").unlink()
        (folder / "records.plan.json").write_text(json.dumps(index() | {"shards": []}))
    return folder


def consumed(**settings):
    """Function that reads a folder of records to its end, as ``fit`` does."""

    def read(folder):
        with damage_named(folder):
            return [np.array(target) for _, target in read_records(folder, part="all", **settings)]

    return read


def clips(folder):
    return [clip.audio[:] * clip.gain for clip in stored_clips(folder, sample_rate=RATE)]


def recordings(folder):
    found = stored_recordings(folder, sample_rate=RATE, hop=HOP)
    for each in found:
        assert len(each.audio[:]) == len(each.audio)
        assert all(len(values) == -(-len(each.audio) // HOP) for values in vars(each.features).values())
    return [each.audio[:] * each.gain for each in found]


WITHOUT_TENSORFLOW = (verify_records, clips, recordings)
READERS = (*WITHOUT_TENSORFLOW, consumed(verify=True), consumed(verify=False))


def read_or_refused_by(readers, folder):
    """What the readers make of a folder: each a result, or an error that names it."""
    return [read_or_refused(read, folder, DataError, named=str(folder)) for read in readers]


def assert_right(results):
    """Of several readers, each the recordings or a refusal."""
    for result in results:
        if isinstance(result, list):
            expected = clips(home() / "whole") if len(result) == 2 else consumed()(home() / "whole")
            for mine, theirs in zip(result, expected, strict=True):
                np.testing.assert_array_equal(mine, theirs)


def test_the_folder_is_right_before_it_is_spoilt(folder):
    assert not [each for each in read_or_refused_by(READERS, copied(folder)) if isinstance(each, DataError)]
    assert verify_records(folder)["shards"] == 3
    assert_right(read_or_refused_by(READERS, folder))
    write_again(copied(folder, killed=True))
    assert contents(folder) == contents(home() / "whole")


@fuzzed(40)
@given(data=st.data())
def test_another_index_is_read_or_refused(folder, data):
    text = data.draw(twisted(index()).map(json.dumps) | misspelt(json.dumps(index())))
    (copied(folder) / "records.json").write_text(text, encoding="utf-8")
    tracemalloc.start()
    read_or_refused_by(WITHOUT_TENSORFLOW, folder)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2e7


def changed(**settings):
    return lambda values: values["settings"].update(settings)


def of_source(**facts):
    return lambda values: values["sources"][0].update(facts)


def of_shard(**facts):
    return lambda values: values["shards"][0].update(facts)


@pytest.mark.parametrize(
    "change",
    [
        changed(hop=0),
        changed(hop=-80),
        changed(hop=2**70),
        changed(clip_samples=0),
        changed(clip_samples=2**40),
        changed(clip_samples=2**70),
        changed(clips_per_shard=1),
        changed(clips_per_shard=-1),
        changed(sample_rate=0),
        of_source(samples=-1),
        of_source(samples=2**40),
        of_source(samples=2**63),
        of_source(gain=float("nan")),
        of_source(gain=0.0),
        of_source(gain=1e-30),
        of_source(name="b.wav"),
        of_shard(clips=0),
        of_shard(clips=2**60),
        of_shard(bytes=-1),
        of_shard(bytes=1),
        of_shard(file="clips-00001-of-00003.tfrecord"),
        of_shard(file="../victim"),
        of_shard(file="/etc/passwd"),
        of_shard(file=""),
        of_shard(file="a\0b"),
        lambda values: values.update(sources=[]),
        lambda values: values.update(shards=[]),
        lambda values: values["shards"].reverse(),
        lambda values: values["sources"].extend(values["sources"]),
    ],
)
def test_an_index_that_cannot_be_is_refused_by_readers_and_by_the_writer(folder, change):
    values = json.loads(json.dumps(index()))
    change(values)
    (copied(folder) / "records.json").write_text(json.dumps(values))
    (folder.parent / "victim").write_bytes((home() / "whole" / SHARD).read_bytes())
    for read in (verify_records, clips, read_records, write_again):
        assert "is no index of records" in refusal(read, folder, DataError, named="records.json")


def test_an_index_of_any_size_or_depth_or_kind_is_refused(folder):
    path = copied(folder) / "records.json"
    for text in ("[" * 10**6, '{"settings": ' * 10**5, "", "\0", "null", '{"left_out": ["\\ud800"]}'):
        path.write_text(text)
        refusal(verify_records, folder, DataError, named="records.json")
    with open(path, "r+b") as file:
        file.truncate(1 << 30)
    assert "has more than" in refusal(verify_records, folder, DataError, named="records.json")
    for make in (os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)):
        path.unlink()
        make(path)
        refusal(verify_records, folder, DataError, named=str(folder))
        assert isinstance(outcome(write_again, folder, AudioZooError), OutputError)
        if path.is_dir():
            path.rmdir()
            path.touch()


@fuzzed(40)
@given(data=st.data())
def test_a_damaged_shard_is_refused(folder, data):
    path = copied(folder) / SHARD
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    assert_right(read_or_refused_by(WITHOUT_TENSORFLOW, folder))


@fuzzed(12)
@given(data=st.data())
def test_a_damaged_shard_is_read_or_refused_with_tensorflow_and_made_good(folder, data):
    path = copied(folder) / SHARD
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    assert_right(read_or_refused_by(READERS[3:], folder))
    write_again(folder)
    assert contents(folder) == contents(home() / "whole")


def records_of(content):
    path = home() / "records.tfrecord"
    path.write_bytes(content)
    return [raw.numpy() for raw in tf.data.TFRecordDataset(str(path))]


def file_of(records):
    path = home() / "records.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as sink:
        for record in records:
            sink.write(record)
    return path.read_bytes()


def of_another_clip(records, folder):
    return records[::-1]


def of_no_length(records, folder):
    return [records[0], b""]


def of_another_length(records, folder):
    return [records[0] + records[1], b""]


def of_one_record(records, folder):
    return records[:1]


def of_other_features(records, folder):
    example = tf.train.Example.FromString(records[0])
    example.features.feature["f0_hz"].float_list.value.append(1.0)
    return [example.SerializeToString(), records[1]]


def of_other_kinds(records, folder):
    example = tf.train.Example.FromString(records[0])
    example.features.feature["audio"].int64_list.value.append(1)
    return [example.SerializeToString(), records[1]]


def of_other_frames(records, folder):
    return [records[0].replace(b"loudness_db", b"loudness_dB"), records[1]]


FORGED = [
    of_another_clip,
    of_no_length,
    of_another_length,
    of_one_record,
    of_other_features,
    of_other_kinds,
    of_other_frames,
]


def forged(path, content):
    """A shard of this content, and an index that says so."""
    path.write_bytes(content)
    values = json.loads(json.dumps(index()))
    values["shards"][0] |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (path.parent / "records.json").write_text(json.dumps(values))


@pytest.mark.parametrize("change", FORGED)
def test_records_of_something_else_are_refused_whatever_the_index_says(folder, change):
    path = copied(folder) / SHARD
    content = file_of(change(records_of(path.read_bytes()), folder))
    forged(path, content + bytes(max(0, 4000 - len(content))))
    for read in READERS[:4]:
        refusal(read, folder, DataError, named=SHARD if len(content) >= 4000 else "shard")
    write_again(folder)
    assert contents(folder) == contents(home() / "whole")
    path = copied(folder, killed=True) / SHARD
    path.write_bytes(content)
    write_again(folder)
    assert contents(folder) == contents(home() / "whole")


@pytest.mark.parametrize("length", [0, 1, 2**31, 2**36, 2**60, 2**63, 2**64 - 1])
def test_a_length_is_not_believed_though_its_checksum_is_right(folder, length):
    # TensorFlow ends the process over 2^60 bytes.
    path = copied(folder) / SHARD
    whole = path.read_bytes()
    claimed = struct.pack("<Q", length)
    forged(path, claimed + file_of([claimed])[-4:] + whole[12:])
    assert record_ends(path, 2) == []
    for read in READERS:
        assert "does not hold the clips 0 to 1" in refusal(read, folder, DataError, named=SHARD)
    write_again(folder)
    (copied(folder, killed=True) / SHARD).write_bytes(claimed + file_of([claimed])[-4:] + whole[12:])
    write_again(folder)
    assert contents(folder) == contents(home() / "whole")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_features_that_are_not_finite_are_refused(folder, value):
    path = copied(folder) / SHARD
    first, second = records_of(path.read_bytes())
    place = first.index(b"loudness_db") + 17  # six bytes behind its name
    forged(path, file_of([first[:place] + struct.pack("<f", value) + first[place + 4 :], second]))
    assert "not finite" in refusal(recordings, folder, DataError, named=str(folder))


@pytest.mark.parametrize("killed", [False, True])
def test_swapped_shards_are_put_right(folder, killed):
    copied(folder, killed=killed)
    other = folder / SHARD.replace("0-of", "1-of")
    shard, content = folder / SHARD, other.read_bytes()
    os.replace(shard, other)
    shard.write_bytes(content)
    for read in READERS[:4]:
        refusal(read, folder, DataError, named=str(folder))
    write_again(folder)
    assert contents(folder) == contents(home() / "whole")


@pytest.mark.parametrize("killed", [False, True])
def test_nothing_outside_is_read_as_a_shard_or_written_or_deleted(folder, killed):
    outside = folder.parent / "outside"
    outside.mkdir()
    for name in (SHARD, "draft", "file"):
        (outside / name).write_bytes((home() / "whole" / SHARD).read_bytes())
    copied(folder, killed=killed)
    (folder / SHARD).unlink()
    (folder / SHARD).symlink_to(outside / SHARD)  # the very bytes
    (folder / ".x-clips-1.tfrecord").symlink_to(outside / "draft")
    (folder / "lost.tfrecord").symlink_to(outside / "nothing")
    before = listing(outside)
    if not killed:
        for read in READERS:
            assert "is a link" in refusal(read, folder, DataError, named=SHARD)
    write_again(folder)
    assert listing(outside) == before
    (folder / "lost.tfrecord").unlink()
    assert contents(folder) == contents(home() / "whole")
    assert not (folder / SHARD).is_symlink()


def test_what_is_in_the_way_of_a_shard_is_told_and_stays(folder):
    copied(folder)
    (folder / SHARD).unlink()
    (folder / SHARD).mkdir()
    (folder / SHARD / "thesis.txt").write_text("years of work")
    for read in READERS:
        assert "is a folder" in refusal(read, folder, DataError, named=SHARD)
    assert isinstance(outcome(write_again, folder, OutputError), OutputError)
    assert (folder / SHARD / "thesis.txt").exists()
    copied(folder)
    for name in ("records.plan.json", ".x-clips-1.tfrecord", ".x-records.json"):
        (folder / name).mkdir()
    assert write_again(folder)["shards"] == 3


@fuzzed(25)
@given(data=st.data())
def test_another_plan_is_gone_on_with_or_refused(folder, data):
    copied(folder, killed=True)
    values = data.draw(twisted(index() | {"shards": []}))
    (folder / "records.plan.json").write_text(json.dumps(values))
    (folder / SHARD).unlink()
    around = listing(home())
    found = outcome(write_again, folder, (DataError, OutputError))
    assert listing(home()) == around
    if isinstance(found, AudioZooError):
        assert str(folder) in str(found) or "records.plan.json" in str(found)
    else:
        assert found["clips"] == 6
        for mine, theirs in zip(clips(folder), clips(home() / "whole"), strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-3)


@pytest.mark.parametrize(
    "change, sentence",
    [
        (of_source(samples=1600), "records.plan.json is damaged"),
        (of_source(samples=2399), "records.plan.json is damaged"),
        (of_source(samples=10**5), "records.plan.json is damaged"),
        (of_source(samples=2**40), "GB more"),
        (lambda values: values["sources"][1].update(samples=1600), "records.plan.json is damaged"),
        (lambda values: values["sources"][1].update(gain=1e34), "records.plan.json is damaged"),
        (of_source(name="../victim.wav"), "changed, added or taken away"),
        (changed(clip_samples=2**40, hop=None), "another clip_samples"),
    ],
)
def test_a_plan_of_other_recordings_is_refused(folder, change, sentence):
    values = json.loads(json.dumps(index() | {"shards": []}))
    change(values)
    folder.mkdir()
    (folder / "records.plan.json").write_text(json.dumps(values))
    found = outcome(write_again, folder, (DataError, OutputError))
    assert sentence in str(found)


def test_a_shard_that_changes_after_it_was_opened_is_told(folder):
    first, _ = stored_clips(copied(folder), sample_rate=RATE)
    (folder / SHARD).write_bytes((folder / SHARD).read_bytes()[:1000])
    for spoil in (lambda: None, (folder / SHARD).unlink):
        spoil()
        with pytest.raises(DataError, match=f"{SHARD}' was changed since it was opened"):
            first.audio[:]
