"""What ``test_devices`` runs in processes of their own, where one processor is four devices.

``python on_four_devices.py PART ...``: ``shares`` looks at who gets which item; ``runs`` resumes a run that
was killed; ``families,NAME,...`` trains small models for two steps on one device and on four. What they
found is the last line, in JSON.
"""

import atexit
import contextlib
import json
import os
import pathlib
import shutil
import sys
import tempfile
from unittest import mock

os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = (
    "1"  # programs that run twice: what they cost is their compilation
)

import keras
import numpy as np

import audiozoo
from audiozoo import registry
from audiozoo.data.pipelines import HeldOut, training_stream
from audiozoo.errors import TrainingError
from audiozoo.models import CMelGAN, Conv1DResnetVAE, DDSPDecoder, MelGANVocoder, MelNet, MnistVAE
from audiozoo.models.base import AudioModel
from audiozoo.training import train
from audiozoo.training.callbacks import Progress
from audiozoo.training.devices import Devices, check_divisible, devices_for

COUNT, BATCH = 4, 8
ON_JAX = keras.backend.backend() == "jax"
MELS = {
    "classes": ("low", "high"),
    "sample_rate": 8000,
    "num_mels": 8,
    "window_length": 256,
    "hop": 64,
    "clip_frames": 8,
}


