"""How fast the scores are: the Fréchet distance beside scipy's matrix root, and folders of clips."""

if not __package__:
    import as_module  # noqa: F401


import pathlib
import subprocess
import sys
import tempfile
from typing import Annotated

import numpy as np
import typer

from benchmarks import devices, results, stopwatch

CLIPS, DIMENSIONS = (60, 50), 512
CLIP_SECONDS, SAMPLE_RATE = 4.0, 16000


def main(
    clips: Annotated[
        int, typer.Option(help="In all of two folders; also three and six times as many.")
    ] = 1000,
    repeats: Annotated[int, typer.Option(help="Timed runs after two more.")] = 5,
):
    """Times of the Fréchet distance with fewer clips than dimensions, and of scoring folders."""
    results.one_core()
    # Three times as many clips of 4 s fill the rows that are kept; from there on memory must not grow.
    folders = {f"{count}_clips": scored_in_a_process(count) for count in (clips, 3 * clips, 6 * clips)}
    values = {
        "clips": list(CLIPS),
        "dimensions": DIMENSIONS,
        "frechet": stopwatch.compare(frechet_rivals(), repeats),
        "difference": frechet_difference(),
        "folder": folders,
    }
    print(f"{values}\nwritten: {results.write('scoring', values)}")


def frechet_rivals():
    """The distance of two small sets, by us and by scipy's square root of a matrix."""
    from audiozoo.metrics import frechet_distance

    sets = small_sets()
    return {"baseline": lambda: by_matrix_root(*sets), "ours": lambda: frechet_distance(*sets)}


def frechet_difference():
    """Absolute difference of the two, relative to the distance."""
    from audiozoo.metrics import frechet_distance

    sets = small_sets()
    ours = frechet_distance(*sets)
    return abs(ours - by_matrix_root(*sets)) / ours


def small_sets():
    """Two sets with fewer rows than dimensions."""
    random = np.random.default_rng(0)
    return [random.standard_normal((count, DIMENSIONS)) for count in CLIPS]


def by_matrix_root(a, b):
    """The Fréchet distance as it is usually written: ``|m - n|^2 + tr(C + D - 2 (C D)^(1/2))``."""
    from scipy.linalg import sqrtm

    covariances = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = sqrtm(covariances[0] @ covariances[1])
    means = a.mean(axis=0) - b.mean(axis=0)
    return float(means @ means + np.trace(covariances[0] + covariances[1] - 2.0 * np.real(root)))


def scored_in_a_process(clips):
    """Seconds and memory of a fresh process that compares two halves of a folder of noises."""
    with tempfile.TemporaryDirectory() as folder:
        for side, count in (("reference", clips // 2), ("generated", clips - clips // 2)):
            write_noises(pathlib.Path(folder) / side, count)
        command = [sys.executable, "-m", "benchmarks.scoring", folder]
        finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    seconds, before_mib, after_mib = map(float, finished.stdout.split()[-3:])
    return {"clips": clips, "seconds": seconds, "imports_mib": before_mib, "peak_resident_mib": after_mib}


def write_noises(folder, count):
    """Clips of noise whose colour and level differ from clip to clip."""
    from audiozoo.data.audio_io import write_audio

    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(count):
        noise = random.standard_normal(round(CLIP_SECONDS * SAMPLE_RATE)).astype("float32")
        noise[1:] += random.uniform(-0.9, 0.9) * noise[:-1]
        write_audio(folder / f"{index}.wav", 0.05 * random.uniform(0.1, 1.0) * noise, SAMPLE_RATE)


def compare_folder(folder):
    """Compare ``reference`` and ``generated`` below a folder; prints seconds, and MiB before and after."""
    from audiozoo import metrics

    before = devices.peak_resident_mib()
    pair = pathlib.Path(folder) / "reference", pathlib.Path(folder) / "generated"
    seconds = stopwatch.seconds_of(lambda: metrics.compare(*pair))
    print(seconds, before, devices.peak_resident_mib())


if __name__ == "__main__":
    compare_folder(sys.argv[1])
