"""The conditional MelGAN as a student project published it: its layers, its losses, its faults.

Origin: Kaunismaa et al. (2022), arXiv:2205.07319, and their public code (JacksonKaunismaa/neural-music,
folder cMelGAN), which this follows where the two differ.

It is here to be compared with, and not to be used: all that it made was noise. Why:

- Spectrograms are of power, neither logarithmic nor standardised, and the output has no bounds: a few loud
  values
  make up the whole loss, and the last layer of all is a residual block of a single channel.
- Least squares of a sigmoid have no slope where the discriminator is sure.
- There is one score for ten seconds, and for each class a map of 65,536 numbers, learned one by one.
- Half of all values are dropped in every stage. (The project did not switch that off to sample either.)
- The discriminator's second layer has a stride of 4 and is padded by 393 on every side, so that 256 steps
  stay
  256: 15 of 16 of its outputs are convolutions of zeros, and it costs 16 times what it should.
- In the large version, "no 1D", the stages along time are built and never called: 10,839,040 parameters that
  learn nothing.

Here, other than there, both parts are updated at once, and magnitudes are summed to bands before they are
squared. ``CMelGAN`` is what works.
"""

import math

import keras
import numpy as np
from keras import layers, ops

from audiozoo.arguments import check_choice, check_range, check_whole, whole_numbers
from audiozoo.dsp.mel import compress
from audiozoo.layers import Convolution, DilatedResidual, TransposedConvolution
from audiozoo.layers.frontends import log10_mel
from audiozoo.losses import least_squares_discriminator, least_squares_generator
from audiozoo.models.spectrogram_gan import SpectrogramGAN

SLOPE = 0.2  # of the leaky ReLUs below 0
DILATIONS = (1, 3, 9)
STANDARD_NORMAL = keras.initializers.RandomNormal(stddev=1.0)
TIME_STAGES = ("used", "unused", "none")
TIME_KERNELS = (4, 8, 24, 24, 30)  # of the stages along time, each with a stride of 2


class Stage(layers.Layer):
    """One stage of the generator, over time or over time and frequency."""

    def __init__(self, convolution, *, batch_norm, dropout, **kwargs):
        super().__init__(**kwargs)
        self.convolution = convolution
        self.norm = layers.BatchNormalization() if batch_norm else None
        self.drop = layers.Dropout(dropout)
        self.blocks = [DilatedResidual(convolution.filters, dilation=dilation) for dilation in DILATIONS]

    def build(self, input_shape):
        self.convolution.build(input_shape)
        shape = (*input_shape[:-1], self.convolution.filters)
        for layer in ([] if self.norm is None else [self.norm]) + self.blocks:
            layer.build(shape)

    def call(self, maps, training=False):
        maps = self.convolution(maps, training=training)
        if self.norm is not None:
            maps = self.norm(maps, training=training)
        maps = self.drop(ops.leaky_relu(maps, SLOPE), training=training)
        for block in self.blocks:
            maps = block(maps, training=training)
        return maps


