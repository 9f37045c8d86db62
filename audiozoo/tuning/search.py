"""A search through the ``tune`` section of a preset, which ends in a new preset."""

import contextlib
import io
import json
import math
import shutil
import statistics
import threading
import time
from pathlib import Path

import keras
import keras_tuner

from audiozoo import registry
from audiozoo.arguments import check_range, check_whole
from audiozoo.atomic import make_folder, replacing, replacing_folder
from audiozoo.errors import InvalidPreset, OutputError, SearchError, one_line
from audiozoo.foreign import content, json_object, refused
from audiozoo.progress import counter
from audiozoo.training.train import check_recipe, claim, material_for, train
from audiozoo.tuning import objectives, report, space
from audiozoo.tuning.oracles import ALGORITHMS, SignsOfLife, new_oracle

# A trial during which the process was killed that often without finishing an epoch in between: most likely by
# the system, for want of memory. It would be killed for ever.
MOST_STARTS = 3


def search(
    preset,
    data,
    *,
    out,
    algorithm="bayesian",
    objective="val_loss",
    trials=24,
    executions=1,
    max_hours=None,
    epochs=None,
    seed=0,
    progress=True,
):
    """Search a preset's hyper-parameters, as its ``tune`` section says; each trial is a whole training.

    Started again with the same ``out`` the search goes on, killed or not: finished trials are kept, and the
    one that was running is taken up at its last whole epoch. With more ``trials`` a finished search goes
    further.

    Several processes, on one machine or many that share ``out``, search together when KerasTuner's
    environment
    variables are set: one is the chief, which trains nothing and writes the result (``docs/tuning.md``).

    Args:
        preset: name or path of a preset with ``train`` and ``tune`` sections, or a ``registry.Preset``.
        data: as for ``training.train``.
        out: folder of the search: ``best/`` (the winner, which ``audiozoo.load`` opens), ``trials.csv``,
            ``trials.png``, ``trade_off.png`` (where ``beta`` is searched), ``trials/`` with a run of training
            for every trial, ``logs/`` for TensorBoard (on TensorFlow).
        algorithm: ``"bayesian"`` (Gaussian process; the default), ``"random"``, or ``"hyperband"``: many
            trials of few epochs, of which the best are trained on.
        objective: what is minimised, see ``objectives.score``: ``"val_loss"``, ``"frechet"``, ``"kad"`` or
            ``"mss"``. None depends on the ``beta`` of a trial but by what it does to the model.
        trials: how many in all. Fewer where the space has no more combinations.
        executions: trainings of each, with seeds that follow on that of the preset; the mean of their
            objectives counts.
        max_hours: end after this time. What was running is taken up by the next call.
        epochs: of every trial, instead of the preset's; under Hyperband of the longest.
        seed: of what is tried.
        progress: show a progress bar, and a line for every trial.

    Returns:
        Dict: ``values`` (of the winner, by name), ``score``, ``trial``, ``preset_folder``, ``trials`` (a list
        of dicts with ``trial``, ``values``, ``status``, ``score``, ``scores``, ``epochs``, ``seconds``,
        ``reason``), ``finished`` (False where time was up). None from a worker, whose chief has the result.

    Raises:
        InvalidPreset: the preset has no ``train`` or no ``tune`` section, or its architecture no recipe.
        SearchError: an argument is out of range, the space holds what the model does not take, the objective
            cannot be measured, too little is held out, or not one trial succeeded.
        DataError: as ``training.train``.
        TrainingError: ``out`` holds another search.
        OutputError: ``out`` cannot be written.
    """
    deadline = math.inf if max_hours is None else time.monotonic() + 3600.0 * max_hours
    preset = checked_preset(preset)
    check_arguments(algorithm, trials, executions, max_hours, epochs, seed)
    if Path(data).is_dir() and Path(out).resolve().is_relative_to(Path(data).resolve()):
        raise SearchError(
            f"out {str(out)!r} must not lie within data, which would be read with it. Choose another."
        )
    space.check_space(preset)
    objectives.check_objective(objective, preset)
    epochs = preset.train.epochs if epochs is None else epochs
    if algorithm == "hyperband" and epochs < 3:
        raise SearchError(
            f"epochs must be at least 3 under hyperband, which gives most trials a third; got {epochs}."
        )
    material = material_for(preset, data, preset.train, progress=progress)
    space.check_given(preset, material.config)
    objectives.check_held_out(material.crops, data, objective)
    out = make_folder(out)
    # Not the number of trials: a finished search can be prolonged.
    what = {
        "preset": preset.model_dump(mode="json", include={"architecture", "config", "train", "tune"}),
        "recordings": material.files,
        "algorithm": algorithm,
        "objective": objective,
        "executions": executions,
        "epochs": epochs,
        "seed": seed,
    }
    claim(out, "search", what)
    oracle = new_oracle(
        algorithm,
        objective=objective,
        space=space.hyperparameters(preset),
        trials=trials,
        epochs=epochs,
        seed=seed,
    )
    oracle.verbose = 0
    keras_tuner.src.config.DEBUG = False  # else it prints the stack of every trial that fails
    with contextlib.redirect_stdout(io.StringIO()):  # it says that it goes on
        tuner = Trainings(
            oracle=oracle,
            directory=str(out),
            project_name="trials",
            preset=preset,
            data=data,
            crops=material.crops,
            objective=objective,
            executions=executions,
            epochs=epochs,
            deadline=deadline,
        )
    shown = progress and not tuner.is_chief
    with counter(trials, "trials", done=len(oracle.end_order), shown=shown) as tuner.advance:
        finished = tuner.search_until_deadline()
    if tuner.is_worker:
        return None
    return finish(out, preset, objective, tuner.oracle, finished=finished)