class Items:
    """Random items, as ``data.pipelines`` wants them: as many held out as make a batch and a half."""

    batch_size = BATCH

    def __init__(self, **shapes):
        self.shapes = shapes

    def batch(self, step, count=BATCH):
        random = np.random.default_rng(step)
        return {name: make(random, (count, *shape)) for name, (make, *shape) in self.shapes.items()}

    def validation_places(self):
        return [(1000, index) for index in range(BATCH + BATCH // 2)]

    def collate(self, steps, indices):
        return {name: values[list(indices)] for name, values in self.batch(1000, 2 * BATCH).items()}


def sound(random, shape):
    return random.uniform(-0.5, 0.5, shape).astype("float32")


def hertz(random, shape):
    return random.uniform(200.0, 400.0, shape).astype("float32")


def decibels(random, shape):
    return random.uniform(-40.0, -20.0, shape).astype("float32")


def level(random, shape):
    return random.uniform(0.0, 3.0, shape).astype("float32")


def label(random, shape):
    return random.integers(0, 2, shape).astype("int32")


DDSP = {"num_units": 8, "num_harmonics": 4, "num_noise_bands": 5, "reverb_length": 200}
VAE = {"sample_rate": 4000, "strides": (6,), "filters": (4,), "latent_dim": 3, "free_bits": 0.2, "beta": 0.1}
VOCODER = {
    "sample_rate": 8000,
    "num_mels": 8,
    "window_length": 256,
    "hop": 64,
    "highest_hz": 3800.0,
    "channels": 8,
    "ratios": (8, 8),
    "dilations": (1,),
    "discriminator_scales": 1,
    "discriminator_channels": 4,
    "discriminator_most_channels": 8,
    "discriminator_strides": (4,),
}
MELNET = MELS | {"depths": (1, 1), "units": 4, "components": 2}
GAN = MELS | {"latent_dim": 4, "channels": (4, 4), "discriminator_channels": (4, 4)}
FEATURES = Items(f0_hz=(hertz, 20, 1), loudness_db=(decibels, 20, 1), audio=(sound, 3200))
FAMILIES = {
    "ddsp": (DDSPDecoder, DDSP, FEATURES),
    "vae": (Conv1DResnetVAE, VAE, Items(audio=(sound, 240))),
    "image_vae": (
        MnistVAE,
        {"image_size": 8, "latent_dim": 2, "hidden_units": 8, "free_bits": 0.1},
        Items(image=(sound, 8, 8)),
    ),
    "melnet": (MelNet, MELNET, Items(log_mel=(level, 8, 8), known=(level, 8, 8), label=(label,))),
    "vocoder": (MelGANVocoder, VOCODER, Items(audio=(sound, 2048))),
    "batch_norm": (MnistVAE, {"image_size": 8, "variant": "batch_norm"}, Items(image=(sound, 8, 8))),
    "gan": (CMelGAN, GAN, Items(log_mel=(level, 8, 8), noise=(sound, 4), label=(label,))),
}


def fitted(architecture, config, items, devices):
    """A model after two steps of gradient descent, its weights before, and its log."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    with devices.building():
        model = architecture(**config)
    model.adapt([items.batch(step) for step in range(2)])
    if architecture is DDSPDecoder:  # audible noise: the logarithm of a silent spectrum is all rounding
        model.network.noise_head.bias.assign(np.full(model.num_noise_bands, 5.0))
    check_divisible(model)
    # Logarithms of spectra make as much as 0.4 % of a step out of rounding.
    rate = 1e-4 if architecture is DDSPDecoder else 1e-2
    with devices.building():
        optimizer = keras.optimizers.SGD(rate, use_ema=True, ema_momentum=0.5)
        model.compile(optimizer, loss=model.training_loss(), jit_compile="auto")
    before = [np.array(weight) for weight in map(keras.ops.convert_to_numpy, model.trainable_weights)]
    with devices.running():
        log = model.fit(
            training_stream(items),
            validation_data=HeldOut(items, multiple_of=devices.count),
            epochs=1,
            steps_per_epoch=2,
            shuffle=False,
            verbose=0,
            callbacks=[*devices.callbacks],
        )
    return model, before, {name: values[0] for name, values in log.history.items()}


def the_same_noise():
    """Within it every item draws the same noise: on TensorFlow devices draw other numbers than one does."""

    def draw(shape, *limits, dtype=None, seed=None):
        same = np.random.default_rng(0).uniform(-1.0, 1.0, shape[1:]).astype("float32")
        return keras.ops.zeros((shape[0], *([1] * len(same.shape)))) + same

    return mock.patch.multiple(keras.random, normal=draw, uniform=draw)


def families(*names):
    """Small models of the families after two steps on one device and on four."""
    with contextlib.nullcontext() if ON_JAX else the_same_noise():
        return {name: compared(*FAMILIES[name]) for name in names}


def compared(*family):
    """Logs and weights of a model on one device and on four, or why four are refused."""
    try:
        four, _, log_of_four = fitted(*family, devices_for(COUNT, registry.Train(batch_size=BATCH)))
    except TrainingError as error:
        return {"refused": str(error)}
    one, before, log_of_one = fitted(*family, Devices())
    after = list(map(keras.ops.convert_to_numpy, one.trainable_weights))
    weights = [list(map(keras.ops.convert_to_numpy, model.weights)) for model in (one, four)]
    return {
        "one": log_of_one,
        "four": log_of_four,
        "moved": max(float(np.abs(a - b).max()) for a, b in zip(before, after, strict=True)),
        "apart": max(float(np.abs(a - b).max()) for a, b in zip(*weights, strict=True)),
    }


class Counted(AudioModel, abstract=True):
    """A number for each item, from which gradient descent takes 1 whenever the item is trained on."""

    def __init__(self, items):
        super().__init__()
        self.numbers = self.add_weight(name="numbers", shape=(items,), initializer="zeros")
        self.generator = keras.random.SeedGenerator(0)
        self.seen = []
        self({"item": np.zeros((1,), "int32")})

    def call(self, inputs, training=False):
        if training:
            shape = keras.ops.shape(inputs["item"])
            self.look(inputs["item"], keras.random.uniform(shape, seed=self.generator))
        return keras.ops.take(self.numbers, inputs["item"])

    def look(self, items, noise):
        """Keep what each device is given and draws."""
        if ON_JAX:
            import jax

            places = jax.debug.inspect_array_sharding
            places(items, callback=lambda found: self.seen.append(list(found.shard_shape((BATCH,)))))
            jax.debug.callback(lambda values: self.drawn.append(values.tolist()), noise)
        else:
            import tensorflow as tf

            device = tf.distribute.get_replica_context().replica_id_in_sync_group
            keep = lambda *found: self.seen.append([each.tolist() for each in found]) or np.int32(0)  # noqa: E731
            with tf.device("CPU:0"):
                tf.numpy_function(keep, [tf.convert_to_tensor(device), items, noise], tf.int32)

    def batch_loss(self, x, y, y_pred, *, training):
        return keras.ops.mean(y_pred)


def shares():
    """Two steps over numbered items: how often each was trained on, and by which device."""
    devices = devices_for(COUNT, registry.Train(batch_size=BATCH))
    with devices.building():
        model = Counted(3 * BATCH)
        model.compile(keras.optimizers.SGD(float(BATCH)))
    model.drawn = []

    class Numbered:
        def batch(self, step):
            items = np.arange(BATCH, dtype="int32") + BATCH * step
            return {"item": items, "audio": np.zeros((BATCH, 1), "float32")}

    with devices.running():
        stream, more = training_stream(Numbered()), {"callbacks": [*devices.callbacks]}
        model.fit(stream, epochs=1, steps_per_epoch=2, shuffle=False, verbose=0, **more)
    numbers = keras.ops.convert_to_numpy(model.numbers).tolist()
    return {"numbers": numbers, "seen": list(model.seen), "drawn": list(model.drawn)}


def contents(folder):
    with np.load(folder / "checkpoint.npz") as saved:
        return {name: saved[name] for name in saved.files if name != "progress"}


def most_apart(folder, other):
    ours, theirs = contents(folder), contents(other)
    assert list(ours) == list(theirs)
    return max(float(np.abs(ours[name].astype("float64") - theirs[name]).max()) for name in ours)


def runs():
    """Runs of a tiny VAE: one to its end, and two that go on where it was in its second epoch."""
    folder = pathlib.Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    random = np.random.default_rng(0)
    np.savez(folder / "images.npz", x_train=random.integers(0, 256, (40, 8, 8)).astype("uint8"))
    recipe = audiozoo.info("mnist_vae")
    settings = {"batch_size": BATCH, "steps_per_epoch": 2, "average_momentum": 0.5, "beta_warmup_epochs": 1}
    preset = recipe.model_copy(
        update={
            "config": {"latent_dim": 2, "hidden_units": 8, "dropout": 0.2},
            "train": registry.Train(**settings, test_share=0.2, warmup_steps=0, learning_rate=0.01),
        }
    )

    def run(name, **arguments):
        keras.utils.clear_session()
        data, out = folder / "images.npz", folder / name
        return train(
            preset, data, out=out, progress=False, **{"devices": COUNT, "examples": False} | arguments
        )

    def leave_as_a_kill_would(self, batch, logs=None):
        if self.history and not (folder / "killed").exists():  # in the second epoch
            shutil.copytree(folder / "whole", folder / "killed")

    watched = mock.patch.multiple(
        Progress, on_train_batch_begin=leave_as_a_kill_would, on_train_batch_end=lambda *_, **more: None
    )
    with watched:
        found = {"whole": run("whole", epochs=2, examples=True)}
    found["files"] = sorted(path.name for path in (folder / "whole" / "examples").iterdir())
    for name, count in (("resumed", COUNT), ("elsewhere", 1)):
        shutil.copytree(folder / "killed", folder / name)
        found[name] = run(name, epochs=2, devices=count)
        found[name]["apart"] = most_apart(folder / "whole", folder / name)
    return found


if __name__ == "__main__":
    found = {}
    for words in sys.argv[1:]:
        part, *names = words.split(",")
        found[part] = globals()[part](*names)
    print(json.dumps(found))
