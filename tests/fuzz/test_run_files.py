"""What a run of training or a search leaves, and a later one reads: damaged, or written by an enemy."""

import functools
import json
import math

import keras
import numpy as np
import pytest
from fuzz.hostile import damaged, fuzzed, misspelt, no_files, read_or_refused, refusal, twisted
from fuzz.test_weights_files import Touch
from hypothesis import given
from hypothesis import strategies as st

from audiozoo.errors import AudioZooError, SearchError, TrainingError
from audiozoo.training.callbacks import Progress
from audiozoo.training.checkpoint import Checkpoint
from audiozoo.training.train import claim
from audiozoo.tuning import objectives
from audiozoo.tuning.search import counted_start, read_result

HISTORY = [
    {"epoch": 1, "core_seconds": 0.1, "loss": 2.0, "val_loss": 2.5},
    {"epoch": 2, "core_seconds": 0.3, "loss": 1.0},
]
PROGRESS = {"epoch": 2, "best": 2.5, "history": HISTORY}
RUN = {
    "architecture": "X",
    "config": {"a": [1, 2], "b": None},
    "train": {"seed": 0},
    "recordings": [["a.wav", 100]],
}
RESULT = {
    "values": {"beta": 0.1},
    "epochs": 2,
    "status": "done",
    "score": 1.0,
    "scores": [1.0],
    "logs": {"val_loss": 1.0},
    "seconds": 3.0,
}


@functools.cache
def model():
    made = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    made.compile("adam", "mse")
    return made


@pytest.fixture
def run(tmp_path_factory):
    return tmp_path_factory.mktemp("run")


def resumed(path):
    """What a resumed run takes from its checkpoint."""
    checkpoint = Checkpoint(path, model())
    keeper = Progress(path.parent, checkpoint, checkpoint.restore(), save_best=None)
    assert isinstance(keeper.done, int)
    assert keeper.done >= 0
    assert not math.isnan(keeper.best)
    return keeper


def saved(path):
    Checkpoint(path, model()).save(**PROGRESS)
    return path.read_bytes()


def test_the_checkpoint_is_right_before_it_is_spoilt(run):
    saved(run / "checkpoint.npz")
    keeper = resumed(run / "checkpoint.npz")
    assert (keeper.done, keeper.best, keeper.history) == (2, 2.5, HISTORY)


@fuzzed(30)
@given(data=st.data())
def test_a_damaged_checkpoint_is_read_or_refused(run, data):
    path = run / "checkpoint.npz"
    path.write_bytes(data.draw(damaged(saved(path))))
    read_or_refused(resumed, path, TrainingError)


@fuzzed(30)
@given(progress=twisted(PROGRESS))
def test_other_progress_is_read_or_refused(run, progress):
    path = run / "checkpoint.npz"
    saved(path)
    with np.load(path) as file:
        arrays = dict(file) | {"progress": np.array(json.dumps(progress))}
    with open(path, "wb") as sink:
        np.savez(sink, **arrays)
    read_or_refused(resumed, path, TrainingError, named=str(run))


def test_a_checkpoint_is_no_pickle_and_no_bomb(run, tmp_path):
    path = run / "checkpoint.npz"
    saved(path)
    with np.load(path) as file:
        arrays = dict(file)
    name = next(name for name in arrays if name != "progress")
    before = [np.array(weight) for weight in model().get_weights()]
    for array in (
        np.array([Touch(tmp_path / "ran")], object),
        np.full(arrays[name].shape, "text"),
        np.full(arrays[name].shape, 1j),
    ):
        with open(path, "wb") as sink:
            np.savez(sink, **arrays | {name: array})
        refusal(resumed, path, TrainingError)
    with open(path, "wb") as sink:
        np.savez_compressed(sink, **arrays | {name: np.zeros(10**7)})
    assert "unpacks to" in refusal(resumed, path, TrainingError)
    assert not (tmp_path / "ran").exists()
    for mine, theirs in zip(model().get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@fuzzed(40)
@given(text=misspelt(json.dumps(RUN)))
def test_a_misspelt_run_is_read_or_refused(run, text):
    path = run / "run.json"
    path.write_text(text, encoding="utf-8")
    read_or_refused(lambda path: claim(path.parent, "run", RUN), path, TrainingError, named=str(run))


@fuzzed(40)
@given(values=twisted(RUN))
def test_another_run_is_read_or_refused(run, values):
    path = run / "run.json"
    path.write_text(json.dumps(values))
    defaults = {"train": {"seed": 0, "epochs": 1}}
    read_or_refused(
        lambda path: claim(path.parent, "run", RUN, defaults=defaults), path, TrainingError, named=str(run)
    )


@fuzzed(40)
@given(values=twisted(RESULT) | twisted(RESULT | {"status": "failed", "reason": "x"}))
def test_another_result_of_a_trial_is_read_or_refused(run, values):
    path = run / "result.json"
    path.write_text(json.dumps(values))
    result = read_or_refused(lambda path: read_result(path.parent), path, SearchError)
    if not isinstance(result, AudioZooError) and result["status"] == "done":
        assert math.isfinite(result["score"])


@fuzzed(40)
@given(text=misspelt("".join(json.dumps(entry | {"val_loss": 1.0}) + "\n" for entry in HISTORY)))
def test_a_misspelt_history_is_read_or_refused(run, text):
    path = run / "history.jsonl"
    path.write_text(text, encoding="utf-8")
    best = read_or_refused(lambda path: objectives.best_epoch(path.parent), path, SearchError)
    assert isinstance(best, AudioZooError) or "val_loss" in best


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"starts": "x", "epochs": 0}', '{"starts": null, "epochs": 0}', "[" * 10**5]
)
def test_a_damaged_count_of_starts_is_refused(run, text):
    path = run / "starts.json"
    path.write_text(text)

    def start(path):
        with counted_start(path.parent):
            raise AssertionError("it was begun")

    assert "is damaged" in refusal(start, path, SearchError, named=str(run))


def test_what_is_no_file_is_refused_at_once(run):
    for name, read in (
        ("run.json", lambda path: claim(path.parent, "run", RUN)),
        ("result.json", lambda path: read_result(path.parent)),
        ("history.jsonl", lambda path: objectives.best_epoch(path.parent)),
        ("checkpoint.npz", resumed),
    ):
        for path in no_files(run / name, "fifo", "device"):
            assert "is a pipe or a device" in refusal(read, path)
        for path in no_files(run / name, "folder"):
            assert "is a folder" in refusal(read, path)
