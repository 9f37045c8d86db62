"""A preset of the zoo as a ``keras_tuner.HyperModel``, for any tuner of KerasTuner."""

import keras
import keras_tuner

from audiozoo.data.pipelines import HeldOut, training_stream
from audiozoo.models import AudioModel
from audiozoo.training.train import (
    callbacks_of_learning,
    compile_for_training,
    material_for,
    new_model,
)
from audiozoo.tuning import objectives, space
from audiozoo.tuning.search import checked_preset


def hypermodel(preset, data=None):
    """A preset as a hypermodel.

    Examples:
        >>> tuner = keras_tuner.RandomSearch(
        ...     hypermodel("conv1d_resnet_vae", "music/"),
        ...     objective=keras_tuner.Objective("val_objective", "min"), max_trials=8)
        >>> tuner.search(epochs=4)

    Args:
        preset: name or path of a preset with ``train`` and ``tune`` sections, or a ``registry.Preset``.
        data: as for ``training.train``; None where ``tuner.search`` is given data of its own: batches of
            ``(inputs, target)``, as ``Model.fit`` takes them.

    Returns:
        ``ZooHyperModel``.

    Raises:
        InvalidPreset, SearchError: as ``search``.
    """
    preset = checked_preset(preset)
    space.check_space(preset)
    return ZooHyperModel(preset, data)


class ZooHyperModel(keras_tuner.HyperModel):
    """Builds and trains a preset with values from its ``tune`` section.

    In the log of every epoch stands ``val_objective``, which does not depend on the weight of a VAE's
    divergence (``objectives.fixed_beta_loss``): give ``keras_tuner.Objective("val_objective", "min")`` to the
    tuner.

    Args:
        preset: ``registry.Preset``.
        data: see ``hypermodel``.
    """

    def __init__(self, preset, data=None):
        super().__init__(name=preset.name)
        self.preset, self.data = preset, data
        self.material = None

    def build(self, hp):
        """A compiled model with the values that ``hp`` has."""
        space.declare(hp, self.preset.tune)
        variant = space.variant(self.preset, hp.values)
        keras.utils.set_random_seed(variant.train.seed)
        if self.data is None:
            model = AudioModel.architectures[variant.architecture](**variant.config)
        else:
            self.material = material_for(variant, self.data, variant.train, progress=False)
            model = new_model(variant, self.data, self.material)
        model.preset = variant
        compile_for_training(model, variant.train)
        return model

    def fit(self, hp, model, *args, callbacks=(), **kwargs):
        """Train it; a History. Arguments are those of ``Model.fit``; with data of its own it needs none."""
        settings = model.preset.train
        judge = FixedBeta(objectives.weight_of_divergence(self.preset))
        callbacks = [*callbacks_of_learning(settings), judge, *callbacks]
        if self.data is not None:
            crops = self.material.crops
            done = kwargs.get("initial_epoch", 0)
            args = (training_stream(crops, first_step=done * settings.steps_per_epoch),)
            kwargs = {
                "validation_data": HeldOut(crops),
                "epochs": settings.epochs,
                "steps_per_epoch": settings.steps_per_epoch,
            } | kwargs
        return model.fit(*args, callbacks=callbacks, **kwargs)


class FixedBeta(keras.callbacks.Callback):
    """Adds ``val_objective`` to the log, before the tuner's callbacks read it.

    Args:
        weight: see ``objectives.fixed_beta_loss``.
    """

    def __init__(self, weight):
        super().__init__()
        self.weight = weight

    def on_epoch_end(self, epoch, logs=None):
        if "val_loss" in logs:
            logs["val_objective"] = objectives.fixed_beta_loss(logs, self.weight)
