import io
import json
import os
import resource
import signal
import subprocess
import sys
from types import SimpleNamespace
from unittest.mock import create_autospec

import numpy as np
import pytest
import soundfile

import audiozoo
from audiozoo import cli, registry
from audiozoo.errors import AudioError, ExportError, OutputError
from audiozoo.registry import Card, Preset, Train, Weights, write_preset
from audiozoo.weights import sha256_of

LIMIT_SECONDS = 0.5  # for commands that only read presets
CONFIG = {"num_units": 16, "num_harmonics": 8, "num_noise_bands": 9, "reverb_length": 400}


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    """Two presets: ``tone`` with (meaningless) weights, ``recipe`` without."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    file = folder / "tone.weights.h5"
    file.write_bytes(b"weights" * 1000)
    weights = Weights(file=file.name, sha256=sha256_of(file), size=7000)
    card = Card(summary="A tone.", weights_license="CC0-1.0", parameters=12)
    stated = {"version": 1, "architecture": "DDSPDecoder", "config": CONFIG, "card": card, "train": Train()}
    write_preset(Preset(name="tone", weights=weights, **stated), folder / "tone.yaml")
    write_preset(Preset(name="recipe", **stated), folder / "recipe.yaml")
    monkeypatch.setattr(registry, "ZOO", folder)
    return folder


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command line in this process: ``(exit status, stdout, stderr)``."""

    def run_words(*words):
        monkeypatch.setattr(sys, "argv", ["audiozoo", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        printed = capsys.readouterr()
        return caught.value.code or 0, printed.out, printed.err

    return run_words


def refused(result):
    """The one line on stderr of a command that ended with an error."""
    status, out, err = result
    assert status == 1
    assert out == ""
    assert err.startswith("audiozoo: ")
    assert err.count("\n") == 1
    return err


def test_list_shows_what_matches(zoo, run):
    status, out, _ = run("list")
    assert status == 0
    assert [line.split() for line in out.splitlines()] == [
        ["recipe", "recipe", "A", "tone."],
        ["tone", "0.0", "MB", "A", "tone."],
    ]
    assert run("list", "t*")[1].startswith("tone")
    assert "No preset matches 'x*'" in run("list", "x*")[1]


def test_list_as_json(zoo, run):
    listed = json.loads(run("list", "t*", "--json")[1])
    assert listed == [
        {
            "name": "tone",
            "architecture": "DDSPDecoder",
            "parameters": 12,
            "megabytes": 0.007,
            "weights_license": "CC0-1.0",
            "summary": "A tone.",
        }
    ]


def test_info_shows_the_whole_card(zoo, run):
    status, out, _ = run("info", "tone")
    assert status == 0
    assert "weights_license: CC0-1.0" in out
    assert json.loads(run("info", "tone", "--json")[1])["config"] == CONFIG
    assert run("info", zoo / "tone.yaml")[1] == out


def test_download_prints_the_path(zoo, run):
    assert run("download", "tone")[:2] == (0, f"{zoo / 'tone.weights.h5'}\n")


@pytest.mark.parametrize("command", [["info"], ["download"], ["train", "--data", "."]])
def test_an_unknown_preset_is_one_line_with_a_suggestion(zoo, run, command):
    assert "no preset 'tony' in the zoo. Did you mean tone?" in refused(run(*command, "tony"))


def test_errors_of_files_are_one_line(zoo, run):
    assert "'audiozoo train recipe --data DIR'" in refused(run("download", "recipe"))
    (zoo / "tone.weights.h5").write_bytes(b"w")
    assert "truncated or altered" in refused(run("download", "tone"))
    (zoo / "tone.yaml").write_text("name: tone\nverson: 1\n")
    assert "unknown key 'verson'" in refused(run("info", "tone"))
    assert "unknown key 'verson'" in refused(run("list"))


@pytest.mark.parametrize(
    "words",
    [
        ["sing"],
        ["list", "--jsn"],
        ["info"],
        ["train", "tone"],
        ["transfer", "in.wav", "out.wav", "--semitones", "many"],
        ["transfer", "in.wav", "out.wav", "--semitones", "100"],
        ["transfer", "in.wav", "out.wav", "--no-reverb", "--reverb", "room.wav"],
        ["stream", "tone", "--encoding", "mp3"],
        ["export", "tone"],
        ["export", "tone", "--format", "mp3"],
    ],
)
def test_wrong_usage_ends_with_2(zoo, run, words):
    status, out, err = run(*words)
    assert status == 2
    assert out == ""
    assert "Usage: audiozoo" in err


def test_help_documents_commands_and_exit_status(run):
    status, out, _ = run("--help")
    assert status == 0
    assert "Exit status: 0 done, 1 an error" in " ".join(out.split())
    commands = "list info download demo transfer stream train records export doctor"
    for command in commands.split():
        assert f" {command} " in out
        assert run(command, "--help")[0] == 0


@pytest.fixture
def player(monkeypatch):
    """Stands for ``audiozoo.zoo.load``; the model it returns records how it is asked to play."""
    from audiozoo.models import DDSPDecoder

    model = create_autospec(DDSPDecoder, instance=True)
    model.sample_rate = 16000
    model.transfer.side_effect = lambda audio, sample_rate, **_: np.zeros(len(audio), "float32")
    load = create_autospec(audiozoo.load, return_value=model)
    monkeypatch.setattr("audiozoo.zoo.load", load)
    model.load = load
    return model


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "voice.wav"
    soundfile.write(path, 0.3 * np.sin(np.arange(8000) * 0.1), 16000)
    return path


def test_transfer_plays_with_the_learned_room(player, recording, run, tmp_path):
    status, out, _ = run("transfer", recording, tmp_path / "new" / "violin.wav")
    assert status == 0
    assert "violin.wav: 0.5 s of audio in" in out
    assert soundfile.info(tmp_path / "new" / "violin.wav").frames == 8000
    player.load.assert_called_once_with("ddsp_violin")
    settings = player.transfer.call_args.kwargs
    assert settings == {
        "semitones": 0.0,
        "loudness_db": 0.0,
        "match_loudness": True,
        "reverb": "learned",
        "progress": True,
    }


def test_transfer_passes_every_option_on(player, recording, run, tmp_path):
    soundfile.write(tmp_path / "room.flac", np.r_[0.5, np.zeros(99)], 16000)
    numbers = ["--semitones", "-12", "--loudness-db", "3.5"]
    others = ["--preset", "./mine", "--no-match-loudness", "--reverb", tmp_path / "room.flac", "--json"]
    status, out, err = run("transfer", recording, tmp_path / "violin.flac", *numbers, *others)
    assert (status, err) == (0, "")
    assert json.loads(out)["seconds_of_audio"] == 0.5
    player.load.assert_called_once_with("./mine")
    settings = player.transfer.call_args.kwargs
    np.testing.assert_allclose(settings.pop("reverb"), np.r_[0.5, np.zeros(99)], atol=1e-4)
    assert settings == {"semitones": -12.0, "loudness_db": 3.5, "match_loudness": False, "progress": False}
    run("transfer", recording, tmp_path / "violin.flac", "--no-reverb")
    assert player.transfer.call_args.kwargs["reverb"] is None


def test_transfer_refuses_what_it_cannot_read_or_write_before_it_loads_a_model(
    player, recording, run, tmp_path
):
    assert "nowhere.wav" in refused(run("transfer", tmp_path / "nowhere.wav", tmp_path / "violin.wav"))
    (tmp_path / "text.wav").write_text("hello")
    assert "text.wav" in refused(run("transfer", tmp_path / "text.wav", tmp_path / "violin.wav"))
    assert "cannot write" in refused(run("transfer", recording, tmp_path / "text.wav" / "violin.wav"))
    player.load.assert_not_called()
    assert not (tmp_path / "violin.wav").exists()


@pytest.fixture(scope="module")
def waves(tmp_path_factory):
    """A small VAE of waveforms as a preset folder."""
    folder = tmp_path_factory.mktemp("waves") / "preset"
    model = audiozoo.models.Conv1DResnetVAE(sample_rate=8000, strides=(4,), filters=(4,), latent_dim=2)
    return model.save_to_preset(folder, name="waves")


def test_reconstruct_gives_back_as_much_as_it_was_given(waves, run, tmp_path):
    soundfile.write(tmp_path / "stereo.wav", np.full((44100, 2), 0.1), 44100)
    output = tmp_path / "new" / "again.flac"
    status, out, _ = run("reconstruct", tmp_path / "stereo.wav", output, "--preset", waves, "--json")
    assert status == 0
    assert json.loads(out)["seconds_of_audio"] == pytest.approx(1.0)
    audio, sample_rate = soundfile.read(output)
    assert (len(audio), sample_rate) == (8000, 8000)


def test_a_recording_is_not_replaced_by_what_is_made_of_it(waves, run, tmp_path):
    soundfile.write(tmp_path / "voice.wav", np.full(8000, 0.1), 8000)
    before = (tmp_path / "voice.wav").read_bytes()
    for command in ("reconstruct", "transfer"):
        message = refused(run(command, tmp_path / "voice.wav", tmp_path / "voice.wav", "--preset", waves))
        assert "is the input itself" in message
    assert (tmp_path / "voice.wav").read_bytes() == before


def test_a_model_is_not_asked_for_what_it_cannot_do(waves, run, tmp_path):
    soundfile.write(tmp_path / "voice.wav", np.full(8000, 0.1), 8000)
    words = {
        "transfer": ["transfer", tmp_path / "voice.wav", tmp_path / "out.wav", "--preset", waves],
        "stream": ["stream", waves, "--input", tmp_path / "voice.wav", "--output", tmp_path / "out.wav"],
    }
    for verb, line in words.items():
        assert f"is a Conv1DResnetVAE, which cannot {verb} sound" in refused(run(*line))
    assert not (tmp_path / "out.wav").exists()


@pytest.fixture(scope="module")
def small_preset(tmp_path_factory):
    """A preset folder of a model that has learned nothing, and plays nevertheless."""
    from audiozoo.models import DDSPDecoder

    return DDSPDecoder(**CONFIG).save_to_preset(tmp_path_factory.mktemp("small") / "small", name="small")


def test_stream_plays_a_file_as_long_as_it_is(small_preset, run, tmp_path):
    voice = (0.3 * np.sin(np.arange(22050) * 0.05)).astype("float32")
    soundfile.write(tmp_path / "voice.wav", voice, 22050, subtype="FLOAT")
    files = ["--input", tmp_path / "voice.wav", "--output", tmp_path / "new" / "violin.wav"]
    status, out, err = run("stream", small_preset, *files, "--block", "320", "--semitones", "12")
    assert (status, err) == (0, "")
    assert "violin.wav: 1.0 s of audio" in out
    played, sample_rate = soundfile.read(tmp_path / "new" / "violin.wav")
    assert (len(played), sample_rate) == (16000, 16000)

    heard, _ = audiozoo.data.audio_io.read_audio(tmp_path / "voice.wav", sample_rate=16000)
    stream = audiozoo.load(small_preset).stream(320, semitones=12.0)
    expected = np.concatenate(list(stream.play([heard])))
    np.testing.assert_allclose(played, np.clip(expected, -1, 1), atol=1e-4)  # 16 bits


@pytest.mark.parametrize("encoding, dtype", [("float32", "<f4"), ("int16", "<i2")])
def test_stream_pipes_raw_samples(small_preset, run, monkeypatch, encoding, dtype):
    voice = 0.3 * np.sin(np.arange(8000) * 0.1)
    scale = 1.0 if encoding == "float32" else 32768
    given, taken = io.BytesIO((voice * scale).astype(dtype).tobytes()), io.BytesIO()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=given))
    monkeypatch.setattr(
        cli, "sys", SimpleNamespace(stdin=sys.stdin, stdout=SimpleNamespace(buffer=taken), exit=sys.exit)
    )
    status, out, err = run(
        "stream", small_preset, "--sample-rate", "8000", "--encoding", encoding, "--no-reverb"
    )
    assert (status, out, err) == (0, "", "")
    played = np.frombuffer(taken.getvalue(), dtype) / scale
    assert played.shape == (16000,)  # one second, at the model's rate
    assert 0.001 < np.abs(played).max() <= 1.0


