"""Multi-layer perceptron on the last axis."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("audiozoo")
class Perceptron(layers.Layer):
    """``depth`` times dense, layer normalisation, leaky ReLU: the network of DDSP decoders.

    Args:
        units: width of every layer.
        depth: number of layers.
        first_bias: bound of the uniform random bias of the first layer; 0 for a zero bias. A
            network of ONE input channel needs it: ``LayerNorm(w x + 0)`` is the same for every
            positive x, so with a zero bias the input is lost altogether.

    Input:
        ``(..., channels)``.

    Output:
        ``(..., units)``.

    Reference:
        Engel et al. (2020), DDSP, arXiv:2001.04643, appendix B.1.
    """

    def __init__(self, *, units, depth=3, first_bias=0.0, **kwargs):
        super().__init__(**kwargs)
        self.units, self.depth, self.first_bias = units, depth, first_bias
        uniform = keras.initializers.RandomUniform(-first_bias, first_bias)
        self.dense = [
            layers.Dense(units, bias_initializer=uniform if first_bias and i == 0 else "zeros")
            for i in range(depth)
        ]
        self.norm = [layers.LayerNormalization(epsilon=1e-5) for _ in range(depth)]

    def build(self, input_shape):
        shape = tuple(input_shape)
        for dense, norm in zip(self.dense, self.norm, strict=True):
            dense.build(shape)
            shape = (*shape[:-1], self.units)
            norm.build(shape)

    def call(self, inputs):
        kernel = ops.cast(ops.convert_to_tensor(self.dense[0].kernel), self.compute_dtype)
        return self.after_first_product(ops.matmul(ops.cast(inputs, self.compute_dtype), kernel))

    def after_first_product(self, product):
        """All of the network but its first matrix, for a caller who has that product already."""
        bias = ops.cast(ops.convert_to_tensor(self.dense[0].bias), product.dtype)
        hidden = ops.leaky_relu(self.norm[0](product + bias), negative_slope=0.01)
        for dense, norm in zip(self.dense[1:], self.norm[1:], strict=True):
            hidden = ops.leaky_relu(norm(dense(hidden)), negative_slope=0.01)
        return hidden

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return super().get_config() | {
            "units": self.units,
            "depth": self.depth,
            "first_bias": self.first_bias,
        }
