"""From a preset to a model that makes sound."""

import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from audiozoo import backend
from audiozoo.errors import IncompatiblePreset, UnknownPreset, WeightsCorrupt, one_line
from audiozoo.registry import Preset, info, is_path
from audiozoo.weights import check_readable, locate

if TYPE_CHECKING:
    from audiozoo.models.base import AudioModel


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
    model = _construct(found, overrides)
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
        return locate(preset, offline=offline)
    if weights is False:
        return None
    if not isinstance(weights, str | os.PathLike):
        raise IncompatiblePreset(
            f"weights must be True, False or the path of a .weights.h5; got {weights!r}."
        )
    check_readable(weights)
    return Path(weights)


def _construct(preset: Preset, overrides):
    model_class = _architecture(preset)
    known = model_class.argument_names()
    for name in {**preset.config, **overrides}:
        if name not in (*known, "name", "dtype", "trainable"):
            raise IncompatiblePreset(
                f"{preset.architecture} has no argument {name!r}. Allowed: "
                f"{', '.join(known)}, name, dtype, trainable."
            )
    try:
        return model_class(**{**preset.config, **overrides})
    except (TypeError, ValueError) as error:
        raise IncompatiblePreset(
            f"{preset.architecture} refuses the arguments of preset {preset.name!r}: {one_line(error)}"
        ) from error


def _architecture(preset):
    backend.check()
    import audiozoo.models  # noqa: F401  registers every architecture
    from audiozoo.models.base import AudioModel

    if preset.architecture not in AudioModel.architectures:
        raise IncompatiblePreset(
            f"preset {preset.name!r} asks for architecture {preset.architecture!r}; this version of audiozoo "
            f"has {', '.join(sorted(AudioModel.architectures))}. Upgrade audiozoo, or correct the preset."
        )
    return AudioModel.architectures[preset.architecture]


def _load_weights(model, file, overrides):
    try:
        model.load_weights(file)
    except (ValueError, TypeError, KeyError, OSError, RuntimeError) as error:
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
    if not zipfile.is_zipfile(path) or _first_damaged_member(path):
        raise WeightsCorrupt(f"{path} is not a complete .keras file. Copy or save it again.")
    backend.check()
    import keras

    import audiozoo.models  # noqa: F401  a .keras file opens only if its class is registered
    from audiozoo.models.base import AudioModel

    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever the file makes it stumble over
        raise IncompatiblePreset(f"{path} cannot be rebuilt: {one_line(error)[:300]}") from error
    if not isinstance(model, AudioModel):
        raise IncompatiblePreset(
            f"{path} holds a {type(model).__name__}; audiozoo.load returns only its own models."
        )
    return model


def _first_damaged_member(path):
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError, ValueError):
        return path.name
