"""The tutorials of the site run as they stand, from the first cell to the last."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "docs" / "tutorials").glob("*.py"))

# One process for all of them: starting a backend takes longer than some of them do.
RUN = """
import os, runpy, sys
for script in sys.argv[1:]:
    folder = os.path.splitext(os.path.basename(script))[0]
    os.mkdir(folder)
    os.chdir(folder)
    runpy.run_path(script)
    os.chdir("..")
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tutorials")
    command = [sys.executable, "-c", RUN, *map(str, SCRIPTS)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "AUDIOZOO_CACHE": str(folder / "cache")}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_it_runs_and_writes_sounds_and_pictures(script, written):
    import soundfile

    text = script.read_text(encoding="utf-8")
    assert text.startswith("# %% [markdown]\n# # ")
    sounds = re.findall(r'write_audio\("(.+?)"', text)
    assert sounds
    for name in sounds:
        audio, _ = soundfile.read(written / script.stem / name)
        assert abs(audio).max() > 0.01, f"{name} cannot be heard"
    for name in re.findall(r'path="(.+?\.png)"', text):
        assert (written / script.stem / name).stat().st_size > 1000
