"""Files of Keras 2: what is in them, and what is refused. tests/legacy/test_tfa.py has some that it wrote."""

import h5py
import keras
import numpy as np
import pytest
from cases import on_one_backend

from audiozoo.errors import AudioZooError, IncompatiblePreset, WeightsCorrupt, WeightsUnavailable
from audiozoo.keras2_weights import load_keras2_weights, read_keras2_weights
from audiozoo.layers import Convolution, InstanceNorm, NormalizedDense

pytestmark = on_one_backend


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def written(path, layers, *, inside="model_weights", cut_names=False):
    """A file as Keras 2 wrote them: layer -> name of an array -> array."""
    with h5py.File(path, "w") as file:
        group = file.create_group(inside) if inside else file
        names = [name.encode() for name in layers]
        if cut_names:
            group.attrs["layer_names0"], group.attrs["layer_names1"] = names[:1], names[1:]
        else:
            group.attrs["layer_names"] = names
        for layer, arrays in layers.items():
            own = group.create_group(layer)
            own.attrs["weight_names"] = [name.encode() for name in arrays]
            for name, array in arrays.items():
                own.create_dataset(name, data=array)
    return path


def normalised(name, v, **more):
    arrays = {"g:0": np.ones(v.shape[-1], "float32"), "kernel:0": v, "initialized:0": np.array(True)} | more
    return {f"{name}/{key}": array for key, array in arrays.items()}


@pytest.mark.parametrize("inside", ["", "model_weights"])
@pytest.mark.parametrize("cut_names", [False, True])
def test_layers_are_read_in_their_order_also_from_models_inside(tmp_path, inside, cut_names):
    layers = {
        "z": {"z/kernel:0": noise(3, 2), "z/bias:0": noise(2)},
        "input_1": {},
        "sequential": {
            "conv1d/kernel:0": noise(1, 2, 4),
            "norm/gamma:0": noise(4),
            **normalised("wn", noise(4, 5)),
        },
        "gru": {"gru/gru_cell/kernel:0": noise(5, 6), "gru/gru_cell/recurrent_kernel:0": noise(2, 6)},
    }
    found = read_keras2_weights(written(tmp_path / "a.h5", layers, inside=inside, cut_names=cut_names))
    assert {name: list(arrays) for name, arrays in found.items()} == {
        "z": ["kernel", "bias"],
        "sequential/conv1d": ["kernel"],
        "sequential/norm": ["gamma"],
        "sequential/wn": ["v", "g"],
        "gru/gru_cell": ["kernel", "recurrent_kernel"],
    }
    np.testing.assert_array_equal(found["z"]["kernel"], layers["z"]["z/kernel:0"])


def test_what_a_subclassed_model_held_itself_comes_last(tmp_path):
    layers = {"a": {"a/kernel:0": noise(2, 2)}, "top_level_model_weights": {"gain:0": noise(3)}}
    path = written(tmp_path / "a.h5", layers)
    with h5py.File(path, "a") as file:
        file["model_weights"].attrs["layer_names"] = ["a"]
    assert list(read_keras2_weights(path)["top_level_model_weights"]) == ["gain"]


def test_a_normalised_recurrent_kernel_is_read_as_it_was_used(tmp_path):
    v, g = noise(2, 6), noise(6, seed=1)
    arrays = {"wn/gru_cell/recurrent_kernel:0": v, "wn/gru_cell/kernel:0": noise(3, 6), "wn/g:0": g}
    found = read_keras2_weights(written(tmp_path / "a.h5", {"wn": arrays}))
    assert set(found["wn"]) == {"kernel", "recurrent_kernel"}
    np.testing.assert_allclose(found["wn"]["recurrent_kernel"], v / np.linalg.norm(v, axis=0) * g, rtol=1e-6)


def test_a_kernel_of_hardly_any_length_is_what_tensorflow_addons_makes_of_it(tmp_path):
    v = np.stack([noise(8), 1e-7 * noise(8, seed=1), np.zeros(8)], axis=1).astype("float32")
    g = np.float32([2.0, 3.0, 4.0])
    path = written(tmp_path / "a.h5", {"wn": normalised("wn", v, **{"g:0": g})})
    layer = NormalizedDense(3, normalization="weight", use_bias=False)
    layer.build((None, 8))
    load_keras2_weights(layer, path)
    expected = g * v / np.sqrt(np.maximum(np.sum(v.astype("float64") ** 2, axis=0), 1e-12))
    np.testing.assert_allclose(np.asarray(layer.kernel_now()), expected, rtol=1e-5)


