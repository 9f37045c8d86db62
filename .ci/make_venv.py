"""Make a virtual environment with pip in it: ``python3 .ci/make_venv.py FOLDER``.

Debian keeps ``ensurepip`` in a package of its own (python3-venv). Where it is missing, pip is fetched
from the package index, checked against the index's sha256, and installs itself.
"""

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
import venv

INDEX = "https://pypi.org/pypi/pip/json"


def fetch_pip(folder: str) -> str:
    """Download the newest pip wheel into ``folder``; return its path."""
    with urllib.request.urlopen(INDEX, timeout=60) as answer:
        wheel = next(url for url in json.load(answer)["urls"] if url["packagetype"] == "bdist_wheel")
    with urllib.request.urlopen(urllib.parse.urljoin(INDEX, wheel["url"]), timeout=60) as answer:
        content = answer.read()
    if hashlib.sha256(content).hexdigest() != wheel["digests"]["sha256"]:
        sys.exit(f"{wheel['url']} is damaged: its sha256 is not the one the index states. Try again.")
    path = os.path.join(folder, wheel["filename"])
    with open(path, "wb") as file:
        file.write(content)
    return path


def main(target: str) -> None:
    """Make the environment at ``target``, or complete one that is there."""
    if sys.version_info < (3, 11):  # noqa: UP036 (runs before pip could check python_requires)
        sys.exit(
            f"audiozoo needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}. "
            "Name another one: make PYTHON=python3.12 demo"
        )
    has_pip = importlib.util.find_spec("ensurepip") is not None
    venv.create(target, with_pip=has_pip, symlinks=os.name != "nt")
    if not has_pip:
        python = os.path.join(target, "bin", "python")
        with tempfile.TemporaryDirectory() as folder:
            # A wheel is a zip archive that Python can run from.
            subprocess.run([python, os.path.join(fetch_pip(folder), "pip"), "install", "pip"], check=True)


if __name__ == "__main__":
    main(sys.argv[1])
