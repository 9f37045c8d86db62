"""Checkpoints that are exact and atomic: a run killed at any moment goes on as if it had not been."""

import json
import pathlib
import re

import keras
import numpy as np

from audiozoo.atomic import replacing
from audiozoo.errors import TrainingError
from audiozoo.foreign import npz_arrays, refused


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
        with refused(TrainingError, f"checkpoint {str(self.path)!r} is damaged", "Delete it to begin anew."):
            # It is not packed: unpacked it is as large as it is.
            arrays = npz_arrays(self.path, most_bytes=self.path.stat().st_size)
            progress = dict(json.loads(str(arrays.pop("progress"))))
        variables = self.variables()
        differing = [
            name
            for name, variable in variables.items()
            if name not in arrays
            or arrays[name].shape != tuple(variable.shape)
            or arrays[name].dtype.kind not in "biufV"  # V: bfloat16, which numpy has no name for
        ]
        if differing or len(arrays) != len(variables):
            raise TrainingError(
                f"checkpoint {str(self.path)!r} belongs to another model: it differs in "
                f"{differing[:3] or 'its number of variables'}. Choose another output folder."
            )
        for name, variable in variables.items():
            variable.assign(arrays[name])
        return progress
