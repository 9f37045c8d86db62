"""Spectrograms in folders of classes: the front end's own, turned up exactly, split by recording, cached."""

import numpy as np
import pytest
from keras import ops

from audiozoo.data import mels
from audiozoo.data.audio_io import write_audio
from audiozoo.data.cache import StoredArray
from audiozoo.data.mels import MelCrops, class_folder, log_mel_of, with_gain
from audiozoo.data.pipelines import HeldOut, numpy_stream, training_pairs
from audiozoo.errors import DataError
from audiozoo.layers import AudioTransform

RATE = 8000
MEL = {"sample_rate": RATE, "num_mels": 16, "window_length": 256, "hop": 64}
FRAMES_PER_SECOND = RATE // 64


def noise(seconds=1.0, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE)).astype("float32")


def tone(hz, seconds=1.0):
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype("float32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes: four recordings cut in two, each a tone of its own; and three of noise, uncut."""
    root = tmp_path_factory.mktemp("classes")
    for recording in range(4):
        for part in range(2):
            write_audio(root / "tones" / f"t{recording}_{part}.wav", tone(500 * (recording + 1)), RATE)
    for recording in range(3):
        write_audio(root / "noise" / f"n{recording}_0.wav", noise(2.0, recording), RATE)
    return root


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def clips(folder, cache):
    return class_folder(folder, **MEL, recording_pattern=r"^(.+)_\d", cache=cache)


def crops(clips, **changes):
    settings = {"clip_frames": 32, "noise_dim": 5, "batch_size": 8, "gain_range_db": 0.0}
    return MelCrops(clips, **settings | changes)


# --- Spectrograms ---


@pytest.mark.parametrize("samples", [1, 63, 64, 255, 5000])
def test_it_is_the_spectrogram_of_the_model_s_front_end(samples):
    """Another implementation of the same, in numpy, for sounds that no tensor holds."""
    audio = noise()[:samples]
    expected = ops.convert_to_numpy(AudioTransform(**MEL).log_mel(audio[None]))[0]
    np.testing.assert_allclose(log_mel_of(audio, **MEL), expected, atol=1e-3)


def test_a_long_sound_is_computed_in_pieces_that_fit(monkeypatch):
    whole = log_mel_of(noise(3.0), **MEL)
    monkeypatch.setattr(mels, "BLOCK_FRAMES", 7)
    np.testing.assert_array_equal(log_mel_of(noise(3.0), **MEL), whole)


@pytest.mark.parametrize("gain_db", [-30.0, -6.0, 0.0, 12.0])
def test_turning_up_the_spectrogram_is_turning_up_the_sound(gain_db):
    audio = noise()
    louder = log_mel_of(audio * np.float32(10.0 ** (gain_db / 20.0)), **MEL)
    np.testing.assert_allclose(with_gain(log_mel_of(audio, **MEL), gain_db), louder, atol=1e-4)
    # From what is kept, with 11 bits, within a thousandth of it.
    kept = log_mel_of(audio, **MEL).astype("float16").astype("float32")
    np.testing.assert_allclose(with_gain(kept, gain_db), louder, atol=5e-3)


def test_silence_stays_silence_at_any_gain():
    np.testing.assert_array_equal(with_gain(np.zeros((3, 4)), 60.0), 0.0)


def test_a_file_is_read_once(folder, clips, cache, monkeypatch):
    monkeypatch.setattr(mels, "read_audio", lambda *arguments, **settings: pytest.fail("read again"))
    again = class_folder(folder, **MEL, cache=cache)
    assert [clip.name for clip in again] == [clip.name for clip in clips]
    for one, other in zip(again, clips, strict=True):
        assert isinstance(one.log_mel, StoredArray)
        assert one.log_mel.dtype == np.float16
        np.testing.assert_array_equal(one.log_mel[:], other.log_mel[:])
    assert not [path for path in cache.iterdir() if path.name.startswith(".draft")]


def test_other_settings_are_other_spectrograms(folder, cache):
    few = class_folder(folder, **MEL | {"num_mels": 8}, cache=cache)
    assert few[0].log_mel.shape == (2 * FRAMES_PER_SECOND + 1, 8)


def test_the_class_is_the_folder_and_the_pattern_names_the_recording(clips):
    assert [clip.label for clip in clips] == 3 * ["noise"] + 8 * ["tones"]
    assert [clip.recording for clip in clips[3:7]] == 2 * ["tones/t0"] + 2 * ["tones/t1"]
    assert clips[0].name == "noise/n0_0.wav"


def test_one_folder_of_files_is_one_class_of_its_name(folder, cache):
    assert {clip.label for clip in class_folder(folder / "tones", **MEL, cache=cache)} == {"tones"}


def test_what_cannot_be_read_is_named_and_left_out(folder, tmp_path):
    (tmp_path / "tones").mkdir()
    for path in (folder / "tones").iterdir():
        (tmp_path / "tones" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "tones" / "jazz.00054.wav").write_bytes(b"RIFF no music")
    with pytest.warns(UserWarning, match=r"1 file left out: .*jazz\.00054\.wav"):
        assert len(class_folder(tmp_path, **MEL, cache=tmp_path / "cache")) == 8
    with pytest.raises(DataError, match="does not exist"):
        class_folder(tmp_path / "none", **MEL)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.wav").write_bytes(b"no audio")
    with pytest.raises(DataError, match="holds no readable audio"):
        class_folder(tmp_path / "broken", **MEL, cache=tmp_path / "cache")


# --- Batches ---


def test_no_recording_is_on_both_sides_and_each_class_is_on_both(clips):
    some = crops(clips, test_share=0.3)
    held_out = {clips[index].recording for index in some.held_out}
    training = {clips[index].recording for which, *_ in some.training for index in which}
    assert not held_out & training
    assert {name.partition("/")[0] for name in held_out} == {"noise", "tones"}
    assert held_out | training == {clip.recording for clip in clips}


def test_a_batch_is_a_function_of_seed_and_step_alone(clips):
    one, other = crops(clips), crops(clips)
    one.batch(0)
    for name, value in one.batch(3).items():
        np.testing.assert_array_equal(value, other.batch(3)[name])
        assert np.any(value != other.batch(4)[name])
        assert np.any(value != crops(clips, seed=1).batch(3)[name])
    kinds = {name: (value.shape, value.dtype) for name, value in one.batch(0).items()}
    assert kinds == {
        "log_mel": ((8, 32, 16), np.float32),
        "label": ((8,), np.int32),
        "noise": ((8, 5), np.float32),
    }


def test_a_label_is_the_class_of_its_spectrogram(clips):
    """A tone lies in a band or two, noise in all of them."""
    some = crops(clips, batch_size=64)
    assert some.classes == ("noise", "tones")
    batch = some.batch(0)
    quietest = batch["log_mel"].mean(axis=1).min(axis=1)
    assert np.all((quietest > 0.5) == (batch["label"] == some.classes.index("noise")))
    inputs, target = training_pairs(batch)
    assert set(inputs) == {"label", "noise"}
    np.testing.assert_array_equal(target, batch["log_mel"])


def test_classes_are_equally_likely_however_much_there_is_of_each(clips):
    labels = np.concatenate([crops(clips, batch_size=500).batch(step)["label"] for step in range(4)])
    assert labels.mean() == pytest.approx(0.5, abs=0.05)  # 2000 draws: three standard deviations are 0.034


def test_every_place_of_a_class_is_drawn(clips):
    some = crops(clips[:3], test_share=0.0, clip_frames=250, batch_size=200)  # of 251 frames: two places each
    seen = {crop.tobytes() for crop in some.batch(0)["log_mel"]}
    assert len(seen) == 6


def test_gain_is_drawn_for_each_crop_within_its_range(clips):
    quiet, loud = (
        crops(clips[:3], gain_range_db=gain, batch_size=100).batch(0)["log_mel"] for gain in (0.0, 6.0)
    )
    gains = 20.0 * np.log10(np.expm1(loud).max(axis=(1, 2)) / np.expm1(quiet).max(axis=(1, 2)))
    assert -6.01 < gains.min() < -5.0
    assert 5.0 < gains.max() < 6.01


def test_a_sound_shorter_than_a_crop_ends_in_silence(clips):
    some = crops(clips, clip_frames=200)
    ((index, start), *_) = [place for place in some.validation_places() if clips[place[0]].label == "tones"]
    crop = some.collate([index], [start])["log_mel"][0]
    frames = len(clips[index].log_mel)
    assert frames < 200
    np.testing.assert_array_equal(crop[:frames], clips[index].log_mel[:])
    np.testing.assert_array_equal(crop[frames:], 0.0)


def test_what_is_held_out_comes_in_order_with_noise_of_its_own(clips):
    some = crops(clips, batch_size=4)
    held_out = HeldOut(some)
    places = some.validation_places()
    assert places == sorted(places)
    total = sum(len(held_out[index][1]) for index in range(len(held_out)))
    assert total == len(places)
    inputs, _ = held_out[0]
    np.testing.assert_array_equal(inputs["noise"], held_out[0][0]["noise"])
    alone = some.collate(*zip(places[1], strict=True))
    np.testing.assert_array_equal(alone["noise"][0], inputs["noise"][1])
    assert [some.classes[label] for label in inputs["label"]] == some.labels(places[:4])


def test_a_stream_goes_on_where_it_was(clips):
    some = crops(clips)
    stream = numpy_stream(some)
    next(stream), next(stream)
    inputs, target = next(numpy_stream(some, first_step=2))
    expected_inputs, expected = next(stream)
    np.testing.assert_array_equal(target, expected)
    np.testing.assert_array_equal(inputs["noise"], expected_inputs["noise"])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"clip_frames": 0}, "clip_frames must be a whole number of at least 1; got 0"),
        ({"noise_dim": -1}, "noise_dim must be a whole number"),
        ({"batch_size": 0}, "batch_size must be a whole number"),
        ({"test_share": 1.0}, "test_share must be a number between"),
        ({"gain_range_db": -1.0}, "gain_range_db must be a number between"),
        ({"seed": -1}, "seed must be a whole number"),
    ],
)
def test_impossible_settings_are_refused(clips, change, message):
    with pytest.raises(ValueError, match=message):
        crops(clips, **change)


def test_a_single_file_cannot_be_split(clips):
    with pytest.raises(DataError, match="must hold at least 2 files.*train.test_share"):
        crops(clips[:1])
    assert crops(clips[:1], test_share=0.0).classes == ("noise",)
