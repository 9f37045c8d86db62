"""Weights of models that Keras 2 saved, with layers of TensorFlow Addons among them, read without either.

``model.save_weights("old.h5")`` and ``model.save("old.h5")`` wrote HDF5 files that name their layers and
arrays. TensorFlow Addons ended with TensorFlow 2.15, which cannot be installed beside Keras 3; its files can
be read for all that.
"""

import os
from pathlib import Path

from audiozoo.errors import IncompatiblePreset, WeightsCorrupt, WeightsUnavailable
from audiozoo.foreign import refused
from audiozoo.weights import check_hdf5

SHORTEST = 1e-6  # TensorFlow Addons divides by no less than this
OURS = {"scale": "gamma", "shift": "beta"}  # our names for what Keras calls otherwise


def read_keras2_weights(path):
    """The arrays of an ``.h5`` file of Keras 2, by layer.

    Weight normalisation of TensorFlow Addons is undone as far as names go: what it calls ``kernel`` is ``v``,
    as in ``audiozoo.layers.KernelLayer``; what it kept for itself is left out. Where it normalised a
    recurrent layer, the result is that layer's ``recurrent_kernel``. What an optimizer remembered is not
    read.

    Args:
        path: of a file that ``model.save_weights`` or ``model.save`` wrote.

    Returns:
        dict name of a layer -> dict name of an array -> numpy array, both in the file's order: that of the
        layers in ``model.layers``. Layers without weights are left out. A layer inside of a model inside of
        the model has both names, as in ``"sequential/conv1d"``.

    Raises:
        WeightsUnavailable: there is no such file; or a layer was to be initialised by data, and was not.
        WeightsCorrupt: it is damaged, no file of Keras 2, or holds NaN.
    """
    import h5py

    path = Path(path)
    if not path.is_file():
        raise WeightsUnavailable(
            f"no file at {path}. Give the path of an .h5 that model.save_weights or model.save wrote."
        )
    with (
        refused(WeightsCorrupt, f"{path} is no complete .h5 file of Keras 2", "Copy or save it again."),
        open(path, "rb") as source,
    ):
        check_hdf5(source, finite=False)  # what an optimizer remembered may be anything
        with h5py.File(source) as file:
            layers = by_layer(arrays_of(file, room=os.path.getsize(path)))
        return {name: plain(arrays, name, path) for name, arrays in layers.items()}


def load_keras2_weights(target, path, *, names=None):
    """Put the weights of an ``.h5`` file of Keras 2 into layers of this package, or of Keras 3.

    One after the other, and all or none: names and shapes of the arrays are compared before the first is put.
    A layer with weight normalisation takes a plain kernel as well, and a plain one that which weight
    normalisation had made: the layer does the same. ``InstanceNorm`` takes instance normalisation of
    TensorFlow Addons with ``scale``, ``center`` or both.

    Args:
        target: built model or layer, of which every layer with weights of its own is meant, in the order in
            which they were made; or a sequence of such, in an order of yours.
        path: see ``read_keras2_weights``.
        names: of the file's layers, in the order of those of ``target``; by default all, as in the file.

    Returns:
        dict name of a layer in the file -> path of the layer that has its weights now.

    Raises:
        WeightsUnavailable, WeightsCorrupt: see ``read_keras2_weights``.
        IncompatiblePreset: ``target`` and file have other numbers of layers, other arrays or shapes.
    """
    found = read_keras2_weights(path)
    unknown = [name for name in names or () if name not in found]
    if unknown:
        raise IncompatiblePreset(
            f"names must be of layers in {path}; {unknown[0]!r} is none of {', '.join(found)}."
        )
    names = list(found if names is None else names)
    parts = [target] if hasattr(target, "weights") else target
    # Each once, also where several hold it.
    layers = list({id(pair[0]): pair for part in parts for pair in with_own_weights(part)}.values())
    if len(layers) != len(names):
        ours = ", ".join(layer.path for layer, _ in layers) or "none, for it is not built"
        raise IncompatiblePreset(
            f"target must have as many layers with weights as the file; it has {len(layers)} ({ours}), and "
            f"{len(names)} are to be loaded from {path} ({', '.join(names)}). Choose among them by names, or "
            "pass a sequence of layers."
        )
    values = []
    for (layer, variables), name in zip(layers, names, strict=True):
        fitting = fitted(found[name], set(variables), folded=getattr(layer, "folded", False))
        shapes = {key: tuple(array.shape) for key, array in fitting.items()}
        wanted = {key: tuple(variable.shape) for key, variable in variables.items()}
        if shapes != wanted:
            raise IncompatiblePreset(
                f"layer {layer.path!r} has {stated(wanted)}; layer {name!r} of {path} has {stated(shapes)}. "
                "Compare their settings, and their order: names says another one."
            )
        values += [(variable, fitting[key]) for key, variable in variables.items()]
    for variable, value in values:
        variable.assign(value)
    return {name: layer.path for (layer, _), name in zip(layers, names, strict=True)}


# --- The file ---


def layer_groups(file):
    """Name and group of every layer. Raises ValueError for what is no file of Keras 2."""
    weights = file.get("model_weights", file)
    names = listed(weights, "layer_names")
    if names is None:
        newer = "layers" in weights or "_layer_checkpoint_dependencies" in weights
        is_it = "of the newer format, which model.load_weights reads" if newer else "something else"
        raise ValueError(
            f"it must be one that model.save_weights or model.save of Keras 2 wrote; it is {is_it}"
        )
    rest = "top_level_model_weights"  # of a subclassed model, beside its layers
    names += [rest] if rest in weights and rest not in names else []
    return [(name, child(weights, name)) for name in names]