@pytest.fixture
def trainer(monkeypatch):
    """Stands for ``audiozoo.training.train``."""
    from audiozoo import training

    result = {"loss": 6.0, "val_loss": 7.0, "epochs": 3, "seconds": 1.0, "preset_folder": "runs/x/preset"}
    train = create_autospec(training.train, return_value=result)
    monkeypatch.setattr(training, "train", train)
    return train


def test_train_takes_its_settings_from_the_preset(zoo, trainer, run, tmp_path):
    status, out, _ = run("train", "recipe", "--data", tmp_path)
    assert (status, out) == (0, "runs/x/preset: 3 epochs, loss 6.000, validation 7.000\n")
    settings = trainer.call_args.kwargs
    assert trainer.call_args.args == ("recipe", tmp_path)
    assert str(settings.pop("out")) == "runs/recipe"
    assert settings.pop("progress") is True
    unset = dict.fromkeys(("epochs", "max_minutes", "initial", "seed"))
    assert settings == unset | {"monitor": (), "validation_files": "*", "devices": 1, "smoke": False}


def test_train_passes_every_option_on(zoo, trainer, run, tmp_path):
    numbers = ["--epochs", "5", "--max-minutes", "1.5", "--seed", "7", "--devices", "4"]
    numbers += ["--validation-files", "*double*"]
    files = ["--from", "ddsp_violin", "--out", tmp_path / "out", "--monitor", "a.wav", "--monitor", "b.wav"]
    status, out, _ = run(
        "train", zoo / "recipe.yaml", "--data", tmp_path, *numbers, *files, "--smoke", "--json"
    )
    assert status == 0
    assert json.loads(out) == trainer.return_value
    assert trainer.call_args.args == (str(zoo / "recipe.yaml"), tmp_path)
    settings = trainer.call_args.kwargs
    assert settings.pop("out") == tmp_path / "out"
    assert [path.name for path in settings.pop("monitor")] == ["a.wav", "b.wav"]
    assert settings.pop("initial") == "ddsp_violin"
    assert settings.pop("validation_files") == "*double*"
    assert settings.pop("devices") == 4
    assert settings == {"epochs": 5, "max_minutes": 1.5, "seed": 7, "smoke": True, "progress": False}


