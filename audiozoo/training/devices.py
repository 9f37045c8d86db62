"""Training on several devices of one machine: each computes a share of every batch, all keep equal weights.

On JAX by ``keras.distribution.DataParallel``: one program for all devices, which sees the whole batch, so
that everything is what it is on one device, to rounding. On TensorFlow by
``tf.distribute.MirroredStrategy``: a program for each device, which sees its share;
``AudioModel.compute_loss`` and ``whole_batch_mean`` put the shares together. What that cannot put together is
refused here by name. Many machines: docs/scaling.md.
"""

import contextlib
import dataclasses
import os
from collections.abc import Callable

import keras

from audiozoo.arguments import check_whole
from audiozoo.errors import TrainingError
from audiozoo.layers import ConditionalBatchNorm

CPU_DEVICES = "AUDIOZOO_CPU_DEVICES"
SEED_STRIDE = 1_000_003  # between the devices' random generators; no two layers have seeds so far apart
STRATEGIES = {}  # TensorFlow's, by the names of the devices; see ``mirrored``
SEES_A_SHARE = (
    "under TensorFlow's MirroredStrategy, where each device sees only its share of a batch. "
    "Train with KERAS_BACKEND=jax, or with devices=1"
)


@dataclasses.dataclass(frozen=True)
class Devices:
    """Where a run computes.

    Attributes:
        count: of devices.
        building: makes a context, in which model and optimizer get their variables.
        running: makes one in which they are fitted.
        callbacks: which a run on these devices needs besides its own.
    """

    count: int = 1
    building: Callable = contextlib.nullcontext
    running: Callable = contextlib.nullcontext
    callbacks: tuple = ()


def devices_for(count, settings):
    """The first ``count`` devices of the active backend, for a run.

    Call it before anything is computed: only then can a processor still be taken for several devices, if the
    environment variable ``AUDIOZOO_CPU_DEVICES`` says so.

    Args:
        count: how many; 1 leaves everything as it is.
        settings: ``registry.Train`` of the run.

    Returns:
        ``Devices``.

    Raises:
        TrainingError: there are fewer, the batch cannot be divided evenly among them, or this backend cannot
            train so.
    """
    try:
        check_whole("devices", count, 1)
    except ValueError as error:
        raise TrainingError(str(error)) from error
    if count == 1:
        return Devices()
    backend = keras.backend.backend()
    if backend == "torch":
        raise TrainingError(
            f"devices must be 1 on PyTorch, where Keras trains on one device; got {count}. Train with "
            "KERAS_BACKEND=jax or tensorflow: presets are the same files. docs/scaling.md has more."
        )
    names = available()
    if len(names) < count:
        raise TrainingError(
            f"devices must be at most {len(names)}, as many as {backend} has here ({', '.join(names)}); got "
            f"{count}. To try it on a processor alone, set {CPU_DEVICES}={count} before the program starts: "
            "that shares its cores among so many devices, and is no faster."
        )
    if settings.batch_size % count:
        raise TrainingError(
            f"train.batch_size must be a multiple of devices, for equal shares; it is {settings.batch_size} "
            f"with {count} devices. Change either."
        )
    if backend == "jax":
        distribution = keras.distribution.DataParallel(devices=names[:count], auto_shard_dataset=False)
        return Devices(count, distribution.scope, distribution.scope)
    if settings.gradient_norm:
        raise TrainingError(
            f"train.gradient_norm is {settings.gradient_norm}: Keras would cut the gradient of each device "
            f"by itself {SEES_A_SHARE}, or without it."
        )
    strategy = mirrored(tuple(names[:count]))
    # Fitting finds the strategy in the model; in its scope whatever plays the model would run on all devices.
    return Devices(count, strategy.scope, callbacks=(DrawApart(strategy),))


def available():
    """Names of the active backend's GPUs or TPUs, or if there are none of its CPU devices.

    Raises:
        TrainingError: ``AUDIOZOO_CPU_DEVICES`` is no number, or comes too late for this process.
    """
    wanted = os.environ.get(CPU_DEVICES, "1")
    if not wanted.isdecimal() or int(wanted) < 1:
        raise TrainingError(f"{CPU_DEVICES} must be a number of devices, such as 4; got {wanted!r}.")
    by_backend = {"jax": jax_devices, "tensorflow": tensorflow_devices}
    try:
        return by_backend[keras.backend.backend()](int(wanted))
    except RuntimeError as error:  # as both say it where they have begun to compute
        raise TrainingError(
            f"{CPU_DEVICES}={wanted} comes too late: this process has computed with another number of "
            "devices already. Start a new one."
        ) from error


def jax_devices(cpu_devices):
    """Names of JAX's devices, of which the processor is so many."""
    import jax

    if cpu_devices > 1:
        jax.config.update("jax_num_cpu_devices", cpu_devices)
    return keras.distribution.list_devices()


def tensorflow_devices(cpu_devices):
    """The same of TensorFlow's."""
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    if cpu_devices > 1 and len(tf.config.get_logical_device_configuration(cpu) or ()) != cpu_devices:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration() for _ in range(cpu_devices)]
        )
    found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return [device.name.removeprefix("/device:") for device in found]


def mirrored(names):
    """The strategy of these devices, one for the life of the process.

    A second one would number its groups and messages as the first did, and TensorFlow take one for the other.
    """
    import tensorflow as tf

    if not STRATEGIES:
        STRATEGIES[names] = tf.distribute.MirroredStrategy(names)
    if names not in STRATEGIES:
        ((before, _),) = STRATEGIES.items()
        raise TrainingError(
            f"devices must stay {len(before)} in this process, in which TensorFlow has trained on so many; "
            f"got {len(names)}. Start a new process for another number."
        )
    return STRATEGIES[names]


def check_divisible(model):
    """Raise TrainingError for a model that would learn something else on TensorFlow's devices than on one."""
    if model.replicas == 1:
        return
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization | ConditionalBatchNorm):
            raise TrainingError(
                f"a {type(model).__name__} with this configuration normalises over the batch "
                f"({layer.path}), which cannot be {SEES_A_SHARE}, or choose another normalisation."
            )


class DrawApart(keras.callbacks.Callback):
    """Gives the random generators of each device a seed of its own, from that of the first.

    As they are made, and after whatever was assigned to them, all devices would draw the same noise for the
    first items of their shares, and for the second ones. A function of the first device's seed, which the
    checkpoint keeps, so that a resumed run draws what it would have drawn.

    Args:
        strategy: ``tf.distribute.MirroredStrategy``.
    """

    def __init__(self, strategy):
        super().__init__()
        self.strategy = strategy

    def on_epoch_begin(self, epoch, logs=None):
        for variable in self.model.non_trainable_variables:
            if variable.path.endswith("seed_generator_state"):
                first, *others = self.strategy.experimental_local_results(variable.value)
                seed, counter = first.numpy()
                for replica, other in enumerate(others, start=1):
                    other.assign([seed + replica * SEED_STRIDE, counter])