class Padded(Convolution):
    """A strided convolution with so many zeros around that ``factor`` steps become one."""

    def __init__(self, filters, kernel_size, *, factor=1, **kwargs):
        super().__init__(filters, kernel_size, padding="none", **kwargs)
        self.factor = factor

    def around(self, steps):
        """Zeros before and after."""
        missing = (steps // self.factor - 1) * self.stride + self.kernel_size - steps
        if missing < 0:
            raise ValueError(
                f"factor must be at most {self.stride} with this stride, or part of the {steps} steps would "
                f"not be seen; got {self.factor}."
            )
        return (missing // 2, missing - missing // 2)

    def call(self, inputs, training=False):
        sides = [self.around(steps) for steps in inputs.shape[1:-1]]
        return super().call(ops.pad(inputs, [(0, 0), *sides, (0, 0)]), training=training)

    def build(self, input_shape):
        for steps in input_shape[1:-1]:
            self.around(steps)
        super().build(input_shape)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *(steps // self.factor for steps in input_shape[1:-1]), self.filters)


class Generator(layers.Layer):
    """Noise ``(batch, latent_dim)`` times a vector of the class to ``(batch, frames, bands)``, unbounded."""

    def __init__(
        self,
        *,
        num_classes,
        frames,
        bands,
        first_filters,
        filters,
        kernel_sizes,
        strides,
        time_stages,
        **kwargs,
    ):
        settings = {name: kwargs.pop(name) for name in ("batch_norm", "dropout")}
        super().__init__(**({"autocast": False} | kwargs))
        self.num_classes, self.frames, self.bands, self.time_stages = num_classes, frames, bands, time_stages
        scale = math.prod(strides)
        self.first_map = (frames // scale, bands // scale, first_filters)
        self.dense = layers.Dense(math.prod(self.first_map))
        weight = {"normalization": "weight"}
        self.stages = [
            Stage(TransposedConvolution(count, kernel, stride=stride, **weight), **settings)
            for count, kernel, stride in zip(filters, kernel_sizes, strides, strict=True)
        ]
        # Along time, bands as channels.
        self.along_time = [
            Stage(Padded(bands, kernel, stride=2, **weight), **settings)
            for kernel in (() if time_stages == "none" else TIME_KERNELS)
        ]
        for stage in self.along_time:
            stage.trainable = time_stages == "used"  # of what is not called there is no gradient

    def build(self, latent_dim):
        self.class_vectors = self.add_weight(
            name="class_vectors", shape=(self.num_classes, latent_dim), initializer=STANDARD_NORMAL
        )
        self.dense.build((None, latent_dim))
        channels = self.first_map[-1]
        for stage in self.stages:
            stage.build((None, None, None, channels))
            channels = stage.convolution.filters
        for stage in self.along_time:
            stage.build((None, self.frames, self.bands))

    def call(self, noise, label, training=False):
        of_class = ops.matmul(ops.one_hot(label, self.num_classes), self.class_vectors)
        maps = ops.reshape(self.dense(noise * of_class), (-1, *self.first_map))
        maps = ops.leaky_relu(maps, SLOPE)
        for stage in self.stages:
            maps = stage(maps, training=training)
        maps = maps[..., 0]
        for stage in self.along_time if self.time_stages == "used" else ():
            maps = stage(maps, training=training)
        return ops.cast(maps, "float32")


class Discriminator(layers.Layer):
    """Spectrograms ``(batch, frames, bands)`` beside a map of their class, to one score in 0..1."""

    def __init__(self, *, num_classes, filters, kernel_sizes, strides, factors, groups, **kwargs):
        super().__init__(**({"autocast": False} | kwargs))
        self.num_classes = num_classes
        self.stages = [
            Padded(count, kernel, stride=stride, factor=factor, groups=parts, normalization="weight")
            for count, kernel, stride, factor, parts in zip(
                filters, kernel_sizes, strides, factors, groups, strict=True
            )
        ]
        self.score = layers.Dense(1, dtype="float32")

    def build(self, input_shape):
        _, frames, bands = input_shape
        self.class_maps = self.add_weight(
            name="class_maps", shape=(self.num_classes, frames * bands), initializer=STANDARD_NORMAL
        )
        shape = (None, frames, bands, 2)
        for stage in self.stages:
            stage.build(shape)
            shape = stage.compute_output_shape(shape)
        self.score.build((None, math.prod(shape[1:])))

    def call(self, inputs, training=False):
        spectrogram = inputs["spectrogram"]
        of_class = ops.matmul(ops.one_hot(inputs["label"], self.num_classes), self.class_maps)
        of_class = ops.reshape(of_class, (-1, *spectrogram.shape[1:]))
        maps = ops.stack([spectrogram, of_class], axis=-1)
        for stage in self.stages:
            maps = ops.leaky_relu(stage(maps, training=training), SLOPE)
        flat = ops.reshape(maps, (-1, math.prod(maps.shape[1:])))
        return {"scores": [ops.sigmoid(self.score(flat))], "features": []}


class CMelGANSeed(SpectrogramGAN):
    """The student project's generator of ten seconds of power spectrogram.

    All but the first seven arguments are those of the project's table of layers, one number for each layer.

    Args:
        classes: their names, in the order of their numbers.
        sample_rate: Hz.
        num_mels: bands.
        window_length: samples, of the spectrogram's windows.
        hop: samples between its frames.
        clip_frames: frames of a spectrogram; all have as many.
        latent_dim: numbers of noise.
        first_filters: channels of the first map.
        filters, kernel_sizes, strides: of the stages over time and frequency; the last has one filter, and
            the product of the strides divides ``clip_frames`` and ``num_mels``.
        time_stages: ``"used"``, as in the medium version; ``"unused"``, built and never called, as in the
            large one; or ``"none"``.
        batch_norm: whether each stage is normalised over the batch, as on the project's slides; its code had
            that commented out.
        dropout: share of values dropped in each stage in training, 0..0.95.
        discriminator_filters, discriminator_kernel_sizes, discriminator_strides, discriminator_groups: of the
            discriminator's layers.
        discriminator_factors: how many steps become one in each of them. The project's second layer has a
            stride of 4 and a factor of 1; with 4, and 1 for the last, the same weights cost a sixteenth.

    Input:
        Dict: ``noise (batch, latent_dim)`` and ``label (batch,)``, the numbers of classes.

    Output:
        ``(batch, clip_frames, num_mels)``: power in mel bands, as if it could be negative.

    Reference:
        Kaunismaa et al. (2022), arXiv:2205.07319, and the code published with it.
    """

    stringable = False

    def __init__(
        self,
        *,
        classes=("music",),
        sample_rate=22050,
        num_mels=256,
        window_length=2048,
        hop=864,
        clip_frames=256,
        latent_dim=100,
        first_filters=256,
        filters=(128, 64, 16, 1),
        kernel_sizes=(4, 4, 8, 8),
        strides=(4, 4, 2, 2),
        time_stages="used",
        batch_norm=False,
        dropout=0.5,
        discriminator_filters=(64, 128, 256, 512, 1024, 2048),
        discriminator_kernel_sizes=(21, 22, 22, 22, 22, 6),
        discriminator_strides=(1, 4, 4, 4, 4, 2),
        discriminator_groups=(1, 4, 16, 32, 64, 256),
        discriminator_factors=(1, 1, 4, 4, 4, 4),
        **kwargs,
    ):
        super().__init__(
            classes=classes,
            sample_rate=sample_rate,
            num_mels=num_mels,
            window_length=window_length,
            hop=hop,
            clip_frames=clip_frames,
            latent_dim=latent_dim,
            **kwargs,
        )
        check_whole("first_filters", first_filters, 1)
        check_choice("time_stages", time_stages, TIME_STAGES)
        check_range("dropout", dropout, 0.0, 0.95)
        self.first_filters, self.time_stages = first_filters, time_stages
        self.batch_norm, self.dropout = bool(batch_norm), dropout
        self.filters = whole_numbers("filters", filters, 1)
        if self.filters[-1:] != (1,):
            raise ValueError(f"filters must end in 1, the spectrogram; got {self.filters}.")
        self.kernel_sizes = numbers_for_each("kernel_sizes", kernel_sizes, "filters", self.filters)
        self.strides = numbers_for_each("strides", strides, "filters", self.filters)
        scale = math.prod(self.strides)
        if clip_frames % scale or num_mels % scale:
            raise ValueError(
                f"strides must multiply to a divisor of clip_frames, {clip_frames}, and num_mels, "
                f"{num_mels}; got {self.strides}."
            )
        after_first = min(clip_frames, num_mels) // scale * self.strides[0]
        if after_first <= max(DILATIONS):
            raise ValueError(
                f"strides must make of clip_frames and num_mels more than {max(DILATIONS)} steps at once; "
                f"got {after_first} after the first of {self.strides}. Use a larger one first."
            )
        self.discriminator_filters = whole_numbers("discriminator_filters", discriminator_filters, 1)
        of_discriminator = {
            "kernel_sizes": discriminator_kernel_sizes,
            "strides": discriminator_strides,
            "groups": discriminator_groups,
            "factors": discriminator_factors,
        }
        for name, values in of_discriminator.items():
            name = f"discriminator_{name}"
            values = numbers_for_each(name, values, "discriminator_filters", self.discriminator_filters)
            setattr(self, name, values)
        self.generator = Generator(
            num_classes=len(self.classes),
            frames=clip_frames,
            bands=num_mels,
            first_filters=first_filters,
            filters=self.filters,
            kernel_sizes=self.kernel_sizes,
            strides=self.strides,
            time_stages=time_stages,
            batch_norm=self.batch_norm,
            dropout=dropout,
            name="generator",
        )
        self.discriminator = Discriminator(
            num_classes=len(self.classes),
            filters=self.discriminator_filters,
            **{name: getattr(self, f"discriminator_{name}") for name in of_discriminator},
            name="discriminator",
        )
        self.generator.build(latent_dim)
        self.built = True

    def as_output(self, log_mel):
        return ops.square(ops.expm1(log_mel) / self.transform.gain)

    def as_spectrogram(self, output):
        magnitude = np.sqrt(np.maximum(output, 0.0))
        return self.standardised(compress(magnitude, self.transform.gain))

    def as_log10_mel(self, output):
        return log10_mel(ops.sqrt(ops.maximum(output, 0.0)))

    def discriminator_loss(self, real, fake):
        return least_squares_discriminator(real["scores"], fake["scores"])

    def generator_loss(self, real, fake):
        return least_squares_generator(fake["scores"])


def numbers_for_each(name, values, of, others):
    """As many whole numbers as there are others, as a tuple. Raises ValueError if they are none."""
    values = whole_numbers(name, values, 1)
    if len(values) != len(others):
        raise ValueError(f"{name} must be {len(others)} numbers, one for each of {of}; got {values}.")
    return values
