"""Whole searches: what they find, what they leave behind, and what SIGKILL cannot change."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from cases import on_one_backend

import audiozoo
from audiozoo import registry
from audiozoo.errors import InvalidPreset, OutputError, SearchError, TrainingError
from audiozoo.models import MnistVAE
from audiozoo.training import train
from audiozoo.tuning import objectives, oracles, search, space

search_module = sys.modules["audiozoo.tuning.search"]


def tiny(tune, config=None, **train):
    """A VAE of digits of 8 x 8 pixels."""
    return registry.Preset.model_validate(
        {
            "name": "tiny",
            "version": 1,
            "architecture": "MnistVAE",
            "config": {"image_size": 8, "hidden_units": 32, "latent_dim": 4, "beta": 1.0} | (config or {}),
            "card": {"summary": "Tiny.", "weights_license": "CC0-1.0"},
            "train": {"steps_per_epoch": 40, "epochs": 5, "learning_rate": 0.01, "warmup_steps": 0} | train,
            "tune": tune,
        }
    )


BETAS = {"beta": {"type": "choice", "values": [0.01, 1.0, 10.0]}}
FAST = {"steps_per_epoch": 1, "epochs": 3}


@pytest.fixture(scope="module")
def betas(tmp_path_factory):
    """A search over three betas: its folder, its preset and its result."""
    out, preset = tmp_path_factory.mktemp("betas"), tiny(BETAS)
    return out, preset, search(preset, "digits", out=out, algorithm="random", trials=8, progress=False)


def test_the_objective_finds_the_beta_that_the_naive_one_does_not(betas):
    """The bound is what a VAE with beta 1 maximises; the trial's own loss is least with the least beta."""
    _, _, result = betas
    naive = min(result["trials"], key=lambda row: row["logs"]["val_loss"])
    assert naive["values"] == {"beta": 0.01}
    assert result["values"] == {"beta": 1.0}
    assert result["score"] == min(row["score"] for row in result["trials"])
    for row in result["trials"]:
        fixed = row["logs"]["val_reconstruction"] + 1.0 * row["logs"]["val_kl"]
        assert row["score"] == pytest.approx(fixed)


def test_a_space_that_is_exhausted_ends_the_search(betas):
    _, _, result = betas
    assert sorted(row["values"]["beta"] for row in result["trials"]) == [0.01, 1.0, 10.0]
    assert [row["status"] for row in result["trials"]] == ["done"] * 3
    assert result["finished"]


def test_the_winner_is_a_preset_that_loads_and_trains_on(betas, tmp_path):
    out, preset, result = betas
    model = audiozoo.load(result["preset_folder"])
    assert isinstance(model, MnistVAE)
    assert model.beta == 1.0
    found = registry.info(out / "best")
    assert found.tune == preset.tune
    assert found.train.epochs == 5
    assert "The best by val_loss of 3 trials: beta 1" in found.card.summary
    assert found.card.results["search_val_loss"] == result["score"]
    history = objectives.best_epoch(out / "trials" / f"trial_{result['trial']}" / "execution_0")
    trained = train(out / "best", "digits", out=tmp_path, initial=str(out / "best"), epochs=1, progress=False)
    assert trained["val_loss"] < history["val_loss"] + 3.0  # an untrained one has 20 more


