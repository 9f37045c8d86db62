"""The wheel, as its user meets it: built, installed into an empty environment, used with the network off."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import audiozoo

ROOT = Path(__file__).parents[1]
SOURCES = ["audiozoo", "zoo_configs", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"]
NOT_SHIPPED = ["tests", "benchmarks"]
OTHER_FILES_LIMIT_MEGABYTES = 1.0  # beside the packaged weights, which presets list with their size

NO_NETWORK = """
import socket

def refuse(*arguments, **keywords):
    raise OSError("this environment has no network")

socket.socket.connect = socket.socket.connect_ex = refuse
socket.create_connection = socket.getaddrinfo = refuse
"""


def run(*command, **keywords):
    result = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=600, **keywords
    )
    assert result.returncode == 0, (
        f"{command} ended with {result.returncode}:\n{result.stdout}{result.stderr}"
    )
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy: the build leaves folders behind that a later one would read."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES + [name for name in NOT_SHIPPED if (ROOT / name).exists()]:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, source / name)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", target, source)
    (path,) = target.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Run a command in an environment with the wheel and its requirements, and nothing of this checkout."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    run(
        *(sys.executable, "-m", "pip", "--python", python),
        *("install", "--no-deps", "--no-index", "--disable-pip-version-check", wheel),
    )
    (site / "no_network.py").write_text(NO_NETWORK)
    # Requirements come from the running environment, which stands last and whose own .pth files (an editable
    # install of this checkout) are not read from here.
    requirements = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    (site / "requirements.pth").write_text("\n".join([*requirements, "import no_network"]))

    empty = tmp_path_factory.mktemp("empty")
    inherited = {
        name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "AUDIOZOO_OFFLINE"}
    }
    environment = inherited | {"AUDIOZOO_CACHE": str(empty / "cache")}

    def run_installed(program, *arguments):
        return run(folder / "bin" / program, *arguments, cwd=empty, env=environment)

    return run_installed


def test_the_wheel_holds_every_preset_weights_file_and_asset(names):
    for folder, pattern in [
        ("zoo_configs", "**/*.yaml"),
        ("zoo_configs", "**/*.h5"),
        ("audiozoo/assets", "*"),
    ]:
        files = {str(path.relative_to(ROOT)) for path in (ROOT / folder).glob(pattern)}
        assert files
        assert files <= names
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "audiozoo").rglob("*.py")}
    assert modules <= names, "a folder without __init__.py is not installed"


def test_the_wheel_holds_nothing_else(names):
    assert {name.split("/")[0].split("-")[0] for name in names} == {"audiozoo", "zoo_configs"}
    assert not [name for name in names if name.endswith(".pyc")]


def test_the_wheel_carries_its_licence_and_credits(names):
    assert [name for name in names if name.endswith("licenses/LICENSE")]
    assert "audiozoo/assets/ATTRIBUTION.md" in names


def test_the_wheel_is_weights_and_little_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        sizes = {entry.filename: entry.compress_size for entry in archive.infolist()}
    presets = [audiozoo.info(name) for name in audiozoo.list_models()]
    weights = {f"zoo_configs/weights/{preset.weights.file}" for preset in presets if preset.weights}
    assert weights == {name for name in sizes if name.endswith(".h5")}
    megabytes = sum(size for name, size in sizes.items() if name not in weights) / 1e6
    assert megabytes < OTHER_FILES_LIMIT_MEGABYTES


def test_the_environment_is_what_it_claims(installed):
    where = installed(
        "python", "-c", "import audiozoo, zoo_configs; print(audiozoo.__file__, zoo_configs.__file__)"
    )
    assert str(ROOT) not in where
    assert where.count("site-packages") == 2
    connect = (
        "import urllib.request as r\ntry: r.urlopen('http://127.0.0.1:9')\nexcept OSError as e: print(e)"
    )
    assert "no network" in installed("python", "-c", connect)


def test_the_console_script_lists_the_presets(installed):
    presets = {path.stem for path in (ROOT / "zoo_configs").glob("*.yaml")}
    listed = installed("audiozoo", "list")
    assert presets
    assert all(name in listed for name in presets)


def test_the_version_is_the_same_everywhere(installed, wheel):
    code = "import audiozoo, importlib.metadata as m; print(audiozoo.__version__, m.version('audiozoo'))"
    stated, recorded = installed("python", "-c", code).split()
    assert stated == recorded == wheel.name.split("-")[1]


PLAY = """
import json
import audiozoo
from audiozoo.data.audio_io import read_audio
from importlib import resources

clip = resources.files("audiozoo") / "assets" / "singing_vocadito_14.flac"
singing, sample_rate = read_audio(clip)
packaged = [name for name in audiozoo.list_models() if (w := audiozoo.info(name).weights) and not w.url]
peaks = {}
for name in packaged:
    model = audiozoo.load(name)
    assert model.count_params() == audiozoo.info(name).card.parameters
    if hasattr(model, "transfer"):
        audio = model.transfer(singing[:sample_rate], sample_rate)
        peaks[name] = float(abs(audio).max())
print(json.dumps({"packaged": packaged, "peaks": peaks}))
"""


def test_packaged_weights_make_sound_without_a_network(installed):
    result = json.loads(installed("python", "-c", PLAY).splitlines()[-1])
    assert "ddsp_violin" in result["packaged"]
    assert 1e-3 < result["peaks"]["ddsp_violin"] < 2.0