def test_train_without_validation_says_nothing_of_it(zoo, trainer, run, tmp_path):
    trainer.return_value["val_loss"] = None
    assert run("train", "recipe", "--data", tmp_path)[1] == "runs/x/preset: 3 epochs, loss 6.000\n"


def test_records_are_written_as_the_options_say(run, monkeypatch, tmp_path):
    from audiozoo.data import records

    said = {"folder": "out", "recordings": 2, "clips": 30, "shards": 1, "bytes": 4e6, "seconds": 90.0}
    write = create_autospec(records.write_records, return_value=said)
    monkeypatch.setattr(records, "write_records", write)
    words = ["records", tmp_path, "--out", tmp_path / "out", "--sample-rate", "16000"]
    assert run(*words)[:2] == (0, "out: 30 clips of 2 recordings, 1.5 minutes; 1 shards, 4.0 MB\n")
    assert write.call_args.args == (tmp_path, tmp_path / "out")
    unset = {"hop": None, "clip_seconds": 4.0, "clips_per_shard": 1024}
    assert write.call_args.kwargs == unset | {"sample_rate": 16000, "progress": True}
    status, out, _ = run(*words, "--hop", "160", "--clip-seconds", "2", "--clips-per-shard", "9", "--json")
    assert (status, json.loads(out)) == (0, said)
    asked = {"hop": 160, "clip_seconds": 2.0, "clips_per_shard": 9}
    assert write.call_args.kwargs == asked | {"sample_rate": 16000, "progress": False}


