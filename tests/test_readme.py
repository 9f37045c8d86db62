"""README.md, CONTRIBUTING.md and docs/ say nothing that is not so: code runs, commands and files exist."""

import configparser
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audiozoo.cli import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))
ALL_PAGES = "\n".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES)


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def commands(text):
    """Command lines of the bash blocks without comments, and those that a comment names ("then: ...")."""
    for line in "".join(blocks(text, "bash")).splitlines():
        command, _, comment = line.partition("#")
        yield command.strip()
        yield from re.findall(r"(?:then|also): (.*)", comment)


def called(text, program):
    return sorted({command for command in commands(text) if command.split()[:1] == [program]})


def run_python(*arguments, cwd):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}  # this checkout, installed or not
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)


# One process for all pages, each with names and a folder of its own: starting a backend takes longer than
# most of them do.
RUN = """
import contextlib, io, json, os, sys, traceback
outcome = {}
for name, program in json.load(open("programs.json")).items():
    os.chdir(name)
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            exec(compile(program, name, "exec"), {"__name__": "__main__"})
        outcome[name] = said.getvalue()
    except BaseException:
        sys.exit(name + ": " + traceback.format_exc())
    os.chdir("..")
print(json.dumps(outcome))
"""


def test_the_python_of_the_readme_and_of_each_page_runs_as_one_program(tmp_path):
    import soundfile

    pages = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
    programs = {name: "\n".join(blocks(pages[name], "python")) for name in ("vae", "latent", "motion")}
    programs["readme"] = "\n".join(blocks(README, "python"))
    programs["tuning"] = "\n".join(blocks(pages["tuning"], "python")) + "\nmodel.sample(1)"
    (programs["legacy"],) = blocks(pages["legacy"], "python")
    pitch, conversion = blocks(pages["pitch"], "python")
    assert "torchcrepe" in conversion  # a package of its own; tests/models/test_crepe.py has it
    programs["pitch"] = pitch + "\nassert (f0_hz > 80).mean() > 0.5"
    programs["data"], training = blocks(pages["data"], "python")
    assert "model.fit(" in training  # for minutes; tests/data/test_records.py has it with a small model
    names = "ddsp", "conv1d_resnet_vae", "spectral_vae", "vocoder"
    programs["architectures"] = "\n".join(block for n in names for block in blocks(pages[n], "python"))

    clip, sample_rate = soundfile.read(ROOT / "audiozoo" / "assets" / "singing_vocadito_14.flac")
    pieces = [clip[second * sample_rate : (second + 1) * sample_rate] for second in range(6)]
    for name in programs:  # whatever a page names is there: six clips are the fewest that can be compared
        for file, end in {"voice.wav": 2, "recordings/voice.wav": 5}.items():  # she begins to sing at 1 s
            soundfile.write(made(tmp_path / name / file), clip[sample_rate : end * sample_rate], sample_rate)
        for folder, count in {"real": 6, "fake": 6, "loops": 3}.items():
            for number, piece in enumerate(pieces[:count]):
                soundfile.write(made(tmp_path / name / folder / f"{number}.wav"), piece, sample_rate)
    old = (ROOT / "tests" / "oracles" / "tfa_melgan.h5").read_bytes()
    (tmp_path / "legacy" / "generator.h5").write_bytes(old)
    (tmp_path / "programs.json").write_text(json.dumps(programs))

    result = run_python("-c", RUN, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout.splitlines()[-1])
    assert said.keys() == programs.keys()
    assert "(4, 100, 1) (4, 100, 1) (4, 16000)" in said["data"]
    assert {path.name for path in (tmp_path / "vae").glob("*.png")} == {"codes.png", "digits.png", "way.png"}
    for name in re.findall(r'write_audio\("(.*?)"', programs["readme"]):
        audio, _ = soundfile.read(tmp_path / "readme" / name)
        assert audio.any(), f"{name} is silent"


def made(path):
    """A path whose folder is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.parametrize("command", called(README + ALL_PAGES, "audiozoo"))
def test_a_command_of_the_readme_exists_with_its_options(command):
    _, name, *arguments = command.split()
    words = [name, arguments.pop(0)] if name == "latent" else [name]
    # A terminal wide enough to show whole options.
    result = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(app, [*words, "--help"])
    assert result.exit_code == 0, result.output
    for option in (argument for argument in arguments if argument.startswith("--")):
        assert option in result.output, f"{name} has no option {option}"


def test_the_make_targets_of_the_readme_exist():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    asked = [command.split()[1] for command in called(README, "make")]
    assert asked == ["demo", "test"]
    others = {command.split()[1] for command in called(ALL_PAGES + CONTRIBUTING, "make")}
    assert {"test-tfa", "test-tfio"} <= others
    assert {*asked, *others} <= set(targets)


def test_the_extras_that_are_named_exist():
    metadata = configparser.RawConfigParser()
    metadata.read(ROOT / "setup.cfg")
    extras = set(metadata["options.extras_require"])
    named = re.findall(r'pip install (?:-e )?"\.\[(\w+)\]"', README + ALL_PAGES + CONTRIBUTING)
    assert named
    assert set(named) <= extras


def test_ci_installs_and_tests_as_the_readme_says():
    ci = (ROOT / ".ci" / "run").read_text().splitlines()
    (install,) = (command for command in called(README, "pip") if "[test]" in command)
    assert install in ci
    assert called(README, "pytest") == ["pytest"]
    assert "pytest" in ci


@pytest.mark.parametrize("file", ["README.md", "CONTRIBUTING.md", *PAGES])
def test_files_that_are_linked_exist(file):
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / file).read_text(encoding="utf-8"))
    missing = [link for link in links if not ((ROOT / file).parent / link).exists()]
    assert not missing


def test_the_table_of_models_has_its_place():
    assert README.count("<!-- models:begin -->") == README.count("<!-- models:end -->") == 1
