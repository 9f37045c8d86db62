"""Whole runs of a tiny decoder on steady tones: what they leave behind, and what SIGKILL cannot change."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import audiozoo
from audiozoo import registry
from audiozoo.data.audio_io import read_audio, write_audio
from audiozoo.data.pipelines import FeatureCrops
from audiozoo.data.tones import FMPlucks
from audiozoo.errors import AudioError, DataError, InvalidPreset, OutputError, TrainingError
from audiozoo.models import DDSPDecoder, MnistVAE
from audiozoo.training import callbacks, train
from audiozoo.training.schedule import WarmupThenDecay
from audiozoo.training.train import remove_smoke

CONFIG = {"num_units": 16, "num_harmonics": 8, "num_noise_bands": 9, "reverb_length": 400}
SETTINGS = {
    "clip_seconds": 0.5,
    "batch_size": 2,
    "steps_per_epoch": 2,
    "epochs": 3,
    "validation_seconds": 0.5,
    "average_momentum": 0.5,
}

# Ends itself as if by power failure: in the middle of an epoch, or of writing a checkpoint.
KILLED = """
import io, os, signal, sys
import numpy as np
from audiozoo.models import DDSPDecoder
from audiozoo.training import callbacks, train
preset, data, out, where = sys.argv[1:]
DDSPDecoder.gains_from_xla = False

def die(*ignored):
    os.kill(os.getpid(), signal.SIGKILL)

