"""Strided convolutions whose lengths are exact: fewer time steps, and more of them again.

Padding is done here and not by Keras's ``"same"``, whose place differs with the length: a step down and a
step up then stand on the same grid, whatever the length. Step t of the coarse signal lies over the steps from
``t * stride`` on of the fine one, and a kernel of twice the stride sees half a stride more on either side:
every fine step is covered by exactly two kernels.
"""

import keras
from keras import layers, ops

from audiozoo.arguments import check_whole


class StridedConv1D(layers.Layer):
    """What ``Downsample1D`` and ``Upsample1D`` share.

    Args:
        filters: channels of the output.
        stride: fine steps per coarse step.
    """

    def __init__(self, filters, stride, **kwargs):
        super().__init__(**kwargs)
        check_whole("filters", filters, 1)
        check_whole("stride", stride, 1)
        self.filters, self.stride = filters, stride
        self.left = stride // 2  # what a kernel of 2 strides sees before its own steps; after them, the rest

    def build(self, input_shape):
        self.conv.build((None, None, input_shape[-1]))

    def get_config(self):
        return super().get_config() | {"filters": self.filters, "stride": self.stride}


@keras.saving.register_keras_serializable("audiozoo")
class Downsample1D(StridedConv1D):
    """One step for every ``stride`` of the input, begun ones included: a convolution of twice that width.

    Args:
        filters: channels of the output.
        stride: input steps per output step.

    Input:
        ``(batch, time, channels)``, of any length.

    Output:
        ``(batch, ceil(time / stride), filters)``.

    Reference:
        Kernels a multiple of the stride leave no checkerboard: Odena, Dumoulin and Olah (2016),
        Deconvolution and Checkerboard Artifacts, Distill.
    """

    def __init__(self, filters, stride, **kwargs):
        super().__init__(filters, stride, **kwargs)
        self.conv = layers.Conv1D(filters, 2 * stride, strides=stride, padding="valid")

    def call(self, inputs):
        missing = -inputs.shape[1] % self.stride
        right = self.stride - self.left + missing
        return self.conv(ops.pad(inputs, ((0, 0), (self.left, right), (0, 0))))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], -(-input_shape[1] // self.stride), self.filters)


@keras.saving.register_keras_serializable("audiozoo")
class Upsample1D(StridedConv1D):
    """``stride`` steps for every one of the input: the transpose of ``Downsample1D``.

    Args:
        filters: channels of the output.
        stride: output steps per input step.

    Input:
        ``(batch, time, channels)``, of any length.

    Output:
        ``(batch, time * stride, filters)``.

    Reference:
        As ``Downsample1D``; the form is that of Shi et al. (2016), Is the deconvolution layer the same as a
        convolutional layer?, arXiv:1609.07009.
    """

    def __init__(self, filters, stride, **kwargs):
        super().__init__(filters, stride, **kwargs)
        # A transposed convolution of width 2 * stride, written as a convolution of two coarse steps to all
        # the fine ones between them: XLA needs 30 times as long for the kernel's gradient in the usual form.
        self.conv = layers.Conv1D(stride * filters, 2, padding="valid", use_bias=False)

    def build(self, input_shape):
        super().build(input_shape)
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")

    def call(self, inputs):
        time = ops.shape(inputs)[1]
        between = self.conv(ops.pad(inputs, ((0, 0), (1, 1), (0, 0))))  # (batch, time + 1, stride * filters)
        fine = ops.reshape(between, (-1, (time + 1) * self.stride, self.filters))
        return fine[:, self.left : self.left + time * self.stride] + ops.cast(self.bias, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[1] * self.stride, self.filters)
