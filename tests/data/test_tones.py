import numpy as np
import pytest

from audiozoo.data.clips import audio_folder
from audiozoo.data.pipelines import FeatureCrops
from audiozoo.data.tones import FMPlucks


def measured_hz(audio, sample_rate, near):
    """Strongest partial within a semitone of ``near``, by a zero-padded Hann spectrum."""
    size = 16 * len(audio)
    level = np.abs(np.fft.rfft(audio * np.hanning(len(audio)), size))
    hz = np.arange(len(level)) * sample_rate / size
    level[np.abs(np.log2(hz.clip(1.0) / near)) > 1 / 12] = 0.0
    return hz[level.argmax()]


@pytest.mark.parametrize("sample_rate, hop", [(16000, 160), (44100, 441)])
def test_every_note_sounds_at_its_declared_pitch(sample_rate, hop):
    plucks = FMPlucks(num_recordings=1, duration_seconds=4.0, sample_rate=sample_rate, hop=hop)
    recording = plucks.recording(0)
    audio = recording.audio * recording.gain
    note, frames = round(0.5 * sample_rate), 50
    declared = recording.features.f0_hz.reshape(8, frames)
    assert np.all(declared == declared[:, :1])
    assert len(np.unique(declared)) > 3
    for index, (f0_hz, *_) in enumerate(declared):
        pluck = audio[index * note : (index + 1) * note]
        assert abs(1200 * np.log2(measured_hz(pluck, sample_rate, f0_hz) / f0_hz)) < 3
    assert 130 < declared.min() <= declared.max() < 1047  # MIDI 48..84


def test_features_stand_beside_the_audio():
    plucks = FMPlucks(num_recordings=2, duration_seconds=1.7, note_seconds=0.3)
    for recording in plucks.recordings():
        features = recording.features
        assert len(recording.audio) == len(features.f0_hz) * 160 == round(1.5 * 16000)
        assert features.f0_hz.shape == features.confidence.shape == features.loudness_db.shape
        assert np.all(features.confidence == 1)
        assert np.all(np.diff(features.loudness_db[5:28]) < 0.5)  # a pluck dies away
        assert np.abs(recording.audio * recording.gain).max() <= 0.5


def test_a_melody_is_drawn_from_its_seed_and_number():
    def notes(**changes):
        return FMPlucks(**({"num_recordings": 2} | changes)).recordings()

    first, second = notes()
    np.testing.assert_array_equal(notes()[0].audio, first.audio)
    assert np.any(first.features.f0_hz != second.features.f0_hz)
    assert np.any(notes(seed=1)[0].features.f0_hz != first.features.f0_hz)


def test_they_are_used_like_a_folder_of_recordings():
    crops = FeatureCrops(FMPlucks(num_recordings=2, duration_seconds=4.0).recordings(), clip_seconds=1.0)
    assert crops.batch(0)["audio"].shape == (16, 16000)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"note_seconds": 9.0}, "note_seconds must be above 0 and at most duration_seconds; got 9.0 and 8.0"),
        ({"note_seconds": 0.0}, "note_seconds must be above 0"),
        ({"lowest_midi": 90}, "lowest_midi must not be above highest_midi; got 90 and 84"),
    ],
)
def test_impossible_melodies_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        FMPlucks(**changes)


def test_a_smaller_index_is_duller():
    settings = {"num_recordings": 1, "duration_seconds": 1.0, "note_seconds": 1.0, "highest_midi": 48}

    def share_above_1_khz(index):
        audio = FMPlucks(**settings, modulation_index=index).recording(0).audio / 32767.0
        power = np.abs(np.fft.rfft(audio)) ** 2
        return power[1000:].sum() / power.sum()

    assert share_above_1_khz(1.0) < 1e-3 < 0.01 < share_above_1_khz(4.0)


def test_written_melodies_are_a_folder_to_train_on(tmp_path):
    plucks = FMPlucks(num_recordings=2, duration_seconds=1.0)
    plucks.write(tmp_path)
    clips = audio_folder(tmp_path, sample_rate=16000, cache=tmp_path / "cache")
    for clip, recording in zip(clips, plucks.recordings(), strict=True):
        assert clip.name == f"{recording.name}.wav"
        np.testing.assert_allclose(clip.audio * clip.gain, recording.audio / 32767.0, atol=1e-4)