def test_the_table_and_the_pictures_are_there(betas):
    out, _, result = betas
    with open(out / "trials.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["score"]) for row in rows] == [row["score"] for row in result["trials"]]
    assert [float(row["beta"]) for row in rows] == [row["values"]["beta"] for row in result["trials"]]
    assert {"own_val_kl", "own_val_reconstruction", "status", "seconds"} <= set(rows[0])
    for name in ("trials.png", "trade_off.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    logs = out / "logs"
    assert logs.exists() == (keras.backend.backend() == "tensorflow")
    assert not logs.exists() or len(list(logs.glob("trial_*/*tfevents*"))) == 3


def test_a_finished_search_trains_nothing_again(betas, monkeypatch):
    out, preset, result = betas
    monkeypatch.setattr(search_module, "train", None)
    assert search(preset, "digits", out=out, algorithm="random", trials=8, progress=False) == result


def test_another_search_does_not_go_into_its_folder(betas):
    out, preset, _ = betas
    with pytest.raises(
        TrainingError, match=r"holds a search with another algorithm \(was random, is bayesian\)"
    ):
        search(preset, "digits", out=out, algorithm="bayesian", trials=8, progress=False)


@on_one_backend
def test_executions_have_seeds_of_their_own_and_are_judged_by_the_same_images(tmp_path):
    preset = tiny({"beta": {"type": "choice", "values": [1.0]}}, **FAST)
    result = search(preset, "digits", out=tmp_path, executions=2, trials=1, epochs=1, progress=False)
    (row,) = result["trials"]
    assert len(row["scores"]) == 2
    assert row["scores"][0] != row["scores"][1]
    assert row["score"] == pytest.approx(np.mean(row["scores"]))
    runs = [json.loads((tmp_path / f"trials/trial_0/execution_{n}/run.json").read_text()) for n in range(2)]
    assert [run["train"]["seed"] for run in runs] == [0, 1]
    # The better of the two is kept.
    best = registry.info(tmp_path / "best").weights.sha256
    better = int(np.argmin(row["scores"]))
    assert best == registry.info(tmp_path / f"trials/trial_0/execution_{better}/preset").weights.sha256


@on_one_backend
def test_hyperband_trains_the_best_on_where_they_were(tmp_path):
    preset = tiny({"beta": {"type": "float", "min": 0.1, "max": 10.0, "sampling": "log"}}, **FAST)
    result = search(preset, "digits", out=tmp_path, algorithm="hyperband", trials=5, progress=False)
    epochs = [row["epochs"] for row in result["trials"]]
    assert sorted(epochs)[0] == 1
    assert max(epochs) == 3
    longer = next(row for row in result["trials"] if row["epochs"] == 3)
    before = next(row for row in result["trials"] if row["epochs"] == 1 and row["values"] == longer["values"])
    histories = [
        (tmp_path / f"trials/trial_{row['trial']}/execution_0/history.jsonl").read_text().splitlines()
        for row in (before, longer)
    ]
    assert len(histories[0]) == 1
    assert len(histories[1]) == 3
    assert histories[1][0] == histories[0][0]


# --- Trials that fail ---


@pytest.fixture
def untrained(monkeypatch):
    """A training that takes no time: its loss is (beta - 2)^2; the dict holds what is raised for a beta."""
    failures = {}

    def of(preset, data, *, out, epochs, seed, **ignored):
        beta = preset.config["beta"]
        if beta in failures:
            raise failures[beta]
        (out / "preset").mkdir(parents=True, exist_ok=True)
        registry.write_preset(preset, out / "preset" / "preset.yaml")
        entry = {"val_loss": 0.0, "val_reconstruction": (beta - 2.0) ** 2, "val_kl": 0.0}
        (out / "history.jsonl").write_text(json.dumps(entry) + "\n")
        return {"epochs": epochs}

    monkeypatch.setattr(search_module, "train", of)
    # Pictures and a clean memory take seconds each, and nothing was trained.
    monkeypatch.setattr(search_module.report, "draw", lambda *ignored: None)
    monkeypatch.setattr(keras.backend, "clear_session", lambda: None)
    return failures


FOUR = {"beta": {"type": "choice", "values": [1.0, 2.0, 3.0, 4.0]}}


@on_one_backend
@pytest.mark.parametrize(
    "failure, reason",
    [
        (TrainingError("val_loss became nan in epoch 2."), "TrainingError: val_loss became nan in epoch 2."),
        (MemoryError(), "MemoryError: no message"),
        (
            RuntimeError("out of memory\n  trying to allocate"),
            "RuntimeError: out of memory trying to allocate",
        ),
    ],
)
def test_a_trial_that_fails_is_noted_with_its_reason_and_the_search_goes_on(
    untrained, failure, reason, tmp_path
):
    untrained |= {2.0: failure}
    result = search(tiny(FOUR), "digits", out=tmp_path, algorithm="random", trials=9, progress=False)
    assert {row["values"]["beta"]: row["status"] for row in result["trials"]} == {
        1.0: "done",
        2.0: "failed",
        3.0: "done",
        4.0: "done",
    }
    assert result["values"]["beta"] in (1.0, 3.0)
    (failed,) = (row for row in result["trials"] if row["status"] == "failed")
    assert failed["reason"] == reason
    assert reason.split(": ")[0] in (tmp_path / "trials.csv").read_text()


@on_one_backend
def test_a_search_of_which_every_trial_fails_says_why(untrained, tmp_path):
    untrained |= {beta: ValueError(f"no {beta}") for beta in FOUR["beta"]["values"]}
    with pytest.raises(
        SearchError, match=r"none of 4 trials succeeded: trial 0: ValueError: no .*trials.csv"
    ):
        search(tiny(FOUR), "digits", out=tmp_path, algorithm="random", trials=9, progress=False)


@on_one_backend
def test_a_full_disk_ends_the_search_and_is_no_fault_of_the_trial(untrained, tmp_path):
    untrained |= dict.fromkeys(FOUR["beta"]["values"], OutputError("cannot write: no space"))
    with pytest.raises(OutputError, match="no space"):
        search(tiny(FOUR), "digits", out=tmp_path, algorithm="random", trials=9, progress=False)
    untrained.clear()
    result = search(tiny(FOUR), "digits", out=tmp_path, algorithm="random", trials=9, progress=False)
    assert [row["status"] for row in result["trials"]] == ["done"] * 4


@on_one_backend
def test_a_trial_in_which_the_process_is_killed_again_and_again_is_given_up(untrained, tmp_path):
    run = tmp_path / "trials" / "trial_0" / "execution_0"
    run.mkdir(parents=True)
    (run / "starts.json").write_text(json.dumps({"epochs": 0, "starts": search_module.MOST_STARTS}))
    result = search(tiny(FOUR), "digits", out=tmp_path, algorithm="random", trials=2, progress=False)
    assert [row["status"] for row in result["trials"]] == ["failed", "done"]
    assert "killed 3 times in epoch 1" in result["trials"][0]["reason"]


@on_one_backend
def test_more_trials_prolong_a_search(untrained, tmp_path):
    for trials in (2, 4):
        result = search(tiny(FOUR), "digits", out=tmp_path, algorithm="random", trials=trials, progress=False)
        assert len(result["trials"]) == trials
    assert result["values"] == {"beta": 2.0}


@on_one_backend
def test_time_that_is_up_ends_a_search_which_the_next_call_finishes(untrained, tmp_path):
    with pytest.raises(SearchError, match="time was up before one trial"):
        search(tiny(FOUR), "digits", out=tmp_path, max_hours=0.0, trials=3, progress=False)
    result = search(tiny(FOUR), "digits", out=tmp_path, max_hours=1.0, trials=3, progress=False)
    assert result["finished"]
    assert len(result["trials"]) == 3


@on_one_backend
def test_a_bayesian_search_finds_the_least_of_a_parabola(untrained, tmp_path):
    """Twelve trials between 0.01 and 10: by chance the best would miss the least, at 2, by 0.4 on average."""
    preset = tiny({"beta": {"type": "float", "min": 0.01, "max": 10.0}})
    result = search(preset, "digits", out=tmp_path, trials=12, progress=False)
    assert abs(result["values"]["beta"] - 2.0) < 0.2


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"algorithm": "grid"}, "algorithm must be one of bayesian, random, hyperband; got 'grid'"),
        ({"objective": "fid"}, "objective must be one of val_loss, frechet, kad, mss; got 'fid'"),
        ({"trials": 0}, "trials must be a whole number of at least 1; got 0"),
        ({"executions": 1.5}, "executions must be a whole number"),
        ({"max_hours": -1.0}, "max_hours must be a number between 0.0 and inf; got -1.0"),
        ({"epochs": 0}, "epochs must be a whole number of at least 1; got 0"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"algorithm": "hyperband", "epochs": 2}, "epochs must be at least 3 under hyperband"),
    ],
)
def test_arguments_out_of_range_are_refused_before_anything_is_written(arguments, message, tmp_path):
    with pytest.raises(SearchError, match=message):
        search(tiny(BETAS), "digits", out=tmp_path / "out", progress=False, **arguments)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("section", ["train", "tune"])
