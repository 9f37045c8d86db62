"""Write what layers of TensorFlow Addons do, for tests/legacy/test_tfa.py to compare with: ``make test-tfa``.

    pip install tensorflow==2.15.1 tensorflow-addons==0.23.0
    python tests/make_tfa.py [FOLDER]

They are of Keras 2, so this runs in an environment of its own (Python 3.11), and none of our code has a part
in it. The ``.h5`` files are such as users of that time have: of ``model.save`` and of ``model.save_weights``.
"""

import os
import sys
from pathlib import Path

import numpy as np

ORACLES = Path(__file__).parent / "oracles"
MELS, CHANNELS, RATIOS, DILATIONS = 6, 8, (4, 2), (1, 3)  # of the MelGAN


def layer_cases():
    """Name -> layer, shape of its input."""
    import tensorflow_addons as tfa
    from tensorflow.keras import layers

    plain = {"center": False, "scale": False}
    norm = tfa.layers.InstanceNormalization
    cases = {
        "instance_norm_1d": (norm(), (2, 20, 3)),
        "instance_norm_1d_plain": (norm(**plain), (2, 20, 3)),
        "instance_norm_1d_scale": (norm(center=False), (2, 20, 3)),
        "instance_norm_1d_shift": (norm(scale=False), (2, 20, 3)),
        "instance_norm_2d": (norm(), (2, 6, 5, 3)),
        "instance_norm_2d_plain": (norm(**plain), (2, 6, 5, 3)),
    }
    for data_init in (False, True):
        inner = {
            "dense": (layers.Dense(4), (2, 7, 3)),
            "conv1d": (layers.Conv1D(4, 3, padding="same"), (2, 9, 3)),
            "conv1d_groups": (layers.Conv1D(6, 4, strides=2, groups=2), (2, 9, 4)),
            "conv2d": (layers.Conv2D(4, 3, padding="same"), (2, 6, 5, 3)),
            # With as many filters as channels: initialised by data it scales channels, where it should scale
            # filters, and it fails where they are not as many.
            "conv1d_transpose": (layers.Conv1DTranspose(3, 4, strides=2, padding="same"), (2, 6, 3)),
            "conv2d_transpose": (layers.Conv2DTranspose(3, 4, strides=2, padding="same"), (2, 4, 3, 3)),
        }
        if not data_init:
            inner["conv1d_transpose_wider"] = (
                layers.Conv1DTranspose(5, 4, strides=2, padding="same"),
                (2, 6, 3),
            )
        for name, (layer, shape) in inner.items():
            layer = tfa.layers.WeightNormalization(layer, data_init=data_init)
            cases[f"{name}_data" if data_init else name] = (layer, shape)
    for name, (layer, _) in cases.items():
        layer._name = name  # before it is built: its arrays are called so in the file
    return cases


def our_names(layer):
    """Trainable variables of a layer by the names that ours have."""
    if hasattr(layer, "v"):
        return {"v": layer.v, "g": layer.g, "bias": layer.layer.bias}
    names = {"scale": layer.gamma, "shift": layer.beta}
    return {name: variable for name, variable in names.items() if variable is not None}


def layer_oracle(layer, shape, rng):
    """Output of a layer, and gradients of the sum of its output times ``probe``."""
    import tensorflow as tf

    inputs = tf.constant(rng.standard_normal(shape).astype("float32"))
    layer(inputs)
    for name, variable in our_names(layer).items():
        # As training leaves them: of any length, g of either sign.
        moved = 0.0 if name == "v" else rng.standard_normal(variable.shape)
        variable.assign((1.7 if name == "v" else 1.0) * variable + moved)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        output = layer(inputs)
        probe = rng.standard_normal(output.shape).astype("float32")
        value = tf.reduce_sum(output * probe)
    watched = {"inputs": inputs} | our_names(layer)
    gradients = tape.gradient(value, watched)
    return {"inputs": inputs, "output": output, "probe": probe} | {
        f"gradient_{name}": gradient for name, gradient in gradients.items()
    }


