"""What beta and dropout do: a search, and the best of it once more with other seeds."""

if not __package__:
    import as_module  # noqa: F401


import json
import pathlib
import statistics
from typing import Annotated

import typer

from benchmarks import results

PICTURES = pathlib.Path(__file__).parents[1] / "docs" / "images"
HIGH_DROPOUT = 0.25  # between what the student project had, 0 and 0.3


def main(
    preset: Annotated[str, typer.Option(help="YAML with train and tune sections.")],
    data: Annotated[pathlib.Path, typer.Option(help="Folder that is trained on and judged by.")],
    out: Annotated[
        pathlib.Path | None, typer.Option(help="Folder of the search.", show_default="runs/tuning/NAME")
    ] = None,
    trials: Annotated[int, typer.Option(min=2, help="Of the search.")] = 24,
    best: Annotated[int, typer.Option(min=1, help="How many of them are trained again.")] = 5,
    seeds: Annotated[
        int, typer.Option(min=1, help="Trainings of each of these, the search's own included.")
    ] = 3,
    minutes: Annotated[
        float, typer.Option(min=0.0, help="End after this time; given again it goes on.")
    ] = 1e6,
):
    """Search a space at random, then train the best, and the preset as it is, with other seeds.

    At random and not by a model of the scores, so that the trials say something of the whole space.
    """
    results.one_core()
    import audiozoo
    from audiozoo import tuning

    found = audiozoo.info(preset)
    out = out or pathlib.Path("runs/tuning") / found.name
    name = f"tuning_{found.name}"
    search = tuning.search(found, data, out=out, algorithm="random", trials=trials, max_hours=minutes / 60.0)
    rows = [described(row) for row in search["trials"] if row["status"] == "done"]
    values = {
        "preset": found.name,
        "trials": rows,
        "failed": [row for row in search["trials"] if row["status"] == "failed"],
        "fixed_beta": found.config["beta"],
        "training_seconds": training_seconds(out),
    }
    if not search["finished"]:
        raise typer.Exit(1)
    folder = out / "again"
    again = {"preset": {"values": {}, "scores": repeated(found, {}, data, folder / "preset", range(seeds))}}
    for row in sorted(rows, key=lambda row: row["score"])[:best]:
        label = f"trial {row['trial']}"
        others = repeated(found, row["values"], data, folder / label.replace(" ", "_"), range(1, seeds))
        again[label] = {"values": row["values"], "scores": [row["score"], *others]}
        print(label, json.dumps(again[label]), flush=True)
    values["again"] = dict(sorted(again.items(), key=lambda entry: statistics.fmean(entry[1]["scores"])))
    values["says"] = said(rows)
    print(f"written: {results.write(name, values)}")
    for picture in ("trade_off", "trials"):
        path = PICTURES / f"tuning_{found.name}_{picture}.png"
        path.write_bytes((out / f"{picture}.png").read_bytes())
        print(f"written: {path} ({path.stat().st_size / 1000:.0f} kB)")


def training_seconds(out):
    """Seconds of one core that the slowest trial was trained."""
    histories = (out / "trials").glob("trial_*/execution_0/history.jsonl")
    return max(json.loads(path.read_text().splitlines()[-1])["core_seconds"] for path in histories)


def described(row):
    """A trial as it is kept."""
    logs = row["logs"]
    return {
        "trial": row["trial"],
        "values": row["values"],
        "score": row["score"],
        "reconstruction": logs["val_reconstruction"],
        "kl": logs["val_kl"],
        "active_dimensions": logs["val_active_dimensions"],
        "val_loss": logs["val_loss"],
    }


def repeated(preset, values, data, out, seeds):
    """Scores of values trained with several seeds, each as the search scores; its own trials have seed 0."""
    from audiozoo.training import train
    from audiozoo.tuning import objectives, space

    scores = []
    variant = space.variant(preset, values)
    for seed in seeds:
        run = out / f"seed_{seed}"
        train(variant, data, out=run, seed=seed, examples=False, progress=False)
        scores.append(objectives.score("val_loss", run, preset, None))
    return scores


def said(rows):
    """What the trials say of beta and dropout, in numbers: rank correlations, and means of two halves.

    The naive winner is the trial with the least loss of its own, in which its own beta counts.
    """
    from scipy.stats import spearmanr

    def correlation(name, what):
        found = spearmanr([row["values"][name] for row in rows], [row[what] for row in rows])
        return {"rho": float(found.statistic), "p": float(found.pvalue)}

    naive = min(rows, key=lambda row: row["val_loss"])
    found = {
        f"{what}_with_{name}": correlation(name, what)
        for name in ("beta", "dropout")
        for what in ("reconstruction", "kl", "score")
    }
    high = [row["score"] for row in rows if row["values"]["dropout"] >= HIGH_DROPOUT]
    low = [row["score"] for row in rows if row["values"]["dropout"] < HIGH_DROPOUT]
    return found | {
        "median_score_high_dropout": statistics.median(high),
        "median_score_low_dropout": statistics.median(low),
        "naive_winner": naive["trial"],
        "naive_winner_beta": naive["values"]["beta"],
        "smallest_beta": min(row["values"]["beta"] for row in rows),
    }
