"""What of the site is made and not written: cards, reference, commands, tutorials, and the order of pages.

A hook of MkDocs, see mkdocs.yml. Pages are made in memory, from presets, docstrings, the command line and
result files. Pages of docs/ may link to any file of the repository, as they do on GitHub; in the site such a
link leads to the page that was made of the file, or to a copy of it.
"""

import functools
import json
import os
import posixpath
import re
import sys
import textwrap
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]

EXAMPLES = ROOT / "build" / "docs"  # written by docs/make_examples.py: sounds, pictures, runs of tutorials
NOT_THERE = "*`make docs` puts pictures and sounds here.*"

# Files of the repository that are pages as they are.
INCLUDED = {
    "benchmarks/RESULTS.md": "results.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "audiozoo/assets/ATTRIBUTION.md": "attribution.md",
}
# What a link to these leads to in the site.
STANDS_FOR = {
    "audiozoo": "reference/audiozoo.md",
    "audiozoo/cli.py": "commands.md",
    "zoo_configs": "models.md",
}
# Page of an architecture, for its presets.
ARCHITECTURE_PAGES = {
    "CMelGAN": "cmelgan.md",
    "CMelGANSeed": "cmelgan.md",
    "Conv1DResnetVAE": "conv1d_resnet_vae.md",
    "Conv1DResnetVAESeed": "conv1d_resnet_vae.md",
    "Crepe": "pitch.md",
    "DDSPDecoder": "ddsp.md",
    "MelGANVocoder": "vocoder.md",
    "MelNet": "melnet.md",
    "MelNetSeed": "melnet.md",
    "MnistVAE": "vae.md",
    "SpectralVAE": "spectral_vae.md",
}
# Sections of pages with their titles, or None for the page's own. What is not there is left out, and what no
# section names is under "More".
SECTIONS = {
    "Models": {
        "models.md": None,
        "ddsp.md": "DDSP",
        "conv1d_resnet_vae.md": "Conv1D ResNet VAE",
        "spectral_vae.md": "Spectral VAE",
        "vae.md": "VAE of digits",
        "cmelgan.md": "Conditional MelGAN",
        "vocoder.md": "MelGAN vocoder",
        "melnet.md": "MelNet",
        "pitch.md": "CREPE and other pitch trackers",
    },
    "How to": {
        "training.md": None,
        "data.md": None,
        "scaling.md": None,
        "tuning.md": None,
        "latent.md": None,
        "motion.md": None,
        "export.md": None,
        "legacy.md": None,
        "contributing.md": "Add an architecture, a preset, a dataset",
    },
    "Tutorials": {},
    "Model cards": {},
    "Reference": {"commands.md": None},
    "More": {"results.md": None, "changelog.md": None, "attribution.md": None},
}
# Where pages of a folder belong.
FOLDERS = {"tutorials": "Tutorials", "cards": "Model cards", "reference": "Reference"}
FIRST = ["zoo", "registry", "exporting", "plots"]  # of the modules that belong to no part
# Modules that no user calls.
WITHIN = {"__main__", "arguments", "atomic", "cli", "cli_latent", "cli_options", "demo", "progress"}


# --- Hooks of MkDocs ---


def on_config(config):
    """Equations are MathML, which needs no script; the navigation follows from what there is."""
    sys.path.insert(0, str(ROOT))  # this checkout, installed or not; MkDocs takes back what is done on import
    from latex2mathml.converter import convert

    def equation(source, *_, **__):
        return f'<div class="equation">{convert(source, display="block")}</div>'

    fence = {"name": "math", "class": "equation", "format": equation}
    config.mdx_configs.setdefault("pymdownx.superfences", {})["custom_fences"] = [fence]
    made_pages.cache_clear()  # `mkdocs serve` builds again and again
    config.nav = navigation()
    return config


