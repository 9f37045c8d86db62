"""What a search minimises: numbers by which trials can be compared whatever they were trained with.

A VAE's own loss cannot: it is weighed with the trial's ``beta``, so the smallest always has the smallest
loss.
"""

import json

import numpy as np

from audiozoo.data.pipelines import training_pairs
from audiozoo.errors import SearchError
from audiozoo.foreign import content, refused
from audiozoo.metrics import MelStatistics, frechet_distance_from_moments, kad, multi_scale_spectral_distance
from audiozoo.models import VAE, AudioModel
from audiozoo.training.callbacks import evenly
from audiozoo.training.train import full_config
from audiozoo.zoo import load

OBJECTIVES = ("val_loss", "frechet", "kad", "mss")
JUDGED_CLIPS = 64  # at most; evenly from all that is held out, and as many from the prior


def check_objective(objective, preset):
    """Raise SearchError unless an objective can be measured for a preset, and means something."""
    if objective not in OBJECTIVES:
        raise SearchError(f"objective must be one of {', '.join(OBJECTIVES)}; got {objective!r}.")
    architecture = AudioModel.architectures[preset.architecture]
    if architecture.trains_on == "images" and objective != "val_loss":
        raise SearchError(
            f"objective {objective!r} is of sounds; {preset.architecture} makes images. Use 'val_loss'."
        )
    searched = {name.rpartition(".")[2] for name in preset.tune}
    if objective == "val_loss" and "beta" in searched and not weight_of_divergence(preset):
        raise SearchError(
            "objective 'val_loss' weighs the divergence with the preset's own beta, which is 0, so the "
            "smallest beta would win. Set config.beta in the preset, or use 'frechet' or 'kad'."
        )


def weight_of_divergence(preset):
    """By what ``fixed_beta_loss`` weighs the divergence: the preset's ``beta``; None where there is none."""
    architecture = AudioModel.architectures[preset.architecture]
    return full_config(preset)["beta"] if issubclass(architecture, VAE) else None


def fixed_beta_loss(logs, weight):
    """Held-out reconstruction plus divergence, of an epoch's logs.

    Args:
        logs: dict with ``val_loss``, and of a VAE ``val_reconstruction`` and ``val_kl``.
        weight: of the divergence, the same for all trials; None for a model that is no VAE: then
            ``val_loss``.
    """
    return logs["val_loss"] if weight is None else logs["val_reconstruction"] + weight * logs["val_kl"]


def best_epoch(run):
    """The logs of the epoch that a run of training kept.

    Args:
        run: pathlib.Path, the folder of the run.
    """
    path = run / "history.jsonl"
    with refused(SearchError, f"{str(path)!r} is damaged", "Delete its folder to do its trial anew."):
        history = [json.loads(line) for line in content(path).splitlines()]
        return min(history, key=lambda entry: entry["val_loss"])


def score(objective, run, preset, crops):
    """The objective of one finished run; less is better.

    Args:
        objective: one of ``OBJECTIVES``. ``"val_loss"``: ``fixed_beta_loss`` of the epoch that was kept.
            ``"mss"``: multi-scale spectral distance of reconstructions of held-out clips. ``"frechet"`` and
            ``"kad"``: distance between held-out clips and as many that the model draws from its prior, or,
            where it has none, makes of their features; by statistics of mel levels
            (``metrics.MelStatistics``).
        run: pathlib.Path, folder of the run, with ``preset/`` and ``history.jsonl``.
        preset: the ``registry.Preset`` that is searched.
        crops: what the run was trained on, see ``training.material.Material``.
    """
    if objective == "val_loss":
        return fixed_beta_loss(best_epoch(run), weight_of_divergence(preset))
    model = load(run / "preset")
    inputs, target = judged(crops)
    if objective == "mss":
        return float(
            np.mean(multi_scale_spectral_distance(target, rendered(model, inputs, crops.batch_size)))
        )
    generated = (
        model.sample(len(target), seed=0, samples=target.shape[1])
        if hasattr(model, "sample")
        else rendered(model, inputs, crops.batch_size)
    )
    embedding = MelStatistics()
    real, made = (
        np.concatenate([embedding.embed(clip, model.sample_rate) for clip in clips])
        for clips in (target, generated)
    )
    if objective == "kad":
        return kad(real, made, num_resamples=2).value
    moments = [(rows.mean(axis=0), np.cov(rows, rowvar=False)) for rows in (real, made)]
    return frechet_distance_from_moments(*moments[0], *moments[1])


def judged(crops):
    """Inputs and targets of the held-out clips that sounds are judged by."""
    places = crops.validation_places()
    chosen = (places[index] for index in evenly(len(places), JUDGED_CLIPS))
    return training_pairs(crops.collate(*zip(*chosen, strict=True)))


def rendered(model, inputs, batch_size):
    """What the model makes of these inputs, a batch at a time."""
    count = len(next(iter(inputs.values())))
    pieces = [
        model.render({name: value[start : start + batch_size] for name, value in inputs.items()})
        for start in range(0, count, batch_size)
    ]
    return np.concatenate(pieces)


def check_held_out(crops, data, objective):
    """Raise SearchError unless enough is held out to judge trials by."""
    count = len(crops.validation_places())
    needed = 2 if objective in ("frechet", "kad") else 1
    if count < needed:
        raise SearchError(
            f"data {str(data)!r} leave {count} held-out clips of train.clip_seconds to judge trials by; it "
            f"must be {needed} or more. Give more or longer files, a larger train.test_share (or "
            "validation_seconds), or a shorter clip_seconds."
        )
