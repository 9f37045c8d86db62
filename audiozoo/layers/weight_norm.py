"""Layers whose kernel is normalised: weight normalisation, which can be folded away, and spectral."""

import keras
from keras import layers, ops

from audiozoo.arguments import check_choice

NORMALIZATIONS = ("none", "weight", "spectral")


class KernelLayer(layers.Layer):
    """A layer with a kernel, which it may make of other weights at every call.

    ``normalization="weight"``: ``kernel = g v / |v|``, with a ``g`` and a norm for each entry of the last
    axis of the kernel, as PyTorch and TensorFlow Addons have it: for each filter of a convolution, for each
    channel of a transposed one. Salimans and Kingma (2016), Weight Normalization, arXiv:1602.07868, eq. 2.

    ``normalization="spectral"``: ``kernel = v / sigma``, the largest singular value of ``v`` as a matrix with
    the last axis as columns. One step of power iteration at every call in training keeps up with ``v``.
    Miyato et al. (2018), Spectral Normalization for GANs, arXiv:1802.05957, eq. 10 and algorithm 1.

    Args:
        normalization: ``"none"``, ``"weight"`` or ``"spectral"``.
        kernel_initializer: of the kernel, or of ``v``; ``g`` begins as the norm of ``v``, so that the kernel
            is what it would be without.
    """

    def __init__(self, *, normalization="none", kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        check_choice("normalization", normalization, NORMALIZATIONS)
        self.normalization = normalization
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.folded = False

    def add_kernel(self, shape):
        """Add the weights that the kernel is made of."""
        name = "kernel" if self.normalization == "none" else "v"
        self.v = self.add_weight(name=name, shape=shape, initializer=self.kernel_initializer)
        if self.normalization == "weight":
            self.g = self.add_weight(
                name="g", shape=(shape[-1],), initializer=lambda shape, dtype=None: norms(self.v)
            )
        elif self.normalization == "spectral":
            self.u = self.add_weight(
                name="u",
                shape=(shape[-1],),
                initializer=keras.initializers.RandomNormal(1.0, seed=0),
                trainable=False,
            )

    def kernel_now(self, training=False):
        """The kernel, as a tensor."""
        v = ops.convert_to_tensor(self.v)
        if self.normalization == "none" or self.folded:
            return v
        if self.normalization == "weight":
            return v * (ops.convert_to_tensor(self.g) / norms(v))
        matrix = ops.reshape(v, (-1, v.shape[-1]))
        fixed, right = ops.stop_gradient(matrix), ops.convert_to_tensor(self.u)
        left = unit(ops.matmul(fixed, right))
        if training:
            right = unit(ops.matmul(left, fixed))
            left = unit(ops.matmul(fixed, right))
            self.u.assign(right)
        else:
            right = unit(right)
        return v / ops.sum(left * ops.matmul(matrix, right))

    def fold(self):
        """Keep the kernel itself from now on, for use without training. The output does not change.

        The length of the kernel is kept as well, so that ``unfold`` and whoever loads the weights have the
        same kernel: where ``g`` was negative, ``v`` alone would have the other sign.

        Raises:
            ValueError: the layer is not built.
        """
        if not self.built:
            raise ValueError(f"layer {self.name!r} must be built before it is folded. Call it once.")
        if self.normalization == "weight" and not self.folded:
            kernel = self.kernel_now()
            self.v.assign(kernel)
            self.g.assign(norms(kernel))
            self.folded = True

    def unfold(self):
        """Make the kernel of its direction and length again, to be trained."""
        self.folded = False

    def get_config(self):
        return super().get_config() | {
            "normalization": self.normalization,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


def fold_weight_norm(model):
    """Fold every weight normalisation in a model: it is used as fast as one without, and no longer trained.

    Args:
        model: a built ``keras.Model`` or layer, changed in place. Functions of it that were compiled before
            must be compiled anew.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, KernelLayer):
            layer.fold()


def unfold_weight_norm(model):
    """Undo ``fold_weight_norm``, so that the model can be trained again. The output does not change.

    Args:
        model: as there, with the same care for what was compiled.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, KernelLayer):
            layer.unfold()


def norms(v):
    """Euclidean norm over all axes but the last."""
    return ops.sqrt(ops.sum(ops.square(v), axis=tuple(range(len(v.shape) - 1))))


def unit(vector):
    """A vector of length 1, or 0 where it is 0."""
    return vector / ops.maximum(ops.sqrt(ops.sum(ops.square(vector))), 1e-12)
