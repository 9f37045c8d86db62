"""Folders of folders of clips: split by file, cropped as a function of seed and step, cached."""

import numpy as np
import pytest

from audiozoo.data.audio_io import write_audio
from audiozoo.data.cache import StoredArray
from audiozoo.data.clips import ClipCrops, audio_folder, gtzan, split_by_label
from audiozoo.data.pipelines import HeldOut, numpy_stream, tf_stream
from audiozoo.errors import DataError

RATE = 8000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two genres of five files, each a second of a ramp as steep as it is the how-manieth of the ten."""
    root = tmp_path_factory.mktemp("genres")
    ramp = np.linspace(0.0, 0.09, RATE, dtype="float32")
    for index, genre in enumerate(("jazz", "rock")):
        (root / genre).mkdir()
        for number in range(5):
            write_audio(root / genre / f"{genre}_{number}.wav", ramp * (5 * index + number + 1), RATE)
    return root


@pytest.fixture(scope="module")
def clips(folder, tmp_path_factory):
    return audio_folder(folder, sample_rate=RATE, cache=tmp_path_factory.mktemp("cache"))


def crops(clips, **changes):
    settings = {"sample_rate": RATE, "clip_seconds": 0.25, "batch_size": 8, "gain_range_db": 0.0}
    return ClipCrops(clips, **settings | changes)


def test_a_folder_is_a_label_and_files_come_in_order(clips):
    assert [clip.label for clip in clips] == 5 * ["jazz"] + 5 * ["rock"]
    assert clips[7].name == "rock/rock_2.wav"
    audio = clips[7].audio * clips[7].gain
    np.testing.assert_allclose(audio, np.linspace(0.0, 0.09, RATE) * 8, atol=1e-4)
    assert isinstance(clips[0].audio, StoredArray)
    assert clips[0].audio.dtype == np.int16


def test_places_have_labels_where_there_are_several_folders(clips):
    some = crops(clips)
    labels = some.labels(some.validation_places())
    assert sorted(set(labels)) == ["jazz", "rock"]
    assert crops(clips[:5]).labels(some.validation_places()[:1]) is None


def test_other_rates_and_channels_become_mono_at_the_rate(tmp_path):
    time_seconds = np.arange(44100) / 44100
    stereo = np.stack([np.sin(2 * np.pi * 500 * time_seconds)] * 2, axis=1) * 0.5
    write_audio(tmp_path / "stereo.wav", stereo.astype("float32"), 44100)
    (clip,) = audio_folder(tmp_path, sample_rate=RATE, cache=tmp_path / "cache")
    assert len(clip.audio) == RATE
    spectrum = np.abs(np.fft.rfft(clip.audio * clip.gain))
    assert spectrum.argmax() == 500
    assert clip.label == ""


def test_a_damaged_file_among_good_ones_is_named_and_left_out(folder, tmp_path):
    (tmp_path / "jazz").mkdir()
    for path in (folder / "jazz").iterdir():
        (tmp_path / "jazz" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "jazz" / "jazz.00054.wav").write_bytes(b"RIFF no music")
    with pytest.warns(UserWarning, match=r"jazz\.00054\.wav"):
        assert len(audio_folder(tmp_path, sample_rate=RATE, cache=tmp_path / "cache")) == 5


def test_a_folder_without_one_good_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        audio_folder(tmp_path / "none", sample_rate=RATE)
    with pytest.raises(DataError, match="holds none"):
        audio_folder(tmp_path, sample_rate=RATE)
    (tmp_path / "broken.wav").write_bytes(b"no audio")
    with pytest.raises(DataError, match="no readable audio"):
        audio_folder(tmp_path, sample_rate=RATE, cache=tmp_path / "cache")


def test_the_cache_is_used_and_a_changed_file_is_read_anew(tmp_path):
    tone = np.full(RATE, 0.25, "float32")
    write_audio(tmp_path / "a.wav", tone, RATE)
    cache = tmp_path / "cache"
    audio_folder(tmp_path, sample_rate=RATE, cache=cache)
    (entry,) = cache.iterdir()
    stored = np.load(entry / "audio.npy")
    np.save(entry / "audio.npy", stored // 2)  # to be told from what the file would give
    (clip,) = audio_folder(tmp_path, sample_rate=RATE, cache=cache)
    assert clip.audio[0] == stored[0] // 2
    write_audio(tmp_path / "a.wav", 2 * tone, RATE)
    (clip,) = audio_folder(tmp_path, sample_rate=RATE, cache=cache)
    assert clip.audio[0] * clip.gain == pytest.approx(0.5, abs=1e-3)


def test_a_fifth_of_each_label_is_held_out_and_never_trained_on(clips):
    some = crops(clips)
    assert [clips[index].label for index in sorted(some.held_out)] == ["jazz", "rock"]
    trained = set()
    for step in range(40):
        batch = some.batch(step)["audio"]
        steepness = np.abs(batch[:, -1] - batch[:, 0]) / (0.09 * (batch.shape[1] - 1) / (RATE - 1))
        trained |= set(np.round(steepness).astype(int) - 1)
    assert trained == set(range(10)) - some.held_out
    assert split_by_label(clips, 0.2, 0) == some.held_out
    assert any(split_by_label(clips, 0.2, seed) != some.held_out for seed in range(1, 6))


def test_the_split_of_a_label_does_not_depend_on_other_labels(clips):
    jazz = [clip for clip in clips if clip.label == "jazz"]
    assert split_by_label(jazz, 0.2, 3) == {i for i in split_by_label(clips, 0.2, 3) if i < 5}


def test_files_of_one_recording_are_held_out_together(tmp_path):
    for name in ("a_00", "a_01", "b_00", "b_01", "b_02", "c", "d_00", "d_01", "e_00"):
        write_audio(tmp_path / f"{name}.wav", np.full(RATE, 0.5, "float32"), RATE)
    folder = {"sample_rate": RATE, "cache": tmp_path / "cache", "recording_pattern": r"^(.+)_\d+\.wav"}
    found = audio_folder(tmp_path, **folder)
    assert [clip.recording for clip in found] == ["a", "a", "b", "b", "b", "c.wav", "d", "d", "e"]
    for seed in range(20):
        held_out = split_by_label(found, 0.3, seed)
        torn = {found[i].recording for i in held_out} & {
            clip.recording for i, clip in enumerate(found) if i not in held_out
        }
        assert not torn
        assert 1 <= len(held_out) <= 5


def test_a_batch_is_a_function_of_seed_and_step(clips):
    one, same, other = crops(clips, seed=1), crops(clips, seed=1), crops(clips, seed=2)
    np.testing.assert_array_equal(one.batch(7)["audio"], same.batch(7)["audio"])
    assert (one.batch(7)["audio"] != one.batch(8)["audio"]).any()
    assert (one.batch(7)["audio"] != other.batch(7)["audio"]).any()


def test_gain_and_polarity_are_drawn_within_their_range(tmp_path):
    for number in range(2):
        write_audio(tmp_path / f"{number}.wav", np.full(RATE, 0.25, "float32"), RATE)
    same = audio_folder(tmp_path, sample_rate=RATE, cache=tmp_path / "cache")
    some = crops(same, gain_range_db=6.0)
    values = np.concatenate([some.batch(step)["audio"][:, 0] for step in range(40)])
    gain_db = 20.0 * np.log10(np.abs(values) / 0.25)
    assert -6.01 < gain_db.min() < -5.0
    assert 5.0 < gain_db.max() < 6.01
    assert 0.35 < np.mean(values > 0) < 0.65


def test_held_out_crops_are_all_of_the_held_out_files_in_order(clips):
    some = crops(clips)
    batches = [inputs["audio"] for inputs, target in HeldOut(some)]
    audio = np.concatenate(batches).reshape(2, -1)
    for row, index in zip(audio, sorted(some.held_out), strict=True):
        np.testing.assert_allclose(row, clips[index].audio * clips[index].gain, atol=1e-6)


def test_a_file_shorter_than_a_crop_ends_in_silence(tmp_path):
    for number in range(2):
        write_audio(tmp_path / f"{number}.wav", np.full(100, 0.5, "float32"), RATE)
    short = audio_folder(tmp_path, sample_rate=RATE, cache=tmp_path / "cache")
    batch = crops(short).batch(0)["audio"]
    assert batch.shape == (8, 2000)
    assert np.abs(batch[:, :100]).min() > 0.4
    assert not batch[:, 100:].any()


def test_one_file_alone_cannot_be_split(clips):
    with pytest.raises(DataError, match="at least 2 files"):
        crops(clips[:1])
    assert crops(clips[:1], test_share=0.0).batch(0)["audio"].shape == (8, 2000)


def test_gtzan_is_whole_clips_at_3_khz_a_fifth_of_each_genre_held_out(tmp_path):
    noise = np.random.default_rng(0)
    for genre in ("jazz", "metal"):
        for number in range(50, 60):
            audio = 0.1 * noise.standard_normal(22050).astype("float32")
            write_audio(tmp_path / genre / f"{genre}.{number:05d}.wav", audio, 22050)
    (tmp_path / "jazz" / "jazz.00054.wav").write_bytes(b"RIFF, and then nothing that is music")
    with pytest.warns(UserWarning, match=r"1 file left out.*jazz\.00054\.wav"):
        crops = gtzan(tmp_path, clip_seconds=1.0, cache=tmp_path / "cache")
    assert [crops.clips[index].label for index in sorted(crops.held_out)] == ["jazz"] * 2 + ["metal"] * 2
    inputs, target = next(iter(numpy_stream(crops)))
    assert inputs["audio"].shape == target.shape == (8, 3000)
    held_out = HeldOut(crops)
    assert [len(held_out), len(held_out[0][1])] == [1, 4]


def test_the_same_batches_through_tf_data(clips):
    pytest.importorskip("tensorflow")
    some = crops(clips)
    stream = tf_stream(some, first_step=3).take(2).as_numpy_iterator()
    for (inputs, target), (tf_inputs, tf_target) in zip(
        numpy_stream(some, first_step=3), stream, strict=False
    ):
        np.testing.assert_array_equal(inputs["audio"], tf_inputs["audio"])
        np.testing.assert_array_equal(target, tf_target)
        np.testing.assert_array_equal(target, inputs["audio"])


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"clip_seconds": 0.0}, "clip_seconds must be a number between"),
        ({"test_share": 1.5}, "test_share must be a number between 0.0 and 0.99; got 1.5"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1; got 0"),
        ({"seed": -1}, "seed must be a whole number of at least 0; got -1"),
    ],
)
def test_numbers_out_of_range_are_refused(clips, changes, message):
    with pytest.raises(ValueError, match=message):
        crops(clips, **changes)
