"""What several devices would make of a training step: measured work, measured bytes, and a model of both.

``step(N) = compute(B / N) + latency + 2 (N - 1) / N * bytes / bandwidth``: each of N devices computes a share
of a batch of B, and gradients are added up around a ring, in which every device sends and receives all but a
part of them twice (Patarasuk and Yuan, 2009, Bandwidth Optimal All-reduce Algorithms for Clusters of
Workstations, Journal of Parallel and Distributed Computing).
"""

if not __package__:
    import as_module  # noqa: F401


import json
import os
import subprocess
import sys
from typing import Annotated

import typer

from benchmarks import results

PRESETS = ("ddsp_violin_small", "spectral_vae")
DEVICES = (1, 2, 4)
# Name: bytes per second in one direction and seconds before the first arrives. Assumed, from data sheets.
INTERCONNECTS = {
    "Ethernet, 10 Gbit/s": (1.25e9, 50e-6),
    "PCIe 4.0 x16": (32e9, 10e-6),
    "NVLink 4": (450e9, 10e-6),
}


def main(
    preset: Annotated[
        list[str] | None, typer.Option(help="Name of one whose steps are timed; by default two.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Timed steps after three more.")] = 5,
    sizes: Annotated[bool, typer.Option(help="Count the gradients of all presets as well.")] = True,
):
    """Steps and all-reduces on one core that stands for 1, 2 and 4 devices, and what they predict."""
    from benchmarks.throughput import chosen_backend

    results.one_core()
    backend, presets = chosen_backend(), list(preset or PRESETS)
    found = {count: measured(count, steps, presets) for count in DEVICES}
    rows = [row_of(name, {count: each["steps"][name] for count, each in found.items()}) for name in presets]
    links = {str(count): found[count]["all_reduce"] for count in DEVICES[1:]}
    for row in rows:
        row["virtual"] = [
            virtual_row(row, count, found[count]["steps"][row["preset"]], links[str(count)])
            for count in DEVICES[1:]
        ]
    values = {"backend": backend, "steps": steps, "all_reduce": links, "rows": rows}
    values["gradient_bytes"] = measured(1, 0, [])["gradient_bytes"] if sizes else {}
    print(f"written: {results.write(f'scaling_{backend}', values)}")


def measured(devices, steps, presets):
    """What ``scaling_process`` finds where the core is that many devices; without steps, only sizes."""
    command = [sys.executable, "-m", "benchmarks.scaling_process", str(devices), str(steps), *presets]
    environment = os.environ | {"AUDIOZOO_CPU_DEVICES": str(devices)}
    finished = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if finished.returncode:
        raise SystemExit(f"benchmarks: {' '.join(command[1:])} failed, as it says above.")
    print(finished.stdout.splitlines()[-1], flush=True)
    return json.loads(finished.stdout.splitlines()[-1])


def row_of(name, steps):
    """A preset: its work by the share of a batch, and what that would take elsewhere.

    Args:
        name: of the preset.
        steps: dict number of devices to what was measured on so many.
    """
    alone = steps[1]
    compute = {int(count): seconds for count, seconds in alone["compute_core_seconds"].items()}
    predictions = [
        prediction(link, count, compute, alone["gradient_bytes"])
        for link in INTERCONNECTS
        for count in DEVICES
        if count > 1
    ]
    return {
        "preset": name,
        "batch_size": alone["batch_size"],
        "gradient_bytes": alone["gradient_bytes"],
        "compute_core_seconds": {str(count): seconds for count, seconds in compute.items()},
        "predictions": predictions,
    }


def step_seconds(compute_seconds, devices, gradient_bytes, *, bytes_per_second, latency_seconds):
    """The model at the head of this file."""
    sent = 2.0 * (devices - 1) / devices * gradient_bytes
    return compute_seconds + (latency_seconds if devices > 1 else 0.0) + sent / bytes_per_second


def prediction(link, count, compute, gradient_bytes):
    """A step of ``count`` devices, each as fast as this core, behind an interconnect of assumed speed."""
    bandwidth, latency = INTERCONNECTS[link]
    assumed = {"bytes_per_second": bandwidth, "latency_seconds": latency}
    strong = step_seconds(compute[count], count, gradient_bytes, **assumed)
    weak = step_seconds(compute[1], count, gradient_bytes, **assumed)
    return {
        "interconnect": link,
        **{f"assumed_{name}": value for name, value in assumed.items()},
        "devices": count,
        "step_seconds": strong,
        "times_as_fast": compute[1] / strong,
        "share_of_ideal": compute[1] / strong / count,
        "share_of_ideal_with_whole_batches": compute[1] / weak,
    }


def virtual_row(row, count, step, link):
    """A step of devices that share one core, measured, and what the model says: every share in turn."""
    communication = step_seconds(
        0.0,
        count,
        row["gradient_bytes"],
        bytes_per_second=link["bytes_per_second"],
        latency_seconds=link["latency_seconds"],
    )
    return {
        "devices": count,
        "measured_core_seconds": step["core_seconds"],
        "predicted_core_seconds": count * row["compute_core_seconds"][str(count)] + communication,
    }
