"""From a preset to a model that makes sound."""

import json
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from audiozoo import backend
from audiozoo.errors import IncompatiblePreset, UnknownPreset, WeightsCorrupt, one_line
from audiozoo.foreign import refused
from audiozoo.registry import MOST_BYTES, check_config, info, is_path
from audiozoo.weights import check_hdf5, check_readable, locate

if TYPE_CHECKING:
    from audiozoo.models.base import AudioModel

WEIGHTS_MEMBER = "model.weights.h5"  # of a .keras file


def load(
    preset: str | os.PathLike,
    *,
    weights: bool | str | os.PathLike = True,
    offline: bool | None = None,
    **overrides,
) -> "AudioModel":
    """Return a model, ready to use.

    Args:
        preset: a name in the zoo (``audiozoo.list_models()``); or a path, which is a PathLike or holds a
            separator or ends in ``.keras``: a folder written by ``model.save_to_preset``, a preset YAML, or
            a ``.keras`` file.
        weights: True for the released ones, checked by their sha256, or an error: never silently random.
            False for a random initialisation. A path for a ``.weights.h5`` of your own.
        offline: True never downloads, False may; None asks ``AUDIOZOO_OFFLINE``.
        overrides: constructor arguments that replace those of the preset.

    Returns:
        The model, built and not compiled, with ``.sample_rate`` in Hz and ``.preset`` (None for a
        ``.keras`` file).

    Raises:
        UnknownPreset, InvalidPreset: there is no such preset, or its YAML is wrong.
        WeightsUnavailable: there are no weights, or they cannot be fetched from here.
        WeightsCorrupt: the weights file is truncated or altered.
        IncompatiblePreset: architecture, arguments and weights do not fit each other.
        MissingDependency: ``KERAS_BACKEND`` names a backend that is not there.
    """
    if is_path(preset) and Path(preset).suffix == ".keras":
        return _load_keras_file(Path(preset), weights=weights, overrides=overrides)
    found = info(preset)
    file = _weights_file(found, weights, offline)  # before Keras is imported, which takes seconds
    model = _construct(found.architecture, {**found.config, **overrides}, f"preset {found.name!r}")
    if file is not None:
        _load_weights(model, file, overrides)
        if weights is True or not overrides:
            _check_count(model, found)
    model.preset = found
    return model


def download(preset: str | os.PathLike) -> Path:
    """Make sure that a preset's released weights are on this machine, and return their path.

    Raises:
        UnknownPreset, InvalidPreset, WeightsUnavailable, WeightsCorrupt, OutputError: as ``load`` does.
    """
    return locate(info(preset))


def _weights_file(preset, weights, offline):
    if weights is True:
        file = locate(preset, offline=offline)
        check_readable(file)  # a preset from elsewhere vouches for its own weights
        return file
    if weights is False:
        return None
    if not isinstance(weights, str | os.PathLike):
        raise IncompatiblePreset(
            f"weights must be True, False or the path of a .weights.h5; got {weights!r}."
        )
    check_readable(weights)
    return Path(weights)


def _construct(architecture, arguments, source):
    """A model of one of our architectures, by its name alone: nothing is imported that a file names."""
    backend.check()
    import audiozoo.models  # noqa: F401  registers every architecture
    from audiozoo.models.base import AudioModel, bounded_weights

    if architecture not in AudioModel.architectures:
        raise IncompatiblePreset(
            f"{source} asks for architecture {architecture!r}; this version of audiozoo "
            f"has {', '.join(sorted(AudioModel.architectures))}. Upgrade audiozoo, or correct the preset."
        )
    model_class = AudioModel.architectures[architecture]
    known = model_class.argument_names()
    for name in arguments:
        if name not in (*known, "name", "dtype", "trainable"):
            raise IncompatiblePreset(
                f"{source}: {architecture} has no argument {name!r}. Allowed: "
                f"{', '.join(known)}, name, dtype, trainable."
            )
    try:
        with bounded_weights():
            return model_class(**arguments)
    except Exception as error:  # ours of an argument, Keras's of a shape, a backend's where memory is out
        raise IncompatiblePreset(
            f"{architecture} refuses the arguments of {source}: {one_line(error)[:1000]}"
        ) from error


def _load_weights(model, file, overrides):
    try:
        model.load_weights(file)
    except Exception as error:  # Keras raises whatever the file makes it stumble over
        raise IncompatiblePreset(_misfit(model, file, overrides, error)) from error


def _misfit(model, file, overrides, error):
    message = f"{file} does not fit {type(model).__name__}: {one_line(error)[:300]}."
    if not overrides:
        return f"{message} It was saved from another architecture or configuration."
    changed = ", ".join(f"{name}={value!r}" for name, value in overrides.items())
    return f"{message} With {changed} the model has other shapes: leave that out, or pass weights=False."


def _check_count(model, preset):
    # Keras loads "successfully" into layers that were never built; a count is what it cannot fake.
    count, stated = model.count_params(), preset.card.parameters
    if stated is not None and count != stated:
        raise IncompatiblePreset(
            f"preset {preset.name!r} states {stated} parameters, but the model it builds has {count}. "
            "Correct card.parameters, or the config."
        )


def _load_keras_file(path, *, weights, overrides):
    if weights is not True or overrides:
        raise IncompatiblePreset(
            f"{path} holds its own weights and configuration; got weights={weights!r}"
            f"{''.join(f', {name}={value!r}' for name, value in overrides.items())}. Load it without these."
        )
    if not path.is_file():
        raise UnknownPreset(f"no preset at {path}: there is no such file.")
    with refused(WeightsCorrupt, f"{path} is not a complete .keras file", "Copy or save it again."):
        architecture, arguments = _read_keras_file(path)
    model = _construct(architecture, arguments, str(path))
    _load_weights(model, path, {})
    return model


def _read_keras_file(path):
    """Architecture and arguments in a .keras file of ours, after a look at all that will be read of it.

    Keras's own loader rebuilds what a file asks for, whatever that is; ours takes a name and values.
    """
    with zipfile.ZipFile(path) as archive:
        for name in ("config.json", WEIGHTS_MEMBER):  # nothing else is read
            if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:  # as Keras writes them
                raise ValueError(f"{name} is packed")
            with archive.open(name) as member:
                while member.read(1 << 20):  # to its end, where its checksum is compared
                    pass
        if archive.getinfo("config.json").file_size > MOST_BYTES:
            raise ValueError(f"config.json has more than {MOST_BYTES} bytes")
        stored = json.loads(archive.read("config.json"))
        package, _, architecture = str(stored["registered_name"]).rpartition(">")
        if package != "audiozoo":
            raise IncompatiblePreset(
                f"{path} holds a {stored['class_name']!s:.80}; audiozoo.load returns only its own models."
            )
        with archive.open(WEIGHTS_MEMBER) as weights:
            check_hdf5(weights)
    arguments = {name: _plain(value) for name, value in stored["config"].items()}
    check_config(arguments)
    return architecture, arguments


def _plain(value):
    """An argument as Keras writes it in JSON. Raises ValueError for an object: no architecture takes one."""
    if isinstance(value, dict) and "class_name" in value:
        if value["class_name"] != "__tuple__":
            raise ValueError(f"an argument is {value!r:.80}")
        value = value["items"]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