@pytest.mark.parametrize("by_data", [False, True])
def test_what_was_never_called_has_the_length_of_its_kernel_unless_data_were_to_say_it(tmp_path, by_data):
    v = noise(3, 4, 5)
    more = {"initialized:0": np.array(False)} | ({"data_dep_init/kernel:0": v} if by_data else {})
    path = written(tmp_path / "a.h5", {"wn": normalised("wn", v, **more)})
    if by_data:
        refused(WeightsUnavailable, "layer 'wn' was saved before its first call.*on data", path)
    else:
        np.testing.assert_allclose(
            read_keras2_weights(path)["wn"]["g"], np.sqrt(np.sum(v**2, axis=(0, 1))), rtol=1e-6
        )


def test_a_plain_kernel_becomes_a_normalised_one_of_the_same_effect(tmp_path):
    path = written(tmp_path / "a.h5", {"c": {"c/kernel:0": noise(3, 4, 5), "c/bias:0": noise(5)}})
    layer = Convolution(5, 3, normalization="weight")
    layer.build((None, None, 4))
    assert load_keras2_weights(layer, path) == {"c": layer.path}
    np.testing.assert_allclose(np.asarray(layer.kernel_now()), noise(3, 4, 5), rtol=1e-5)


def test_stock_layers_take_weights_of_their_ancestors(tmp_path):
    arrays = {
        name: noise(4, seed=k) for k, name in enumerate(("gamma", "beta", "moving_mean", "moving_variance"))
    }
    gru = {"kernel": noise(4, 6), "recurrent_kernel": noise(2, 6), "bias": noise(2, 6)}
    path = written(
        tmp_path / "a.h5",
        {
            "bn": {f"bn/{name}:0": array for name, array in arrays.items()},
            "gru": {f"gru/gru_cell/{name}:0": array for name, array in gru.items()},
        },
    )
    model = keras.Sequential([keras.Input((7, 4)), keras.layers.BatchNormalization(), keras.layers.GRU(2)])
    load_keras2_weights(model, path)
    for found, expected in zip(model.get_weights(), [*arrays.values(), *gru.values()], strict=True):
        np.testing.assert_array_equal(found, expected)


# --- Refusals ---


def refused(error, match, path, target=None, **settings):
    with pytest.raises(error, match=match) as caught:
        load_keras2_weights([] if target is None else target, path, **settings)
    assert isinstance(caught.value, AudioZooError)


def test_what_is_no_file_of_keras_2_is_refused(tmp_path):
    path = tmp_path / "a.h5"
    refused(WeightsUnavailable, "no file at .*a.h5", path)
    refused(WeightsUnavailable, "no file at", tmp_path)
    path.write_bytes(b"not HDF5")
    refused(WeightsCorrupt, "a.h5 is no complete .h5 file of Keras 2", path)
    written(path, {"a": {"a/kernel:0": noise(40, 40)}})
    path.write_bytes(path.read_bytes()[:5000])
    refused(WeightsCorrupt, "a.h5 is no complete .h5 file of Keras 2.*Copy or save it again", path)
    with h5py.File(path, "w") as file:
        file["numbers"] = [1, 2]
    refused(WeightsCorrupt, "must be one that model.save_weights.*something else", path)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    model.save_weights(tmp_path / "new.weights.h5")
    refused(
        WeightsCorrupt, "of the newer format, which model.load_weights reads", tmp_path / "new.weights.h5"
    )


@pytest.mark.parametrize(
    "spoil, match",
    [
        (lambda group: group.__delitem__("a"), "lacks 'a'"),
        (lambda group: group["a/a"].__delitem__("kernel:0"), "lacks 'a/kernel:0'"),
        (lambda group: group.attrs.__setitem__("layer_names", 3), "no complete .h5 file"),
        (lambda group: group.attrs.__setitem__("layer_names", [b"\xff\xfe"]), "no complete .h5 file"),
        (lambda group: group["a"].attrs.__setitem__("weight_names", ["a"]), "'a' is no array as Keras 2"),
    ],
)
def test_a_file_that_was_tampered_with_is_refused(tmp_path, spoil, match):
    path = written(tmp_path / "a.h5", {"a": {"a/kernel:0": noise(2, 2)}})
    with h5py.File(path, "a") as file:
        spoil(file["model_weights"])
    refused(WeightsCorrupt, match, path)