def test_a_preset_without_what_a_search_needs_is_refused(section, tmp_path):
    preset = tiny(BETAS).model_copy(update={section: None})
    with pytest.raises(
        InvalidPreset, match=f"'tiny' has no {section} section, so it cannot be searched. Add one"
    ):
        search(preset, "digits", out=tmp_path, progress=False)


def test_what_has_no_recipe_is_not_searched(tmp_path):
    preset = audiozoo.info("crepe_tiny").model_copy(
        update={"train": tiny(BETAS).train, "tune": tiny(BETAS).tune}
    )
    with pytest.raises(InvalidPreset, match="'crepe_tiny' cannot be trained: there is no recipe for Crepe"):
        search(preset, "digits", out=tmp_path, progress=False)


def test_what_the_data_give_is_not_searched(tmp_path):
    preset = tiny({"image_size": {"type": "int", "min": 8, "max": 16}})
    with pytest.raises(SearchError, match="tune.image_size cannot be searched: the data give it"):
        search(preset, "digits", out=tmp_path, progress=False)


def test_out_does_not_lie_within_the_data(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(SearchError, match="out .* must not lie within data"):
        search(tiny(BETAS), tmp_path / "data", out=tmp_path / "data" / "out", progress=False)
    assert not (tmp_path / "data" / "out").exists()


def test_nothing_held_out_is_refused(tmp_path):
    with pytest.raises(SearchError, match="data 'digits' leave 0 held-out clips"):
        search(tiny(BETAS, test_share=0.0), "digits", out=tmp_path, progress=False)


# --- Killed, and several workers ---

PROCESS = """
import json, os, pathlib, signal, sys
from audiozoo import registry
from audiozoo.training import callbacks
from audiozoo.tuning import oracles, search

preset, out, where = sys.argv[1:]
out = pathlib.Path(out)
oracles.BEAT_SECONDS, oracles.SILENCE_SECONDS = 0.2, 4.0
counter = pathlib.Path(out.parent) / "epochs.txt"

def die():
    os.kill(os.getpid(), signal.SIGKILL)

end = callbacks.Progress.on_epoch_end
def count(self, epoch, logs=None):
    end(self, epoch, logs)
    with open(counter, "a") as file:
        print(os.environ.get("KERASTUNER_TUNER_ID", ""), self.history_path.parts[-3], epoch + 1, file=file)
    if where == "second epoch" and epoch == 1:
        die()
callbacks.Progress.on_epoch_end = count

save = oracles.Durable.save
def save_or_die(self):
    if where == "new trial" and len(self.trials) == 2:  # noted in its own file, not yet in the oracle's
        die()
    if where == "ended trial" and len(self.end_order) == 1:
        die()
    save(self)
oracles.Durable.save = save_or_die

result = search(registry.read_preset(preset), "digits", out=out, algorithm="random", trials=3, progress=False)
print(json.dumps(result))
"""


def start(preset, out, where, **environment):
    command = [sys.executable, "-c", PROCESS, str(preset), str(out), where]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment
    )


