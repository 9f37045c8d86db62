"""KerasTuner's oracles, which choose what to try next, made to survive a kill at any moment.

KerasTuner writes its state in place, and forgets what was begun between two of its writes. Here a file is
whole or as it was before, and where several workers search, the trial of one that died is given to another.
"""

import contextlib
import json
import re
import shutil
import threading
import time
from pathlib import Path

import keras_tuner
from keras_tuner.engine import trial as trial_module

from audiozoo.atomic import make_folder, replacing
from audiozoo.errors import OutputError, SearchError
from audiozoo.foreign import refused

Status = trial_module.TrialStatus

BEAT_SECONDS = 2.0  # between two signs of life of a worker
SILENCE_SECONDS = 60.0  # without one, after which it counts as dead


class Durable:
    """Mixed into an oracle: state on disk that is always whole, and trials that no dead worker keeps."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self._last_beats = {}  # of each worker: its last sign of life, and when it was seen

    def save(self):
        with replacing(self._get_oracle_fname()) as draft:
            draft.write_text(json.dumps(self.get_state()))

    def _save_trial(self, trial):
        with replacing(Path(self._get_trial_dir(trial.trial_id)) / "trial.json") as draft:
            draft.write_text(json.dumps(trial.get_state()))

    def reload(self):
        with refused(SearchError, f"{self._project_dir!r} is damaged", "Choose another output folder."):
            super().reload()
            strange = [trial_id for trial_id in self.trials if not re.fullmatch(r"\w+", trial_id)]
            if strange:  # a folder is named, and may be removed, by it
                raise ValueError(f"a trial is named {strange[0]!r:.80}")
        for trial_id in sorted(set(self.trials) - set(self.start_order)):
            # Killed after the trial was noted and before the state was: it has not begun, and the state,
            # which does not know of it, will draw the same values again.
            shutil.rmtree(self._get_trial_dir(trial_id))
            del self.trials[trial_id]

    def create_trial(self, tuner_id):
        """A trial for a worker; IDLE where none is left, but another worker may yet leave its own."""
        self.take_back()
        trial = super().create_trial(tuner_id)
        if trial.status == Status.STOPPED and self.ongoing_trials:
            self.tuner_ids.add(tuner_id)
            trial.status = Status.IDLE
        return trial

    def take_back(self):
        """Put the trials of workers that have died back into the queue."""
        for tuner_id, trial in list(self.ongoing_trials.items()):
            if self.silent_seconds(tuner_id) > SILENCE_SECONDS:
                del self.ongoing_trials[tuner_id], self._last_beats[tuner_id]
                self.tuner_ids.discard(tuner_id)
                self._retry_queue.append(trial.trial_id)

    def silent_seconds(self, tuner_id):
        """How long a worker has given no sign of life. By this machine's clock: theirs may differ."""
        path = beat_path(self._project_dir, tuner_id)
        beat = path.read_text() if path.exists() else ""
        if self._last_beats.get(tuner_id, ("", 0.0))[0] != beat or tuner_id not in self._last_beats:
            self._last_beats[tuner_id] = (beat, time.monotonic())
        return time.monotonic() - self._last_beats[tuner_id][1]


class RandomOracle(Durable, keras_tuner.oracles.RandomSearchOracle):
    """Values drawn independently."""


class BayesianOracle(Durable, keras_tuner.oracles.BayesianOptimizationOracle):
    """Values where a Gaussian process of the scores so far expects most."""


class HyperbandOracle(Durable, keras_tuner.oracles.HyperbandOracle):
    """Many trials of few epochs, of which the best are trained on (Li et al., 2018, arXiv:1603.06560)."""


def new_oracle(algorithm, *, objective, space, trials, epochs, seed):
    """The oracle of an algorithm.

    Args:
        algorithm: one of ``ALGORITHMS``.
        objective: name of what is minimised.
        space: ``keras_tuner.HyperParameters``.
        trials: how many at most.
        epochs: of a trial; under Hyperband of the longest.
        seed: of what is drawn.
    """
    settings = {
        "objective": keras_tuner.Objective(objective, "min"),
        "hyperparameters": space,
        "allow_new_entries": False,
        "seed": 1 + seed,  # to KerasTuner 0 is no seed
        "max_consecutive_failed_trials": trials + 1,  # what fails is noted, and the search goes on
    }
    if algorithm == "hyperband":
        oracle = HyperbandOracle(max_epochs=epochs, hyperband_iterations=None, **settings)
        oracle.max_trials = trials
        return oracle
    return {"random": RandomOracle, "bayesian": BayesianOracle}[algorithm](max_trials=trials, **settings)


ALGORITHMS = ("bayesian", "random", "hyperband")


def beat_path(project, tuner_id):
    """The file of a worker's signs of life."""
    return Path(project) / "workers" / tuner_id


class SignsOfLife:
    """While it is entered, writes a worker's sign of life every few seconds.

    Args:
        project: folder that all workers share.
        tuner_id: of this one.
    """

    def __init__(self, project, tuner_id):
        self.path = beat_path(project, tuner_id)
        self.over = threading.Event()

    def __enter__(self):
        make_folder(self.path.parent)
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(self, *error):
        self.over.set()

    def _beat(self):
        while True:
            # A disk that is full for a while is no death.
            with contextlib.suppress(OutputError), replacing(self.path) as draft:
                draft.write_text(str(time.time()))
            if self.over.wait(BEAT_SECONDS):
                return
