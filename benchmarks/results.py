"""Result files: what was measured, by which command, of which commit, on which machine."""

import datetime
import importlib.metadata
import os
import pathlib
import platform
import re
import subprocess
import sys

import pydantic

FOLDER = pathlib.Path(__file__).parent / "results"
PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "librosa", "swift-f0")
PACKAGES += ("tf2onnx", "onnxruntime", "ai-edge-litert")


class Machine(pydantic.BaseModel, extra="forbid", frozen=True):
    """Where it was measured. A GPU is named in the rows that were measured on it."""

    processor: str
    cores: int
    system: str


class Record(pydantic.BaseModel, extra="forbid", frozen=True):
    """A result file: what was measured, and all that is needed to measure it again.

    Attributes:
        name: that of the file.
        values: units are in the keys.
        seed: of everything random in it.
        command: that wrote it.
        date: ISO 8601.
        commit: of the code; '+' where the working tree differed.
        machine: where.
        versions: of Python and packages.
    """

    name: str
    values: dict
    seed: int
    command: str
    date: datetime.date
    commit: str
    machine: Machine
    versions: dict[str, str]


def check_free(name, *, replace):
    """Raise ValueError if ``name`` cannot be written: it is no name, or holds what was measured otherwise.

    Args:
        name: of a result.
        replace: write it whatever it holds.
    """
    if not re.fullmatch(r"[\w.-]+", name):
        raise ValueError(f"name must be letters, digits, '_', '-' and '.'; got {name!r}.")
    if replace or name not in names() or read(name).command == command():
        return
    raise ValueError(
        f"results/{name}.json holds what another command found: {read(name).command}. "
        "Choose another name, or give --replace."
    )


def write(name, values, *, seed=0):
    """Write ``results/<name>.json``, a ``Record``.

    Args:
        name: of the result; an earlier one of that name is replaced.
        values: dict that JSON can hold; units in the keys.
        seed: of everything random in it.

    Returns:
        pathlib.Path of the file.
    """
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.json"
    record = Record(
        name=name,
        values=values,
        seed=seed,
        command=command(),
        date=datetime.date.today(),
        commit=commit(),
        machine=machine(),
        versions=versions(),
    )
    draft = path.with_suffix(".draft")
    draft.write_text(record.model_dump_json(indent=2) + "\n")
    os.replace(draft, path)
    return path


def read(name):
    """The ``Record`` of that name.

    Raises:
        ValueError: the file is not what ``write`` writes.
    """
    return Record.model_validate_json((FOLDER / f"{name}.json").read_text())


def names(pattern="*"):
    """Names of all results that a shell pattern matches, sorted."""
    return sorted(path.stem for path in FOLDER.glob(f"{pattern}.json"))


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
    return Machine(processor=model, cores=os.cpu_count(), system=platform.system())


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
