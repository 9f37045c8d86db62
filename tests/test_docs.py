"""The site of the documents builds without a warning, has no dead links, and fetches nothing."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

import audiozoo

pytest.importorskip("mkdocs", reason='the site needs pip install -e ".[docs]"')
ROOT = Path(__file__).parents[1]

# By its path: docs is no package.
specification = importlib.util.spec_from_file_location("make_pages", ROOT / "docs" / "make_pages.py")
make_pages = importlib.util.module_from_spec(specification)
specification.loader.exec_module(make_pages)


class Page(HTMLParser):
    """Links of a page, what it loads by itself, and the places in it that may be linked to."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loaded, self.places = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.places.add(attributes.get("id"))
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        elif "src" in attributes or tag == "link":
            self.loaded.append(attributes.get("src") or attributes["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    program = Path(sys.executable).with_name(
        "mkdocs"
    )  # as make calls it: the checkout is in no path of Python's
    command = [str(program), "build", "--strict", "--quiet", "--site-dir", str(folder)]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    assert not result.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def test_links_lead_to_what_is_there(site, pages):
    broken = []
    for path, page in pages.items():
        if path.name == "404.html":  # its links are from the root of a server
            continue
        for link in [*page.links, *page.loaded]:
            where, place = urldefrag(unquote(link))
            if re.match(r"https?:", where):
                if not re.fullmatch(r"https?://[\w-]+(\.[\w-]+)+(:\d+)?(/\S*)?", where):
                    broken.append(f"{path.relative_to(site)}: {link}")
                continue
            target = (path.parent / where).resolve() if where else path
            if not target.is_file() or (place and target in pages and place not in pages[target].places):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert not broken


def test_nothing_is_fetched_from_elsewhere(site, pages):
    elsewhere = re.compile(r"(https?:)?//")
    assert not [link for page in pages.values() for link in page.loaded if elsewhere.match(link)]
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert not re.findall(r"url\(\s*[\"']?(?:https?:)?//[^)]*|@import[^;]*//[^;]*", styles)


def test_every_page_can_be_reached_from_the_first_one(site, pages):
    reached, left = set(), [site / "index.html"]
    while left:
        path = left.pop()
        if path in pages and path not in reached:
            reached.add(path)
            left += [(path.parent / urldefrag(unquote(link))[0]).resolve() for link in pages[path].links]
    assert {path.relative_to(site).as_posix() for path in set(pages) - reached} == {"404.html"}


@pytest.mark.parametrize(
    "architecture", sorted({audiozoo.info(n).architecture for n in audiozoo.list_models()})
)
def test_an_architecture_has_a_page_with_its_equation_source_presets_and_numbers(architecture, site):
    name = make_pages.ARCHITECTURE_PAGES[architecture].removesuffix(".md")
    text = (site / f"{name}.html").read_text(encoding="utf-8")
    assert "<math" in text
    assert "arxiv.org/abs/" in text
    for preset in map(audiozoo.info, audiozoo.list_models()):
        if preset.architecture == architecture:
            assert f"cards/{preset.name}.html" in text
            assert f"{preset.card.parameters:,}" in text
            for key, value in (preset.card.results or {}).items():
                assert f"{key} {value}" in text


@pytest.mark.parametrize("name", audiozoo.list_models())
def test_a_card_says_all_that_the_preset_does(name):
    preset, page = audiozoo.info(name), make_pages.card_page(audiozoo.info(name))
    for fact in preset.card.summary, preset.card.training_data, preset.card.limits, preset.card.paper:
        assert fact in page
    assert (preset.weights.sha256 if preset.weights else "recipe") in page
    for key in preset.config:
        assert f"\n  {key}: " in page
    for key, value in (preset.card.results or {}).items():
        (file,) = re.findall(rf"\| {key} \| {re.escape(str(value))} \| \[.*?\]\((.*?)\)", page)
        assert (ROOT / "docs" / "cards" / file).resolve().is_file()


def test_every_command_is_explained():
    page = make_pages.commands_page()
    listed = subprocess.run(
        [sys.executable, "-m", "audiozoo", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60
    ).stdout
    names = [name for name in re.findall(r"^[^\w-]*(\w+)  ", listed, flags=re.MULTILINE) if name.islower()]
    assert {"train", "latent", "doctor"} <= set(names)
    assert [name for name in names if f"## audiozoo {name}\n" not in page] == []
    assert "| `--semitones" in page


def test_links_to_files_of_the_repository_lead_into_the_site():
    lines = [
        "[card](../zoo_configs/ddsp_violin.yaml), [numbers](../benchmarks/RESULTS.md#speed)",
        "[other](latent.md), [file](../audiozoo/models/ddsp.py), [far](https://keras.io/api)",
        "[script](tutorials/3_train.py), `[code](../CHANGELOG.md)`",
        "```python\n[block](../CHANGELOG.md)\n```",
    ]
    text, copied = make_pages.with_site_links("\n".join(lines), "docs/vae.md", "vae.md")
    assert text.splitlines() == [
        "[card](cards/ddsp_violin.md), [numbers](results.md#speed)",
        "[other](latent.md), [file](source/audiozoo/models/ddsp.py), [far](https://keras.io/api)",
        "[script](tutorials/3_train.md), `[code](../CHANGELOG.md)`",
        *lines[3].splitlines(),
    ]
    assert copied == ["audiozoo/models/ddsp.py"]
    text, _ = make_pages.with_site_links("[a](docs/vae.md)", "CONTRIBUTING.md", "contributing.md")
    assert text == "[a](vae.md)"


def test_examples_are_shown_where_they_have_been_made(tmp_path, monkeypatch):
    monkeypatch.setattr(make_pages, "EXAMPLES", tmp_path)
    mark = "<!-- examples: ddsp_violin -->"
    assert make_pages.with_examples(mark, "cards/ddsp_violin.md") == make_pages.NOT_THERE
    (tmp_path / "ddsp_violin").mkdir()
    (tmp_path / "ddsp_violin" / "index.json").write_text(json.dumps({"a.png": "It.", "b.ogg": "Its sound."}))
    shown = make_pages.with_examples(mark, "cards/ddsp_violin.md")
    assert "![It.](../examples/ddsp_violin/a.png)" in shown
    assert re.search(r'Its sound\..*<audio .*src="../examples/ddsp_violin/b.ogg"', shown)


def test_a_page_that_no_section_names_has_its_place_nevertheless(tmp_path, monkeypatch):
    monkeypatch.setitem(make_pages.INCLUDED, "docs/new.md", "new.md")
    (*_, last) = make_pages.navigation()
    assert "new.md" in last["More"]


def test_a_script_of_cells_is_a_page():
    script = "# %% [markdown]\n# # Title\n#\n# Text.\n\n# %%\nx = 1  # one\n"
    assert list(make_pages.cells(script)) == [(True, "# Title\n\nText."), (False, "x = 1  # one")]