def test_what_cannot_become_records_is_one_line(run, tmp_path):
    words = ["records", tmp_path / "none", "--out", tmp_path / "out", "--sample-rate", "16000"]
    assert "none' does not exist" in refused(run(*words))
    assert "clip_seconds must be a whole number of frames" in refused(run(*words, "--hop", "7000"))


@pytest.fixture
def searcher(monkeypatch):
    import audiozoo.tuning

    result = {
        "values": {"beta": 0.5, "variant": "dense"},
        "score": 1.23456,
        "trial": "1",
        "preset_folder": "runs/x/best",
        "trials": [
            {"trial": "0", "status": "done", "score": 2.0, "values": {"beta": 0.1}},
            {"trial": "1", "status": "done", "score": 1.23456, "values": {"beta": 0.5, "variant": "dense"}},
            {"trial": "2", "status": "failed", "values": {"beta": 0.7}, "reason": "MemoryError: no message"},
        ],
        "finished": True,
    }
    search = create_autospec(audiozoo.tuning.search, return_value=result)
    monkeypatch.setattr(audiozoo.tuning, "search", search)
    return search


def test_tune_says_what_won(zoo, searcher, run, tmp_path):
    status, out, _ = run("tune", "recipe", "--data", tmp_path)
    assert status == 0
    assert [line.split() for line in out.splitlines()[:3]] == [
        ["trial", "val_loss", "beta", "variant"],
        ["1", "1.235", "0.5", "dense"],
        ["0", "2", "0.1", "-"],
    ]
    assert out.endswith(
        "2 trials done, 1 failed\nwinner: runs/x/best; all trials: runs/x/trials.csv, trials.png\n"
    )
    assert searcher.call_args.args == ("recipe", tmp_path)
    settings = searcher.call_args.kwargs
    assert str(settings.pop("out")) == "runs/tune/recipe"
    assert settings == {
        "algorithm": "bayesian",
        "objective": "val_loss",
        "trials": 24,
        "executions": 1,
        "max_hours": None,
        "epochs": None,
        "seed": 0,
        "progress": True,
    }


