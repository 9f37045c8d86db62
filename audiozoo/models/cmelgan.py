"""Conditional MelGAN: spectrograms of music from noise and the name of a class, such as a genre.

Origin: "cMelGAN", a student project (Kaunismaa et al., 2022, arXiv:2205.07319), whose results were noise.
``cmelgan_seed`` is what it published, and says why. What is different here:

- Spectrograms are logarithmic and standardised, cut at three standard deviations and scaled to -1..1, where a
  tanh ends. The project's were power: a few loud values, and nothing else that counted.
- The class is in every normalisation of the generator (Dumoulin et al., 2017, arXiv:1610.07629) and, as a
  projection, in the discriminator's score (Miyato and Koyama, 2018, arXiv:1802.05637).
- The discriminator is spectrally normalised (Miyato et al., 2018, arXiv:1802.05957) and learns by the hinge
  loss, twice as fast as the generator (Heusel et al., 2017, arXiv:1706.08500), which also has to match what
  the discriminator sees in a batch on average (Salimans et al., 2016, arXiv:1606.03498).
- The generator is played with a running average of its weights. There is no dropout.

What it makes is a spectrogram. Sound is made of it by a search for phase, or by a vocoder.
"""

import math

import numpy as np
from keras import layers, ops

from audiozoo.arguments import check_range, whole_numbers
from audiozoo.layers import ConditionalBatchNorm, Convolution, Projection, TransposedConvolution
from audiozoo.losses import hinge_discriminator, hinge_generator, mean_feature_matching
from audiozoo.models.base import BATCH
from audiozoo.models.spectrogram_gan import SpectrogramGAN

REACH = 3.0  # standard deviations to which the tanh reaches
SETTLING_BATCHES = 32
SLOPE = 0.2  # of the leaky ReLUs below 0