@pytest.fixture(scope="module")
def preset_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("preset") / "tiny.yaml"
    beta = {"type": "float", "min": 0.1, "max": 10.0, "sampling": "log"}
    registry.write_preset(tiny({"beta": beta}, **FAST), path)
    return path


@pytest.fixture(scope="module")
def uninterrupted(preset_file, tmp_path_factory):
    """The result of the search that the processes do."""
    out, preset = tmp_path_factory.mktemp("whole"), registry.read_preset(preset_file)
    return search(preset, "digits", out=out, algorithm="random", trials=3, progress=False)


@on_one_backend
@pytest.mark.long
@pytest.mark.parametrize("where", ["second epoch", "new trial", "ended trial"])
def test_a_search_that_is_killed_goes_on_where_it_was(preset_file, uninterrupted, tmp_path, where):
    out = tmp_path / "out"
    killed = start(preset_file, out, where)
    assert killed.wait(timeout=300) == -signal.SIGKILL, killed.stderr.read()
    result = search(
        registry.read_preset(preset_file), "digits", out=out, algorithm="random", trials=3, progress=False
    )
    assert [row["status"] for row in result["trials"]] == ["done"] * 3
    assert [row["trial"] for row in result["trials"]] == ["0", "1", "2"]
    assert len({row["values"]["beta"] for row in result["trials"]}) == 3
    before = [line.split() for line in (tmp_path / "epochs.txt").read_text().splitlines()]
    ended = {"second epoch": 2, "new trial": 3, "ended trial": 3}[where]
    assert [int(epoch) for _, epoch in before] == list(range(1, ended + 1))
    # Three epochs a trial in all, none of them twice: those before the kill were not trained again.
    runs = sorted(out.glob("trials/trial_*/execution_0/history.jsonl"))
    assert [len(run.read_text().splitlines()) for run in runs] == [3, 3, 3]
    kept = [json.loads(line)["core_seconds"] for line in runs[0].read_text().splitlines()]
    assert kept == sorted(kept)
    assert [row["values"] for row in uninterrupted["trials"]] == [row["values"] for row in result["trials"]]


