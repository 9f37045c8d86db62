"""What a newcomer waits for: imports, listing, loading, the wheel, the tests."""

if not __package__:
    import as_module  # noqa: F401


import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Annotated

import numpy as np
import typer

from benchmarks import results

STARTS = {
    "import_audiozoo": "import audiozoo",
    "audiozoo_list": "from audiozoo.cli import main; import sys; sys.argv = ['audiozoo', 'list']; main()",
    "import_keras": "import keras",
    "load_ddsp_violin": "import audiozoo; audiozoo.load('ddsp_violin')",
}


def main(
    suite: Annotated[bool, typer.Option(help="Also run the default suite, which takes minutes.")] = False,
    repeats: Annotated[int, typer.Option(help="Timed starts after one that fills the disk cache.")] = 5,
):
    """Wall seconds of fresh processes, bytes of the wheel, and (asked for) seconds of the suite."""
    values = {f"{name}_seconds": median_seconds(code, repeats) for name, code in STARTS.items()}
    values["interpreter_seconds"] = median_seconds("pass", repeats)
    values["wheel_bytes"] = wheel_bytes()
    if suite:
        began = time.perf_counter()
        finished = subprocess.run([sys.executable, "-m", "pytest", "-q"], capture_output=True, text=True)
        if finished.returncode:
            raise SystemExit(finished.stdout[-3000:])
        values["suite_seconds"] = time.perf_counter() - began
        values["suite_summary"] = finished.stdout.strip().splitlines()[-1].strip("= ")
    print(values)
    print(f"written: {results.write('package', values)}")


def median_seconds(code, repeats):
    """Median wall time of a fresh interpreter that runs ``code``."""

    def once():
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        return time.perf_counter() - began

    once()
    return float(np.median([once() for _ in range(repeats)]))


def wheel_bytes():
    """Size of the wheel that this checkout builds."""
    root = pathlib.Path(__file__).parents[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, str(root)]
        subprocess.run(command, check=True, capture_output=True)
        return next(pathlib.Path(folder).glob("*.whl")).stat().st_size
