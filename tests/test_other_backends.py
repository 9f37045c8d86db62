"""The numerical tests and the released presets, run again on JAX and on PyTorch.

The default suite itself runs on TensorFlow. A backend is fixed for the life of a process, so each of the
others gets a process of its own.
"""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
GENERATORS = {path for name in ("gan", "melnet") for path in (TESTS / "models").glob(f"test_*{name}*.py")}
# The student projects' networks, which nobody plays: on JAX they alone take minutes to compile.
SEEDS = set((TESTS / "models").glob("test_*_seed.py"))
# Several processes for each backend, so that two cores share what is long on JAX, which compiles every shape.
PARTS = {
    "models": sorted(set((TESTS / "models").glob("test_*.py")) - GENERATORS),
    "generators": sorted(GENERATORS),
    "layers": [TESTS / folder for folder in ("dsp", "layers", "losses")],
    "training": [TESTS / name for name in ("training", "tuning", "test_presets.py")],
}
NO_TEST_COLLECTED = 5  # pytest's exit code


def run_on(backend, *arguments):
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", *arguments]
    # The outer worker's variables would make the inner pytest believe that it is that worker.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = inherited | {"KERAS_BACKEND": backend}
    return subprocess.run(
        command, cwd=TESTS.parent, env=environment, capture_output=True, text=True, timeout=1200
    )


@pytest.mark.long
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_numerical_tests_pass_on(backend, part):
    outer = os.environ.get("KERAS_BACKEND", "tensorflow")
    if outer != "tensorflow":
        pytest.skip(f"this run is itself on {outer}; the run on TensorFlow covers the other backends")
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: pip install -e '.[{backend}]'")

    files = [path for path in PARTS[part] if backend == "torch" or path not in SEEDS]
    result = run_on(backend, *map(str, files))
    output = result.stdout[-20_000:] + result.stderr[-5_000:]
    assert result.returncode != NO_TEST_COLLECTED, f"no test ran on {backend}:\n{output}"
    assert result.returncode == 0, f"on {backend}:\n{output}"
    passed = re.search(r"(\d+) passed", result.stdout)
    assert passed, f"every test was skipped on {backend}:\n{output}"
    assert int(passed[1]) > 0
    print(f"{backend}: {result.stdout.strip().splitlines()[-1]}")


def test_a_failure_in_the_other_process_is_seen(tmp_path):
    (tmp_path / "test_failing.py").write_text("def test_failing():\n    assert 1 + 1 == 3\n")
    (tmp_path / "empty").mkdir()
    failing = run_on("jax", "--rootdir", str(tmp_path), str(tmp_path / "test_failing.py"))
    empty = run_on("jax", "--rootdir", str(tmp_path), str(tmp_path / "empty"))
    assert failing.returncode == 1
    assert "assert (1 + 1) == 3" in failing.stdout
    assert empty.returncode == NO_TEST_COLLECTED
