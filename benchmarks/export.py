"""Exported files beside the models that they were written of: size, difference, speed."""

if not __package__:
    import as_module  # noqa: F401


import pathlib
import tempfile
from typing import Annotated

import numpy as np
import typer

from benchmarks import results, stopwatch

PRESETS = (
    "ddsp_violin",
    "ddsp_violin_small",
    "ddsp_violin_mingru",
    "conv1d_resnet_vae",
    "spectral_vae",
    "mnist_vae",
    "cmelgan",
    "melgan_vocoder",
    "melgan_vocoder_small",
)
SECONDS = 4.0  # of sound, as far as a model makes sound


def main(
    preset: Annotated[
        list[str] | None, typer.Option(help="Name of one; by default those of the page.")
    ] = None,
    repeats: Annotated[int, typer.Option(help="Timed rounds after two more.")] = 3,
):
    """Export presets in every format and run the files in turns with the models, on one core.

    A preset without released weights has random ones, which are as large and as fast.
    """
    results.one_core()
    rows = []
    for name in preset or PRESETS:
        for row in rows_of(name, repeats):
            print(row, flush=True)
            rows.append(row)
    print(f"written: {results.write('export', {'rows': rows})}")


def rows_of(name, repeats):
    """A row for each format."""
    import audiozoo
    from audiozoo import exporting

    released = audiozoo.info(name).weights is not None
    model = audiozoo.load(name, weights=released)
    if hasattr(model, "transform") and not released:
        model.transform.adapt_log_mel([np.random.default_rng(0).uniform(0.0, 3.0, (100, model.num_mels))])
    exported = model.exported()
    inputs = {key: array[:1] for key, array in exported.example(example_audio(model)).items()}
    with tempfile.TemporaryDirectory() as folder:
        rows, rivals = [], {"baseline": lambda: played(model, exported, inputs)}
        for kind in exporting.FORMATS:
            out = pathlib.Path(folder) / kind
            seconds = stopwatch.seconds_of(lambda: rows.append(audiozoo.export(model, format=kind, out=out)))  # noqa: B023
            found = rows.pop()
            run = exporting.opened(out / found["file"], kind)
            rivals[kind] = lambda run=run: run(inputs)
            rows.append(
                {
                    "preset": name,
                    "format": kind,
                    "weights": "released" if released else "random",
                    "megabytes": found["bytes"] / 1e6,
                    "largest_difference": found["largest_difference"],
                    "export_seconds": seconds,
                }
            )
        times = stopwatch.compare(rivals, repeats)
        duration = seconds_of_sound(model, rivals["saved_model"]())
    for row in rows:
        row |= times[row["format"]] | {"keras_median_seconds": times["baseline"]["median_seconds"]}
        if duration is not None:
            row["times_real_time"] = duration / row["median_seconds"]
    return rows


def example_audio(model):
    """Two stretches of the packaged recording, ``(2, samples)`` at the model's sample rate."""
    from audiozoo.data.audio_io import read_audio
    from audiozoo.exporting import SINGING

    sample_rate = getattr(model, "sample_rate", 16000)
    samples = round(SECONDS * sample_rate)
    return read_audio(SINGING, sample_rate=sample_rate)[0][: 2 * samples].reshape(2, samples)


def played(model, exported, inputs):
    """What the file does, by the model in the way that is meant for it."""
    if hasattr(model, "synthesize"):
        return model.synthesize(**model.controls(**inputs))
    return exported.reference(inputs)


def seconds_of_sound(model, outputs):
    """How long the outputs sound; None for what is no sound."""
    if "audio" in outputs:
        return outputs["audio"].shape[1] / model.sample_rate
    return outputs["mel"].shape[1] * model.hop / model.sample_rate if "mel" in outputs else None