def checked_preset(preset):
    """The preset, with what a search needs. Raises InvalidPreset."""
    preset = preset if isinstance(preset, registry.Preset) else registry.info(preset)
    check_recipe(preset)
    for section, example in (("train", ""), ("tune", ", such as beta: {type: float, min: 1.0e-4, max: 1.0}")):
        if getattr(preset, section) is None:
            raise InvalidPreset(
                f"preset {preset.name!r} has no {section} section, so it cannot be searched. Add "
                f"one{example}."
            )
    return preset


def check_arguments(algorithm, trials, executions, max_hours, epochs, seed):
    """Raise SearchError for what is out of range."""
    if algorithm not in ALGORITHMS:
        raise SearchError(f"algorithm must be one of {', '.join(ALGORITHMS)}; got {algorithm!r}.")
    try:
        check_whole("trials", trials, 1)
        check_whole("executions", executions, 1)
        check_whole("seed", seed, 0)
        if epochs is not None:
            check_whole("epochs", epochs, 1)
        if max_hours is not None:
            check_range("max_hours", max_hours, 0.0, math.inf)
    except ValueError as error:
        raise SearchError(one_line(error)) from None


class _Ended(keras_tuner.errors.FatalError):
    """Ends a search: time is up, or, with a cause, what would end every trial."""


