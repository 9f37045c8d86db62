"""Records hold what the files hold, to the sample; no kill, damage or second writer changes that unseen."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tracemalloc

import keras
import numpy as np
import pytest
import soundfile

from audiozoo import registry
from audiozoo.data import records
from audiozoo.data.audio_io import write_audio, write_blocks
from audiozoo.data.clips import ClipCrops, audio_folder
from audiozoo.data.datasets import instrument_folder
from audiozoo.data.pipelines import FeatureCrops, HeldOut
from audiozoo.data.records import (
    damage_named,
    is_records,
    read_records,
    stored_clips,
    stored_recordings,
    verify_records,
    write_records,
)
from audiozoo.errors import DataError, MissingDependency, OutputError
from audiozoo.models import Conv1DResnetVAE
from audiozoo.training import material
from audiozoo.training.train import material_for

tf = pytest.importorskip("tensorflow")

RATE, CLIP, HOP = 8000, 2000, 80
SETTINGS = {"sample_rate": RATE, "clip_seconds": CLIP / RATE, "hop": HOP, "f0_method": "yin"}
SETTINGS |= {"clips_per_shard": 7}
DDSP = {"num_units": 8, "num_harmonics": 4, "num_noise_bands": 5, "reverb_length": 100}
DDSP |= {"sample_rate": RATE, "hop": HOP}
VAE = {"sample_rate": RATE, "strides": (8,), "filters": (6,), "latent_dim": 2, "clip_seconds": CLIP / RATE}


def tone(hz, samples, rate=RATE):
    noise = 0.01 * np.random.default_rng(int(hz)).standard_normal(samples)
    return (0.4 * np.sin(2 * np.pi * hz * np.arange(samples) / rate) + noise).astype("float32")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("records")


@pytest.fixture(scope="module")
def data(root):
    """Six recordings of two labels: of other rates and channels, beyond full scale, shorter than a clip."""
    write_audio(root / "data" / "a" / "0.wav", np.stack([tone(300, 40000, 16000)] * 2, axis=1), 16000)
    for number, samples in enumerate((17000, 12001, 16000, 8000), start=1):
        write_audio(
            root / "data" / "ab"[number > 2] / f"{number}.flac", tone(200 + 50 * number, samples), RATE
        )
    soundfile.write(root / "data" / "a" / "loud.wav", 3.0 * tone(500, 9000), RATE, subtype="FLOAT")
    write_audio(root / "data" / "b" / "short.wav", tone(440, 1500), RATE)
    return root / "data"


@pytest.fixture(scope="module")
def cache(root):
    return root / "cache"


@pytest.fixture(scope="module")
def written(root, data, cache):
    """Records of all of it; what ``write_records`` said of them."""
    return root / "written", write_records(data, root / "written", cache=cache, **SETTINGS)


@pytest.fixture
def copy(written, tmp_path):
    """Records that may be spoiled, and a shard of them."""
    shutil.copytree(written[0], tmp_path / "copy")
    return tmp_path / "copy", tmp_path / "copy" / "clips-00001-of-00007.tfrecord"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def audio_of(dataset):
    return np.concatenate([target.numpy() for _, target in dataset])


def examples_of(folder):
    """Every example as TensorFlow itself reads it."""
    for path in sorted(folder.glob("*.tfrecord")):
        for raw in tf.data.TFRecordDataset(str(path)):
            features = tf.train.Example.FromString(raw.numpy()).features.feature
            kinds = ((name, feature, feature.WhichOneof("kind")) for name, feature in features.items())
            yield {name: list(getattr(feature, kind).value) for name, feature, kind in kinds}


def assert_equal(left, right):
    keras.tree.map_structure(np.testing.assert_array_equal, left, right)


def test_an_example_says_of_which_recording_and_place_it_is(written, data, cache):
    folder, said = written
    clips = {clip.name: clip for clip in audio_folder(data, sample_rate=RATE, cache=cache)}
    features = {each.name: each.features for each in instrument_folder(data, **about_features(cache))}
    found = list(examples_of(folder))
    assert len(found) == said["clips"] == sum(-(-len(clip.audio) // CLIP) for clip in clips.values())
    for number, example in enumerate(found):
        (name,), (start,), (samples,) = example["recording"], example["start"], example["samples"]
        clip = clips[name.decode()]
        assert example["clip"] == [number]
        assert example["gain"] == [np.float32(clip.gain)]
        pcm = np.frombuffer(example["audio"][0], "<i2")
        assert len(pcm) == CLIP
        np.testing.assert_array_equal(pcm[:samples], clip.audio[start : start + CLIP])
        assert not pcm[samples:].any()
        for feature in ("f0_hz", "loudness_db", "confidence"):
            expected = getattr(features[name.decode().split("/")[1]], feature)[start // HOP :][: CLIP // HOP]
            np.testing.assert_array_equal(np.float32(example[feature])[: len(expected)], expected)
            assert len(example[feature]) == CLIP // HOP
    assert said["recordings"] == 7
    assert said["seconds"] == pytest.approx(sum(len(clip.audio) for clip in clips.values()) / RATE)
    assert said["bytes"] == sum(path.stat().st_size for path in folder.glob("*.tfrecord"))


def about_features(cache):
    return {"sample_rate": RATE, "hop": HOP, "f0_method": "yin", "cache": cache}


def test_crops_of_records_are_crops_of_the_files(written, data, cache):
    stored = stored_clips(written[0], sample_rate=RATE, recording_pattern=r"/(\d)")
    clips = audio_folder(data, sample_rate=RATE, recording_pattern=r"/(\d)", cache=cache)
    assert [(c.name, c.label, c.recording, c.gain) for c in stored] == [
        (c.name, c.label, c.recording, c.gain) for c in clips
    ]
    for ours, theirs in zip(stored, clips, strict=True):
        assert len(ours.audio) == len(theirs.audio)
        for place in (slice(None), slice(1990, 4010), slice(-30, None), slice(5, 5), -1, [3, 1]):
            np.testing.assert_array_equal(ours.audio[place], theirs.audio[place])
    settings = {"sample_rate": RATE, "clip_seconds": 0.4}
    assert_equal(ClipCrops(stored, **settings).batch(3), ClipCrops(clips, **settings).batch(3))
    settings = {"sample_rate": RATE, "hop": HOP, "clip_seconds": 0.3}
    crops = [
        FeatureCrops(recordings, **settings)
        for recordings in (
            stored_recordings(written[0], sample_rate=RATE, hop=HOP),
            instrument_folder(data, **about_features(cache)),
        )
    ]
    assert_equal(crops[0].batch(3), crops[1].batch(3))
    assert [each.name for each in crops[0].recordings] == [each.name for each in crops[1].recordings]


def test_recordings_that_are_held_out_are_those_of_the_crops_and_never_trained_on(written):
    crops = ClipCrops(stored_clips(written[0], sample_rate=RATE), sample_rate=RATE, clip_seconds=CLIP / RATE)
    held_out = read_records(written[0], part="held_out", features=(), batch_size=crops.batch_size)
    assert_equal([batch[1].numpy() for batch in held_out], [batch[1] for batch in HeldOut(crops)])
    trained = {clip.tobytes() for clip in audio_of(read_records(written[0], batch_size=1))}
    kept = {clip.tobytes() for clip in audio_of(held_out)}
    everything = {clip.tobytes() for clip in audio_of(read_records(written[0], part="all"))}
    assert kept
    assert not trained & kept
    assert trained | kept == everything


def test_ends_of_recordings_are_held_out_where_seconds_are_given(written):
    index = records.read_index(written[0] / "records.json")
    source, start = index.places()
    arguments = {"test_share": 0.2, "split_seed": 0, "validation_seconds": 0.5, "recording_pattern": None}
    training, held_out = (records.part_of_clips(index, part, **arguments) for part in records.PARTS[:2])
    samples = np.array([each.samples for each in index.sources])
    split = (samples - np.minimum(0.5 * RATE, 0.2 * samples))[source]
    assert np.all(start[training] + CLIP <= split[training] + HOP)
    assert np.all(start[held_out] >= split[held_out] - HOP)
    assert not np.any(training & held_out)
    assert len(audio_of(read_records(written[0], validation_seconds=0.5, batch_size=1))) == training.sum()
    inputs, target = next(iter(read_records(written[0], part="held_out", validation_seconds=0.5)))
    assert {name: value.shape[1:] for name, value in inputs.items()} == {
        "f0_hz": (CLIP // HOP, 1),
        "loudness_db": (CLIP // HOP, 1),
    }
    assert target.shape[1] == CLIP


def test_an_epoch_is_every_clip_once_in_an_order_of_seed_and_epoch(written):
    def order(dataset):
        return [clip.tobytes() for clip in audio_of(dataset)]

    stream = read_records(written[0], batch_size=1, seed=3)
    first, second = order(stream), order(stream)
    assert first != second
    assert sorted(first) == sorted(second)
    assert len(set(first)) == len(first) == len(stream)
    again = read_records(written[0], batch_size=1, seed=3)
    assert [order(again), order(again)] == [first, second]
    assert order(read_records(written[0], batch_size=1, seed=4)) != first
    ordered = audio_of(read_records(written[0], part="all", batch_size=4))
    np.testing.assert_array_equal(ordered, audio_of(read_records(written[0], part="all", batch_size=4)))


KILLED = """
import os, signal, sys
from audiozoo.data import records
data, out, cache = sys.argv[1:]
written = []

