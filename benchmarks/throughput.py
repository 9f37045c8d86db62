"""How fast a preset trains and plays on whatever is there, beside the same model in plain PyTorch."""

if not __package__:
    import as_module  # noqa: F401


import enum
import subprocess
import sys
from typing import Annotated

import typer

from benchmarks import peak_memory, results, speed, workloads

PRECISIONS = {"cpu": ["float32"], "gpu": ["float32", "bfloat16"]}
BATCH_SIZES = {"cpu": [1, 4, 16], "gpu": [4, 16, 64]}
PARTS_BATCH_SIZE = 16


class Precision(enum.StrEnum):
    """Of the layers; DSP and weights are float32 in any case."""

    float32 = "float32"
    bfloat16 = "bfloat16"


def main(
    preset: Annotated[str, typer.Option(help="Name or path of a preset.")] = "ddsp_violin",
    batch_size: Annotated[
        list[int] | None, typer.Option(min=1, help="Clips; may be given several times.")
    ] = None,
    precision: Annotated[list[Precision] | None, typer.Option(help="May be given twice.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Timed runs after one that compiles and one more.")] = 5,
    gpu: Annotated[bool, typer.Option(help="Use the GPU, not one core of the processor.")] = False,
    parts: Annotated[bool, typer.Option(help="Time what only this architecture has, too.")] = True,
    seconds: Annotated[
        float, typer.Option(min=1, help="Length of the long clip that parts are timed with.")
    ] = 60.0,
    replace: Annotated[bool, typer.Option(help="Even what another command has found.")] = False,
):
    """Training and use at several batch sizes and precisions, and the parts of the model.

    Whatever is compared runs in turns in one process; times have the first call, which compiles, apart.
    """
    import audiozoo

    device = "gpu" if gpu else "cpu"
    name = audiozoo.info(preset).name  # refuses an unknown preset before anything is timed
    parts = parts and workloads.of(audiozoo.info(preset)).parts is not None and not gpu
    if not gpu:
        results.one_core()
    label = f"{name}_{chosen_backend()}"
    for result in [f"throughput_{label}_{device}", *([f"parts_{label}"] if parts else [])]:
        results.check_free(result, replace=replace)
    rows = []
    for each in precision or PRECISIONS[device]:
        for size in batch_size or BATCH_SIZES[device]:
            rows.append(speed.measure(preset, batch_size=size, precision=str(each), repeats=repeats))
            print(rows[-1], flush=True)
    print(f"written: {results.write(f'throughput_{label}_{device}', {'rows': rows})}")
    if parts:
        write_parts(preset, f"parts_{label}", seconds, repeats)


def chosen_backend():
    """Name of the backend that Keras will have, without importing it here."""
    command = [sys.executable, "-c", "import audiozoo, keras; print(keras.backend.backend())"]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return finished.stdout.split()[-1]


def write_parts(preset, name, seconds, repeats):
    """Time the parts of a preset and write them down."""
    values = {"input_seconds": seconds, "batch_size": PARTS_BATCH_SIZE, "repeats": repeats}
    values["peak_memory_mib"] = peak_memory.compare(preset, PARTS_BATCH_SIZE)  # while this process is small
    import keras

    import audiozoo
    from benchmarks import compiled

    model = audiozoo.load(preset)
    values["backend"] = keras.backend.backend()
    values["compiler"] = compiled.COMPILERS[values["backend"]]
    measurements = workloads.of(model.preset).parts(
        model, seconds, PARTS_BATCH_SIZE, repeats, results.FOLDER / f"{name}.png"
    )
    for part, measured in measurements:
        values[part] = measured
        print(part, measured, flush=True)
    print(f"written: {results.write(name, values)}")
