"""README.md, CONTRIBUTING.md and docs/ say nothing that is not so: code runs, commands and files exist."""

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
TUTORIAL = (ROOT / "docs" / "vae.md").read_text(encoding="utf-8")
TUNING = (ROOT / "docs" / "tuning.md").read_text(encoding="utf-8")
LATENT = (ROOT / "docs" / "latent.md").read_text(encoding="utf-8")
MOTION = (ROOT / "docs" / "motion.md").read_text(encoding="utf-8")
PITCH = (ROOT / "docs" / "pitch.md").read_text(encoding="utf-8")
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))
ALL_PAGES = "\n".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES)
DATA = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
LEGACY = (ROOT / "docs" / "legacy.md").read_text(encoding="utf-8")


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
    # This checkout, installed or not; and a terminal wide enough to show whole options.
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200", "NO_COLOR": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)


def test_the_python_of_the_readme_runs_as_one_program(tmp_path):
    import soundfile

    clip, sample_rate = soundfile.read(ROOT / "audiozoo" / "assets" / "singing_vocadito_14.flac")
    soundfile.write(tmp_path / "voice.wav", clip[: 2 * sample_rate], sample_rate)
    for folder in "real", "fake":  # the fewest clips that can be compared
        (tmp_path / folder).mkdir()
        for index in range(6):
            piece = clip[index * sample_rate : (index + 1) * sample_rate]
            soundfile.write(tmp_path / folder / f"{index}.wav", piece, sample_rate)
    program = "\n".join(blocks(README, "python"))
    result = run_python("-c", program, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    for name in re.findall(r'write_audio\("(.*?)"', program):
        audio, _ = soundfile.read(tmp_path / name)
        assert audio.any(), f"{name} is silent"


def test_the_python_of_the_tutorial_runs_as_one_program(tmp_path):
    result = run_python("-c", "\n".join(blocks(TUTORIAL, "python")), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"codes.png", "digits.png", "way.png"}


def test_the_python_of_the_page_on_searching_runs_as_one_program(tmp_path):
    result = run_python("-c", "\n".join(blocks(TUNING, "python")) + "\nmodel.sample(1)", cwd=tmp_path)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("page", [LATENT, MOTION], ids=["latent", "motion"])
def test_the_python_of_the_pages_on_codes_runs_as_one_program(page, tmp_path):
    import soundfile

    clip, sample_rate = soundfile.read(ROOT / "audiozoo" / "assets" / "singing_vocadito_14.flac")
    (tmp_path / "loops").mkdir()
    for index in range(3):
        piece = clip[index * sample_rate : (index + 1) * sample_rate]
        soundfile.write(tmp_path / "loops" / f"{index}.wav", piece, sample_rate)
    result = run_python("-c", "\n".join(blocks(page, "python")), cwd=tmp_path)
    assert result.returncode == 0, result.stderr


def test_the_python_of_the_page_on_pitch_runs_as_one_program(tmp_path):
    import soundfile

    clip, sample_rate = soundfile.read(ROOT / "audiozoo" / "assets" / "singing_vocadito_14.flac")
    soundfile.write(tmp_path / "voice.wav", clip[sample_rate : 2 * sample_rate], sample_rate)
    program, conversion = blocks(PITCH, "python")
    assert "torchcrepe" in conversion  # a package of its own; tests/models/test_crepe.py has it
    result = run_python("-c", program + "\nassert (f0_hz > 80).mean() > 0.5", cwd=tmp_path)
    assert result.returncode == 0, result.stderr


def test_the_python_of_the_page_on_older_packages_runs_as_one_program(tmp_path):
    (program,) = blocks(LEGACY, "python")
    (tmp_path / "generator.h5").write_bytes((ROOT / "tests" / "oracles" / "tfa_melgan.h5").read_bytes())
    result = run_python("-c", program, cwd=tmp_path)
    assert result.returncode == 0, result.stderr


def test_the_python_of_the_pages_on_architectures_runs_as_one_program(tmp_path):
    import soundfile

    clip, sample_rate = soundfile.read(ROOT / "audiozoo" / "assets" / "singing_vocadito_14.flac")
    soundfile.write(tmp_path / "voice.wav", clip[sample_rate : 2 * sample_rate], sample_rate)
    names = "ddsp", "conv1d_resnet_vae", "spectral_vae", "vocoder"
    pages = [(ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in names]
    program = "\n".join(block for page in pages for block in blocks(page, "python"))
    result = run_python("-c", program, cwd=tmp_path)
    assert result.returncode == 0, result.stderr


def test_the_python_of_the_page_on_data_runs(tmp_path):
    import soundfile

    clip, sample_rate = soundfile.read(ROOT / "audiozoo" / "assets" / "singing_vocadito_14.flac")
    (tmp_path / "recordings").mkdir()
    soundfile.write(tmp_path / "recordings" / "voice.wav", clip[: 4 * sample_rate], sample_rate)
    program, training = blocks(DATA, "python")
    assert "model.fit(" in training  # for minutes; tests/data/test_records.py has it with a small model
    result = run_python("-c", program, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "(4, 100, 1) (4, 100, 1) (4, 16000)" in result.stdout


@pytest.mark.parametrize("command", called(README + ALL_PAGES, "audiozoo"))
def test_a_command_of_the_readme_exists_with_its_options(command):
    _, name, *arguments = command.split()
    words = [name, arguments.pop(0)] if name == "latent" else [name]
    result = run_python("-m", "audiozoo", *words, "--help", cwd=ROOT)
    assert result.returncode == 0, result.stderr
    for option in (argument for argument in arguments if argument.startswith("--")):
        assert option in result.stdout, f"{name} has no option {option}"


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
