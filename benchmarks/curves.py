"""Loss over time of training runs, drawn into one picture."""

if not __package__:
    import as_module  # noqa: F401


import json
import pathlib
import shutil
from typing import Annotated

import typer

from benchmarks import results


def main(
    runs: Annotated[list[str], typer.Argument(help="NAME=FOLDER of each run, of any trainer.")],
    reference: Annotated[float, typer.Option(help="A loss to draw as a line.")] = 6.64,
    reference_name: Annotated[str, typer.Option(help="What it is.")] = "noise with the right spectrogram",
    name: Annotated[str, typer.Option(help="Of the result.")] = "training_curves",
):
    """Keep the history of every run, and draw training and held-out loss over the core's time.

    A run is the folder of ``audiozoo train`` or of ``python -m benchmarks baseline``: both count the
    seconds of one core that training alone has had.
    """
    curves = {}
    for run in runs:
        label, _, folder = run.partition("=")
        history = results.FOLDER / f"{label}_history.jsonl"
        shutil.copyfile(pathlib.Path(folder) / "history.jsonl", history)
        curves[label] = curve(history)
    picture(curves, results.FOLDER / f"{name}.png", reference, reference_name)
    last = {label: {key: points[-1] for key, points in c.items()} for label, c in curves.items()}
    print(f"written: {results.write(name, last)}")


def curve(path):
    """Minutes of the core, training loss and held-out loss of recordings without chords, as lists."""
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    return {
        "minutes": [entry["core_seconds"] / 60.0 for entry in entries],
        "train_loss": [entry["loss"] for entry in entries],
        "held_out_loss": [held_out(entry) for entry in entries],
    }


def held_out(entry):
    """Mean over the recordings named "double": a movement without chords, as Bach calls a variation."""
    if "held_out_files" not in entry:
        return entry["val_loss"]  # of the files that the preset's train.validation_files names
    single = [loss for name, loss in entry["held_out_files"].items() if "double" in name]
    return sum(single) / len(single)


def picture(curves, path, reference, reference_name):
    """Held-out loss as lines, training loss dotted, as a PNG."""
    from matplotlib.figure import Figure

    axes = (figure := Figure(figsize=(7, 4), dpi=120)).subplots()
    for colour, (label, points) in enumerate(curves.items()):
        axes.plot(points["minutes"], points["held_out_loss"], color=f"C{colour}", label=f"{label}, held out")
        axes.plot(
            points["minutes"], points["train_loss"], ":", color=f"C{colour}", label=f"{label}, training"
        )
    axes.axhline(reference, color="grey", linewidth=0.8, label=reference_name)
    axes.set(
        xlabel="minutes of one core, training alone", ylabel="multi-scale spectral loss", ylim=(5.9, 8.5)
    )
    axes.legend(fontsize=8)
    figure.savefig(path, bbox_inches="tight")
