"""Which of TensorFlow, JAX and PyTorch Keras computes with.

Keras reads ``KERAS_BACKEND`` once, when it is first imported, and falls back to TensorFlow whether or
not that is installed. ``import audiozoo`` therefore chooses before Keras is imported, and says what is
wrong with a choice only where Keras is needed: the registry and most commands do without.
"""

import contextlib
import os
import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec

from audiozoo.errors import MissingDependency

BACKENDS = ("tensorflow", "jax", "torch")


def choose() -> None:
    """Set ``KERAS_BACKEND`` to the first installed backend, unless it is set or Keras runs already."""
    if "KERAS_BACKEND" in os.environ or "keras" in sys.modules:
        return
    for name in BACKENDS:
        if find_spec(name):
            os.environ["KERAS_BACKEND"] = name
            return


def active() -> str | None:
    """Name of the backend that Keras computes with, or will when it is imported; None if there is none."""
    if "keras" in sys.modules:
        return sys.modules["keras"].config.backend()
    return os.environ.get("KERAS_BACKEND")


def check() -> None:
    """Say why Keras could not be imported, if it could not.

    Raises:
        MissingDependency: ``KERAS_BACKEND`` names no backend, or one that is not installed.
    """
    if "keras" in sys.modules:
        return
    name = os.environ.get("KERAS_BACKEND")
    if name is None:
        raise MissingDependency(
            f"Keras needs one of {', '.join(BACKENDS)}; none is installed. pip install tensorflow"
        )
    if name not in BACKENDS:
        raise MissingDependency(
            f"KERAS_BACKEND must be one of {', '.join(BACKENDS)}; got {name!r}. "
            "Unset it, and the first one installed is taken."
        )
    if not find_spec(name):
        raise MissingDependency(
            f"KERAS_BACKEND is {name!r}, which is not installed. pip install {name}, or unset it."
        )


def silence_tensorflow() -> None:
    """From now on, what TensorFlow prints while it is imported is not seen.

    Before its log is set up, and with it ``TF_CPP_MIN_LOG_LEVEL``, it writes to stderr past Python.
    """
    if SilentTensorFlow not in sys.meta_path:
        sys.meta_path.insert(0, SilentTensorFlow)


class SilentTensorFlow:
    """Finder of modules that knows one."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        """TensorFlow's spec, with a loader that is silent; of other modules None."""
        spec = PathFinder.find_spec(name, path, target) if name == "tensorflow" else None
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def execute_silently(module):
                with silent_stderr():
                    execute(module)

            spec.loader.exec_module = execute_silently
        return spec


@contextlib.contextmanager
def silent_stderr():
    """What is written to the process's stderr meanwhile, by whatever, is lost; exceptions pass."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
