"""A model's code, as ``audiozoo latent report`` sees it: ranks, correlations, ways, and what that takes."""

if not __package__:
    import as_module  # noqa: F401


import os
import pathlib
import time
from typing import Annotated

import typer

from benchmarks import results

PICTURES = pathlib.Path(__file__).parents[1] / "docs" / "images"
# Of the report's files, and the names under which docs/latent.md shows them.
SHOWN = {
    "fidelity_against_rank": "latent_fidelity",
    "UMAP_by_*": "latent_map",
    "direction_3_*": "latent_sweep",
    "rank_correlations": "latent_correlations",
    "Ways_through_the_code_loudness_and_centroid": "latent_ways",
}
MOST_BYTES = 150_000  # of a picture; larger ones are reduced to 256 colours
TABLES = ("dimensions", "small_codes", "map", "walks", "interpolation")


def main(
    preset: Annotated[str, typer.Option(help="Name or path of a preset.")] = "spectral_vae",
    data: Annotated[str, typer.Option(help="Folder with recordings; for images see train.")] = "loops",
    out: Annotated[pathlib.Path, typer.Option(help="Folder for the report.")] = pathlib.Path("runs/latent"),
    max_items: Annotated[int, typer.Option(help="Pieces of recordings, or images.")] = 1600,
    pictures: Annotated[bool, typer.Option("--pictures", help="Renew those of docs/latent.md.")] = False,
):
    """Write a report on a preset's code and keep its numbers; recordings are decoded anew, by no cache."""
    import tempfile

    import audiozoo
    from audiozoo.latent.report import report

    model = audiozoo.load(preset)
    name = f"latent_{model.preset.name}"
    with tempfile.TemporaryDirectory() as cache:
        os.environ["AUDIOZOO_CACHE"] = cache
        wall, core = time.perf_counter(), time.process_time()
        numbers = report(model, data, out / model.preset.name, max_items=max_items, files=pictures)
        seconds = {
            "wall_seconds": round(time.perf_counter() - wall, 1),
            "core_seconds": round(time.process_time() - core, 1),
            "cores": len(os.sched_getaffinity(0)),
        }
    values = {
        "preset": model.preset.name,
        "items": numbers["items"],
        "codes": numbers["codes"],
        "dims": numbers["dims"],
        "page_megabytes": numbers["megabytes"],
        "report": seconds,
        "seconds_by_part": numbers["seconds"],
    }
    values |= {part: numbers[part] for part in TABLES if part in numbers}
    if "correlations" in numbers:
        values["probe_r2"] = numbers["correlations"]["probe_r2"]
        values["strongest"] = numbers["correlations"]["strongest"]
    print(f"written: {results.write(name, values)}")
    if pictures:
        from PIL import Image

        for pattern, picture in SHOWN.items():
            (path,) = (out / model.preset.name).glob(f"{pattern}.png")
            with Image.open(path) as image:
                image = image.convert("RGB")
                small = image.quantize() if path.stat().st_size > MOST_BYTES else image
                small.save(PICTURES / f"{picture}.png", optimize=True)
            kilobytes = (PICTURES / f"{picture}.png").stat().st_size / 1000
            print(f"written: {PICTURES / picture}.png ({kilobytes:.0f} kB)")