def write_half_of_it(sink, **arrays):
    whole = io.BytesIO()
    savez(whole, **arrays)
    sink.write(whole.getvalue()[: whole.tell() // 2])
    sink.flush()
    die()

callbacks.Listening.on_epoch_end = lambda self, epoch, logs=None: None
savez = np.savez
if where == "checkpoint":
    np.savez = write_half_of_it
else:
    seen = []
    callbacks.Progress.on_train_batch_end = lambda self, batch, logs=None: (
        seen.append(batch), len(seen) == 3 and die()
    )
train(preset, data, out=out, progress=False)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("training")


@pytest.fixture(scope="module", autouse=True)
def compiled_once(folder):
    """JAX compiles the same step in every run and every process; a cache on disk halves the time.

    TensorFlow compiles nothing: no run here is long enough to gain from it.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DDSPDecoder, "gains_from_xla", False)
        if keras.backend.backend() == "jax":
            import jax

            patch.setenv("JAX_COMPILATION_CACHE_DIR", str(folder / "jax"))
            patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
            jax.config.update("jax_compilation_cache_dir", str(folder / "jax"))
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
        yield
        if keras.backend.backend() == "jax":
            jax.config.update("jax_compilation_cache_dir", None)


@pytest.fixture(scope="module")
def data(folder):
    """Two steady tones with tremolo."""
    seconds = np.arange(3 * 16000) / 16000
    for hz in (220, 330):
        tone = (0.3 + 0.2 * np.sin(2 * np.pi * seconds)) * np.sin(2 * np.pi * hz * seconds)
        write_audio(folder / "data" / f"{hz}.wav", tone, 16000)
    return folder / "data"


def tiny(name="tiny", config=CONFIG, **changes):
    card = registry.Card(summary="Tiny.", weights_license="CC0-1.0")
    settings = registry.Train(**(SETTINGS | {"learning_rate": 0.01, "warmup_steps": 0} | changes))
    return registry.Preset(
        name=name, version=1, architecture="DDSPDecoder", config=config, card=card, train=settings
    )


@pytest.fixture(scope="module")
def preset(folder):
    """A YAML on disk, as a user has one."""
    registry.write_preset(tiny(), folder / "tiny.yaml")
    return folder / "tiny.yaml"


def train_afresh(preset, data, *, out):
    """Train as a new process does: names by which TensorFlow orders sums are given out from the start."""
    keras.utils.clear_session()
    return train(preset, data, out=out, progress=False)


@pytest.fixture(scope="module")
def whole(folder, data, preset):
    """An uninterrupted run of three epochs: its folder and what ``train`` returned."""
    return folder / "whole", train_afresh(preset, data, out=folder / "whole")


@pytest.fixture
def unheard(monkeypatch):
    """Without examples, which take longer than these epochs do."""
    monkeypatch.setattr(callbacks.Listening, "on_epoch_end", lambda self, epoch, logs=None: None)


def contents(checkpoint):
    with np.load(checkpoint) as saved:
        return {name: saved[name] for name in saved.files}


def history(run):
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]


def untimed(history):
    """What a repetition repeats: everything but the time it took."""
    return [{name: value for name, value in entry.items() if name != "core_seconds"} for entry in history]


def test_the_loss_falls(whole):
    run, result = whole
    entries = history(run)
    assert [entry["epoch"] for entry in entries] == [1, 2, 3]
    assert entries[-1]["loss"] < 0.9 * entries[0]["loss"]
    assert entries[-1]["val_loss"] < entries[0]["val_loss"]
    assert result["loss"] == entries[-1]["loss"]
    assert result["val_loss"] == entries[-1]["val_loss"]
    assert result["epochs"] == 3
    assert result["seconds"] > 0
    assert result["preset_folder"] == str(run / "preset")


def test_the_learning_rate_rises_then_decays_by_the_epoch():
    rate = WarmupThenDecay(learning_rate=0.01, warmup_steps=4, decay_per_epoch=0.5, steps_per_epoch=6)
    rates = [float(keras.ops.convert_to_numpy(rate(step))) for step in (0, 1, 3, 5, 6, 11, 12)]
    np.testing.assert_allclose(rates, [0.0025, 0.005, 0.01, 0.01, 0.005, 0.005, 0.0025], rtol=1e-6)
    assert WarmupThenDecay(**rate.get_config()).get_config() == rate.get_config()


def test_the_folder_holds_all_that_a_run_leaves_and_nothing_half_written(whole):
    run, _ = whole
    logs = {"logs"} if keras.backend.backend() == "tensorflow" else set()
    expected = {"checkpoint.npz", "examples", "history.jsonl", "preset", "run.json"} | logs
    assert {path.name for path in run.iterdir()} == expected
    examples = sorted(path.name for path in (run / "examples").iterdir())
    assert examples == [f"epoch_{n:04d}_held_out.{suffix}" for n in (1, 2, 3) for suffix in ("png", "wav")]
    audio, sample_rate = read_audio(run / "examples" / "epoch_0003_held_out.wav")
    assert (len(audio), sample_rate) == (8000, 16000)
    assert not logs or any("tfevents" in path.name for path in (run / "logs").iterdir())


def test_a_run_killed_with_sigkill_ends_bit_for_bit_as_one_that_was_not(whole, folder, data, preset, unheard):
    run, out = whole[0], folder / "killed"
    for where in ("epoch", "checkpoint"):
        command = [sys.executable, "-c", KILLED, str(preset), str(data), str(out), where]
        killed = subprocess.run(command, capture_output=True, text=True, timeout=600, env=os.environ)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert json.loads(str(contents(out / "checkpoint.npz")["progress"]))["epoch"] == 1
    assert any(path.name.endswith("-checkpoint.npz") for path in out.iterdir())  # the half that was written

    result = train_afresh(preset, data, out=out)
    assert result["epochs"] == 3
    ours, theirs = contents(out / "checkpoint.npz"), contents(run / "checkpoint.npz")
    assert list(ours) == list(theirs)
    assert any("adam" in name or "momentum" in name for name in ours)
    for name in theirs.keys() - {"progress"}:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    one, other = (json.loads(str(arrays["progress"])) for arrays in (ours, theirs))
    assert one | {"history": untimed(one["history"])} == other | {"history": untimed(other["history"])}
    assert untimed(history(out)) == untimed(history(run))
    ours, theirs = (audiozoo.load(folder / "preset").get_weights() for folder in (out, run))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_prolonged_run_ends_as_one_that_was_that_long_from_the_start(
    whole, data, preset, tmp_path, unheard
):
    """Keras ends a fit by leaving the averaged weights in the model; training must not go on from them."""
    for epochs in (2, 3):
        keras.utils.clear_session()
        train(preset, data, out=tmp_path / "run", epochs=epochs, progress=False)
    ours, theirs = contents(tmp_path / "run" / "checkpoint.npz"), contents(whole[0] / "checkpoint.npz")
    for name in theirs.keys() - {"progress"}:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def test_the_preset_is_the_average_of_the_weights(whole):
    """Momentum 1/2 over 6 steps, of which the checkpoint keeps the last weights and their average."""
    run, _ = whole
    saved = contents(run / "checkpoint.npz")
    assert json.loads(str(saved["progress"]))["best"] == history(run)[-1]["val_loss"]  # the last is the best
    trained = DDSPDecoder(**audiozoo.load(run / "preset").preset.config)
    own = list(saved.values())[1 : 1 + len(trained.variables)]
    average = [value for name, value in saved.items() if "average" in name]
    kept = audiozoo.load(run / "preset").trainable_variables
    own = [value for value, variable in zip(own, trained.variables, strict=True) if variable.trainable]
    assert len(average) == len(kept) == len(own)
    for one, other in zip(kept, average, strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(one), other, rtol=1e-3, atol=1e-6)
    assert max(np.abs(a - b).max() for a, b in zip(average, own, strict=True)) > 1e-3


def test_a_finished_run_is_not_trained_again(whole, data, preset):
    run, result = whole
    before = (run / "checkpoint.npz").read_bytes()
    again = train(preset, data, out=run, progress=False)
    assert {**again, "seconds": 0} == {**result, "seconds": 0, "already_finished": True}
    assert not result["already_finished"]
    assert (run / "checkpoint.npz").read_bytes() == before


def test_a_loss_that_is_no_number_ends_a_prolonged_run_and_keeps_its_last_good_epoch(
    whole, data, preset, tmp_path, monkeypatch
):
    run = shutil.copytree(whole[0], tmp_path / "run")
    kept = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    batch = FeatureCrops.batch
    monkeypatch.setattr(
        FeatureCrops,
        "batch",
        lambda self, step: batch(self, step) | {"audio": np.full((2, 8000), np.nan, "float32")},
    )
    with pytest.raises(TrainingError, match="loss became nan in epoch 4.*lower train.learning_rate"):
        train(preset, data, out=run, epochs=5, progress=False)
    assert {path: path.read_bytes() for path in kept} == kept
    assert len(list((run / "examples").iterdir())) == 6


@pytest.fixture(scope="module")
def smoke(folder, data):
    """One step with two monitors of one name and nothing held out: its folder and its result."""
    monitors = folder / "a" / "voice.wav", folder / "b" / "voice.wav"
    pluck = FMPlucks(num_recordings=1, duration_seconds=0.5).recording(0)
    for path in monitors:
        write_audio(path, pluck.audio, 16000)
    settings = {"out": folder / "smoke", "monitor": monitors, "smoke": True, "seed": 7, "progress": False}
    with pytest.warns(
        UserWarning, match="^nothing is held out, so the epoch of the lowest training loss is k"
    ):
        result = train(tiny(validation_seconds=0.0, epochs=50), str(data), **settings)
    return folder / "smoke" / "smoke", result


def test_smoke_is_one_step_of_the_real_thing_with_monitors(smoke):
    run, result = smoke
    assert (result["epochs"], result["val_loss"]) == (1, None)
    assert np.isfinite(result["loss"])
    names = sorted(path.stem for path in (run / "examples").glob("*.wav"))
    assert names == ["epoch_0001_1_voice", "epoch_0001_2_voice"]
    assert json.loads(str(contents(run / "checkpoint.npz")["progress"]))["epoch"] == 1


def test_the_preset_plays_what_was_trained_within_half_precision(smoke):
    run, _ = smoke
    loaded = audiozoo.load(run / "preset")
    assert loaded.preset.name == "tiny"
    assert loaded.preset.card.training_data == "220.wav, 330.wav"  # its own, not that of the recipe
    assert set(loaded.preset.card.results) == {"loss"}
    assert loaded.preset.train.seed == 7
    assert loaded.loudness_mean_db != DDSPDecoder(**CONFIG).loudness_mean_db  # that of the data
    trained = DDSPDecoder(**loaded.preset.config)
    arrays = list(contents(run / "checkpoint.npz").values())[1:]  # the first is the progress
    for variable, value in zip(trained.variables, arrays, strict=False):
        variable.assign(value)
    frames = np.linspace(0, 1, 40, dtype="float32")
    f0_hz, loudness_db = 200.0 + 300.0 * frames, -60.0 + 40.0 * frames
    ours, theirs = (model.controls(f0_hz, loudness_db) for model in (loaded, trained))
    for name in theirs:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=5e-3, atol=1e-4)
    np.testing.assert_allclose(loaded.impulse_response(), trained.impulse_response(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "changed, named",
    [
        ({"seed": 1}, r"train.seed \(was 0, is 1\)"),
        ({"batch_size": 3}, r"train.batch_size \(was 2, is 3\)"),
        ({"config": CONFIG | {"num_harmonics": 9}}, r"config.num_harmonics \(was 8, is 9\)"),
    ],
)
def test_other_settings_in_the_same_folder_are_refused(whole, data, changed, named):
    before = (whole[0] / "run.json").read_text()
    with pytest.raises(
        TrainingError, match=f"out .*whole' holds a run with another {named}. Choose another folder"
    ):
        train(tiny(**changed), data, out=whole[0], progress=False)
    assert (whole[0] / "run.json").read_text() == before


def test_a_run_of_a_version_that_had_fewer_settings_goes_on(whole, data, preset, tmp_path):
    out = shutil.copytree(whole[0], tmp_path / "run")
    noted = json.loads((out / "run.json").read_text())
    assert noted["train"].pop("adam_beta_1") == 0.9
    (out / "run.json").write_text(json.dumps(noted))
    assert train(preset, data, out=out, progress=False)["epochs"] == whole[1]["epochs"]
    with pytest.raises(TrainingError, match=r"train.adam_beta_1 \(was 0.9, is 0.8\)"):
        train(tiny(adam_beta_1=0.8), data, out=out, progress=False)


def test_other_recordings_in_the_same_folder_are_refused(whole, data, preset, tmp_path):
    other = shutil.copytree(data, tmp_path / "data")
    longer = FMPlucks(num_recordings=1, duration_seconds=3.5).recording(0)
    write_audio(other / "220.wav", longer.audio, 16000)
    with pytest.raises(TrainingError, match="holds a run with another recordings"):
        train(preset, other, out=whole[0], progress=False)


def test_a_damaged_checkpoint_is_refused_not_overwritten(whole, data, preset, tmp_path):
    run = shutil.copytree(whole[0], tmp_path / "run")
    half = (run / "checkpoint.npz").read_bytes()[:20_000]
    (run / "checkpoint.npz").write_bytes(half)
    with pytest.raises(TrainingError, match=r"checkpoint\.npz' is damaged .*Delete it to begin anew"):
        train(preset, data, out=run, epochs=4, progress=False)
    assert (run / "checkpoint.npz").read_bytes() == half


def test_a_run_may_begin_with_the_weights_of_another_preset(smoke, data, tmp_path, unheard):
    """After one step of Adam at a rate of 1e-6 every weight is where the other run left it."""
    start = audiozoo.load(smoke[0] / "preset")
    recipe = tiny(learning_rate=1e-6, steps_per_epoch=1)
    result = train(
        recipe, data, out=tmp_path / "run", initial=smoke[0] / "preset", smoke=True, progress=False
    )
    ended = audiozoo.load(result["preset_folder"])
    for ours, theirs in zip(ended.get_weights(), start.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=3e-6)  # half precision, and the step
    assert ended.preset.card.summary.endswith("beginning with the weights of tiny.")
    with pytest.raises(TrainingError, match=r"another initial \(was [0-9a-f]{64}, is None\)"):
        train(recipe, data, out=tmp_path / "run" / "smoke", progress=False)
    again = train(recipe, data, out=tmp_path / "run", smoke=True, progress=False)  # a smoke run begins anew
    assert (again["epochs"], again["already_finished"]) == (1, False)
    assert json.loads((tmp_path / "run" / "smoke" / "run.json").read_text())["initial"] is None


def test_a_smoke_run_takes_away_no_other_run(whole, tmp_path):
    run = shutil.copytree(whole[0], tmp_path / "smoke")
    remove_smoke(run)
    remove_smoke(tmp_path / "none")
    assert (run / "checkpoint.npz").exists()


def test_the_weights_of_another_architecture_are_refused_before_anything_is_claimed(smoke, data, tmp_path):
    wider = tiny(config=CONFIG | {"num_units": 24})
    with pytest.raises(
        TrainingError,
        match=r"\(initial, --from\), .* another config.num_units \(its own is 16, trained is 24\). Choose",
    ):
        train(wider, data, out=tmp_path / "run", initial=smoke[0] / "preset", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_preset_without_a_train_section_is_refused(data, tmp_path):
    recipe = tiny().model_copy(update={"train": None})
    with pytest.raises(
        InvalidPreset, match="preset 'tiny' has no train section, so it cannot be trained. Add one"
    ):
        train(recipe, data, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_has_no_recipe_is_refused_with_or_without_a_train_section(data, tmp_path):
    preset = audiozoo.info("crepe_tiny")
    for each in (preset, preset.model_copy(update={"train": tiny().train})):
        with pytest.raises(
            InvalidPreset, match="'crepe_tiny' cannot be trained: there is no recipe for Crepe"
        ):
            train(each, data, out=tmp_path / "run", monitor=["voice.wav"])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("changed", [{"epochs": 0}, {"epochs": 1.5}, {"seed": -1}])
def test_numbers_out_of_range_are_refused_by_name(data, tmp_path, changed):
    (name, value), *_ = changed.items()
    with pytest.raises(TrainingError, match=f"^{name}: Input should be .*; got {value}"):
        train(tiny(), data, out=tmp_path / "run", progress=False, **changed)
    assert not (tmp_path / "run").exists()


def test_bad_places_are_refused_before_anything_is_written(data, tmp_path):
    with pytest.raises(AudioError, match="none.wav' does not exist"):
        train(tiny(), data, out=tmp_path / "run", monitor=[tmp_path / "none.wav"], progress=False)
    assert not list(tmp_path.iterdir())
    with pytest.raises(DataError, match="data must be a folder of recordings; .*none' does not exist"):
        train(tiny(), tmp_path / "none", out=tmp_path / "run", progress=False)
    with pytest.raises(DataError, match="longer than clip_seconds = 60.0 s"):
        train(tiny(clip_seconds=60.0), data, out=tmp_path / "run", progress=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*file"):
        train(tiny(), data, out=tmp_path / "file" / "run", progress=False)


def test_a_vae_trains_on_folders_of_clips(tmp_path):
    sample_rate = 8000
    time_seconds = np.arange(sample_rate) / sample_rate
    for label in "ab":
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(3):
            tone = 0.3 * np.sin(2 * np.pi * 200.0 * (number + 1) * time_seconds)
            path = tmp_path / "data" / label / f"{number}.wav"
            write_audio(path, tone.astype("float32"), sample_rate)
    recipe = audiozoo.info("conv1d_resnet_vae")
    settings = {"epochs": 2, "steps_per_epoch": 3, "batch_size": 2, "clip_seconds": 0.1, "warmup_steps": 0}
    preset = recipe.model_copy(
        update={
            "config": dict(recipe.config) | {"filters": [4, 4, 4], "latent_dim": 2},
            "train": recipe.train.model_copy(update=settings | {"beta_warmup_epochs": 1}),
        }
    )
    result = train(preset, tmp_path / "data", out=tmp_path / "run", progress=False)
    assert result["epochs"] == 2
    first, second = (json.loads(line) for line in (tmp_path / "run/history.jsonl").read_text().splitlines())
    assert (first["beta"], second["beta"]) == (0.0, pytest.approx(recipe.config["beta"]))
    assert first["loss"] == pytest.approx(first["reconstruction"], rel=1e-4)
    model = audiozoo.load(result["preset_folder"])
    assert model.reconstruct(np.zeros(800, "float32")).shape == (800,)
    assert len(list((tmp_path / "run" / "examples").glob("*held_out.wav"))) == 2
    assert len(list((tmp_path / "run" / "examples").glob("*codes.png"))) == 2


# --- Images ---


def digits_preset(**changes):
    """The recipe of the digits in small: three epochs of three batches."""
    recipe = audiozoo.info("mnist_vae")
    settings = {"epochs": 3, "steps_per_epoch": 3, "batch_size": 8, "warmup_steps": 0} | changes
    return recipe.model_copy(
        update={
            "config": dict(recipe.config) | {"variant": "dense", "hidden_units": 8, "latent_dim": 3},
            "train": recipe.train.model_copy(update=settings),
        }
    )


def test_a_vae_trains_on_images_of_any_size_and_its_divergence_warms_up(tmp_path):
    preset = digits_preset(beta_warmup_epochs=2)
    result = train(preset, "digits", out=tmp_path / "run", progress=False)
    history = [json.loads(line) for line in (tmp_path / "run/history.jsonl").read_text().splitlines()]
    assert [entry["beta"] for entry in history] == pytest.approx([0.0, 0.5, 1.0])
    assert history[0]["loss"] == pytest.approx(history[0]["reconstruction"], rel=1e-4)
    assert history[0]["kl"] > 0.0
    # Held-out images are judged by the whole of it; means over batches, of which the last is smaller.
    for entry in history:
        assert entry["val_loss"] == pytest.approx(entry["val_reconstruction"] + entry["val_kl"], rel=2e-3)
    model = audiozoo.load(result["preset_folder"])
    assert model.sample(2).shape == (2, 8, 8)
    assert "1797 images" in model.preset.card.summary
    names = {path.name for path in (tmp_path / "run" / "examples").iterdir()}
    assert names == {f"epoch_000{n}_{kind}.png" for n in (1, 2, 3) for kind in ("held_out", "codes")}


def test_images_are_refused_where_sound_is_asked_for_and_the_other_way_round(data, tmp_path):
    with pytest.raises(TrainingError, match="monitor must be left out: MnistVAE makes images; got 'a.wav'"):
        train(digits_preset(), "digits", out=tmp_path / "run", monitor=[Path("a.wav")], progress=False)
    with pytest.raises(DataError, match="data must be mnist, digits or the path of an .npz"):
        train(digits_preset(), data, out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_weights_for_images_of_another_size_are_refused(tmp_path):
    keras.utils.set_random_seed(0)
    preset = digits_preset()
    large = MnistVAE(**(preset.config | {"image_size": 9})).save_to_preset(tmp_path / "large", name="large")
    with pytest.raises(TrainingError, match="does not fit these data: it has image_size=9. Train on such"):
        train(preset, "digits", out=tmp_path / "run", initial=large, progress=False)
