"""Residual blocks: of autoencoders, one that learns and the published one, which does not; of vocoders."""

import keras
from keras import layers, ops

from audiozoo.layers.convolution import Convolution
from audiozoo.layers.normalization import InstanceNorm

INITIAL_GAIN = (
    0.3  # of a branch: a block begins close to the identity, but not so close that nothing is learned
)


@keras.saving.register_keras_serializable("audiozoo")
class Resnet1DBlock(layers.Layer):
    """``x + gain * branch(x)``, with a branch that looks at its neighbours in time.

    The branch: leaky ReLU, convolution, instance normalisation, leaky ReLU, dropout, 1x1 convolution. The
    normalisation stands in the branch only, so that loudness passes by on the skip. Its statistics are those
    of all of the input, so with it every step of the output depends on every step of the input.

    Args:
        filters: channels, of input and output.
        kernel_size: steps that the convolution sees.
        dilation: steps between them.
        normalize: whether to normalise.
        dropout: share of the branch's values that are dropped in training.

    Input:
        ``(batch, time, filters)``.

    Output:
        The same shape.

    Reference:
        He et al. (2016), Identity Mappings in Deep Residual Networks, arXiv:1603.05027 (activation first).
    """

    def __init__(self, filters, kernel_size=3, *, dilation=1, normalize=True, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.dilation, self.dropout = filters, kernel_size, dilation, dropout
        self.normalize = normalize
        # No bias before a normalisation, which would take it away again.
        self.conv = layers.Conv1D(
            filters, kernel_size, dilation_rate=dilation, padding="same", use_bias=not normalize
        )
        self.norm = InstanceNorm() if normalize else layers.Identity()
        self.drop = layers.Dropout(dropout)
        self.mix = layers.Conv1D(filters, 1)

    def build(self, input_shape):
        if input_shape[-1] != self.filters:
            raise ValueError(
                f"filters must be the channels of the input, {input_shape[-1]}; got {self.filters}. "
                "Change the number of channels with a convolution before the block."
            )
        for layer in (self.conv, self.norm, self.mix):
            layer.build(input_shape)
        self.gain = self.add_weight(
            name="gain", shape=(), initializer=keras.initializers.Constant(INITIAL_GAIN)
        )

    def call(self, inputs, training=False):
        hidden = self.norm(self.conv(ops.leaky_relu(inputs, negative_slope=0.2)))
        hidden = self.drop(ops.leaky_relu(hidden, negative_slope=0.2), training=training)
        return inputs + ops.cast(self.gain, self.compute_dtype) * self.mix(hidden)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "dilation": self.dilation,
            "normalize": self.normalize,
            "dropout": self.dropout,
        }


