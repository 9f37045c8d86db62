"""The benchmark of pitch trackers: what it reads, and what it says of tracks whose faults are known."""

import numpy as np
import pytest
import soundfile
import typer

from benchmarks import pitch, report, results

RATE = 8000


@pytest.fixture
def folder(tmp_path):
    """Two recordings, the second without a truth beside it."""
    audio = 0.5 * np.sin(2.0 * np.pi * 220.0 * np.arange(RATE) / RATE)
    for name in ("known", "unknown"):
        soundfile.write(tmp_path / f"{name}.wav", audio, RATE)
    true_hz = np.where(np.arange(100) < 80, 220.0, 0.0)
    np.savez(tmp_path / "known.npz", f0_hz=true_hz, hop_s=0.01)
    return tmp_path


def test_recordings_with_a_truth_are_read_up_to_a_length(folder):
    ((name, (audio, rate, hop, true_hz)),) = pitch.read_recordings(folder, 0.5).items()
    assert (name, rate, hop, len(audio), len(true_hz)) == ("known", RATE, 80, 4000, 50)
    assert len(pitch.read_recordings(folder, 60.0)["known"][0]) == RATE
    np.savez(folder / "known.npz", f0_hz=true_hz, hop_s=0.0101)
    with pytest.raises(typer.BadParameter, match="0.0101 s is no whole number of samples"):
        pitch.read_recordings(folder, 1.0)
    (folder / "known.npz").unlink()
    with pytest.raises(typer.BadParameter, match="holds no recording beside an .npz of its name"):
        pitch.read_recordings(folder, 1.0)


def test_scores_are_those_of_faults_that_are_known():
    true_hz = np.where(np.arange(100) < 80, 220.0, 0.0)
    perfect = pitch.scores(true_hz, true_hz, true_hz > 0.0)
    assert perfect == {
        "raw_pitch_accuracy": 1.0,
        "raw_chroma_accuracy": 1.0,
        "voicing_recall": 1.0,
        "voicing_false_alarm": 0.0,
    }
    f0_hz = np.full(100, 222.0)  # 16 cents sharp, also where there is nothing
    f0_hz[:8] = 440.0
    f0_hz[8:16] = 230.0  # 77 cents
    voiced = np.arange(100) >= 40  # a pitch that is offered counts for accuracy, called voiced or not
    found = pitch.scores(true_hz, f0_hz, voiced)
    assert found["raw_pitch_accuracy"] == pytest.approx(0.8)
    assert found["raw_chroma_accuracy"] == pytest.approx(0.9)
    assert found["voicing_recall"] == pytest.approx(0.5)
    assert found["voicing_false_alarm"] == 1.0
    unsaid = pitch.scores(true_hz, f0_hz, None)
    assert unsaid["raw_pitch_accuracy"] == pytest.approx(0.8)
    assert unsaid["voicing_recall"] is unsaid["voicing_false_alarm"] is None


def test_every_tracker_is_heard_judged_and_tabled(folder, tmp_path, monkeypatch):
    def fair(audio, sample_rate, hop):
        frames = -(-len(audio) // hop)
        return np.full(frames, 220.0), np.full(frames, True)

    def silent_on_voicing(audio, sample_rate, hop):
        return fair(audio, sample_rate, hop)[0], None

    monkeypatch.setattr(results, "FOLDER", tmp_path / "results")
    monkeypatch.setattr(results, "one_core", lambda: None)
    monkeypatch.setattr(pitch, "trackers", lambda: {"fair": fair, "of librosa": silent_on_voicing})
    pitch.main(folder, seconds=1.0)
    said = results.read("pitch").values
    assert said["seconds_of_sound"] == 1.0
    assert said["trackers"]["fair"]["mean"]["raw_pitch_accuracy"] == 1.0
    assert said["trackers"]["fair"]["by_recording"]["known"]["voicing_false_alarm"] == 1.0
    assert said["trackers"]["fair"]["times_real_time"] > 0.0
    title, sentence, table = report.pitch_section()
    assert sentence.startswith("1 rendered recordings with true f0, 1 s in all")
    assert "| fair | 1.000 | 1.000 | 1.000 | 1.000 |" in table
    assert "| of librosa | 1.000 | 1.000 |  |  |" in table


def test_the_trackers_that_are_compared_find_a_tone():
    phase = 2.0 * np.pi * 220.0 * np.arange(4000) / 16000
    audio = sum(0.3 * np.sin(k * phase) / k for k in range(1, 6)).astype("float32")
    found = pitch.trackers()
    assert len(found) == 6
    for name, track in found.items():
        f0_hz, voiced = track(audio, 16000, 160)
        assert len(f0_hz) == 25, name
        assert np.abs(1200.0 * np.log2(np.median(f0_hz) / 220.0)) < 15.0, name
        assert voiced is None or voiced.mean() > 0.8, name