def listed(group, name):
    """A list of names, each once, or None. Keras cut it into several where it was too long for one."""
    if name in group.attrs:
        parts = [group.attrs[name]]
    else:
        parts = []
        while f"{name}{len(parts)}" in group.attrs:
            parts.append(group.attrs[f"{name}{len(parts)}"])
        if not parts:
            return None
    words = (word.decode() if isinstance(word, bytes) else str(word) for part in parts for word in part)
    return list(dict.fromkeys(words))


def child(group, name):
    """What lies in a group at ``name``. Raises ValueError if nothing does."""
    if name not in group:
        raise ValueError(f"it lacks {name!r}")
    return group[name]


def arrays_of(file, *, room):
    """``(layer, name, array)`` of every weight.

    Args:
        file: that is open.
        room: bytes of it. Its arrays together have no more: Keras packs nothing.

    Raises:
        ValueError: one cannot be a weight.
    """
    import h5py
    import numpy as np

    found = []
    for layer, group in layer_groups(file):
        for name in listed(group, "weight_names") or ():
            array = child(group, name)
            room -= array.nbytes if isinstance(array, h5py.Dataset) else room + 1
            if room < 0:
                raise ValueError(f"{name!r} is no array as Keras 2 wrote them")
            array = array[()]
            with np.errstate(over="ignore"):
                array = np.asarray(array, "float32" if array.dtype.kind == "f" else None)
            if not np.all(np.isfinite(array)):
                raise ValueError(f"{name!r} is not finite throughout")
            found.append((layer, name.removesuffix(":0"), array))
    return found


def by_layer(named):
    """Arrays of ``arrays_of`` by layer and by what is left of their names."""
    wrappers = {(layer, name.rpartition("/")[0]) for layer, name, _ in named if name.endswith("/g")}
    layers = {}
    for layer, name, array in named:
        place, _, own = name.rpartition("/")
        for group, wrapper in wrappers:
            if group == layer and f"{place}/".startswith(f"{wrapper}/"):
                place, own = wrapper, name.removeprefix(f"{wrapper}/")
        inside = not place or place == layer or place.startswith(f"{layer}/")
        key = place or layer if inside else f"{layer}/{place}"
        layers.setdefault(key, {})[own] = array
    return layers


def plain(arrays, name, path):
    """A layer's arrays without what weight normalisation of TensorFlow Addons made of them."""
    import numpy as np

    if "g" not in arrays:
        return arrays
    by_data = any(key.startswith("data_dep_init/") for key in arrays)
    own = {key.rpartition("/")[2]: a for key, a in arrays.items() if not key.startswith("data_dep_init/")}
    normalised = "recurrent_kernel" if "recurrent_kernel" in own else "kernel"
    g, v = own.pop("g"), own.pop(normalised, None)
    if v is None or np.shape(g) != v.shape[-1:]:
        raise ValueError(f"layer {name!r} has no kernel for its g")
    length = norms(v)
    if not own.pop("initialized", True):  # g holds nothing yet
        if by_data:
            raise WeightsUnavailable(
                f"{path}: layer {name!r:.200} was saved before its first call, which was to choose its "
                "weights by data. Call the model on data where it was made, and save it again."
            )
        g = length
    g = g * np.minimum(1.0, length / SHORTEST)
    v = np.where(length > 0.0, v, 1.0)  # of no length: of any direction, and g is 0
    made = {"v": v, "g": g} if normalised == "kernel" else {normalised: v * (g / norms(v))}
    return {key: array.astype("float32") for key, array in made.items()} | own


def norms(v):
    """Euclidean norm over all axes but the last."""
    import numpy as np

    return np.sqrt(np.sum(np.square(v, dtype="float64"), axis=tuple(range(v.ndim - 1))))


# --- The layers ---


def with_own_weights(layer):
    """Every layer inside of one, itself first, with its own variables by name; in the order of making."""
    inner = [below for part in layer._layers for below in with_own_weights(part)]
    theirs = {id(variable) for _, variables in inner for variable in variables.values()}
    own = {variable.name: variable for variable in layer.weights if id(variable) not in theirs}
    if len(own) + len(theirs) < len(layer.weights):
        raise IncompatiblePreset(f"layer {layer.path!r} has weights that share a name. Set them by hand.")
    return ([(layer, own)] if own else []) + inner


def fitted(arrays, wanted, *, folded):
    """The arrays of a layer of the file, under the names that one of ours has for the same."""
    import numpy as np

    arrays = dict(arrays)
    if {"v", "g"} <= arrays.keys() and (folded or "kernel" in wanted):
        v, g = arrays.pop("v"), arrays.pop("g")
        arrays["kernel"] = v * (g / norms(v))
    if {"v", "g"} <= wanted and "kernel" in arrays:
        arrays["v"] = arrays.pop("kernel")
        arrays["g"] = norms(arrays["v"])
    if wanted == set(OURS):
        given = {ours: arrays.pop(keras) for ours, keras in OURS.items() if keras in arrays}
        for ours, neutral in (("scale", np.ones_like), ("shift", np.zeros_like)):
            if given and ours not in given:
                given[ours] = neutral(next(iter(given.values())))
        arrays |= given
    return arrays


def stated(shapes):
    """Names and shapes, for a message."""
    return ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "nothing"
