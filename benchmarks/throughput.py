"""How fast a model is, on one core."""

import time
from typing import Annotated

import numpy as np
import typer

from benchmarks import results


def main(
    preset: Annotated[str, typer.Option(help="Name or path of a preset.")] = "ddsp_violin",
    seconds: Annotated[float, typer.Option(help="Length of the input.")] = 60.0,
    repeats: Annotated[int, typer.Option(help="Timed runs after one that compiles.")] = 5,
):
    """Seconds of audio per second of work of ``transfer``, pitch tracking included, and its parts."""
    results.one_core()
    import keras

    import audiozoo
    from audiozoo.data.features import extract_features

    model = audiozoo.load(preset)
    audio = gliding_voice(seconds, model.sample_rate)
    features = extract_features(audio, sample_rate=model.sample_rate, hop=model.hop)
    controls = model.controls(features.f0_hz, features.loudness_db)
    stages = {
        "transfer": lambda: model.transfer(audio, model.sample_rate),
        "features": lambda: extract_features(audio, sample_rate=model.sample_rate, hop=model.hop),
        "controls": lambda: model.controls(features.f0_hz, features.loudness_db),
        "synthesize": lambda: model.synthesize(**controls),
    }
    values = {"backend": keras.backend.backend(), "input_seconds": seconds, "repeats": repeats}
    for name, stage in stages.items():
        first, *others = [timed(stage) for _ in range(1 + repeats)]
        speeds = seconds / np.array(others)
        values[name] = {
            "first_call_seconds": first,
            "times_real_time_median": float(np.median(speeds)),
            "times_real_time_min": float(speeds.min()),
            "times_real_time_max": float(speeds.max()),
        }
        print(name, values[name])
    path = results.write(f"throughput_{model.preset.name}_{keras.backend.backend()}", values)
    print(f"written: {path}")


def gliding_voice(seconds, sample_rate):
    """A tone with eight harmonics whose pitch and loudness wander as a voice's do."""
    time_seconds = np.arange(int(seconds * sample_rate)) / sample_rate
    f0_hz = 330.0 * 2.0 ** (0.5 * np.sin(0.7 * time_seconds) + 0.02 * np.sin(2 * np.pi * 5.5 * time_seconds))
    phase = 2.0 * np.pi * np.cumsum(f0_hz) / sample_rate
    level = 0.2 * (0.6 + 0.4 * np.sin(2 * np.pi * 0.5 * time_seconds))
    return (level * sum(np.sin(k * phase) / k for k in range(1, 9)) / 2.0).astype("float32")


def timed(function):
    """Wall seconds of one call."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began