def on_files(files, config):
    """Add the pages that are made, and the examples where they have been made."""
    for path, content in made_pages().items():
        files.append(File.generated(config, path, content=content))
    for source, path in INCLUDED.items():
        files.append(File.generated(config, path, abs_src_path=str(ROOT / source)))
    for path in sorted(EXAMPLES.rglob("*")):
        if path.suffix in {".ogg", ".png", ".wav"}:
            where = f"examples/{path.relative_to(EXAMPLES).as_posix()}"
            files.append(File.generated(config, where, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown, *, page, config, files):
    """Fill in marks, and lead links to files of the repository to where these are in the site."""
    here = page.file.src_uri
    markdown = with_presets(markdown, here)
    markdown = with_examples(markdown, here)
    source = next((source for source, path in INCLUDED.items() if path == here), f"docs/{here}")
    markdown, copied = with_site_links(markdown, source, here)
    for path in copied:
        if files.get_file_from_path(f"source/{path}") is None:
            files.append(File.generated(config, f"source/{path}", abs_src_path=str(ROOT / path)))
    return markdown


# --- The order of pages ---


def navigation():
    """Sections of pages, as ``nav`` of mkdocs.yml would have them."""
    there = {*made_pages(), *INCLUDED.values(), *(path.name for path in (ROOT / "docs").glob("*.md"))}
    sections = {title: {k: v for k, v in pages.items() if k in there} for title, pages in SECTIONS.items()}
    named = {page for pages in sections.values() for page in pages}
    for page in sorted(there - named - {"index.md"}):
        sections[FOLDERS.get(posixpath.dirname(page), "More")][page] = None
    listed = {
        title: [{name: page} if name else page for page, name in pages.items()]
        for title, pages in sections.items()
    }
    return [{"Getting started": "index.md"}, *({title: pages} for title, pages in listed.items())]


@functools.cache
def made_pages():
    """Text of every page that is made, by its place in the site."""
    import audiozoo

    pages = {"models.md": models_page(), "commands.md": commands_page()}
    pages |= {f"cards/{name}.md": card_page(audiozoo.info(name)) for name in audiozoo.list_models()}
    pages |= {f"reference/{part}.md": reference_page(part, names) for part, names in public_modules().items()}
    for path in sorted((ROOT / "docs" / "tutorials").glob("*.py")):
        pages[f"tutorials/{path.stem}.md"] = tutorial_page(path)
    return pages


# --- Links ---


def with_site_links(markdown, source, here):
    """Lead relative links of a page to where their files are in the site.

    Args:
        markdown: of the page; its code is left alone.
        source: the page's own place in the repository.
        here: its place in the site.

    Returns:
        The text, and the files of the repository of which the site needs a copy.
    """
    copied = []

    def lead(match):
        before, link, after = match.groups()
        path, mark, anchor = link.partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if not path or re.match(r"[a-z]+:", link) or not (ROOT / target).exists():
            return match.group()  # within the page, to elsewhere, or within the site: MkDocs checks these
        if (place := place_in_site(target)) is None:
            copied.append(target)
            place = f"source/{target}"
        return f"{before}{relative(place, here)}{mark}{anchor}{after}"

    def prose(text):
        return re.sub(r"(\]\()([^)\s]+)(\))", lead, text)

    # Of a text that is split at its code, every second part is code.
    parts = re.split(r"(^```.*?^```|`[^`\n]+`(?!\]))", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if index % 2 else prose(part) for index, part in enumerate(parts)), copied


def place_in_site(path):
    """Where a file of the repository is in the site; None where there would be a copy of it."""
    if place := (INCLUDED | STANDS_FOR).get(path):
        return place
    if match := re.fullmatch(r"zoo_configs/(\w+)\.yaml", path):
        return f"cards/{match[1]}.md"
    if match := re.fullmatch(r"docs/(tutorials/\w+)\.py", path):
        return f"{match[1]}.md"
    return path.removeprefix("docs/") if path.startswith("docs/") and not path.endswith(".py") else None


def relative(place, here):
    """The link from a page to a place of the site."""
    return posixpath.relpath(place, posixpath.dirname(here) or ".")


# --- Model cards ---


def models_page():
    """A table of all presets."""
    import audiozoo
    from benchmarks.report import table

    rows = []
    for preset in map(audiozoo.info, audiozoo.list_models()):
        page = ARCHITECTURE_PAGES.get(preset.architecture)
        architecture = f"[{preset.architecture}]({page})" if page else preset.architecture
        card = preset.card
        rows.append(
            [
                f"[`{preset.name}`](cards/{preset.name}.md)",
                architecture,
                card.summary,
                f"{card.parameters:,}",
                megabytes(preset),
            ]
        )
    headings = ["preset", "architecture", "", "parameters", "MB"]
    return (
        f"# All models\n\n{table(headings, rows)}\n\n[Results](results.md) has what was measured of them.\n"
    )


def card_page(preset):
    """All that is known of a preset, from its YAML."""
    card, here = preset.card, f"cards/{preset.name}.md"
    page = ARCHITECTURE_PAGES.get(preset.architecture)
    facts = {
        "architecture": f"[{preset.architecture}](../{page})" if page else preset.architecture,
        "version": preset.version,
        "parameters": f"{card.parameters:,}",
        "weights": weights_of(preset),
        "licence of the weights": card.weights_license,
        "trained on" if preset.weights else "to be trained on": card.training_data,
        "licence of that": card.training_data_license,
        "paper": f"<{card.paper}>",
    }
    parts = [
        f"# {preset.name}\n\n{card.summary}",
        "\n".join(["| | |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in facts.items())]),
        f"<!-- examples: {preset.name} -->" if preset.weights else "",
        f"## Limits\n\n{card.limits}.",
        f"## Results\n\n{results_of(preset, here)}" if card.results else "",
        f"## To make it again\n\n{reproduction(preset.name)}",
        f"## Settings\n\n```yaml\n{settings_of(preset.name)}```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def megabytes(preset):
    """Size of a preset's weights."""
    return f"{preset.weights.size / 1e6:.1f}" if preset.weights else "recipe only"


def weights_of(preset):
    """What there is of weights, and how to know them."""
    if preset.weights is None:
        return "none are released: it is a recipe"
    origin = "downloaded when first used" if preset.weights.url else "packaged"
    return f"{megabytes(preset)} MB, {origin}; sha256 `{preset.weights.sha256}`"


def results_of(preset, here):
    """The results on a card, each with the file that a benchmark wrote."""
    from benchmarks import cards

    rows = ["| result | value | measured in |", "| --- | --- | --- |"]
    for key, value in preset.card.results.items():
        file, *keys = cards.source(preset.name, key)
        link = posixpath.relpath(f"benchmarks/results/{file}.json", f"docs/{posixpath.dirname(here)}")
        rows.append(f"| {key} | {value} | [{file}]({link}), `{'.'.join(keys)}` |")
    return "\n".join(rows)


def reproduction(name):
    """The comment at the head of a preset's YAML: command, duration, machine, and what came of it."""
    comment, *_ = yaml_sections(name)
    return f"```text\n{textwrap.dedent(comment.replace('#', ''))}```"


def settings_of(name):
    """What a preset's YAML says of its configuration and its training."""
    return "".join(text for text in yaml_sections(name) if text.startswith(("config:", "train:", "tune:")))


def yaml_sections(name):
    """The text of a preset's YAML, cut before every key."""
    text = (ROOT / "zoo_configs" / f"{name}.yaml").read_text(encoding="utf-8")
    return re.split(r"^(?=\w)", text, flags=re.MULTILINE)


def with_presets(markdown, here):
    """Put a table of an architecture's presets, with their results, at each ``<!-- presets: NAME -->``."""
    import audiozoo

    def presets(match):
        wanted = match[1].split()
        rows = [
            "| preset | parameters | MB | licence of the weights | results |",
            "| --- | --- | --- | --- | --- |",
        ]
        for preset in map(audiozoo.info, audiozoo.list_models()):
            if preset.architecture in wanted:
                found = preset.card.results or {}
                card = relative(f"cards/{preset.name}.md", here)
                rows.append(
                    f"| [`{preset.name}`]({card}) | {preset.card.parameters:,} | {megabytes(preset)} | "
                    f"{preset.card.weights_license} | {'<br>'.join(f'{k} {v}' for k, v in found.items())} |"
                )
        return "\n".join(rows)

    return re.sub(r"<!-- presets: ([\w ]+) -->", presets, markdown)


def with_examples(markdown, here):
    """Put a preset's picture and sounds at each ``<!-- examples: NAME -->``."""

    def examples(match):
        index = EXAMPLES / match[1] / "index.json"
        if not index.exists():
            return NOT_THERE
        folder = relative(f"examples/{match[1]}", here)
        return "\n\n".join(
            shown(f"{folder}/{file}", text) for file, text in json.loads(index.read_text()).items()
        )

    return re.sub(r"<!-- examples: (\w+) -->", examples, markdown)


def shown(path, text):
    """A picture, or a player of a sound, with what it is."""
    if path.endswith(".png"):
        return f"![{text}]({path})"
    return f'<figure markdown="0"><figcaption>{text}</figcaption>{player(path)}</figure>'


def player(path):
    """The sound at a path, to be played."""
    return f'<audio controls preload="none" src="{path}"></audio>'


# --- Reference ---


def public_modules():
    """Names of modules by the part of audiozoo that they belong to, each part a page."""
    parts = {"audiozoo": [f"audiozoo.{name}" for name in FIRST]}
    for path in sorted((ROOT / "audiozoo").rglob("*.py")):
        *folders, name = path.relative_to(ROOT / "audiozoo").with_suffix("").parts
        if not folders and name not in WITHIN | {"__init__", *FIRST}:
            parts["audiozoo"].append(f"audiozoo.{name}")
        elif folders and name != "__init__":
            parts.setdefault(folders[0], []).append(".".join(["audiozoo", *folders, name]))
    return parts


def reference_page(part, names):
    """What the docstrings of a part's modules say."""
    whole = "audiozoo" if part == "audiozoo" else f"audiozoo.{part}"
    head = f"# {whole}\n\n::: {whole}\n    options:\n      members: false\n      show_root_heading: false\n"
    return "\n".join([head, *(f"::: {name}\n" for name in names)])


def commands_page():
    """What ``--help`` says, of every command."""
    import typer

    from audiozoo.cli import app

    root = typer.main.get_command(app)
    parts = ["# Commands", root.help, root.epilog, *commands_of(root, "audiozoo")]
    return "\n\n".join(parts) + "\n"


def commands_of(group, program):
    """A section for each command of a group, and for those of the groups within."""
    import typer

    for name, command in group.commands.items():
        called = f"{program} {name}"
        context = typer.Context(command, info_name=called)
        yield f"## {called}\n\n{command.help}"
        if hasattr(command, "commands"):
            yield from commands_of(command, called)
            continue
        usage = " ".join(command.collect_usage_pieces(context))
        yield f"```text\n{called} {usage}\n```"
        records = [parameter.get_help_record(context) for parameter in command.params]
        rows = [f"| `{names}` | {text.replace('<', '&lt;')} |" for names, text in filter(None, records)]
        yield "\n".join(["| | |", "| --- | --- |", *rows])


# --- Tutorials ---


def tutorial_page(path):
    """A script of cells as a page: its text as text, its code as code, and what the code wrote beneath it."""
    written = EXAMPLES / "tutorials" / path.stem
    parts = []
    for is_text, cell in cells(path.read_text(encoding="utf-8")):
        if is_text:
            parts.append(cell)
            continue
        parts.append(f"```python\n{cell}\n```")
        for name in re.findall(r'"([\w.]+\.(?:png|wav))"', cell):
            if (written / name).exists():
                place = relative(f"examples/tutorials/{path.stem}/{name}", f"tutorials/{path.stem}.md")
                parts.append(shown(place, name))
    link = f"[{path.name}]({os.path.relpath(path, ROOT / 'docs' / 'tutorials')})"
    return "\n\n".join([*parts, f"All of it is one script, {link}."]) + "\n"


def cells(script):
    """Cells of a script: whether it is text, and what stands in it."""
    for cell in re.split(r"^# %%", script, flags=re.MULTILINE)[1:]:
        head, _, body = cell.partition("\n")
        is_text = "[markdown]" in head
        if is_text:
            body = re.sub(r"^# ?", "", body, flags=re.MULTILINE)
        yield is_text, body.strip()
