"""TensorFlow Addons: our layers do what its layers did, and old models play on with their weights.

What it did is in tests/oracles/tfa*, which tests/make_tfa.py wrote beside TensorFlow 2.15. ``make test-tfa``
writes these anew, and has this file compare with them: ``TFA_ORACLES`` says where they are.
"""

import os
from pathlib import Path

import keras
import numpy as np
import pytest
from cases import assert_close, gradient_of, numpy_of
from keras import ops

from audiozoo.errors import IncompatiblePreset
from audiozoo.keras2_weights import load_keras2_weights, read_keras2_weights
from audiozoo.layers import (
    Convolution,
    DilatedResidual,
    InstanceNorm,
    NormalizedDense,
    TransposedConvolution,
    fold_weight_norm,
)
from audiozoo.models import MelGANVocoder

FOLDER = Path(os.environ.get("TFA_ORACLES", Path(__file__).parents[1] / "oracles"))
MELGAN = {"num_mels": 6, "channels": 8, "ratios": (4, 2), "dilations": (1, 3), "hop": 8, "window_length": 32}
TOLERANCE = 1e-5  # relative to the loudest

LAYERS = {
    "instance_norm_1d": InstanceNorm,
    "instance_norm_1d_plain": InstanceNorm,
    "instance_norm_1d_scale": InstanceNorm,
    "instance_norm_1d_shift": InstanceNorm,
    "instance_norm_2d": InstanceNorm,
    "instance_norm_2d_plain": InstanceNorm,
    "dense": lambda **kwargs: NormalizedDense(4, **kwargs),
    "conv1d": lambda **kwargs: Convolution(4, 3, **kwargs),
    "conv1d_groups": lambda **kwargs: Convolution(6, 4, stride=2, groups=2, padding="none", **kwargs),
    "conv2d": lambda **kwargs: Convolution(4, 3, **kwargs),
    "conv1d_transpose": lambda **kwargs: TransposedConvolution(3, 4, stride=2, **kwargs),
    "conv2d_transpose": lambda **kwargs: TransposedConvolution(3, 4, stride=2, **kwargs),
}
NORMALIZED = [name for name in LAYERS if "norm" not in name]
CASES = LAYERS | {f"{name}_data": LAYERS[name] for name in NORMALIZED}
CASES["conv1d_transpose_wider"] = lambda **kwargs: TransposedConvolution(5, 4, stride=2, **kwargs)


@pytest.fixture(scope="module")
def oracle():
    with np.load(FOLDER / "tfa.npz") as arrays:
        return dict(arrays)


def of_case(oracle, name):
    return {key.split("/")[1]: value for key, value in oracle.items() if key.split("/")[0] == name}


def converted(name, inputs, **settings):
    """Our layer, with the weights of theirs; without any where theirs has none."""
    layer = CASES[name](**settings)
    layer.build(inputs.shape)
    if not name.endswith("plain"):
        load_keras2_weights(layer, FOLDER / "tfa_layers.h5", names=[name])
    return layer


def test_every_layer_that_was_written_is_compared(oracle):
    assert {key.split("/")[0] for key in oracle} == {*CASES, "melgan", "stage"}


@pytest.mark.parametrize("name", CASES)
def test_layers_and_their_gradients_are_those_of_tensorflow_addons(oracle, name):
    case = of_case(oracle, name)
    layer = converted(name, case["inputs"], **({} if "norm" in name else {"normalization": "weight"}))
    assert_close(numpy_of(layer(case["inputs"])), case["output"], TOLERANCE)

    parts = [case["inputs"], *layer.get_weights()]
    ends = np.cumsum([part.size for part in parts])[:-1].tolist()
    probe = ops.convert_to_tensor(case["probe"])

    def value(point):
        pieces = zip(ops.split(point, ends), parts, strict=True)
        inputs, *weights = (ops.reshape(piece, part.shape) for piece, part in pieces)
        return ops.sum(layer.stateless_call(weights, [], inputs)[0] * probe)

    found = gradient_of(value, np.concatenate([part.ravel() for part in parts]))
    names = ["inputs", *(variable.name for variable in layer.trainable_variables)]
    gradients = dict(zip(names, np.split(found, ends), strict=True))
    theirs = {key.removeprefix("gradient_"): a for key, a in case.items() if key.startswith("gradient_")}
    assert theirs.keys() <= gradients.keys()
    for key, expected in theirs.items():
        assert_close(gradients[key].reshape(expected.shape), expected, TOLERANCE)


