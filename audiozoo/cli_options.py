"""What the commands of all files of the command line have in common."""

import json
from typing import Annotated

import typer

PresetArgument = Annotated[
    str,
    typer.Argument(metavar="PRESET", help="Name in the zoo, or path (with a separator) of a preset folder."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def print_json(value):
    """Print a value as JSON, for scripts."""
    print(json.dumps(value, indent=2))


def able(verb, model, preset):
    """The model, if it has that verb and sound is what it is about. Raises IncompatiblePreset."""
    from audiozoo.errors import IncompatiblePreset

    if not hasattr(model, verb) or not hasattr(model, "sample_rate"):
        raise IncompatiblePreset(
            f"preset {str(preset)!r} is a {type(model).__name__}, which cannot {verb} sound. 'audiozoo list' "
            "shows all presets."
        )
    return model