class Generator(layers.Layer):
    """Noise ``(batch, [clips,] latent_dim)`` and class ``(batch,)`` to ``(batch, frames, bands)`` in -1..1.

    Noise makes a small map, and convolutions double it until it is a spectrogram. All that comes after the
    first
    map is convolutional in time: from several lots of noise, the maps of which lie one after the other, comes
    a longer one.
    """

    def __init__(self, *, num_classes, frames, bands, channels, **kwargs):
        super().__init__(**({"autocast": False} | kwargs))
        self.num_classes, self.frames, self.bands, self.channels = num_classes, frames, bands, channels
        scale = 2 ** len(channels)
        self.first_map = (frames // scale, bands // scale, channels[0])
        # No biases before a normalisation, which has a shift.
        self.dense = layers.Dense(math.prod(self.first_map), use_bias=False)
        self.norms = [ConditionalBatchNorm(num_classes) for _ in channels]
        self.stages = [TransposedConvolution(count, 4, stride=2, use_bias=False) for count in channels[1:]]
        self.last = TransposedConvolution(1, 8, stride=2, dtype="float32")

    def build(self, latent_dim):
        self.dense.build((None, latent_dim + self.num_classes))
        for norm, count in zip(self.norms, self.channels, strict=True):
            norm.build((None, None, None, count))
        for stage, before in zip([*self.stages, self.last], self.channels, strict=True):
            stage.build((None, None, None, before))

    def call(self, noise, label, training=False):
        chosen, clips = ops.one_hot(label, self.num_classes, dtype=noise.dtype), 1
        if len(noise.shape) == 3:
            chosen, clips = chosen[:, None] + ops.zeros_like(noise[..., :1]), ops.shape(noise)[1]
        height, *rest = self.first_map
        maps = self.dense(ops.concatenate([noise, chosen], axis=-1))
        maps = ops.reshape(maps, (-1, clips * height, *rest))
        for norm, stage in zip(self.norms, [*self.stages, self.last], strict=True):
            maps = stage(ops.leaky_relu(norm(maps, label, training=training), SLOPE))
        return ops.tanh(maps[..., 0])


class Discriminator(layers.Layer):
    """Spectrograms ``(batch, frames, bands)`` and their class to a score; see ``AdversarialModel``.

    The last map is summed over time but not over bands: what is high is something else than what is low.
    """

    def __init__(self, *, num_classes, channels, **kwargs):
        super().__init__(**({"autocast": False} | kwargs))
        self.channels = channels
        self.stages = [Convolution(count, 4, stride=2, normalization="spectral") for count in channels]
        self.projection = Projection(num_classes, dtype="float32")

    def build(self, input_shape):
        shape = (*input_shape, 1)
        for stage in self.stages:
            stage.build(shape)
            shape = stage.compute_output_shape(shape)
        self.projection.build((None, shape[2] * shape[3]))

    def call(self, inputs, training=False):
        maps, features = inputs["spectrogram"][..., None], []
        for stage in self.stages:
            maps = ops.leaky_relu(stage(maps, training=training), SLOPE)
            features.append(maps)
        summed = ops.sum(ops.cast(maps, "float32"), axis=1)
        summed = ops.reshape(summed, (-1, summed.shape[1] * summed.shape[2]))
        score = self.projection(summed, inputs["label"], training=training)
        return {"scores": [score], "features": [ops.cast(maps, "float32") for maps in features]}


class CMelGAN(SpectrogramGAN):
    """Spectrograms of a class from noise.

    Args:
        classes: their names, in the order of their numbers.
        sample_rate: Hz.
        num_mels: bands, a multiple of 2 to the power of ``len(channels)``.
        window_length: samples, of the spectrogram's windows.
        hop: samples between its frames.
        clip_frames: frames that are learned from at once and made of one lot of noise; a multiple of the same
            number.
        latent_dim: numbers of noise.
        channels: of the generator's maps, the smallest first; from each to the next, and from the last to the
            spectrogram, time and frequency double.
        discriminator_channels: of the discriminator's maps; with each, time and frequency halve.
        matching_weight: of the feature matching, against the hinge loss.

    Input:
        Dict: ``noise (batch, latent_dim)`` and ``label (batch,)``, the numbers of classes.

    Output:
        ``(batch, clip_frames, num_mels)`` in -1..1: standardised spectrograms over ``REACH``.

    Reference:
        Kaunismaa et al. (2022), arXiv:2205.07319, and what the head of this file names.
    """

    def __init__(
        self,
        *,
        classes=("music",),
        sample_rate=22050,
        num_mels=80,
        window_length=1024,
        hop=256,
        clip_frames=128,
        latent_dim=96,
        channels=(256, 128, 64, 32),
        discriminator_channels=(32, 64, 128, 256),
        matching_weight=1.0,
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
        check_range("matching_weight", matching_weight, 0.0, 1e3)
        self.channels = whole_numbers("channels", channels, 1)
        self.discriminator_channels = whole_numbers("discriminator_channels", discriminator_channels, 1)
        self.matching_weight = matching_weight
        for name in ("channels", "discriminator_channels"):
            if not getattr(self, name):
                raise ValueError(f"{name} must be at least one number; got ().")
        for name in ("num_mels", "clip_frames"):
            if getattr(self, name) % 2 ** len(self.channels):
                raise ValueError(
                    f"{name} must be a multiple of {2 ** len(self.channels)}, since "
                    f"{len(self.channels)} channels double the first map as often; got {getattr(self, name)}."
                )
        self.generator = Generator(
            num_classes=len(self.classes),
            frames=clip_frames,
            bands=num_mels,
            channels=self.channels,
            name="generator",
        )
        self.discriminator = Discriminator(
            num_classes=len(self.classes), channels=self.discriminator_channels, name="discriminator"
        )
        self.generator.build(latent_dim)
        self.built = True

    def settle(self):
        """The running statistics of the normalisations, measured anew.

        Those of the training are of weights that moved on, and that scattered: an average of them gives rise
        to less than half of the variance, and with the old statistics to pale spectrograms.
        """
        random = np.random.default_rng(0)
        found = []
        for _ in range(SETTLING_BATCHES):
            noise = random.standard_normal((BATCH, self.latent_dim), dtype="float32")
            labels = random.integers(0, len(self.classes), BATCH).astype("int32")
            found.append(self.run_compiled(self._statistics, {"noise": noise, "label": labels}))
        for variable, *values in zip(self.generator.non_trainable_variables, *found, strict=True):
            variable.assign(np.mean(values, axis=0))

    def _statistics(self, inputs):
        """Means and variances of a batch, in the order of the generator's non-trainable variables."""
        generator = self.generator
        # From 0 a running average takes up the batch's own value, times what is left beside its momentum.
        nothing = [ops.zeros_like(variable.value) for variable in generator.non_trainable_variables]
        weights = [variable.value for variable in generator.trainable_variables]
        _, moved = generator.stateless_call(weights, nothing, inputs["noise"], inputs["label"], training=True)
        return [values / (1.0 - generator.norms[0].momentum) for values in moved]

    def as_output(self, log_mel):
        return ops.clip(self.transform.standardised(log_mel) / REACH, -1.0, 1.0)

    def as_spectrogram(self, output):
        return REACH * output

    def as_log10_mel(self, output):
        return self.transform.log10_mel(REACH * output)

    def discriminator_loss(self, real, fake):
        return hinge_discriminator(real["scores"], fake["scores"])

    def generator_loss(self, real, fake):
        matching = mean_feature_matching(real["features"], fake["features"])
        return hinge_generator(fake["scores"]) + self.matching_weight * matching
