"""Convolutions over one axis or two: in groups, transposed, with mirrored ends and normalised kernels.

The stock layers' functions, in a fraction of their time on a CPU where there are groups or where they are
transposed; see ``dsp.convolution``.
"""

import keras
from keras import ops

from audiozoo.arguments import check_choice, check_whole
from audiozoo.dsp import convolution
from audiozoo.layers.weight_norm import KernelLayer

PADDINGS = ("zeros", "reflect", "none")


class _Convolution(KernelLayer):
    """What the two kinds below share."""

    def __init__(self, filters, kernel_size, *, stride, use_bias, **kwargs):
        super().__init__(**kwargs)
        for name, value in (("filters", filters), ("kernel_size", kernel_size), ("stride", stride)):
            check_whole(name, value, 1)
        self.filters, self.kernel_size, self.stride, self.use_bias = filters, kernel_size, stride, use_bias

    def add_weights(self, input_shape, kernel_shape):
        if len(input_shape) not in (3, 4):
            raise ValueError(
                "the input must be (batch, time, channels) or (batch, time, frequency, channels); got shape "
                f"{tuple(input_shape)}."
            )
        self.add_kernel((*[self.kernel_size] * (len(input_shape) - 2), *kernel_shape))
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")

    def with_bias(self, outputs):
        return outputs + ops.convert_to_tensor(self.bias) if self.use_bias else outputs

    def get_config(self):
        names = ("filters", "kernel_size", "stride", "use_bias")
        return super().get_config() | {name: getattr(self, name) for name in names}


@keras.saving.register_keras_serializable("audiozoo")
class Convolution(_Convolution):
    """A convolution over time, or over time and frequency.

    Args:
        filters: channels of the output.
        kernel_size: steps that the kernel sees, on each axis.
        stride: steps between outputs, on each axis.
        dilation: steps between what the kernel sees.
        groups: parts of the channels, of which each is seen by its own filters only.
        padding: what lies outside: ``"zeros"`` or ``"reflect"``, the mirror image, so much of it that a
            stride of 1 leaves the length as it is (half of the kernel on either side); or ``"none"``.
        use_bias: whether a number is added to each filter.
        normalization, kernel_initializer: see ``KernelLayer``.

    Input:
        ``(batch, time, channels)`` or ``(batch, time, frequency, channels)``.

    Output:
        The same with ``filters`` channels, on each axis ``ceil(steps / stride)`` of the padded steps.

    Reference:
        Reflection and dilation as in Kumar et al. (2019), MelGAN, arXiv:1910.06711, appendix A.
    """

    def __init__(
        self,
        filters,
        kernel_size,
        *,
        stride=1,
        dilation=1,
        groups=1,
        padding="zeros",
        use_bias=True,
        **kwargs,
    ):
        super().__init__(filters, kernel_size, stride=stride, use_bias=use_bias, **kwargs)
        check_whole("dilation", dilation, 1)
        check_whole("groups", groups, 1)
        check_choice("padding", padding, PADDINGS)
        if stride > 1 and dilation > 1:
            raise ValueError(f"stride and dilation cannot both be above 1; got {stride} and {dilation}.")
        self.dilation, self.groups, self.padding = dilation, groups, padding

    def build(self, input_shape):
        channels = input_shape[-1]
        if channels % self.groups or self.filters % self.groups:
            raise ValueError(
                f"groups must divide the channels of the input, {channels}, and filters, {self.filters}; got "
                f"{self.groups}."
            )
        self.add_weights(input_shape, (channels // self.groups, self.filters))

    def sides(self):
        """Steps that are added before and after."""
        span = 0 if self.padding == "none" else self.dilation * (self.kernel_size - 1)
        return (span // 2, span - span // 2)

    def call(self, inputs, training=False):
        axes = len(inputs.shape) - 2
        if self.padding != "none":
            inputs = convolution.pad_sides(inputs, [self.sides()] * axes, padding=self.padding)
        kernel = ops.cast(self.kernel_now(training), self.compute_dtype)
        outputs = convolution.convolve(
            inputs, kernel, stride=self.stride, dilation=self.dilation, groups=self.groups
        )
        return self.with_bias(outputs)

    def compute_output_shape(self, input_shape):
        lost = self.dilation * (self.kernel_size - 1) - sum(self.sides())
        steps = (None if size is None else 1 + (size - lost - 1) // self.stride for size in input_shape[1:-1])
        return (input_shape[0], *steps, self.filters)

    def get_config(self):
        names = ("dilation", "groups", "padding")
        return super().get_config() | {name: getattr(self, name) for name in names}


@keras.saving.register_keras_serializable("audiozoo")
class TransposedConvolution(_Convolution):
    """``stride`` steps for every one of the input, exactly: the transpose of a strided convolution.

    Args:
        filters: channels of the output.
        kernel_size: steps of the output that one of the input reaches; at least ``stride``.
        stride: steps of the output for each of the input, on each axis.
        use_bias: whether a number is added to each filter.
        normalization, kernel_initializer: see ``KernelLayer``.

    Input:
        ``(batch, time, channels)`` or ``(batch, time, frequency, channels)``.

    Output:
        The same with ``filters`` channels and ``stride`` times the steps. What reaches beyond is cut off,
        half of it on either side, the odd step at the end.

    Reference:
        Kumar et al. (2019), MelGAN, arXiv:1910.06711, appendix A.
    """

    def __init__(self, filters, kernel_size, *, stride, use_bias=True, **kwargs):
        super().__init__(filters, kernel_size, stride=stride, use_bias=use_bias, **kwargs)
        if kernel_size < stride:
            raise ValueError(
                f"kernel_size must be at least stride, {stride}, or some steps would be empty; got "
                f"{kernel_size}."
            )

    def build(self, input_shape):
        self.add_weights(input_shape, (self.filters, input_shape[-1]))

    def call(self, inputs, training=False):
        kernel = ops.cast(self.kernel_now(training), self.compute_dtype)
        outputs = convolution.convolve_transposed(inputs, kernel, stride=self.stride)
        before = (self.kernel_size - self.stride) // 2
        kept = (slice(before, before + size * self.stride) for size in ops.shape(inputs)[1:-1])
        return self.with_bias(outputs[(slice(None), *kept)])

    def compute_output_shape(self, input_shape):
        steps = (None if size is None else size * self.stride for size in input_shape[1:-1])
        return (input_shape[0], *steps, self.filters)


@keras.saving.register_keras_serializable("audiozoo")
class NormalizedDense(KernelLayer):
    """A dense layer whose kernel may be normalised.

    Args:
        units: numbers of the output.
        use_bias: whether a number is added to each.
        normalization, kernel_initializer: see ``KernelLayer``.

    Input:
        ``(..., channels)``.

    Output:
        ``(..., units)``.

    Reference:
        As for ``KernelLayer``.
    """

    def __init__(self, units, *, use_bias=True, **kwargs):
        super().__init__(**kwargs)
        check_whole("units", units, 1)
        self.units, self.use_bias = units, use_bias

    def build(self, input_shape):
        self.add_kernel((input_shape[-1], self.units))
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")

    def call(self, inputs, training=False):
        outputs = ops.matmul(inputs, ops.cast(self.kernel_now(training), self.compute_dtype))
        return outputs + ops.convert_to_tensor(self.bias) if self.use_bias else outputs

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return super().get_config() | {"units": self.units, "use_bias": self.use_bias}
