"""From the ``tune`` section of a preset to KerasTuner's hyper-parameters, and from values to a preset."""

import itertools

import keras_tuner
import pydantic
from keras_tuner.engine import hyperparameters as hp_types
from keras_tuner.src.engine.conditions import Parent

from audiozoo import registry
from audiozoo.errors import SearchError, one_line
from audiozoo.models import AudioModel
from audiozoo.registry import did_you_mean

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
    """Declare every hyper-parameter of a ``tune`` section in ``keras_tuner.HyperParameters``.

    Not through its ``conditional_scope``, which knows only chains of conditions.
    """
    for name, parameter in tune.items():
        conditions = [Parent(other, wanted) for other, wanted in conditions_of(tune, name).items()]
        match parameter:
            case registry.Choice():
                declared = hp_types.Choice(name, parameter.values, conditions=conditions)
            case registry.Switch():
                declared = hp_types.Boolean(name, conditions=conditions)
            case registry.IntRange() | registry.FloatRange():
                kind = hp_types.Int if isinstance(parameter, registry.IntRange) else hp_types.Float
                declared = kind(
                    name,
                    parameter.min,
                    parameter.max,
                    parameter.step,
                    parameter.sampling,
                    conditions=conditions,
                )
        found.merge([declared], overwrite=False)


def conditions_of(tune, name):
    """Values of others with which a hyper-parameter has a meaning, by name, and all that these depend on."""
    found = {}
    for other, wanted in (tune[name].when or {}).items():
        found |= conditions_of(tune, other) | {other: wanted}
    return found


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
    searchable = [*sections["config"], *(key for key in sections["train"] if key not in FIXED)]
    found = {}
    for name in preset.tune:
        section, dot, key = name.partition(".")
        if not dot:
            key = name
        possible = [s for s in ([section] if dot else sections) if key in sections.get(s, ())]
        if not possible:
            raise SearchError(
                f"tune.{name} must be an argument of {preset.architecture} or a key of train."
                f"{did_you_mean(key, searchable)} Those are: {', '.join(searchable)}."
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


def check_given(preset, given):
    """Refuse to search what the data give.

    Args:
        preset: ``registry.Preset`` with a ``tune`` section.
        given: names of arguments that the data give, see ``training.material.Material``.

    Raises:
        SearchError: a hyper-parameter is one of them.
    """
    for name, place in places(preset).items():
        if place[0] == "config" and place[1] in given:
            raise SearchError(f"tune.{name} cannot be searched: the data give it. Take it out of tune.")


def check_space(preset):
    """Refuse a space with a value that no model or training takes, before anything is trained.

    Both ends of every range and each choice are tried: several at once, since a model takes a second to
    build, and what is not taken then one by one, the others as in the preset.

    Raises:
        SearchError: a hyper-parameter of unknown name, or a value that is refused, with the reason.
    """
    places(preset)
    untried = {name: extremes(parameter) for name, parameter in preset.tune.items()}
    for values in itertools.zip_longest(*untried.values()):
        together = dict(zip(untried, values, strict=True))
        together = {name: value for name, value in together.items() if value is not None}
        if refusal(preset, together) is None:
            for name, value in active_values(preset.tune, together).items():
                untried[name] = [other for other in untried[name] if other != value]
    for name, values in untried.items():
        beside = {other: wanted[0] for other, wanted in conditions_of(preset.tune, name).items()}
        for value in values:
            reason = refusal(preset, beside | {name: value})
            if reason is not None:
                raise SearchError(
                    f"tune.{name} holds {value!r}, which {preset.architecture} does not take: {reason}"
                )


def refusal(preset, values):
    """Why a preset cannot have these values; None where it can."""
    try:
        changed = variant(preset, values)
        AudioModel.architectures[changed.architecture](**changed.config)
    except (ValueError, TypeError, SearchError) as error:
        return one_line(error)
    return None


def extremes(parameter):
    """The values of a hyper-parameter that are most likely to be refused."""
    match parameter:
        case registry.Choice():
            return parameter.values
        case registry.Switch():
            return [False, True]
    return [parameter.min, parameter.max]