def test_tune_passes_every_option_on(zoo, searcher, run, tmp_path):
    options = ["--algorithm", "hyperband", "--objective", "kad", "--trials", "9", "--executions", "2"]
    options += ["--max-hours", "1.5", "--epochs", "4", "--seed", "7", "--out", tmp_path / "out"]
    searcher.return_value["finished"] = False
    status, out, _ = run("tune", "recipe", "--data", tmp_path, *options)
    assert status == 0
    assert "1 failed; time was up, the same command goes on\n" in out
    assert searcher.call_args.kwargs == {
        "out": tmp_path / "out",
        "algorithm": "hyperband",
        "objective": "kad",
        "trials": 9,
        "executions": 2,
        "max_hours": 1.5,
        "epochs": 4,
        "seed": 7,
        "progress": True,
    }


def test_tune_as_json_is_nothing_but_json(zoo, searcher, run, tmp_path):
    assert json.loads(run("tune", "recipe", "--data", tmp_path, "--json")[1]) == searcher.return_value
    assert searcher.call_args.kwargs["progress"] is False


def test_a_worker_leaves_the_result_to_its_chief(zoo, searcher, run, tmp_path):
    searcher.return_value = None
    assert "chief" in run("tune", "recipe", "--data", tmp_path)[1]


def test_tune_refuses_in_one_line_what_cannot_be_searched(run, tmp_path):
    found = run("tune", "mnist_vae", "--data", "digits", "--objective", "kad", "--out", tmp_path)
    assert "objective 'kad' is of sounds; MnistVAE makes images. Use 'val_loss'." in refused(found)
    assert run("tune", "mnist_vae", "--data", "digits", "--algorithm", "grid")[0] == 2


