"""The learning rate as a function of the optimizer's own step count, so that a resumed run has the same."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("audiozoo")
class WarmupThenDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Linear rise to ``learning_rate``, and a constant factor from epoch to epoch.

    Without the rise, Adam's first steps at 1e-3 throw a decoder of 512 units so far that it falls
    silent; the spectral loss of a silent partial has no gradient, and training never recovers.

    Args:
        learning_rate: in the first epoch, after the rise.
        warmup_steps: steps of the rise; 0 for none.
        decay_per_epoch: factor after each epoch.
        steps_per_epoch: steps.
    """

    def __init__(self, *, learning_rate, warmup_steps, decay_per_epoch, steps_per_epoch):
        self.learning_rate, self.warmup_steps = learning_rate, warmup_steps
        self.decay_per_epoch, self.steps_per_epoch = decay_per_epoch, steps_per_epoch

    def __call__(self, step):
        step = ops.cast(step, "float32")
        rise = ops.minimum(1.0, (step + 1.0) / max(1, self.warmup_steps))
        epoch = ops.floor(step / self.steps_per_epoch)
        return self.learning_rate * rise * self.decay_per_epoch**epoch

    def get_config(self):
        return {
            "learning_rate": self.learning_rate,
            "warmup_steps": self.warmup_steps,
            "decay_per_epoch": self.decay_per_epoch,
            "steps_per_epoch": self.steps_per_epoch,
        }
