"""``audiozoo doctor`` finds nothing where nothing is wrong, and says what to do where something is."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from cases import on_one_backend

from audiozoo import cli, doctor, registry
from audiozoo.registry import Card, Preset, Weights, write_preset


def problems_of(part):
    """What looking at one part finds, and the problems that it tells of."""
    problems = []
    return doctor.PARTS[part](problems), problems


def test_all_is_well_here():
    found = doctor.examine()
    assert found["problems"] == []
    assert json.loads(json.dumps(found)) == found
    assert found["keras"]["backend"] == keras.config.backend()
    assert found["keras"]["devices"]
    assert found["keras"]["keras"] == keras.__version__
    assert found["weights"]["ddsp_violin"] == "here"
    assert found["cache"]["folder"] == os.environ["AUDIOZOO_CACHE"]
    assert found["cache"]["network allowed"] is False
    assert abs(found["sound"]["out of tune by / cents"]) < doctor.MOST_CENTS
    report = doctor.report(found)
    assert report.endswith("\nall is well")
    assert f"keras     backend                  {keras.config.backend()}\n" in report
    print(f"a sound after {found['sound']['seconds of work']:.1f} s")


@pytest.mark.parametrize(
    "change", [lambda audio: audio[:, ::2], lambda audio: 0.0 * audio, lambda a: a * np.nan]
)
def test_a_wrong_sound_is_heard(monkeypatch, change):
    seconds = np.arange(8000) / 16000.0
    tone = 0.1 * np.sin(2.0 * np.pi * 440.0 * seconds)[None]
    monkeypatch.setattr(doctor, "_played", lambda model, features: tone)
    assert problems_of("sound")[1] == []
    monkeypatch.setattr(doctor, "_played", lambda model, features: change(tone))
    (problem,) = problems_of("sound")[1]
    assert "should play 440 Hz; it plays" in problem
    assert "Install Keras and its backend again" in problem


@on_one_backend
def test_a_package_that_is_missing_or_old_is_named_with_its_remedy(monkeypatch):
    requirements = [
        "soxr >= 0.3.7",
        "torch >= 2.6",
        "umap-learn >= 0.5.6; extra == 'latent'",
        "numpy >= 1.26",
    ]
    versions = {"soxr": None, "torch": None, "umap-learn": None, "numpy": "1.0"}
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda name: requirements)
    monkeypatch.setattr(doctor, "_version", versions.get)
    found, problems = problems_of("packages")
    assert found == {"soxr": None, "torch": None, "numpy": "1.0"}
    assert problems == [
        "packages: soxr must be >=0.3.7; it is not there. pip install 'soxr>=0.3.7'",
        "packages: numpy must be >=1.26; it is 1.0. pip install 'numpy>=1.26'",
    ]
    monkeypatch.setattr(
        doctor.importlib.metadata, "metadata", lambda name: create_metadata(["latent", "nothing"])
    )
    assert problems_of("extras") == ({"latent": "lacks umap-learn", "nothing": "there"}, [])


@on_one_backend
def test_a_checkout_that_is_not_installed_is_a_problem(monkeypatch):
    def requires(name):
        raise doctor.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.importlib.metadata, "requires", requires)
    monkeypatch.setattr(doctor, "PARTS", {"packages": doctor.look_at_packages})
    (problem,) = doctor.examine()["problems"]
    assert problem.startswith("packages: audiozoo is not installed, only found")


def create_metadata(extras):
    from email.message import Message

    message = Message()
    for extra in extras:
        message["Provides-Extra"] = extra
    return message


@on_one_backend
def test_a_cache_that_cannot_be_written_is_a_problem(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("AUDIOZOO_CACHE", str(tmp_path / "file" / "cache"))
    found, (problem,) = problems_of("cache")
    assert found["writable"] is False
    assert f"cannot write into {tmp_path / 'file'}" in problem
    assert "Set AUDIOZOO_CACHE" in problem
    monkeypatch.setenv("AUDIOZOO_CACHE", str(tmp_path / "new" / "cache"))
    assert problems_of("cache")[1] == []
    assert not (tmp_path / "new").exists()


@on_one_backend
def test_damaged_weights_are_a_problem_and_those_to_be_fetched_are_none(monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "ZOO", tmp_path)
    stated = {"version": 1, "architecture": "DDSPDecoder", "config": {}}
    card = Card(summary="A tone.", weights_license="CC0-1.0")
    for name, url in (("damaged", None), ("far", "https://example.org/far")):
        weights = Weights(file=f"{name}.weights.h5", sha256="a" * 64, size=7, url=url)
        write_preset(Preset(name=name, weights=weights, card=card, **stated), tmp_path / f"{name}.yaml")
    (tmp_path / "damaged.weights.h5").write_text("weights")
    found, (problem,) = problems_of("weights")
    assert found == {"damaged": "not here", "far": "not here"}
    assert "damaged.weights.h5 is truncated or altered" in problem


@on_one_backend
def test_what_goes_wrong_in_one_part_is_told_and_the_others_are_looked_at(monkeypatch, capsys):
    def fails(problems):
        raise OSError("the disk is\ngone")

    monkeypatch.setattr(doctor, "PARTS", {"cache": fails, "python": doctor.look_at_python})
    found = doctor.examine()
    assert found["cache"] == {}
    assert found["python"]["cores"] == os.cpu_count()
    assert found["problems"] == ["cache: OSError: the disk is gone"]
    monkeypatch.setattr(sys, "argv", ["audiozoo", "doctor"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert capsys.readouterr().out.endswith("\nPROBLEM   cache: OSError: the disk is gone\n")


@on_one_backend
def test_a_backend_that_is_none_is_the_problem_and_not_the_end():
    command = [sys.executable, "-m", "audiozoo", "doctor", "--json"]
    environment = os.environ | {"KERAS_BACKEND": "theano"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (1, "")
    found = json.loads(result.stdout)
    assert found["python"]["version"]
    words = "KERAS_BACKEND must be one of tensorflow, jax, torch; got 'theano'"
    assert [problem.partition(":")[0] for problem in found["problems"] if words in problem] == [
        "keras",
        "sound",
    ]