@pytest.fixture
def exporter(monkeypatch):
    """Stands for ``audiozoo.export``."""
    from audiozoo import exporting

    result = {"folder": "exports/x", "file": "x.onnx", "bytes": 1_500_000, "largest_difference": 1.6e-6}
    function = create_autospec(exporting.export, return_value=result)
    monkeypatch.setattr(exporting, "export", function)
    return function


def test_export_says_where_the_file_is_and_how_good(exporter, run, tmp_path):
    said = "exports/x/x.onnx: 1.5 MB, differs from the preset by 2e-06 of its loudest\n"
    assert run("export", "ddsp_violin", "--format", "onnx")[:2] == (0, said)
    exporter.assert_called_once_with("ddsp_violin", format="onnx", out=None)
    status, out, _ = run("export", "./mine", "--format", "saved_model", "--out", tmp_path, "--json")
    assert (status, json.loads(out)) == (0, exporter.return_value)
    exporter.assert_called_with("./mine", format="saved_model", out=tmp_path)


def test_export_refuses_in_one_line(exporter, run):
    exporter.side_effect = ExportError("'onnx' has no operation IRFFT.\nUse another.")
    assert "has no operation IRFFT. Use another." in refused(run("export", "tone", "--format", "onnx"))


@pytest.mark.parametrize("error", [OutputError("cannot write demo:\nno"), AudioError("clip is\n  gone")])
def test_demo_reports_errors_in_one_line(monkeypatch, run, error):
    import audiozoo.demo

    monkeypatch.setattr(audiozoo.demo, "run", create_autospec(audiozoo.demo.run, side_effect=error))
    assert refused(run("demo")) == f"audiozoo: {' '.join(str(error).split())}\n"


def test_demo_as_json_is_nothing_but_json(monkeypatch, run, tmp_path):
    import audiozoo.demo

    demo = create_autospec(audiozoo.demo.run, return_value={"times_real_time": 3.0, "files": ["a.wav"]})
    monkeypatch.setattr(audiozoo.demo, "run", demo)
    assert json.loads(run("demo", "--out", tmp_path, "--json")[1])["times_real_time"] == 3.0
    demo.assert_called_once_with(tmp_path, progress=False)


MODULES = """
import sys, audiozoo, audiozoo.cli
audiozoo.list_models(), audiozoo.info(sys.argv[1])
for words in (["list"], ["list", "--json"], ["info", sys.argv[1]], ["--help"]):
    sys.argv[1:] = words
    try:
        audiozoo.cli.main()
    except SystemExit as end:
        assert not end.code, words
heavy = {"keras", "tensorflow", "jax", "torch", "numpy", "librosa", "pooch"}
print("heavy:", *sorted(heavy & set(sys.modules)))
"""


def test_listing_and_help_import_nothing_heavy(zoo):
    command = [sys.executable, "-c", MODULES, zoo / "tone.yaml"]
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("heavy:\n")


def processor_seconds(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


@pytest.mark.parametrize("words", [["--help"], ["list"], ["info", "PATH"]])
def test_listing_and_help_answer_at_once(zoo, words):
    words = [str(zoo / "tone.yaml") if word == "PATH" else word for word in words]
    # Processor time, the least of three: what other processes do meanwhile is not ours to answer for.
    seconds = min(processor_seconds([sys.executable, "-m", "audiozoo", *words]) for _ in range(3))
    print(f"audiozoo {words[0]}: {seconds:.2f} s")
    assert seconds < LIMIT_SECONDS


def test_ctrl_c_ends_a_recording_and_keeps_what_was_played():
    def blocks():
        yield 1
        os.kill(os.getpid(), signal.SIGINT)
        yield 2
        yield 3

    before = signal.getsignal(signal.SIGINT)
    assert list(cli.until_interrupted(blocks())) == [1]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    "options",
    [["--block", "100"], ["--input", "a.wav", "--sample-rate", "44100"], ["--sample-rate", "-5"]],
)
def test_wrong_options_of_stream_are_wrong_usage(options, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.app(["stream", "ddsp_violin_small", *options], prog_name="audiozoo")
    assert ended.value.code == 2
    assert options[-2] in capsys.readouterr().err
