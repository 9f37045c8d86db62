"""What is installed, where files are kept, and whether a sound comes out: what ``audiozoo doctor`` does.

Nothing heavy is imported at the top, and what fails is a problem to be told and not the end: a broken
installation is what this is for.
"""

import importlib.metadata
import os
import platform
import tempfile
import time
from pathlib import Path

from audiozoo import __version__, backend
from audiozoo.errors import AudioZooError, MissingDependency, one_line

PRESET = "ddsp_violin_mingru"  # the smallest one that plays a note
NOTE_HZ, SECONDS = 440.0, 0.5
MOST_CENTS = 5.0  # that the note may be out of tune


def examine() -> dict:
    """Look at everything that a sound depends on, and make one.

    Returns:
        Dict, as JSON can hold it: ``audiozoo``, ``python``, ``packages``, ``extras``, ``keras``, ``cache``,
        ``weights`` and ``sound``, each a dict, empty where looking failed; and ``problems``, a list of
        sentences that say what is broken and what to do. It is empty where all is well.
    """
    problems = []
    found = {}
    for part, look in PARTS.items():
        try:
            found[part] = look(problems)
        except Exception as error:  # whatever it is, it is what we are looking for
            kind = "" if isinstance(error, AudioZooError) else f"{type(error).__name__}: "
            found[part] = {}
            problems.append(f"{part}: {kind}{one_line(error)}")
    return found | {"problems": problems}


def report(found: dict) -> str:
    """What ``examine`` found, to be read: a line for each thing, problems last."""
    lines = []
    for part in PARTS:
        for name, value in found[part].items():
            lines.append(f"{part:<9} {name:<24} {_shown(value)}")
    problems = [f"PROBLEM   {problem}" for problem in found["problems"]]
    return "\n".join([*lines, *problems, *([] if problems else ["all is well"])])


def _shown(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


# --- Parts: each gets the list of problems to add to, and returns what it saw ---


def look_at_audiozoo(problems):
    """Version and place."""
    return {"version": __version__, "folder": str(Path(__file__).parent)}


def look_at_python(problems):
    """Version, system and cores."""
    return {"version": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count()}


def look_at_packages(problems):
    """Versions of what audiozoo requires. A missing backend is no problem, as long as there is another."""
    found = {}
    for requirement in _requirements():
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        found[requirement.name] = version = _version(requirement.name)
        if requirement.name not in backend.BACKENDS and not _is_met(requirement, version):
            problems.append(
                f"packages: {requirement.name} must be {requirement.specifier}; it is "
                f"{version or 'not there'}. pip install '{requirement.name}{requirement.specifier}'"
            )
    return found


def look_at_extras(problems):
    """Of each extra, what of it is missing. None of them is needed for what is not asked of it."""
    optional = [
        requirement
        for requirement in _requirements()
        if requirement.marker and not requirement.marker.evaluate({"extra": ""})
    ]
    names = importlib.metadata.metadata("audiozoo").get_all("Provides-Extra") or []
    found = {}
    for name in names:
        lacking = [
            requirement.name
            for requirement in optional
            if requirement.marker.evaluate({"extra": name})
            and not _is_met(requirement, _version(requirement.name))
        ]
        found[name] = f"lacks {', '.join(lacking)}" if lacking else "there"
    return found


def look_at_keras(problems):
    """Version, backends and the devices of the active one."""
    found = {name: _version(name) for name in ("keras", *backend.BACKENDS)} | {"backend": backend.active()}
    backend.check()
    import keras

    found["backend"] = keras.config.backend()
    found["devices"] = _devices(found["backend"])
    return found


def look_at_cache(problems):
    """Where downloads and prepared data are kept, how much of it there is, and whether more may come."""
    from audiozoo.weights import cache_folder, network_is_forbidden

    folder = cache_folder()
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        tempfile.TemporaryFile(dir=there).close()  # asking the permission bits is not enough
        writable = True
    except OSError as error:
        writable = False
        problems.append(
            f"cache: cannot write into {there}: {error.strerror or one_line(error)}. Set AUDIOZOO_CACHE to a "
            "folder that you may write to."
        )
    return {
        "folder": str(folder),
        "files": len(files),
        "megabytes": round(sum(path.stat().st_size for path in files) / 1e6, 1),
        "writable": writable,
        "network allowed": not network_is_forbidden(),
    }


def look_at_weights(problems):
    """Of every preset with weights, whether they are here and intact."""
    from audiozoo.registry import info, list_models
    from audiozoo.weights import locate

    found = {}
    for name in list_models():
        preset = info(name)
        if preset.weights is None:
            continue
        try:
            locate(preset, offline=True)
            found[name] = "here"
        except AudioZooError as error:
            found[name] = "not here"
            if preset.weights.url is None:
                problems.append(f"weights: {one_line(error)}")
    return found


def look_at_sound(problems):
    """Half a second of a note, played by a packaged preset."""
    import numpy as np

    from audiozoo.zoo import load

    began = time.perf_counter()
    model = load(PRESET, offline=True)
    shape = (1, round(SECONDS * model.sample_rate / model.hop), 1)
    features = {
        "f0_hz": np.full(shape, NOTE_HZ, "float32"),
        "loudness_db": np.full(shape, model.loudness_mean_db, "float32"),
    }
    audio = _played(model, features)[0]
    peak, heard_hz = float(np.abs(audio).max()), _loudest_hz(audio, model.sample_rate)
    cents = 1200.0 * float(np.log2(max(heard_hz, 1.0) / NOTE_HZ))  # silence has 0 Hz
    if not (np.isfinite(audio).all() and 1e-3 < peak < 2.0 and abs(cents) <= MOST_CENTS):
        problems.append(
            f"sound: {PRESET} should play {NOTE_HZ:g} Hz; it plays {heard_hz:g} Hz, with a peak of "
            f"{peak:.3g}. Install Keras and its backend again, or try another one: "
            "KERAS_BACKEND=torch audiozoo doctor"
        )
    return {
        "preset": PRESET,
        "peak": peak,
        "out of tune by / cents": cents,
        "seconds of work": time.perf_counter() - began,
    }


PARTS = {
    "audiozoo": look_at_audiozoo,
    "python": look_at_python,
    "packages": look_at_packages,
    "extras": look_at_extras,
    "keras": look_at_keras,
    "cache": look_at_cache,
    "weights": look_at_weights,
    "sound": look_at_sound,
}


def _requirements():
    from packaging.requirements import Requirement

    try:
        lines = importlib.metadata.requires("audiozoo") or []
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingDependency(
            "audiozoo is not installed, only found, so what it needs is not known. "
            f"pip install -e {Path(__file__).parents[1]}"
        ) from error
    return [Requirement(line) for line in lines]


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _is_met(requirement, version):
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def _devices(name):
    if name == "torch":
        import torch

        return ["cpu", *(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))]
    import keras

    return keras.distribution.list_devices()


def _played(model, features):
    import keras
    from keras import ops

    if keras.config.backend() == "jax":  # uncompiled, it would compile each operation by itself
        return model.run_compiled(model.call, features)
    return ops.convert_to_numpy(model(features))


def _loudest_hz(audio, sample_rate):
    import numpy as np

    size = 2**17  # bins of an eighth of a Hz at 16 kHz
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio)), size))
    return float(np.argmax(spectrum) * sample_rate / size)
