"""The commands ``audiozoo latent ...`` on a tiny model: what they write and print, and what they refuse."""

import json
import sys

import numpy as np
import pytest
import soundfile

import audiozoo
from audiozoo import cli
from audiozoo.models import Conv1DResnetVAE, MnistVAE

SMALL = {"sample_rate": 8000, "strides": (8, 8), "filters": (6, 8), "latent_dim": 4, "clip_seconds": 0.5}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with presets ``sound``, ``whole`` (one code a clip) and ``image``, and ``recordings``."""
    folder = tmp_path_factory.mktemp("place")
    Conv1DResnetVAE(**SMALL).save_to_preset(folder / "sound", name="sound")
    Conv1DResnetVAE(**SMALL, latent_mode="global").save_to_preset(folder / "whole", name="whole")
    MnistVAE(image_size=8, hidden_units=8, latent_dim=3).save_to_preset(folder / "image", name="image")
    (folder / "recordings").mkdir()
    t = np.arange(4800) / 8000
    for number in range(9):
        tone = 0.3 * np.sin(2 * np.pi * 150 * (number + 1) * t)
        soundfile.write(folder / "recordings" / f"{number}.wav", tone, 8000)
    return folder


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command line in this process: ``(exit status, stdout, stderr)``."""

    def run_words(*words):
        monkeypatch.setattr(sys, "argv", ["audiozoo", "latent", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        printed = capsys.readouterr()
        return caught.value.code or 0, printed.out, printed.err

    return run_words


def refused(result):
    """The one line on stderr of a command that ended with an error."""
    status, out, err = result
    assert (status, out) == (1, "")
    assert err.startswith("audiozoo: ")
    assert err.count("\n") == 1
    return err


def test_analyse_writes_a_page_and_prints_ranks(place, run, tmp_path):
    status, out, _ = run("analyse", place / "sound", "--data", place / "recordings", "--out", tmp_path)
    assert status == 0
    assert "index.html: 9 items" in out
    assert "fidelity 0.99: " in out
    assert (tmp_path / "fidelity_against_rank.png").exists()


def test_correlate_as_json(place, run, tmp_path):
    words = ("correlate", place / "sound", "--data", place / "recordings", "--out", tmp_path, "--json")
    numbers = json.loads(run(*words)[1])
    assert np.shape(numbers["correlations"]["spearman"]) == (4, 7)
    assert (tmp_path / "rank_correlations.png").exists()


def test_compact_makes_a_preset_that_opens(place, run, tmp_path):
    words = ("compact", place / "sound", "--data", place / "recordings", "--out", tmp_path / "small")
    found = json.loads(run(*words, "--fidelity", "0.6", "--json")[1])
    small = audiozoo.load(found["preset_folder"])
    assert small.rank == found["rank"] < found["dims"] == 4
    assert small.preset.name == "sound_compact"
    assert small.encode(np.zeros(4800, "float32")).shape == (75, small.rank)
    # A small model is a VAE like any other.
    again = run("analyse", tmp_path / "small", "--data", place / "recordings", "--out", tmp_path / "page")
    assert again[0] == 0


@pytest.mark.parametrize("kind", ["gaussian", "ornstein-uhlenbeck", "spline", "lissajous"])
def test_walks_repeat_and_have_the_asked_length(place, run, tmp_path, kind):
    sounds = []
    for name in ("a.wav", "b.wav"):
        words = ("walk", place / "sound", tmp_path / name, "--data", place / "recordings")
        status, out, _ = run(*words, "--kind", kind, "--seconds", 1.6, "--seed", 3)
        assert status == 0
        assert "b.wav: 1.6 s of audio" in out or name == "a.wav"
        sounds.append(soundfile.read(tmp_path / name)[0])
    assert len(sounds[0]) == 12800
    np.testing.assert_array_equal(*sounds)


def test_interpolate_passes_from_one_recording_to_another(place, run, tmp_path):
    ends = [place / "recordings" / name for name in ("0.wav", "8.wav")]
    for options in ((), ("--straight", "--align", "resample")):
        status, out, _ = run("interpolate", place / "sound", *ends, tmp_path / "way.flac", *options, "--json")
        assert status == 0
        assert json.loads(out)["seconds_of_audio"] == pytest.approx(0.6)


def test_errors_are_one_line(place, run, tmp_path):
    data = ("--data", place / "recordings")
    out = ("--out", tmp_path / "out")
    assert "goes along with the sound" in refused(run("walk", place / "whole", tmp_path / "a.wav", *data))
    ends = [place / "recordings" / name for name in ("0.wav", "8.wav")]
    for preset in ("whole", "image"):
        said = refused(run("interpolate", place / preset, *ends, tmp_path / "a.wav"))
        assert "goes along with the sound" in said
    assert "must end in .wav" in refused(run("walk", place / "sound", tmp_path / "a.mp3", *data))
    assert "no preset 'soond'" in refused(run("report", "soond", *data, *out))
    nowhere = ("--data", tmp_path / "nowhere")
    assert "nowhere" in refused(run("analyse", place / "sound", *nowhere, *out, "--json"))
    np.savez(tmp_path / "other.npz", x_train=np.zeros((9, 6, 6)))
    other = ("--data", tmp_path / "other.npz")
    assert "image must be (8, 8)" in refused(run("analyse", place / "image", *other, *out, "--json"))
    few = tmp_path / "few"
    few.mkdir()
    soundfile.write(few / "one.wav", np.zeros(4000), 8000)
    few_data = ("--data", few)
    assert "vectors must be at least 4" in refused(run("map", place / "sound", *few_data, *out, "--json"))
    assert not list(tmp_path.glob("out/*"))


def test_wrong_usage_ends_with_2(place, run):
    assert run("report", "sound")[0] == 2
    assert run("walk", "sound", "out.wav", "--data", ".", "--kind", "drunken")[0] == 2
    assert run("compact", "sound", "--data", ".", "--out", "x", "--fidelity", "95")[0] == 2


def test_help_names_every_command(run):
    status, out, _ = run("--help")
    assert status == 0
    for command in ("report", "analyse", "map", "sweep", "correlate", "compact", "walk", "interpolate"):
        assert f" {command} " in out
        assert run(command, "--help")[0] == 0


@pytest.fixture
def recorded(tmp_path):
    """Three seconds of a playing hand."""
    from audiozoo.latent import synthetic_motion, write_motion

    write_motion(tmp_path / "hand.npz", synthetic_motion("play", seconds=3.0))
    return tmp_path / "hand.npz"


def test_motion_plays_a_hand(place, run, tmp_path, recorded):
    words = ("motion", recorded, place / "sound", "--data", place / "recordings", "--out")
    status, out, _ = run(*words, tmp_path / "sounds" / "hand.wav")
    assert status == 0
    assert "15 features of the hand drive 4 coordinates" in out
    sound, rate = soundfile.read(tmp_path / "sounds" / "hand.wav")
    assert len(sound) / rate == pytest.approx(3.0, abs=0.05)
    found = json.loads(run(*words, tmp_path / "knn.wav", "--method", "knn", "--fps", "30", "--json")[1])
    assert found["seconds_of_audio"] == pytest.approx(6.0, abs=0.05)
    assert found["driven"] == 4
    assert 0.0 <= found["coverage"] <= 1.0


def test_motion_refuses_before_the_work_and_leaves_nothing(place, run, tmp_path, recorded):
    def words(file, preset, out):
        return ("motion", file, preset, "--data", place / "recordings", "--out", out)

    (tmp_path / "broken.csv").write_text("x0,y0\n1,2\n")
    for file, preset, out, message in (
        (tmp_path / "none.json", place / "sound", tmp_path / "a.wav", "does not exist"),
        (tmp_path / "broken.csv", place / "sound", tmp_path / "a.wav", "broken.csv', line 1: has columns"),
        (recorded, place / "whole", tmp_path / "a.wav", "a code that goes along with the sound"),
        (recorded, place / "image", tmp_path / "a.wav", "a code that goes along with the sound"),
        (recorded, place / "sound", tmp_path / "a.txt", "must end in .wav"),
    ):
        assert message in refused(run(*words(file, preset, out)))
        assert not out.exists()


def test_a_hand_that_does_not_move_is_refused(place, run, tmp_path):
    from audiozoo.latent import HandMotion, write_motion

    write_motion(tmp_path / "still.npz", HandMotion(points=np.ones((50, 1, 21, 3)), fps=30))
    words = ("motion", tmp_path / "still.npz", place / "sound", "--data", place / "recordings")
    assert "Is a hand in the picture?" in refused(run(*words, "--out", tmp_path / "a.wav"))
    assert not (tmp_path / "a.wav").exists()
