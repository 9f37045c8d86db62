"""Result files: what was measured, by which command, of which commit, on which machine."""

import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys

FOLDER = pathlib.Path(__file__).parent / "results"
PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "librosa", "swift-f0")


def write(name, values):
    """Write ``results/<name>.json``: the values, and all that is needed to measure them again.

    Args:
        name: of the result; an earlier one of that name is replaced.
        values: dict that JSON can hold; units in the keys.

    Returns:
        pathlib.Path of the file.
    """
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.json"
    record = {"name": name, "values": values, "command": command(), "date": str(datetime.date.today())}
    record |= {"commit": commit(), "machine": machine(), "versions": versions()}
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(record, indent=2) + "\n")
    os.replace(draft, path)
    return path


def read(name):
    """The record that ``write`` made."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def command():
    """How this process was started, with folders reduced to their names."""
    words = [pathlib.Path(word).name if "/" in word else word for word in sys.argv[1:]]
    backend = os.environ.get("KERAS_BACKEND")
    prefix = f"KERAS_BACKEND={backend} " if backend else ""
    return f"{prefix}python -m benchmarks {' '.join(words)}"


def commit():
    """Hash of the checked-out commit; '+' where the working tree differs from it."""
    root = pathlib.Path(__file__).parents[1]

    def git(*words):
        return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--", "audiozoo", "zoo_configs")
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def machine():
    """Processor, number of cores, operating system."""
    model = platform.processor() or platform.machine()
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = (line.partition(":") for line in cpuinfo.read_text().splitlines())
        model = next((value.strip() for key, _, value in lines if key.strip() == "model name"), model)
    return {"processor": model, "cores": os.cpu_count(), "system": platform.system()}


def versions():
    """Python and the packages that a result depends on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def one_core():
    """Pin this process, and every library in it, to one core. Call before Keras is imported."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[name] = "1"
    # Else XLA starts a thread for each core that it does not have.
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
