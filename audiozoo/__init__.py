"""Generative audio models for Keras 3: one line to load, one file to read, one YAML to retrain.

Examples:
    >>> import audiozoo
    >>> model = audiozoo.load("ddsp_violin")
    >>> violin = model.transfer(singing, sample_rate)

Importing this imports neither Keras nor a backend: functions and submodules arrive when first used.
"""

import pkgutil
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from audiozoo import backend

if TYPE_CHECKING:
    from audiozoo.exporting import export
    from audiozoo.registry import info, list_models
    from audiozoo.zoo import download, load

__version__ = "0.1.0"
__all__ = ["download", "export", "info", "list_models", "load"]

_HOME = {
    "download": "audiozoo.zoo",
    "export": "audiozoo.exporting",
    "info": "audiozoo.registry",
    "list_models": "audiozoo.registry",
    "load": "audiozoo.zoo",
}

backend.choose()


def __getattr__(name):
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name.startswith("_") or not find_spec(f"{__name__}.{name}"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return import_module(f"{__name__}.{name}")
    except (ImportError, ValueError):
        backend.check()  # where the backend is to blame, it says so better than Keras does
        raise


def __dir__():
    submodules = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted({*__all__, "__version__", *(name for name in submodules if not name.startswith("_"))})
