"""From the ``tune`` section of a preset to KerasTuner's hyper-parameters, and from values to a preset."""

import contextlib

import keras_tuner
import pydantic

from audiozoo import registry
from audiozoo.errors import SearchError, one_line
from audiozoo.models import AudioModel

# Moved by a search they would change what its trials are judged by, or are given by the search itself.
FIXED = ("seed", "test_share", "validation_seconds", "recording_pattern", "binarize", "epochs")


def hyperparameters(preset):
    """The space of a preset as ``keras_tuner.HyperParameters``.

    Args:
        preset: ``registry.Preset`` with a ``tune`` section.
    """
    found = keras_tuner.HyperParameters()
    declare(found, preset.tune)
    return found


def declare(found, tune):
    """Declare every hyper-parameter of a ``tune`` section, each under its conditions."""
    for name, parameter in tune.items():
        with contextlib.ExitStack() as conditions:
            for other, values in (parameter.when or {}).items():
                conditions.enter_context(found.conditional_scope(other, list(values)))
            match parameter:
                case registry.Choice():
                    found.Choice(name, parameter.values)
                case registry.Switch():
                    found.Boolean(name)
                case registry.IntRange():
                    found.Int(name, parameter.min, parameter.max, parameter.step, parameter.sampling)
                case registry.FloatRange():
                    found.Float(name, parameter.min, parameter.max, parameter.step, parameter.sampling)


def active_values(tune, values):
    """Those of the values that have a meaning beside the others, by name."""
    active = {}
    for name, parameter in tune.items():
        met = all(active.get(other) in wanted for other, wanted in (parameter.when or {}).items())
        if met and name in values:
            active[name] = values[name]
    return active


def variant(preset, values):
    """The preset with values of its hyper-parameters, as a recipe without weights.

    Args:
        preset: ``registry.Preset`` with ``tune`` and ``train`` sections.
        values: dict by name; what is not active beside the others stays as the preset has it.

    Raises:
        SearchError: a name is no argument and no setting, or a setting is out of its range.
    """
    where = places(preset)
    changes = {"config": {}, "train": {}}
    for name, value in active_values(preset.tune, values).items():
        section, key = where[name]
        changes[section][key] = value
    try:
        train = registry.Train.model_validate(preset.train.model_dump() | changes["train"])
    except pydantic.ValidationError as error:
        (problem, *_) = error.errors()
        raise SearchError(f"{problem['loc'][0]}: {problem['msg']}; got {problem['input']!r}") from error
    config = preset.config | changes["config"]
    return preset.model_copy(update={"config": config, "train": train, "weights": None})


def places(preset):
    """Where each hyper-parameter of a preset belongs: name to ``("config" or "train", key)``.

    Raises:
        SearchError: see ``check_space``.
    """
    sections = {
        "config": AudioModel.architectures[preset.architecture].argument_names(),
        "train": list(registry.Train.model_fields),
    }
    found = {}
    for name in preset.tune:
        section, dot, key = name.partition(".")
        if not dot:
            key = name
        possible = [s for s in ([section] if dot else sections) if key in sections.get(s, ())]
        if not possible:
            raise SearchError(
                f"tune.{name} must be an argument of {preset.architecture} ({', '.join(sections['config'])}) "
                f"or a key of train ({', '.join(sections['train'])})."
            )
        if len(possible) > 1:
            raise SearchError(
                f"tune.{name} is both an argument of {preset.architecture} and a key of train. Write "
                f"config.{name} or train.{name}."
            )
        if possible == ["train"] and key in FIXED:
            raise SearchError(
                f"tune.{name} cannot be searched: all trials must be judged by the same data, and the search "
                f"gives epochs and seed. Take it out of tune; keys like it are {', '.join(FIXED)}."
            )
        found[name] = (possible[0], key)
    twice = [name for name in found if list(found.values()).count(found[name]) > 1]
    if twice:
        raise SearchError(f"tune.{twice[0]} and tune.{twice[1]} are the same setting. Take one out.")
    return found


def check_space(preset):
    """Refuse a space with a value that no model or training takes, before anything is trained.

    Both ends of every range and each choice are tried, one at a time, the others as in the preset.

    Raises:
        SearchError: a hyper-parameter of unknown name, or a value that is refused, with the reason.
    """
    places(preset)
    for name, parameter in preset.tune.items():
        beside = conditions_met(preset.tune, name)
        for value in extremes(parameter):
            try:
                changed = variant(preset, beside | {name: value})
                AudioModel.architectures[changed.architecture](**changed.config)
            except (ValueError, TypeError, SearchError) as error:
                raise SearchError(
                    f"tune.{name} holds {value!r}, which {preset.architecture} does not take: "
                    f"{one_line(error)} Narrow it."
                ) from error


def conditions_met(tune, name):
    """Values of other hyper-parameters with which one of this name has a meaning."""
    met = {}
    for other, wanted in (tune[name].when or {}).items():
        met |= conditions_met(tune, other) | {other: wanted[0]}
    return met


def extremes(parameter):
    """The values of a hyper-parameter that are most likely to be refused."""
    match parameter:
        case registry.Choice():
            return parameter.values
        case registry.Switch():
            return [False, True]
    return [parameter.min, parameter.max]
