"""From result files to RESULTS.md and the README's table of models: nothing there is typed by hand."""

import json
import pathlib

from benchmarks import results

ROOT = pathlib.Path(__file__).parents[1]
BEGIN, END = "<!-- models:begin -->", "<!-- models:end -->"


def main():
    """Write benchmarks/RESULTS.md and the table of models in README.md."""
    (ROOT / "benchmarks" / "RESULTS.md").write_text(results_page())
    readme = ROOT / "README.md"
    readme.write_text(with_table(readme.read_text()))
    print("written: benchmarks/RESULTS.md, README.md")


def with_table(readme):
    """The README's text with its table of models made anew."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{model_table()}\n{END}{after}"


def model_table():
    """One row a preset: from its YAML, and from its result files where there are any."""
    import audiozoo

    rows = [
        "| preset | architecture | parameters | MB | weights' licence | spectral loss, held out "
        "| times real time, one core |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in audiozoo.list_models():
        preset = audiozoo.info(name)
        size = f"{preset.weights.size / 1e6:.1f}" if preset.weights else "recipe only"
        loss = value(f"quality_{name}", "mean", "mss")
        speed = value(f"throughput_{name}_tensorflow", "transfer", "times_real_time_median")
        cells = [
            f"`{name}`",
            preset.architecture,
            f"{preset.card.parameters:,}",
            size,
            preset.card.weights_license,
            "" if loss is None else f"{loss:.2f}",
            "" if speed is None else f"{speed:.0f}",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def value(name, *keys):
    """One value of a result file, or None where it was not measured."""
    if not (results.FOLDER / f"{name}.json").exists():
        return None
    found = results.read(name)["values"]
    for key in keys:
        found = found[key]
    return found


def results_page():
    """Every result file as a section: command, machine, values, and its picture where it has one."""
    sections = ["# Results", "Made by `python -m benchmarks report` from `results/*.json`."]
    for path in sorted(results.FOLDER.glob("*.json")):
        record = json.loads(path.read_text())
        versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
        sections += [
            f"## {record['name']}",
            f"`{record['command']}`, commit {record['commit']}, {record['date']}, "
            f"{record['machine']['processor']}, {record['machine']['cores']} cores; {versions}",
            "| value | |\n|---|---|\n" + "\n".join(f"| {k} | {v} |" for k, v in flat(record["values"])),
        ]
        if path.with_suffix(".png").exists():
            sections.append(f"![{record['name']}](results/{path.stem}.png)")
    return "\n\n".join(sections) + "\n"


def flat(values, prefix=""):
    """``(path, text)`` of every leaf of nested dicts."""
    for key, leaf in values.items():
        if isinstance(leaf, dict):
            yield from flat(leaf, f"{prefix}{key} / ")
        else:
            numbers = leaf if isinstance(leaf, list) else [leaf]
            yield f"{prefix}{key}", ", ".join(f"{n:.4g}" if isinstance(n, float) else str(n) for n in numbers)