def example_of(*arguments):
    written.append(1)
    if len(written) == 18:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*arguments)

whole, records.example_of = records.example_of, example_of
records.write_records(data, out, cache=cache, **SETTINGS)
"""


def test_killed_while_it_writes_it_goes_on_and_no_byte_differs(written, data, cache, tmp_path, monkeypatch):
    out = tmp_path / "out"
    program = KILLED.replace("SETTINGS", repr(SETTINGS))
    command = [sys.executable, "-c", program, data, out, cache]
    killed = subprocess.run(command, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    assert killed.returncode == -signal.SIGKILL
    assert sum(path.suffix == ".tfrecord" for path in out.iterdir() if path.name[0] != ".") == 2
    with pytest.raises(DataError, match="not written to their end"):
        read_records(out)
    (out / "clips-00000-of-00007.tfrecord").write_bytes(b"half of a shard")  # as by a disk
    made = []
    write_shard = records.write_shard
    monkeypatch.setattr(
        records, "write_shard", lambda path, some: (made.append(path), write_shard(path, some))
    )
    write_records(data, out, cache=cache, **SETTINGS)
    assert [int(path.name[6:11]) for path in made] == [0, 2, 3, 4, 5, 6]
    assert contents(out) == contents(written[0])


def test_other_settings_and_other_recordings_are_refused(written, data, cache, tmp_path):
    shutil.copytree(data, tmp_path / "data")
    out = tmp_path / "out"
    write_records(tmp_path / "data", out, cache=cache, **SETTINGS)
    with pytest.raises(DataError, match=r"another sample_rate \(was 8000, is 16000\); clip_samples"):
        write_records(tmp_path / "data", out, cache=cache, **SETTINGS | {"sample_rate": 16000})
    write_audio(tmp_path / "data" / "new.wav", tone(300, 4000), RATE)
    write_audio(tmp_path / "data" / "b" / "4.flac", tone(300, 4000), RATE)
    with pytest.raises(DataError, match=r"changed, added or taken away since: new\.wav, b/4\.flac"):
        write_records(tmp_path / "data", out, cache=cache, **SETTINGS)
    assert contents(out) == contents(written[0])


def spoil(folder, shard, how):
    if how == "does not exist":
        shard.unlink()
    elif "bytes instead of" in how:
        shard.write_bytes(shard.read_bytes()[:-1000])
    else:
        content = bytearray(shard.read_bytes())
        content[len(content) // 2] ^= 1
        shard.write_bytes(content)


@pytest.mark.parametrize("how", ["does not exist", "bytes instead of", "its sha256 differs"])
def test_damage_is_named_and_made_good_by_writing_again(copy, written, data, cache, how):
    spoil(*copy, how)
    for read in (read_records, verify_records, lambda folder: stored_clips(folder, sample_rate=RATE)):
        with pytest.raises(
            DataError, match=f"shard clips-00001-of-00007.tfrecord .*{how}.*Write the records"
        ):
            read(copy[0])
    write_records(data, copy[0], cache=cache, **SETTINGS)
    assert contents(copy[0]) == contents(written[0])
    assert verify_records(copy[0])["shards"] == 7


def test_what_tensorflow_finds_while_it_reads_is_named(copy):
    folder, shard = copy
    stream = read_records(folder, part="all", verify=False)
    spoil(folder, shard, "a byte")
    with pytest.raises(tf.errors.DataLossError):
        list(stream)
    with pytest.raises(DataError, match="clips-00001"), damage_named(folder):
        list(read_records(folder, part="all", verify=False))


def test_what_is_not_the_fault_of_the_records_goes_on_as_it_is(written):
    with pytest.raises(tf.errors.InvalidArgumentError, match="of the model"), damage_named(written[0]):
        raise tf.errors.InvalidArgumentError(None, None, "of the model")


def test_an_index_that_is_none_is_refused(copy, tmp_path):
    index = copy[0] / "records.json"
    said = json.loads(index.read_text())
    said["settings"]["version"] = 2
    index.write_text(json.dumps(said))
    with pytest.raises(DataError, match=r"of version 2 of the format; this audiozoo reads 1\. Write"):
        read_records(copy[0])
    for text in ("", "{}", '{"samples": 3}', "\0\1"):
        index.write_text(text)
        with pytest.raises(DataError, match="is no index of records"):
            read_records(copy[0])
    with pytest.raises(DataError, match=r"nothing' does not exist\. Write the records first"):
        read_records(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"holds no records: there is no records\.json in it"):
        read_records(tmp_path)
    with pytest.raises(DataError, match="records.json' is no folder"):
        read_records(index)
    assert not is_records(tmp_path)


def test_what_the_records_do_not_hold_is_refused(written, root, data):
    folder, _ = written
    with pytest.raises(DataError, match="hold no feature 'mel', but confidence, f0_hz, loudness_db"):
        read_records(folder, features=("mel",))
    with pytest.raises(
        DataError, match=r"sample_rate = 8000; the model needs 16000\. Write .* --sample-rate"
    ):
        stored_clips(folder, sample_rate=16000)
    with pytest.raises(DataError, match=r"hop = 80; the model needs 160\. Write .* --hop 160"):
        stored_recordings(folder, sample_rate=RATE, hop=160)
    with pytest.raises(DataError, match="'training', less than a batch of 500"):
        read_records(folder, batch_size=500)
    with pytest.raises(DataError, match="hold 0 clips of the part 'held_out'"):
        read_records(folder, part="held_out", test_share=0.0)
    with pytest.raises(ValueError, match="part must be one of training, held_out, all; got 'test'"):
        read_records(folder, part="test")
    plain = root / "plain"
    write_records(data, plain, **SETTINGS | {"hop": None})
    with pytest.raises(DataError, match=r"no feature 'f0_hz', but audio alone\. .* --hop"):
        read_records(plain, features=("f0_hz",))
    with pytest.raises(DataError, match="hop = None; the model needs 80"):
        stored_recordings(plain, sample_rate=RATE, hop=HOP)
    inputs, target = next(iter(read_records(plain)))
    np.testing.assert_array_equal(inputs["audio"], target)


def test_settings_out_of_range_are_refused(data, tmp_path):
    for change, sentence in [
        ({"sample_rate": 100}, "sample_rate must be"),
        ({"clip_seconds": 0}, "clip_seconds must be"),
        ({"clips_per_shard": 0}, "clips_per_shard must be"),
        ({"f0_method": "ear"}, "f0_method must be one of"),
        ({"hop": 96}, r"whole number of frames of hop = 96 samples; got .* of 2000 samples. Use 0\.24 s"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            write_records(data, tmp_path / "out", **SETTINGS | change)
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore:.*left out")
def test_hopeless_files_are_left_out_and_named(tmp_path):
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    plain = {"sample_rate": RATE, "clip_seconds": 0.25}
    with pytest.raises(DataError, match="must hold audio"):
        write_records(data, out, **plain)
    (data / "empty.wav").write_bytes(b"")
    (data / "text.flac").write_text("no sound")
    soundfile.write(data / "none.wav", np.zeros(0, "float32"), RATE)
    soundfile.write(data / "nan.wav", np.array([0.1, np.nan] * 500, "float32"), RATE, subtype="FLOAT")
    with pytest.raises(DataError, match="holds no readable audio"):
        write_records(data, out, **plain)
    assert not list(out.iterdir())
    soundfile.write(data / "one.wav", np.array([0.5], "float32"), RATE)
    soundfile.write(data / "silence.wav", np.zeros(3000, "float32"), RATE)
    said = write_records(data, out, **plain)
    assert (said["recordings"], said["clips"]) == (2, 3)
    assert said["left_out"] == ["empty.wav", "nan.wav", "none.wav", "text.flac"]
    one, *silence = audio_of(read_records(out, part="all"))
    assert one[0] == pytest.approx(0.5, abs=1e-4)
    assert not one[1:].any()
    assert not np.any(silence)
    with pytest.raises(DataError, match=r"no pitch is heard in '.*silence\.wav"):
        write_records(data, tmp_path / "sung", cache=tmp_path / "cache", **SETTINGS)


def test_licences_and_makers_of_loops_go_along(tmp_path):
    licenses = {
        "1": "https://creativecommons.org/licenses/by/4.0/",
        "2": "by-nc",
        "3": "/publicdomain/zero/1.0/",
    }
    entries = {number: {"username": "ann", "license": license} for number, license in licenses.items()}
    for number in licenses:
        write_audio(tmp_path / "loops" / f"{number}.wav", tone(300, 3000), RATE)
    (tmp_path / "loops" / "metadata.json").write_text(json.dumps(entries))
    with pytest.warns(UserWarning, match="1 loops left out, whose licence"):
        write_records(tmp_path / "loops", tmp_path / "out", sample_rate=RATE, clip_seconds=0.25)
    clips = stored_clips(tmp_path / "out", sample_rate=RATE)
    assert [(clip.recording, clip.license) for clip in clips] == [
        ("user ann", licenses[number]) for number in ("1", "3")
    ]


def test_memory_holds_a_block_however_long_a_recording_is(tmp_path):
    def blocks():
        yield from (np.full(RATE, 0.25, "float32") for _ in range(1500))

    write_blocks(tmp_path / "long.flac", blocks(), RATE)  # 48 MB as float32
    tracemalloc.start()
    said = write_records(
        tmp_path / "long.flac", tmp_path / "out", sample_rate=2000, clip_seconds=10.0, clips_per_shard=60
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert said["seconds"] == pytest.approx(1500, abs=0.01)
    assert (said["clips"], said["shards"]) == (150, 3)
    assert peak < 4e6


def test_a_folder_of_something_else_is_left_alone(data, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match=r"new folder, or one of records; it holds 'thesis\.txt'"):
        write_records(data, tmp_path, **SETTINGS | {"hop": None})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_one_writer_at_a_time(data, tmp_path):
    with records.alone_in(tmp_path), pytest.raises(OutputError, match="being written by another process"):
        write_records(data, tmp_path, **SETTINGS | {"hop": None})
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_told_and_leaves_no_half_of_a_shard(data, tmp_path, monkeypatch):
    settings = SETTINGS | {"hop": None}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # a shard has 28 kB
    try:
        with pytest.raises(OutputError, match=r"cannot write .*clips-00000-of-00007\.tfrecord: .*"):
            write_records(data, tmp_path / "out", **settings)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["records.plan.json"]
    write_records(data, tmp_path / "out", **settings)
    write_records(data, tmp_path / "whole", **settings)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    monkeypatch.setattr(records.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(2, 1, 1))
    with pytest.raises(OutputError, match=r"needs about 0\.0 GB more; 0\.0 GB are free"):
        write_records(data, tmp_path / "other", **settings)


def test_without_tensorflow_records_are_trained_on_and_not_written(written, data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(MissingDependency, match="written by TensorFlow, which is not installed: pip install"):
        write_records(data, tmp_path / "out", **SETTINGS)
    with pytest.raises(MissingDependency, match="read by TensorFlow"):
        read_records(written[0])
    assert len(stored_recordings(written[0], sample_rate=RATE, hop=HOP)) == 7


@pytest.mark.parametrize("architecture, config", [("DDSPDecoder", DDSP), ("Conv1DResnetVAE", VAE)])
def test_train_takes_records_as_it_takes_files(written, data, architecture, config):
    card = registry.Card(summary="Tiny.", weights_license="CC0-1.0")
    about = {"name": "tiny", "version": 1, "architecture": architecture, "config": config, "card": card}
    settings = registry.Train(clip_seconds=0.3, recording_pattern=r"/(\d)")
    ours, theirs = (
        material_for(registry.Preset(**about), source, settings, progress=False)
        for source in (written[0], data)
    )
    assert ours.files == theirs.files
    assert_equal(ours.crops.batch(2)["audio"], theirs.crops.batch(2)["audio"])
    assert ours.crops.validation_places() == theirs.crops.validation_places()
    assert ours.config.keys() == theirs.config.keys()


def test_a_model_of_classes_refuses_records(written):
    with pytest.raises(DataError, match="trained on spectrograms. Give the folder of files"):
        material.classes(written[0], {}, registry.Train(), validation_files="*", progress=False)


def test_a_model_fits_the_stream(written):
    keras.utils.set_random_seed(0)
    model = Conv1DResnetVAE(**VAE)
    model.compile("adam", loss=model.training_loss(), jit_compile=False)
    history = model.fit(
        read_records(written[0], features=(), batch_size=4),
        validation_data=read_records(written[0], part="held_out", features=(), batch_size=4),
        epochs=3,
        shuffle=False,
        verbose=0,
    ).history
    assert history["loss"][-1] < history["loss"][0]
    assert np.isfinite(history["val_loss"]).all()


def test_a_recording_that_changes_meanwhile_is_noticed(tmp_path, monkeypatch):
    data = tmp_path / "data"
    write_audio(data / "a.wav", tone(300, 9000), RATE)
    agreed = records.agreed_plan

    def changed(*arguments, **settings):
        plan = agreed(*arguments, **settings)
        write_audio(data / "a.wav", tone(300, 5000), RATE)
        return plan

    monkeypatch.setattr(records, "agreed_plan", changed)
    with pytest.raises(DataError, match="was changed while it was being read"):
        write_records(data, tmp_path / "out", **SETTINGS | {"hop": None})
