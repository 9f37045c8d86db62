"""Layers that know the class of each item, a whole number from 0."""

import keras
from keras import layers, ops

from audiozoo.arguments import check_range, check_whole
from audiozoo.layers.convolution import NormalizedDense


@keras.saving.register_keras_serializable("audiozoo")
class ConditionalBatchNorm(layers.Layer):
    """Batch normalisation whose scale and shift are those of an item's class.

    In training each channel is brought to mean 0 and variance 1 over the batch and all its steps, afterwards
    by running averages of both. Statistics are computed in float32 under any policy.

    Args:
        num_classes: how many there are.
        momentum: of the running averages.
        epsilon: added to the variance.

    Input:
        ``(batch, ..., channels)``, and class ``(batch,)``, whole numbers.

    Output:
        The same shape.

    Reference:
        Dumoulin, Shlens and Kudlur (2017), A Learned Representation for Artistic Style, arXiv:1610.07629,
        eq. 5; de Vries et al. (2017), arXiv:1707.00683.
    """

    def __init__(self, num_classes, *, momentum=0.99, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        check_whole("num_classes", num_classes, 1)
        check_range("momentum", momentum, 0.0, 1.0)
        self.num_classes, self.momentum, self.epsilon = num_classes, momentum, epsilon

    def build(self, inputs_shape, label_shape=None):
        channels = inputs_shape[-1]
        self.scale = self.add_weight(name="scale", shape=(self.num_classes, channels), initializer="ones")
        self.shift = self.add_weight(name="shift", shape=(self.num_classes, channels), initializer="zeros")
        running = {"shape": (channels,), "trainable": False, "autocast": False}
        self.mean = self.add_weight(name="mean", initializer="zeros", **running)
        self.variance = self.add_weight(name="variance", initializer="ones", **running)

    def call(self, inputs, label, training=False):
        signal = ops.cast(inputs, "float32")
        if training:
            mean, variance = ops.moments(signal, axes=list(range(len(signal.shape) - 1)))
            for running, now in ((self.mean, mean), (self.variance, variance)):
                running.assign(self.momentum * ops.convert_to_tensor(running) + (1.0 - self.momentum) * now)
        else:
            mean, variance = ops.convert_to_tensor(self.mean), ops.convert_to_tensor(self.variance)
        chosen = ops.one_hot(label, self.num_classes, dtype="float32")
        factor = ops.matmul(chosen, ops.cast(self.scale, "float32")) * ops.rsqrt(variance + self.epsilon)
        offset = ops.matmul(chosen, ops.cast(self.shift, "float32")) - mean * factor
        shape = (-1, *[1] * (len(signal.shape) - 2), signal.shape[-1])
        outputs = signal * ops.reshape(factor, shape) + ops.reshape(offset, shape)
        return ops.cast(outputs, self.compute_dtype)

    def compute_output_shape(self, inputs_shape, label_shape=None):
        return inputs_shape

    def get_config(self):
        names = ("num_classes", "momentum", "epsilon")
        return super().get_config() | {name: getattr(self, name) for name in names}


@keras.saving.register_keras_serializable("audiozoo")
class Projection(layers.Layer):
    """The score of a discriminator that knows the class: how real, and how much of this class.

    A linear score of the features, plus their product with a vector of the class.

    Args:
        num_classes: how many there are.
        normalization: of both matrices, see ``KernelLayer``.

    Input:
        Features ``(batch, channels)``, and class ``(batch,)``, whole numbers.

    Output:
        ``(batch, 1)``.

    Reference:
        Miyato and Koyama (2018), cGANs with Projection Discriminator, arXiv:1802.05637, eq. 3.
    """

    def __init__(self, num_classes, *, normalization="spectral", **kwargs):
        super().__init__(**kwargs)
        check_whole("num_classes", num_classes, 1)
        self.num_classes, self.normalization = num_classes, normalization
        self.score = NormalizedDense(1, normalization=normalization, dtype=self.dtype_policy)

    def build(self, features_shape, label_shape=None):
        channels = features_shape[-1]
        self.score.build(features_shape)
        self.vectors = NormalizedDense(
            channels, use_bias=False, normalization=self.normalization, dtype=self.dtype_policy
        )
        self.vectors.build((None, self.num_classes))

    def call(self, features, label, training=False):
        chosen = ops.one_hot(label, self.num_classes, dtype=features.dtype)
        of_class = ops.sum(self.vectors(chosen, training=training) * features, axis=-1, keepdims=True)
        return self.score(features, training=training) + of_class

    def compute_output_shape(self, features_shape, label_shape=None):
        return (features_shape[0], 1)

    def get_config(self):
        return super().get_config() | {"num_classes": self.num_classes, "normalization": self.normalization}
