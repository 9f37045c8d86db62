"""The running average of the weights, which generalises better than the weights of any one step."""

import contextlib

import keras
import numpy as np

from audiozoo.models import AudioModel


@contextlib.contextmanager
def averaged_weights(model):
    """Within it the model has the averages that its optimizer keeps (``use_ema=True``), after it its own.

    Keras's SwapEMAWeights swaps the two in place, so that a checkpoint written meanwhile holds the
    one for the other. Where the optimizer keeps no averages, nothing changes. What the model measured with
    its own weights, such as the statistics of a batch normalisation, it measures again
    (``AudioModel.settle``).

    Args:
        model: compiled; while it is being fitted, only between epochs.
    """
    measured = [variable for variable in model.variables if not variable.trainable]
    own, own_measured = copies(model.trainable_variables), copies(measured)
    model.optimizer.finalize_variable_values(model.trainable_variables)
    # On JAX the model now has the optimizer's own arrays, and whoever donates them deletes both.
    averages = copies(model.trainable_variables)
    assign(model.trainable_variables, averages)
    try:
        changed = any(np.any(a != b) for a, b in zip(own, averages, strict=True))
        if changed and isinstance(model, AudioModel):
            model.settle()
        yield
    finally:
        assign(model.trainable_variables, own)
        assign(measured, own_measured)


def copies(variables):
    """Values of variables as arrays that share no memory with them."""
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def assign(variables, values):
    """Give each variable its value."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


class AveragedValidation(keras.callbacks.Callback):
    """Validation sees the averaged weights."""

    def on_test_begin(self, logs=None):
        self.swap = averaged_weights(self.model)
        self.swap.__enter__()

    def on_test_end(self, logs=None):
        self.swap.__exit__(None, None, None)
