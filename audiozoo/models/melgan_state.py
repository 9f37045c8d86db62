"""Weights of a MelGAN generator under the names that PyTorch gave them, read without PyTorch."""

import dataclasses
import os
import re

import numpy as np

from audiozoo.errors import WeightsCorrupt
from audiozoo.foreign import npz_arrays, refused

MOST_BYTES = 1 << 32  # of a file of arrays, unpacked
# Number of the layer; within a residual stack number of the block, if there is one, and place in its branch.
PLACES = (
    r"(?P<layer>\d+)",
    r"(?P<layer>\d+)\.block\.(?P<place>\d+)",
    r"(?P<layer>\d+)\.(?P<shortcut>shortcut)",
    r"(?P<layer>\d+)\.blocks\.(?P<block>\d+)\.(?P<place>\d+)",
    r"(?P<layer>\d+)\.(?P<shortcut>shortcuts)\.(?P<block>\d+)",
)
NAME = re.compile(
    r"(?:.*\.)?(?:model|generator)\.(?P<module>\d+(?:\.(?!parametrizations)\w+)*)\."
    r"(?P<array>weight|weight_g|weight_v|bias|parametrizations\.weight\.original[01])"
)
ARRAYS = {
    "weight": "kernel",
    "weight_g": "g",
    "weight_v": "v",
    "parametrizations.weight.original0": "g",
    "parametrizations.weight.original1": "v",
    "bias": "bias",
}


@dataclasses.dataclass(frozen=True)
class TorchGenerator:
    """What a state dict says.

    Attributes:
        config: arguments of ``MelGANVocoder`` that shapes tell.
        weights: ``(v, g, bias)`` of each convolution in the order of ``Generator.convolutions``, axes as in
            ``layers.Convolution`` and ``layers.TransposedConvolution``.
    """

    config: dict
    weights: list


def read_generator(state):
    """A generator's arrays in order; see ``MelGANVocoder.from_torch``.

    Args:
        state: path of a .npz file, or dict name -> array.

    Returns:
        ``TorchGenerator``.

    Raises:
        ValueError: the arrays are not those of a MelGAN generator.
    """
    modules = {}
    for name, array in arrays_of(state).items():
        found = NAME.fullmatch(name)
        place = found and place_of(found["module"])
        if not place or found["array"] not in ARRAYS:
            raise ValueError(
                "state must hold the arrays of a MelGAN generator, such as 'model.1.weight_g'; got "
                f"{name!r}. Pass the state dict of the generator alone."
            )
        modules.setdefault(place, {})[ARRAYS[found["array"]]] = np.asarray(array, "float32")
    ordered = [modules[place] for place in sorted(modules)]
    shapes = [np.shape(module.get("v", module.get("kernel"))) for module in ordered]
    if not ordered or any(
        len(shape) != 3 or "bias" not in module for shape, module in zip(shapes, ordered, strict=True)
    ):
        raise ValueError(
            "state must hold a kernel of three axes and a bias for every convolution; it does not."
        )
    # A transposed convolution has a kernel of even width, (in, out, width).
    raises = [index for index, (_, _, width) in enumerate(shapes) if width % 2 == 0]
    if not raises:
        raise ValueError(
            "state must hold transposed convolutions, which a MelGAN generator has; there is none."
        )
    per_stage = (len(ordered) - 2) // len(raises)
    if raises != list(range(1, len(ordered) - 1, per_stage)) or (per_stage - 1) % 3:
        raise ValueError(
            "state must be a convolution, equal stages of a transposed one and residual blocks of three, and "
            f"a convolution; it has {len(ordered)} convolutions, those at {raises} transposed."
        )
    ratios = tuple(shapes[index][2] // 2 for index in raises)
    config = {
        "num_mels": shapes[0][1],
        "channels": shapes[0][0],
        "ratios": ratios,
        "dilations": tuple(3**block for block in range((per_stage - 1) // 3)),
        "hop": int(np.prod(ratios)),
    }
    return TorchGenerator(config, [weights_of(module) for module in ordered])


def arrays_of(state):
    """The arrays by name. Raises ValueError for what holds none."""
    if isinstance(state, str | os.PathLike):
        if not str(state).endswith(".npz"):
            raise ValueError(
                f"state must be a .npz file or a dict of arrays; got {str(state)!r}. Of a .pt file pass "
                'torch.load(path, map_location="cpu", weights_only=True).'
            )
        with refused(WeightsCorrupt, f"{state} is no readable .npz file", "Write it again, by numpy.savez."):
            return npz_arrays(state, most_bytes=MOST_BYTES)
    if not hasattr(state, "items"):
        raise ValueError(f"state must be a .npz file or a dict of arrays; got {type(state).__name__}.")
    return dict(state.items())


def place_of(module):
    """Where a convolution stands in the network, as a key to sort by; None for what is no name of one."""
    for pattern in PLACES:
        found = re.fullmatch(pattern, module)
        if found:
            parts = found.groupdict()
            last = 10**6 if parts.get("shortcut") else int(parts.get("place") or 0)
            return int(parts["layer"]), int(parts.get("block") or 0), last
    return None


def weights_of(module):
    """``(v, g, bias)`` of one convolution: PyTorch has the axis that is normalised first, we last."""
    v = np.transpose(module.get("v", module.get("kernel")), (2, 1, 0))
    g = np.ravel(module["g"]) if "g" in module else kernel_norms(v)
    return v, g, module["bias"]


def kernel_norms(v):
    """Length of the kernel for each entry of its last axis."""
    return np.sqrt(np.sum(np.square(v), axis=(0, 1)))