def normalized(layer):
    import tensorflow_addons as tfa

    return tfa.layers.WeightNormalization(layer, data_init=False)


def rectified(hidden):
    from tensorflow.keras import layers

    return layers.LeakyReLU(alpha=0.2)(hidden)


def mirrored(hidden, amount):
    """Mirrored ends, on every axis between the first and the last."""
    import tensorflow as tf

    class Mirrored(tf.keras.layers.Layer):
        def call(self, inputs):
            around = [[0, 0], *[[amount, amount]] * (len(inputs.shape) - 2), [0, 0]]
            return tf.pad(inputs, around, mode="REFLECT")

    return Mirrored()(hidden)


def residual(hidden, filters, dilation, convolution):
    """The residual block of MelGAN."""
    from tensorflow.keras import layers

    look = normalized(convolution(filters, 3, dilation_rate=dilation))
    mix, shortcut = normalized(convolution(filters, 1)), normalized(convolution(filters, 1))
    branch = mix(rectified(look(mirrored(rectified(hidden), dilation))))
    return layers.Add()([branch, shortcut(hidden)])


def melgan():
    """A small MelGAN generator, of mel spectrograms (batch, frames, bands)."""
    from tensorflow import keras
    from tensorflow.keras import layers

    mel, channels = layers.Input((None, MELS)), CHANNELS
    hidden = normalized(layers.Conv1D(channels, 7))(mirrored(mel, 3))
    for ratio in RATIOS:
        channels //= 2
        raised = layers.Conv1DTranspose(channels, 2 * ratio, strides=ratio, padding="same")
        hidden = normalized(raised)(rectified(hidden))
        for dilation in DILATIONS:
            hidden = residual(hidden, channels, dilation, layers.Conv1D)
    head = normalized(layers.Conv1D(1, 7, activation="tanh"))
    return keras.Model(mel, head(mirrored(rectified(hidden), 3)), name="melgan")


def stage():
    """A stage of a generator of spectrograms, with instance normalisation, over time and frequency."""
    import tensorflow_addons as tfa
    from tensorflow import keras
    from tensorflow.keras import layers

    maps = layers.Input((5, 4, 6))
    hidden = normalized(layers.Conv2DTranspose(4, 4, strides=2, padding="same"))(maps)
    hidden = rectified(tfa.layers.InstanceNormalization()(hidden))
    return keras.Model(maps, residual(hidden, 4, 3, layers.Conv2D), name="stage")


def scattered(model, rng):
    """The model with weights as if it had been trained: none of them is where it began."""
    for variable in model.trainable_variables:
        variable.assign_add(0.2 * rng.standard_normal(variable.shape).astype("float32"))
    return model


def main(folder):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from tensorflow import keras

    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(0)
    rng, arrays, calls = np.random.default_rng(0), {}, []
    for name, (layer, shape) in layer_cases().items():
        oracle = layer_oracle(layer, shape, rng)
        arrays |= {f"{name}/{key}": np.asarray(value) for key, value in oracle.items()}
        calls.append((keras.Input(shape[1:]), layer))
    keras.Model([x for x, _ in calls], [layer(x) for x, layer in calls]).save_weights(
        folder / "tfa_layers.h5"
    )
    for model, shape in ((melgan(), (2, 9, MELS)), (stage(), (2, 5, 4, 6))):
        if model.name == "stage":
            model.save_weights(folder / "tfa_stage_new.h5")  # before its first call: g holds nothing yet
        inputs = rng.standard_normal(shape).astype("float32")
        initial = model.predict(inputs, verbose=0)
        output = scattered(model, rng).predict(inputs, verbose=0)
        said = {"inputs": inputs, "initial": initial, "output": output}
        arrays |= {f"{model.name}/{key}": array for key, array in said.items()}
        if model.name == "stage":
            model.save_weights(folder / "tfa_stage.h5")
        else:
            model.compile("adam", "mse")
            model.save(folder / "tfa_melgan.h5")
    np.savez_compressed(folder / "tfa.npz", **arrays)
    print(*sorted(folder.glob("tfa*")), sep="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ORACLES)