@keras.saving.register_keras_serializable("audiozoo")
class SeedResnet1DBlock(layers.Layer):
    """The block of the student project, for its table; do not build with it.

    ReLU, twice (convolution, normalisation, leaky ReLU), plus the input, ReLU; dropout after each activation
    of the branch. The project calls ``Resnet1DBlock(64, 1)`` as if its arguments were filters and kernel
    size, but they stand the other way round: the kernel is 64 steps wide and there is one filter, whose
    output is added to all channels of the input. On a signal of one time step and one channel, instance
    normalisation gives its shift whatever comes in, so the branch of an ``"encode"`` block is dead:
    everything before its last shift receives a gradient of exactly 0.

    Args:
        kernel_size: steps.
        filters: 1, or the channels of the input.
        kind: ``"encode"``, strided convolutions and instance normalisation; or ``"decode"``, transposed
            convolutions and batch normalisation.
        dropout: share of values that are dropped in training.

    Input:
        ``(batch, 1, channels)``: one time step.

    Output:
        The same shape.

    Reference:
        The student project's table of layers, which its parameters reproduce to the last.
    """

    def __init__(self, kernel_size, filters, kind="encode", *, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        if kind not in ("encode", "decode"):
            raise ValueError(f"kind must be 'encode' or 'decode'; got {kind!r}.")
        self.kernel_size, self.filters, self.kind, self.dropout = kernel_size, filters, kind, dropout
        if kind == "encode":
            self.conv_a = layers.Conv1D(filters, kernel_size, strides=2, padding="same")
            self.conv_b = layers.Conv1D(filters, kernel_size, padding="same")
            self.norm_a, self.norm_b = InstanceNorm(), InstanceNorm()
        else:
            self.conv_a = layers.Conv1DTranspose(filters, kernel_size, padding="same")
            self.conv_b = layers.Conv1DTranspose(filters, kernel_size, padding="same")
            self.norm_a, self.norm_b = layers.BatchNormalization(), layers.BatchNormalization()
        self.drop_in, self.drop_a, self.drop_b = (layers.Dropout(dropout) for _ in range(3))

    def build(self, input_shape):
        if input_shape[1] != 1 or self.filters not in (1, input_shape[-1]):
            raise ValueError(
                f"input must be (batch, 1, channels) and filters 1 or its channels; got {tuple(input_shape)} "
                f"and filters={self.filters}. Use Resnet1DBlock for signals with a time axis."
            )
        hidden = (*input_shape[:-1], self.filters)
        self.conv_a.build(input_shape)
        self.conv_b.build(hidden)
        self.norm_a.build(hidden)
        self.norm_b.build(hidden)

    def call(self, inputs, training=False):
        hidden = self.drop_in(ops.relu(inputs), training=training)
        for conv, norm, drop in (
            (self.conv_a, self.norm_a, self.drop_a),
            (self.conv_b, self.norm_b, self.drop_b),
        ):
            hidden = conv(hidden)
            hidden = norm(hidden, training=training) if self.kind == "decode" else norm(hidden)
            hidden = drop(ops.leaky_relu(hidden, negative_slope=0.4), training=training)
        return ops.relu(inputs + hidden)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {
            "kernel_size": self.kernel_size,
            "filters": self.filters,
            "kind": self.kind,
            "dropout": self.dropout,
        }


@keras.saving.register_keras_serializable("audiozoo")
class DilatedResidual(layers.Layer):
    """``shortcut(x) + branch(x)``, with a branch that looks at neighbours some way off.

    The branch: leaky ReLU, dilated convolution with mirrored ends, leaky ReLU, 1x1 convolution. The shortcut
    is a 1x1 convolution as well. Stacked with dilations 1, 3, 9 they see each of 27 steps once.

    Args:
        filters: channels of the output.
        kernel_size: steps that the convolution sees, on each axis.
        dilation: steps between them.
        normalization, kernel_initializer: of all three convolutions, see ``KernelLayer``.

    Input:
        ``(batch, time, channels)`` or ``(batch, time, frequency, channels)``; on each axis more steps than
        half of what the convolution spans.

    Output:
        The same with ``filters`` channels.

    Reference:
        Kumar et al. (2019), MelGAN, arXiv:1910.06711, appendix A.
    """

    def __init__(
        self,
        filters,
        *,
        kernel_size=3,
        dilation=1,
        normalization="weight",
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.dilation = filters, kernel_size, dilation
        self.normalization = normalization
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        kernels = {"normalization": normalization, "dtype": self.dtype_policy}

        def convolution(kernel_size, **where):
            # A copy for each, with a seed of its own: one initializer always draws the same numbers.
            initializer = self.kernel_initializer.clone()
            return Convolution(filters, kernel_size, kernel_initializer=initializer, **where, **kernels)

        self.look = convolution(kernel_size, dilation=dilation, padding="reflect")
        self.mix, self.shortcut = convolution(1), convolution(1)

    def build(self, input_shape):
        self.look.build(input_shape)
        self.mix.build((*input_shape[:-1], self.filters))
        self.shortcut.build(input_shape)

    def call(self, inputs, training=False):
        hidden = self.look(ops.leaky_relu(inputs, negative_slope=0.2), training=training)
        hidden = self.mix(ops.leaky_relu(hidden, negative_slope=0.2), training=training)
        return self.shortcut(inputs, training=training) + hidden

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "dilation": self.dilation,
            "normalization": self.normalization,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