@pytest.mark.parametrize("name", NORMALIZED)
def test_a_layer_without_normalisation_takes_the_kernel_that_it_had_made(oracle, name):
    case = of_case(oracle, name)
    assert_close(numpy_of(converted(name, case["inputs"])(case["inputs"])), case["output"], TOLERANCE)


def test_a_stock_layer_takes_it_too(oracle):
    case = of_case(oracle, "conv1d_transpose_wider")
    layer = keras.layers.Conv1DTranspose(5, 4, strides=2, padding="same")
    layer.build(case["inputs"].shape)
    load_keras2_weights([layer], FOLDER / "tfa_layers.h5", names=["conv1d_transpose_wider"])
    assert_close(numpy_of(layer(case["inputs"])), case["output"], TOLERANCE)


def test_a_folded_layer_stays_folded(oracle):
    case = of_case(oracle, "conv1d")
    layer = converted("conv1d", case["inputs"], normalization="weight")
    fold_weight_norm(layer)
    layer.v.assign(0.0 * layer.v)
    load_keras2_weights(layer, FOLDER / "tfa_layers.h5", names=["conv1d"])
    assert layer.folded
    for change in (lambda: None, layer.unfold):
        change()
        assert_close(numpy_of(layer(case["inputs"])), case["output"], TOLERANCE)


def test_a_melgan_that_was_saved_whole_makes_the_same_sound(oracle):
    case = of_case(oracle, "melgan")
    model = MelGANVocoder(**MELGAN)
    loaded = load_keras2_weights(model.generator, FOLDER / "tfa_melgan.h5")
    assert len(loaded) == 16
    assert_close(numpy_of(model.generator(case["inputs"])), case["output"][..., 0], TOLERANCE)
    by_hand = MelGANVocoder(**MELGAN)
    load_keras2_weights(by_hand.generator.convolutions(), FOLDER / "tfa_melgan.h5", names=list(loaded))
    np.testing.assert_array_equal(
        numpy_of(by_hand.generator(case["inputs"])), numpy_of(model.generator(case["inputs"]))
    )


def stage():
    layers = [
        TransposedConvolution(4, 4, stride=2, normalization="weight"),
        InstanceNorm(),
        DilatedResidual(4, dilation=3),
    ]
    layers[0].build((None, 5, 4, 6))
    for layer in layers[1:]:
        layer.build((None, 10, 8, 4))
    return layers


def played(layers, maps):
    raised, norm, residual = layers
    return numpy_of(residual(ops.leaky_relu(norm(raised(maps)), negative_slope=0.2)))


@pytest.mark.parametrize("file, said", [("tfa_stage.h5", "output"), ("tfa_stage_new.h5", "initial")])
def test_a_stage_with_instance_normalisation_does_the_same(oracle, file, said):
    """The second was saved before its first call: its g are the lengths of its v, and the file lacks them."""
    case, layers = of_case(oracle, "stage"), stage()
    load_keras2_weights(layers, FOLDER / file)
    assert_close(played(layers, case["inputs"]), case[said], TOLERANCE)


def test_what_a_layer_kept_for_itself_is_left_out():
    found = read_keras2_weights(FOLDER / "tfa_layers.h5")
    assert {name: set(found[name]) for name in ("conv2d", "conv2d_data", "instance_norm_1d_shift")} == {
        "conv2d": {"v", "g", "bias"},
        "conv2d_data": {"v", "g", "bias"},
        "instance_norm_1d_shift": {"beta"},
    }
    assert "instance_norm_1d_plain" not in found  # it has no weights


def test_layers_in_another_order_are_refused_and_nothing_is_loaded():
    layers = stage()
    before = [layer.get_weights() for layer in layers]
    names = list(read_keras2_weights(FOLDER / "tfa_stage.h5"))
    with pytest.raises(
        IncompatiblePreset,
        match=r"layer 'dilated_resid\S*' has v \(3, 3, 4, 4\),.*; layer 'weight_.* has v \(1, 1,",
    ):
        load_keras2_weights(layers, FOLDER / "tfa_stage.h5", names=[*names[:2], *names[:1:-1]])
    now = [layer.get_weights() for layer in layers]
    keras.tree.map_structure(np.testing.assert_array_equal, now, before)
