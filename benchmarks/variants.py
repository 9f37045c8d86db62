"""Which recipe learns most in equal time: small changes of one preset, trained and judged alike."""

if not __package__:
    import as_module  # noqa: F401


import inspect
import json
import pathlib
import shutil
import time
from typing import Annotated

import numpy as np
import typer
import yaml

from benchmarks import results

EPOCHS = 12
LAST_RATE = 0.05  # of the learning rate at the end; a run that ends at full rate measures its noise
PROBED_STEPS = 8


def main(
    preset: Annotated[str, typer.Option(help="Name or path of a preset with a train section.")],
    data: Annotated[pathlib.Path, typer.Option(help="Folder to train on; every variant is judged by it.")],
    table: Annotated[
        pathlib.Path | None, typer.Option(help="YAML of variants; default: variants/PRESET.yaml here.")
    ] = None,
    out: Annotated[pathlib.Path, typer.Option(help="Folder for the runs.")] = pathlib.Path("runs/variants"),
    minutes: Annotated[float, typer.Option(help="Processor time for the steps of each variant.")] = 5.0,
    steps: Annotated[
        int, typer.Option(help="Instead of minutes: for variants whose steps cost the same.")
    ] = 0,
    apart: Annotated[
        str, typer.Option(help="Shell pattern of recordings that a second mean is without.")
    ] = "",
):
    """What is held out, judged for every variant in a table, each trained for the same processor time.

    The table holds ``common``, what all of them change in the preset, ``initial``, a preset whose weights all
    begin with (or none), ``judged_seconds``, the length of the clips that all are judged by (or that of each
    one's training), and ``variants`` by name with what each changes further: ``config`` and ``train`` as in a
    preset, ``data``, another folder to train on, as seen from the one that judges, and ``preset``, another
    preset to change.

    The number of steps follows from the cost of one, measured first; the learning rate falls to a
    twentieth within them. Variants that are done are kept, so the command can be broken off and given again.
    """
    results.one_core()
    import audiozoo

    base = audiozoo.info(preset)
    table = table or pathlib.Path(__file__).parent / "variants" / f"{base.name}.yaml"
    content = yaml.safe_load(table.read_text())
    shared = {key: content.get(key) for key in ("common", "initial", "judged_seconds")}
    for name, delta in content["variants"].items():
        done = finished(table.stem, shared)
        if done.get(name, {}).get("delta") == delta:
            continue
        print(f"{name}: {delta}", flush=True)
        began = time.monotonic()
        source = audiozoo.info(delta["preset"]) if "preset" in delta else base
        recipe = changed(changed(source, content["common"]), delta)
        found = train_variant(
            recipe,
            data / delta.get("data", ""),
            out=out / name,
            minutes=minutes,
            steps=steps,
            initial=shared["initial"],
        )
        found |= judged(out / name, recipe, data, seconds=shared["judged_seconds"], apart=apart)
        found |= {"delta": delta, "wall_seconds": round(time.monotonic() - began)}
        print(name, json.dumps(found), flush=True)
        results.write(f"variants_{table.stem}", shared | {"variants": done | {name: found}})


def judged(run, recipe, data, *, seconds, apart):
    """What the workload's judge says of a run's last epoch; what stopped the run, if it was stopped."""
    from benchmarks import workloads

    if not (run / "preset").exists():
        return {}
    return workloads.of(recipe).judge(last_weights(run), data, seconds=seconds, apart=apart)


def finished(table_name, shared):
    """Variants in the result file, by name; none where they had another basis in common."""
    name = f"variants_{table_name}"
    if not (results.FOLDER / f"{name}.json").exists():
        return {}
    values = results.read(name).values
    return values["variants"] if {key: values.get(key) for key in shared} == shared else {}


def changed(preset, delta):
    """The preset with a variant's entries in ``config`` and ``train``."""
    from audiozoo import registry

    train = preset.train.model_dump() | delta.get("train", {})
    return preset.model_copy(
        update={
            "config": preset.config | delta.get("config", {}),
            "train": registry.Train.model_validate(train),
        }
    )


def train_variant(preset, data, *, out, minutes, steps, initial):
    """Train for that time: steps, their cost and the losses as training saw them."""
    from audiozoo.errors import AudioZooError, one_line
    from audiozoo.training import train

    step_seconds = seconds_per_step(preset, data)
    steps_per_epoch = max(1, round((steps or minutes * 60.0 / step_seconds) / EPOCHS))
    schedule = {
        "steps_per_epoch": steps_per_epoch,
        "epochs": EPOCHS,
        "decay_per_epoch": LAST_RATE ** (1 / (EPOCHS - 1)),
    }
    settings = preset.train.model_copy(update=schedule)
    shutil.rmtree(out, ignore_errors=True)
    found = {"steps": steps_per_epoch * EPOCHS, "step_milliseconds": 1000.0 * step_seconds}
    try:
        result = train(
            preset.model_copy(update={"train": settings}), data, out=out, initial=initial, progress=False
        )
    except AudioZooError as error:  # a loss, or weights, beyond all numbers are a result, too
        return found | {"stopped": one_line(error)}
    return found | {"train_loss": result["loss"], "validation_loss": result["val_loss"]}


def seconds_per_step(preset, data):
    """Processor time of one step, its batch included: the least of a few, after one that compiles.

    Processor time and not wall time, since another process on the core must not change the recipe.
    """
    import keras

    from audiozoo.data.pipelines import training_pairs
    from audiozoo.models import AudioModel
    from audiozoo.models.base import jit_choice
    from audiozoo.training.material import MATERIALS

    architecture = AudioModel.architectures[preset.architecture]
    config = {name: value.default for name, value in inspect.signature(architecture).parameters.items()}
    material = MATERIALS[architecture.trains_on](
        data, config | preset.config, preset.train, validation_files="*", progress=False
    )
    model = architecture(**(preset.config | material.config))
    model.adapt(material.crops.batch(step) for step in range(PROBED_STEPS))
    optimizer = keras.optimizers.Adam(preset.train.learning_rate)
    model.compile(optimizer, loss=model.training_loss(), jit_compile=jit_choice(model))
    seconds = []
    for step in range(1 + PROBED_STEPS):
        began = time.process_time()
        model.train_on_batch(*training_pairs(material.crops.batch(step)))
        seconds.append(time.process_time() - began)
    keras.backend.clear_session()
    return min(seconds[1:])


def last_weights(out):
    """The model of a run as its last epoch left it, averaged where training averages."""
    import audiozoo

    model = audiozoo.load(out / "preset")
    with np.load(out / "checkpoint.npz") as saved:
        own = [saved[name] for name in saved.files if name != "progress"][: len(model.variables)]
        average = [saved[name] for name in saved.files if "average" in name]
    for variable, value in zip(model.variables, own, strict=True):
        variable.assign(value)
    for variable, value in zip(model.trainable_variables, average, strict=bool(average)):
        variable.assign(value)
    return model