@on_one_backend
@pytest.mark.long
def test_two_workers_share_the_trials_and_one_that_dies_loses_only_its_own(preset_file, tmp_path):
    out = tmp_path / "out"
    where = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": str(20000 + os.getpid() % 20000)}
    chief = start(preset_file, out, "", KERASTUNER_TUNER_ID="chief", **where)
    dying = start(preset_file, out, "second epoch", KERASTUNER_TUNER_ID="tuner0", **where)
    assert dying.wait(timeout=300) == -signal.SIGKILL, dying.stderr.read()
    others = [start(preset_file, out, "", KERASTUNER_TUNER_ID=f"tuner{n}", **where) for n in (1, 2)]
    try:
        for process in (*others, chief):
            process.wait(timeout=300)
            assert process.returncode == 0, process.stderr.read()
    finally:
        for process in (chief, *others):
            process.kill()
    assert [process.stdout.read().strip() for process in others] == ["null", "null"]
    result = json.loads(chief.stdout.read())
    assert [row["status"] for row in result["trials"]] == ["done"] * 3
    lines = [line.split() for line in (tmp_path / "epochs.txt").read_text().splitlines()]
    abandoned = next(trial for worker, trial, _ in lines if worker == "tuner0")
    of_it = [(worker, int(epoch)) for worker, trial, epoch in lines if trial == abandoned]
    assert [epoch for _, epoch in of_it] == [1, 2, 3]  # taken up by another, after the epochs that were done
    assert of_it[2][0] in ("tuner1", "tuner2")
    assert {worker for worker, _, _ in lines} == {"tuner0", "tuner1", "tuner2"}
    assert audiozoo.load(out / "best") is not None


def test_a_worker_that_gives_signs_of_life_is_not_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(oracles, "BEAT_SECONDS", 0.02)
    found = space.hyperparameters(tiny(BETAS))
    oracle = oracles.new_oracle("random", objective="val_loss", space=found, trials=3, epochs=1, seed=0)
    oracle._set_project_dir(str(tmp_path), "trials")
    with oracles.SignsOfLife(tmp_path / "trials", "tuner0"):
        time.sleep(0.1)
        oracle.silent_seconds("tuner0")
        time.sleep(0.3)
        assert oracle.silent_seconds("tuner0") < 0.1
    time.sleep(0.1)
    oracle.silent_seconds("tuner0")
    time.sleep(0.3)
    assert oracle.silent_seconds("tuner0") >= 0.3