class Trainings(keras_tuner.engine.base_tuner.BaseTuner):
    """A tuner whose trials are runs of ``training.train``, with the checkpoints of one.

    Args:
        preset, data, objective, executions, epochs: see ``search``.
        crops: of the data as the preset itself has them: what is held out judges every trial.
        deadline: of ``time.monotonic``.
        others: of KerasTuner.

    Attributes:
        advance: called with a line of text when a trial is done.
    """

    def __init__(self, *, preset, data, crops, objective, executions, epochs, deadline, **others):
        self.preset, self.data, self.crops, self.objective = preset, data, crops, objective
        self.executions, self.epochs, self.deadline = executions, epochs, deadline
        super().__init__(**others)

    @property
    def is_worker(self):
        return self._is_worker()

    @property
    def is_chief(self):
        return self.tuner_id == "chief"

    def search_until_deadline(self):
        """Search to the end; whether that was reached before the deadline."""
        if not self.is_worker:
            self.save()  # without it KerasTuner would not find a search that was killed in its first trial
        if self.is_chief:
            return self.serve()
        with SignsOfLife(self.project_dir, self.tuner_id):
            try:
                self.search()
            except _Ended as end:
                if end.__cause__ is not None:
                    raise end.__cause__ from None
                return False
        return True

    def serve(self):
        """As the chief, give trials to workers until all are done, or time is up for them, too."""
        server = threading.Thread(target=self.search, daemon=True)  # KerasTuner's cannot be ended
        server.start()
        while server.is_alive():
            server.join(timeout=1.0)
            if time.monotonic() > self.deadline:
                self.oracle.take_back()
                if not self.oracle.ongoing_trials:
                    return False
        return True

    def pre_create_trial(self):
        if self.is_worker:
            time.sleep(0.2)  # one that waits for others to finish asks again and again
        if time.monotonic() > self.deadline:
            raise _Ended

    def run_trial(self, trial):
        folder = Path(self.get_trial_dir(trial.trial_id))
        result = read_result(folder)
        if result is None:
            try:
                result = self.result_of(trial, folder)
                with replacing(folder / "result.json") as draft:
                    draft.write_text(json.dumps(result, indent=2))
            except OutputError as error:  # a full disk is no fault of these values
                raise _Ended from error
            report.note(Path(self.directory) / "logs", trial.trial_id, result, self.objective)
        self.advance(report.line(trial.trial_id, result, self.objective))
        if result["status"] == "failed":
            raise keras_tuner.errors.FailedTrialError(result["reason"])
        return {self.objective: result["score"]}

    def result_of(self, trial, folder):
        """What came of a trial, as it is kept and returned."""
        began = time.monotonic()
        values = trial.hyperparameters.values
        result = {
            "values": space.active_values(self.preset.tune, values),
            "epochs": values.get("tuner/epochs", self.epochs),
            "status": "failed",
        }
        try:
            scores = [
                self.execution(values, folder / f"execution_{number}", number)
                for number in range(self.executions)
            ]
        except (_Ended, OutputError):
            raise
        except Exception as error:  # also what backends raise when memory is out
            reason = one_line(error)[:500] or "no message"
            return result | {"reason": f"{type(error).__name__}: {reason}"}
        finally:
            keras.backend.clear_session()  # what one trial leaves in memory the next would run out of
        score = statistics.fmean(scores)
        if not math.isfinite(score):
            return result | {"reason": f"{self.objective} is {score}"}
        kept = [objectives.best_epoch(folder / f"execution_{number}") for number in range(self.executions)]
        logs = {
            name: statistics.fmean(entry[name] for entry in kept)
            for name in kept[0]
            if name.startswith("val_")
        }
        seconds = round(time.monotonic() - began, 1)
        return result | {"status": "done", "score": score, "scores": scores, "logs": logs, "seconds": seconds}

    def execution(self, values, run, number):
        """Train once, from where an earlier process or round of Hyperband left it; the objective."""
        earlier = values.get("tuner/trial_id")
        if earlier is not None and not run.exists():
            with replacing_folder(run) as draft:
                shutil.copytree(Path(self.get_trial_dir(earlier)) / run.name, draft, dirs_exist_ok=True)
        make_folder(run)
        preset = space.variant(self.preset, values)
        wanted = values.get("tuner/epochs", self.epochs)
        with counted_start(run):
            result = train(
                preset,
                self.data,
                out=run,
                epochs=wanted,
                max_minutes=None
                if math.isinf(self.deadline)
                else max(0.0, self.deadline - time.monotonic()) / 60.0,
                seed=preset.train.seed + number,
                examples=False,
                progress=False,
            )
        if result["epochs"] < wanted:
            raise _Ended
        return objectives.score(self.objective, run, self.preset, self.crops)


