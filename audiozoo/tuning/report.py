"""What a search found: a table, pictures, and TensorBoard's page of hyper-parameters."""

import csv
from pathlib import Path

import keras
import numpy as np

from audiozoo import registry
from audiozoo.atomic import replacing
from audiozoo.errors import counted
from audiozoo.plots import new_figure, saved


def short(value):
    """A value in a few letters."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def line(trial, result, objective):
    """One trial in a line."""
    values = ", ".join(f"{name} {short(value)}" for name, value in result["values"].items())
    outcome = (
        f"{objective} {short(result['score'])}"
        if result["status"] == "done"
        else f"failed: {result['reason']}"
    )
    return f"trial {trial} ({values}): {outcome}"


SHOWN_TRIALS = 10


def summary(result, objective):
    """What a search found, in lines to print: the best trials, and where everything is.

    Args:
        result: what ``search.search`` returned.
        objective: name of the score.
    """
    done = sorted((row for row in result["trials"] if row["status"] == "done"), key=lambda row: row["score"])
    failed = sum(row["status"] == "failed" for row in result["trials"])
    names = list(dict.fromkeys(name for row in done for name in row["values"]))
    rows = [["trial", objective, *names]]
    for row in done[:SHOWN_TRIALS]:
        values = (short(row["values"][name]) if name in row["values"] else "-" for name in names)
        rows.append([str(row["trial"]), short(row["score"]), *values])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    more = "" if result["finished"] else "; time was up, the same command goes on"
    best = Path(result["preset_folder"])
    return "\n".join(
        [
            *lines,
            f"{counted(len(done), 'trial')} done, {failed} failed{more}",
            f"winner: {best}; all trials: {best.parent / 'trials.csv'}, trials.png",
        ]
    )


def write_table(rows, preset, path):
    """All trials as a CSV file: a column for every hyper-parameter, and what came of it.

    Args:
        rows: list of dicts, see ``search.search``.
        preset: whose ``tune`` names the columns.
        path: of the file.
    """
    logs = sorted({name for row in rows for name in row.get("logs", ())})
    # Losses of their own, weighed as each trial was trained: not to be compared. The score is.
    own = {name: f"own_{name}" for name in logs}
    columns = ["trial", *preset.tune, "status", "score", *own.values(), "epochs", "seconds", "reason"]
    with replacing(path) as draft, open(draft, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore")
        writer.writeheader()
        for row in rows:
            found = {own[name]: value for name, value in row.get("logs", {}).items()}
            writer.writerow(row | row["values"] | found)


def draw(rows, preset, objective, out):
    """The pictures of the finished trials, into the folder ``out``."""
    parallel_coordinates(rows, preset, objective, path=out / "trials.png")
    searched = {name.rpartition(".")[2]: name for name in preset.tune}
    with_beta = [row for row in rows if searched.get("beta") in row["values"] and "val_kl" in row["logs"]]
    if with_beta:
        trade_off(with_beta, searched["beta"], preset, objective, path=out / "trade_off.png")


def parallel_coordinates(rows, preset, objective, *, path):
    """Every trial as a line through all its values to its score, the better the darker.

    Args:
        rows: finished trials.
        preset: whose ``tune`` gives the axes and their ranges.
        objective: name of the score.
        path: file ending in .png.
    """
    axes = [axis_of(name, parameter) for name, parameter in preset.tune.items()]
    scores = np.array([row["score"] for row in rows])
    order = np.argsort(-scores)  # the best is drawn last, on top
    rank = np.empty(len(rows))
    rank[order] = np.linspace(0.0, 1.0, len(rows)) if len(rows) > 1 else 1.0
    span = np.ptp(scores) or 1.0
    figure = new_figure((2.0 + 1.6 * (len(axes) + 1), 5.0))
    panel = figure.subplots()
    from matplotlib import colormaps

    for index in order:
        values = rows[index]["values"]
        heights = [axis["place"](values[axis["name"]]) if axis["name"] in values else np.nan for axis in axes]
        heights.append((scores[index] - scores.min()) / span)
        colour = colormaps["viridis_r"](0.2 + 0.8 * rank[index])
        panel.plot(heights, color=colour, linewidth=1.0 + 1.5 * rank[index], marker=".")
    ends = [axis["ends"] for axis in axes] + [[(0.0, short(scores.min())), (1.0, short(scores.max()))]]
    for place, marks in enumerate(ends):
        panel.axvline(place, color="black", linewidth=0.8, zorder=0)
        for height, text in marks:
            panel.annotate(
                text, (place, height), xytext=(3, 4), textcoords="offset points", fontsize=8, color="dimgray"
            )
    panel.set_xticks(range(len(ends)), [*preset.tune, objective])
    panel.set_yticks([])
    panel.set(ylim=(-0.06, 1.1), xlim=(-0.2, len(ends) - 0.4), title=f"{len(rows)} trials; dark is good")
    for side in ("top", "right", "left", "bottom"):
        panel.spines[side].set_visible(False)
    return saved(figure, path)


def axis_of(name, parameter):
    """An axis of a hyper-parameter: function to 0..1 of its values, and what stands at which height."""
    if isinstance(parameter, registry.Choice | registry.Switch):
        values = parameter.values if isinstance(parameter, registry.Choice) else [False, True]
        heights = dict(
            zip(values, np.linspace(0.0, 1.0, len(values)) if len(values) > 1 else [0.5], strict=True)
        )
        return {
            "name": name,
            "place": heights.__getitem__,
            "ends": [(height, short(value)) for value, height in heights.items()],
        }
    scale = np.log if parameter.sampling == "log" else float
    low, high = scale(parameter.min), scale(parameter.max)
    return {
        "name": name,
        "place": lambda value: (scale(value) - low) / (high - low),
        "ends": [(0.0, short(parameter.min)), (1.0, short(parameter.max))],
    }


def trade_off(rows, beta, preset, objective, *, path):
    """What ``beta`` buys: held-out reconstruction and divergence of every trial against it.

    Args:
        rows: finished trials with ``logs`` of a VAE.
        beta: name of the hyper-parameter.
        preset: whose ``tune`` gives its scale.
        objective: name of the score.
        path: file ending in .png.
    """
    figure = new_figure((9.0, 4.0))
    x = [row["values"][beta] for row in rows]
    scores = np.array([row["score"] for row in rows])
    for panel, name, label in zip(
        figure.subplots(1, 2),
        ("val_reconstruction", "val_kl"),
        ("held-out reconstruction error", "held-out divergence / nats"),
        strict=True,
    ):
        points = panel.scatter(x, [row["logs"][name] for row in rows], c=scores, cmap="viridis", s=28)
        panel.set(xlabel="beta", ylabel=label)
        if getattr(preset.tune[beta], "sampling", None) == "log":
            panel.set_xscale("log")
    figure.colorbar(points, ax=figure.axes, label=objective)
    return saved(figure, path)


def note(logs, trial, result, objective):
    """Write a trial to TensorBoard's page of hyper-parameters, where TensorFlow is the backend."""
    if keras.backend.backend() != "tensorflow" or result["status"] != "done":
        return
    import tensorflow as tf
    from tensorboard.plugins.hparams import api

    writer = tf.summary.create_file_writer(str(logs / f"trial_{trial}"))
    with writer.as_default(step=result["epochs"]):
        api.hparams(result["values"], trial_id=str(trial))
        for name, value in ({objective: result["score"]} | result["logs"]).items():
            tf.summary.scalar(f"search/{name}", value)
    writer.close()
