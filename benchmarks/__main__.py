"""``python -m benchmarks COMMAND``; without one it lists them, and each has ``--help``."""

import sys

import typer

from audiozoo.errors import AudioZooError, one_line
from benchmarks import (
    cmelgan,
    curves,
    data,
    export,
    frechet,
    inversion,
    latent,
    melnet,
    mnist,
    motion,
    package,
    pitch,
    quality,
    report,
    scaling,
    scoring,
    tables,
    throughput,
    tuning,
    variants,
    vocoder,
)
from benchmarks.baselines import train_pytorch

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
app.command("quality")(quality.main)
app.command("throughput")(throughput.main)
app.command("baseline")(train_pytorch.main)
app.command("curves")(curves.main)
app.command("data")(data.main)
app.command("variants")(variants.main)
app.command("export")(export.main)
app.command("frechet")(frechet.main)
app.command("package")(package.main)
app.command("scaling")(scaling.main)
app.command("scoring")(scoring.main)
app.command("inversion")(inversion.main)
app.command("pitch")(pitch.main)
app.command("mnist")(mnist.main)
app.command("cmelgan-quality")(cmelgan.quality)
app.command("cmelgan-speed")(cmelgan.speed)
app.command("melnet-quality")(melnet.quality)
app.command("melnet-speed")(melnet.speed)
app.command("tuning")(tuning.main)
app.command("latent")(latent.main)
app.command("motion")(motion.main)
app.command("tables")(tables.main)
app.command("vocoder")(vocoder.main)
app.command("report")(report.main)

if __name__ == "__main__":
    try:
        app(prog_name="python -m benchmarks")
    except (AudioZooError, ValueError) as error:
        print(f"benchmarks: {one_line(error)}", file=sys.stderr)
        sys.exit(1)