@contextlib.contextmanager
def counted_start(run):
    """Count the starts of a run that ended by a kill, and refuse one too many.

    Raises:
        SearchError: the process was killed ``MOST_STARTS`` times since the last finished epoch.
    """
    path = run / "starts.json"
    history = run / "history.jsonl"
    with refused(SearchError, f"{str(run)!r} is damaged", "Delete that folder to begin its trial anew."):
        epochs = len(content(history).splitlines()) if history.exists() else 0
        before = json_object(path) if path.exists() else {"epochs": epochs, "starts": 0}
        starts = int(before["starts"]) if before["epochs"] == epochs else 0
    if starts >= MOST_STARTS:
        raise SearchError(
            f"the process was killed {starts} times in epoch {epochs + 1} of it; perhaps memory was out"
        )
    with replacing(path) as draft:
        draft.write_text(json.dumps({"epochs": epochs, "starts": starts + 1}))
    try:
        yield
    finally:  # a kill does not come here
        path.unlink(missing_ok=True)


def read_result(folder):
    """The result in the folder of a trial; None where it is not done."""
    path = Path(folder) / "result.json"
    if not path.exists():
        return None
    with refused(SearchError, f"{str(path)!r} is damaged", "Delete its folder to do its trial anew."):
        result = json_object(path)
        if result["status"] == "done":
            kinds = {"values": dict, "scores": list, "logs": dict}
            numbers = [result["score"], *result["scores"], *result["logs"].values()]
        else:
            kinds, numbers = {"values": dict, "reason": str}, []
        if not all(isinstance(result[name], kind) for name, kind in kinds.items()):
            raise TypeError(
                f"{', '.join(kinds)} must be {', '.join(kind.__name__ for kind in kinds.values())}"
            )
        if not all(map(math.isfinite, numbers)):
            raise ValueError("scores and logs must be finite")
    return result


def finish(out, preset, objective, oracle, *, finished):
    """Write table, pictures and the winner; the dict that ``search`` returns."""
    rows = []
    for trial_id in oracle.start_order:
        result = read_result(out / "trials" / f"trial_{trial_id}")
        running = {"values": dict(oracle.trials[trial_id].hyperparameters.values), "status": "running"}
        rows.append({"trial": trial_id} | (result or running))
    done = [row for row in rows if row["status"] == "done"]
    report.write_table(rows, preset, out / "trials.csv")
    if not done:
        if not finished:
            raise SearchError(
                f"time was up before one trial of {str(out)!r} was done. Give the command again."
            )
        reasons = "; ".join(f"trial {row['trial']}: {row['reason']}" for row in rows[:3])
        raise SearchError(f"none of {len(rows)} trials succeeded: {reasons}. See {out / 'trials.csv'}.")
    best = min(done, key=lambda row: row["score"])
    report.draw(done, preset, objective, out)
    keep(best, len(rows), preset, objective, out)
    return {
        "values": best["values"],
        "score": best["score"],
        "trial": best["trial"],
        "preset_folder": str(out / "best"),
        "trials": rows,
        "finished": finished,
    }


def keep(best, count, preset, objective, out):
    """Write the winner as a preset: the better of its executions, with weights, and what may be searched."""
    number = best["scores"].index(min(best["scores"]))
    run = out / "trials" / f"trial_{best['trial']}" / f"execution_{number}"
    with replacing_folder(out / "best") as draft:
        shutil.copytree(run / "preset", draft, dirs_exist_ok=True)
        winner = registry.read_preset(draft / "preset.yaml")
        values = ", ".join(f"{name} {report.short(value)}" for name, value in best["values"].items())
        card = winner.card.model_copy(
            update={
                "summary": f"{winner.card.summary} The best by {objective} of {count} trials: {values}.",
                "results": (winner.card.results or {}) | {f"search_{objective}": best["score"]},
            }
        )
        registry.write_preset(
            winner.model_copy(update={"card": card, "tune": preset.tune}), draft / "preset.yaml"
        )