def test_arrays_from_elsewhere_and_of_pretended_size_are_refused(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(16))
    written(tmp_path / "other.h5", {"a": {"a/kernel:0": noise(2, 2)}})

    def external(group):
        group.create_dataset("kernel:0", (2, 2), "f4", external=[(str(tmp_path / "secret"), 0, 16)])

    def huge(group):
        group.create_dataset("kernel:0", (2**40,), "f4", chunks=(1024,))

    def linked(group):
        group["kernel:0"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "model_weights/a/a/kernel:0")

    def virtual(group):
        layout = h5py.VirtualLayout((2, 2), "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "model_weights/a/a/kernel:0", (2, 2))
        group.create_virtual_dataset("kernel:0", layout)

    def words(group):
        group["kernel:0"] = ["a", "b"]

    for make in external, huge, linked, virtual, words:
        path = written(tmp_path / "a.h5", {"a": {"a/kernel:0": noise(2, 2)}})
        with h5py.File(path, "a") as file:
            del file["model_weights/a/a/kernel:0"]
            make(file["model_weights/a/a"])
        refused(WeightsCorrupt, "lies in another file|unpacks to|refers to elsewhere|no numbers", path)


def test_values_and_kernels_that_make_no_sense_are_refused(tmp_path):
    path = tmp_path / "a.h5"
    written(path, {"a": {"a/kernel:0": np.float32([[np.nan]])}})
    refused(WeightsCorrupt, "'a/kernel:0' is not finite throughout", path)
    written(path, {"a": normalised("a", noise(2, 3), **{"initialized:0": np.array([True, False])})})
    refused(WeightsCorrupt, "no complete .h5 file of Keras 2", path)
    written(path, {"a": {"a/g:0": noise(3)}})
    refused(WeightsCorrupt, "layer 'a' has no kernel for its g", path)
    written(path, {"a": normalised("a", noise(2, 3), **{"g:0": noise(4)})})
    refused(WeightsCorrupt, "layer 'a' has no kernel for its g", path)


class Double(keras.layers.Layer):
    """Two weights of one name."""

    def build(self, input_shape):
        self.a, self.b = (self.add_weight(name="kernel", shape=(5,)) for _ in range(2))


def test_layers_that_do_not_fit_are_refused_and_stay_as_they_were(tmp_path):
    path = written(
        tmp_path / "a.h5",
        {
            "c": {"c/kernel:0": noise(3, 4, 5), "c/bias:0": noise(5)},
            "d": {"d/kernel:0": noise(5, 6), "d/bias:0": noise(6)},
        },
    )
    convolution, dense = Convolution(5, 3), NormalizedDense(7)
    refused(IncompatiblePreset, r"it has 0 \(none, for it is not built\), and 2 are", path, convolution)
    convolution.build((None, None, 4))
    dense.build((None, 5))
    before = convolution.get_weights()
    refused(IncompatiblePreset, r"it has 1 \(convolution\S*\), and 2 are .*\(c, d\)", path, convolution)
    refused(
        IncompatiblePreset, "names must be of layers in .*'e' is none of c, d", path, convolution, names=["e"]
    )
    refused(
        IncompatiblePreset,
        r"has kernel \(5, 7\), bias \(7,\); layer 'd' of .* has kernel \(5, 6\), bias \(6,\)",
        path,
        [convolution, dense],
    )
    for now, then in zip(convolution.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    double = Double()
    double.build((None, 5))
    refused(IncompatiblePreset, "has weights that share a name", path, double)
    norm = InstanceNorm()
    norm.build((None, None, 5))
    refused(IncompatiblePreset, "has scale .*, shift .*; layer 'c' of .* has kernel", path, norm, names=["c"])
    spectral = Convolution(5, 3, normalization="spectral")
    spectral.build((None, None, 4))
    refused(IncompatiblePreset, "has v .*, u .*", path, spectral, names=["c"])
