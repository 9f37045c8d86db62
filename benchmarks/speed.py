"""How fast one preset trains and plays at one batch size and precision, in a process of its own.

Its own process, because peak memory is a process's, and because one program's memory slows another.
"""

import json
import subprocess
import sys

from benchmarks import stopwatch


def measure(preset, *, batch_size, precision, repeats):
    """One row of the table of speeds: ``row`` in a fresh process.

    Call it before this process has grown: on Linux a child's peak memory begins at its parent's size.
    """
    command = [sys.executable, "-m", "benchmarks.speed", preset, str(batch_size), precision, str(repeats)]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if finished.returncode:
        raise SystemExit(f"benchmarks: {' '.join(command[1:])} failed, as it says above.")
    return json.loads(finished.stdout.splitlines()[-1])


def row(preset, *, batch_size, precision, repeats):
    """Training and use of a preset, beside plain PyTorch where that is installed.

    Args:
        preset: name or path.
        batch_size: clips.
        precision: ``"float32"``, or ``"bfloat16"`` for the policy ``mixed_bfloat16``; the baseline has
            float32.
        repeats: timed runs, in turns with the baseline's.

    Returns:
        Dict that JSON can hold; ``training`` and ``use`` hold times, ratios and shares.
    """
    import keras

    import audiozoo
    from audiozoo.models import AudioModel
    from audiozoo.models.base import jit_choice
    from benchmarks import devices, flops, workloads

    preset = audiozoo.info(preset)
    work = workloads.of(preset)
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    model = AudioModel.architectures[preset.architecture](**preset.config)
    optimizer = keras.optimizers.Adam(1e-4)
    model.compile(optimizer, loss=model.training_loss(), jit_compile=jit_choice(model))
    inputs, targets = work.batch(model, batch_size)
    model.adapt([inputs])
    clip_seconds = targets.shape[1] / model.sample_rate

    found = {
        "preset": preset.name,
        "parameters": model.count_params(),
        "backend": keras.backend.backend(),
        "device": devices.name(),
        "precision": precision,
        "batch_size": batch_size,
        "clip_seconds": clip_seconds,
        "sample_rate": model.sample_rate,
    }
    audio_seconds = batch_size * clip_seconds
    programs = {
        "training": (lambda: model.train_on_batch(inputs, targets), work.baseline_step),
        "use": (work.use(model, batch_size), work.baseline_use),
    }
    for name, (ours, baseline) in programs.items():
        first_seconds = stopwatch.seconds_of(ours)
        ours()
        if name == "training":  # before the baseline fills the memory too
            memory = {
                "peak_resident_mib": devices.peak_resident_mib(),
                "peak_device_mib": devices.peak_device_mib(),
            }
        rivals = {"ours": ours} | baseline_of(baseline, preset, batch_size)
        times = stopwatch.compare(rivals, repeats)["ours"] | {"first_call_seconds": first_seconds}
        found[name] = speeds(times, audio_seconds, model.sample_rate)
    found["training"] |= memory
    found["training"] |= arithmetic(
        flops.of_training_step(model, inputs, targets),
        devices.best_rates(precision, repeats),
        1e-3 * found["training"]["milliseconds"],
    )
    return found


def baseline_of(make, preset, batch_size):
    """The plain PyTorch rival, on a GPU where PyTorch has one; nothing without it, or without a rival."""
    if make is None:
        return {}
    try:
        import torch
    except ImportError:
        return {}
    return {"baseline": make(preset, batch_size, "cuda" if torch.cuda.is_available() else "cpu")}


def speeds(times, audio_seconds, sample_rate):
    """A time in the units that people compare.

    Args:
        times: of ``stopwatch.compare``.
        audio_seconds: made or trained on in that time, all clips together.
        sample_rate: Hz.
    """
    seconds = times["median_seconds"]
    return {
        "first_call_seconds": times["first_call_seconds"],
        "milliseconds": 1e3 * seconds,
        "milliseconds_min": 1e3 * times["min_seconds"],
        "milliseconds_max": 1e3 * times["max_seconds"],
        "times_real_time": audio_seconds / seconds,
        "kilohertz": 1e-3 * sample_rate * audio_seconds / seconds,
        "times_as_fast_as_baseline": times.get("times_as_fast_as_baseline"),
    }


def arithmetic(counted, best, seconds):
    """Arithmetic of a step, and the shares of the device's best that it reaches; None where it is unknown."""
    shares = {}
    for what in ("flops", "bytes"):
        count = counted[what]
        reached = None if count is None else count / seconds / best[f"{what}_per_second"]
        shares |= {f"{what}_per_step": count, f"share_of_best_{what}": reached}
    return shares | {f"best_{key}": value for key, value in best.items()}


if __name__ == "__main__":
    preset, batch_size, precision, repeats = sys.argv[1:]
    result = row(preset, batch_size=int(batch_size), precision=precision, repeats=int(repeats))
    print(json.dumps(result))
