"""Checkpoints that are exact and atomic: a run killed at any moment goes on as if it had not been."""

import json
import pathlib
import re
import zipfile

import keras
import numpy as np

from audiozoo.atomic import replacing
from audiozoo.errors import TrainingError

# What numpy and zipfile raise on a file that is cut, altered, or something else altogether.
DAMAGE = (OSError, EOFError, ValueError, KeyError, TypeError, NotImplementedError, zipfile.BadZipFile)


class Checkpoint:
    """Every variable of a model and of its optimizer, and a few numbers, in one file.

    Keras's own BackupAndRestore is neither: it writes in place and leaves out the state of
    random generators.

    Args:
        path: ``.npz`` file.
        model: compiled and built.
    """

    def __init__(self, path, model):
        self.path, self.model = pathlib.Path(path), model
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)

    def variables(self):
        """Named variables, in an order that depends on the architecture alone."""
        variables = [*self.model.variables, *self.model.optimizer.variables]
        # Names may repeat, and Keras numbers the instances made in this process: dense, dense_1, ...
        names = [re.sub(r"_\d+(?=[_/]|$)", "", v.path.partition("/")[2]) for v in variables]
        return {f"{i}:{name}": v for i, (name, v) in enumerate(zip(names, variables, strict=True))}

    def save(self, **progress):
        """Write the state; ``progress`` is what JSON can hold and ``restore`` gives back."""
        arrays = {name: keras.ops.convert_to_numpy(v) for name, v in self.variables().items()}
        with replacing(self.path) as draft, open(draft, "wb") as sink:
            np.savez(sink, progress=json.dumps(progress), **arrays)

    def restore(self):
        """Put the saved state into the model; return ``progress``, or {} where nothing is saved.

        Raises:
            TrainingError: the file belongs to another model, or is damaged.
        """
        if not self.path.exists():
            return {}
        try:
            with np.load(self.path) as saved:
                arrays = {name: saved[name] for name in saved.files}
                progress = json.loads(str(arrays.pop("progress")))
        except DAMAGE as error:
            raise TrainingError(
                f"checkpoint {str(self.path)!r} is damaged ({error}). Delete it to begin anew."
            ) from error
        variables = self.variables()
        differing = [n for n, v in variables.items() if n not in arrays or arrays[n].shape != tuple(v.shape)]
        if differing or len(arrays) != len(variables):
            raise TrainingError(
                f"checkpoint {str(self.path)!r} belongs to another model: it differs in "
                f"{differing[:3] or 'its number of variables'}. Choose another output folder."
            )
        for name, variable in variables.items():
            variable.assign(arrays[name])
        return progress
