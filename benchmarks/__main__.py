"""``python -m benchmarks quality|throughput|variants|package|report``: see ``--help`` of each."""

import typer

from benchmarks import package, quality, report, throughput, variants

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
app.command("quality")(quality.main)
app.command("throughput")(throughput.main)
app.command("variants")(variants.main)
app.command("package")(package.main)
app.command("report")(report.main)

if __name__ == "__main__":
    app(prog_name="python -m benchmarks")
