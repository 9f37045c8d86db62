"""Every error that audiozoo raises on purpose.

Each is an ``AudioZooError`` and also the builtin that fits it, so that ``except ValueError`` keeps
working for who does not know this file. A message names the argument, what came, what is allowed
and what to do; the command line prints it as one line.
"""


class AudioZooError(Exception):
    """Base of all errors below."""


class UnknownPreset(AudioZooError, ValueError):
    """No preset has this name, or no preset lies at this path."""


class InvalidPreset(AudioZooError, ValueError):
    """A preset YAML that cannot be read or breaks the schema of ``audiozoo.registry``."""


class IncompatiblePreset(AudioZooError, ValueError):
    """Preset, constructor arguments and weights that do not fit each other."""


class UnknownClass(AudioZooError, ValueError):
    """A model was not trained on a class of this name."""


class WeightsUnavailable(AudioZooError, RuntimeError):
    """There are no weights, or they cannot be fetched from here."""


class WeightsCorrupt(AudioZooError, RuntimeError):
    """A weights file that is truncated, altered, or no weights file at all."""


class AudioError(AudioZooError, ValueError):
    """Audio that is unreadable, empty, not finite, or of the wrong shape."""


class ImageError(AudioZooError, ValueError):
    """Images of the wrong shape, type or range."""


class DataError(AudioZooError, ValueError):
    """Nothing usable to train on."""


class MotionError(AudioZooError, ValueError):
    """A recording of hands that is unreadable, empty, or of the wrong shape."""


class StatisticsMissing(AudioZooError, RuntimeError):
    """Something is to be standardised by statistics that were never measured."""


class TrainingError(AudioZooError, RuntimeError):
    """Training that cannot start, continue or resume."""


class SearchError(AudioZooError, ValueError):
    """A search for hyper-parameters that cannot start, or has found nothing."""


class ExportError(AudioZooError, RuntimeError):
    """A model that cannot be written in a format, or a written one that does not agree with it."""


class MissingDependency(AudioZooError, ImportError):
    """A package that this needs is not installed."""


class OutputError(AudioZooError, OSError):
    """A file or folder that cannot be written."""


def one_line(error: Exception) -> str:
    """Return the message of an error as one line, to be quoted in another."""
    return " ".join(str(error).split())


def counted(number: int, noun: str) -> str:
    """Return a number of things as words: "1 clip", "2 clips"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
