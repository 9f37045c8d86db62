"""A convolutional VAE of waveforms: sound of any length in, a code of a few numbers per frame, sound out.

Origin: a student project with the same name, which could not learn (see ``conv1d_resnet_vae_seed``). This is
what its conclusion asks for. Encoder and decoder have a time axis and know nothing of its length; residual
branches are normalised over time instead of over one number; the loss has a minimum.
Paper: Kingma and Welling (2013), Auto-Encoding Variational Bayes, arXiv:1312.6114.
"""

import math

from keras import layers, ops

from audiozoo.arguments import check_choice, check_range, check_whole, whole_numbers
from audiozoo.data.audio_io import check_sample_rate
from audiozoo.layers import Downsample1D, GaussianHead, Resnet1DBlock, TimePool, TimeSpread, Upsample1D
from audiozoo.losses import reconstruction_error
from audiozoo.models.audio_vae import LATENT_MODES, AudioVAE

DILATIONS = (1, 3)  # one residual block each, at every stage


class Stage(layers.Layer):
    """Residual blocks of rising dilation."""

    def __init__(self, filters, *, dropout, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [Resnet1DBlock(filters, dilation=d, dropout=dropout) for d in DILATIONS]

    def build(self, input_shape):
        for block in self.blocks:
            block.build(input_shape)

    def call(self, hidden, training=False):
        for block in self.blocks:
            hidden = block(hidden, training=training)
        return hidden


class Encoder(layers.Layer):
    """Audio ``(batch, samples, 1)`` to mean and log-variance ``(batch, [frames,] dims)``."""

    def __init__(self, *, strides, filters, latent_dim, latent_mode, dropout, **kwargs):
        super().__init__(**({"autocast": False} | kwargs))
        self.filters = filters
        self.stem = layers.Conv1D(filters[0], 7, padding="same")
        self.down = [Downsample1D(f, s) for f, s in zip(filters, strides, strict=True)]
        self.stages = [Stage(f, dropout=dropout) for f in filters]
        self.pool = TimePool() if latent_mode == "global" else None
        self.head = GaussianHead(latent_dim)

    def build(self, input_shape=None):
        channels = self.filters[-1]
        self.stem.build((None, None, 1))
        for before, f, down, stage in zip(
            (self.filters[0], *self.filters), self.filters, self.down, self.stages, strict=False
        ):
            down.build((None, None, before))
            stage.build((None, None, f))
        if self.pool is not None:
            self.pool.build((None, None, channels))
        self.head.build((None, channels))

    def call(self, audio, training=False):
        hidden = self.stem(audio)
        for down, stage in zip(self.down, self.stages, strict=True):
            hidden = stage(down(hidden), training=training)
        hidden = ops.leaky_relu(hidden, negative_slope=0.2)
        if self.pool is not None:
            hidden = self.pool(hidden)
        return self.head(hidden)


class Decoder(layers.Layer):
    """Code and number of samples to audio ``(batch, samples)``."""

    def __init__(self, *, strides, filters, latent_dim, latent_mode, dropout, **kwargs):
        super().__init__(**({"autocast": False} | kwargs))
        self.filters, self.latent_dim, self.hop = filters, latent_dim, math.prod(strides)
        outputs = (
            *filters[-2::-1],
            filters[0],
        )  # a stage's channels are those of the encoder's at the same rate
        self.spread = TimeSpread(filters[-1]) if latent_mode == "global" else None
        self.expand = layers.Conv1D(filters[-1], 3, padding="same")
        self.stages = [Stage(f, dropout=dropout) for f in filters[::-1]]
        self.up = [Upsample1D(f, s) for f, s in zip(outputs, strides[::-1], strict=True)]
        self.wave = layers.Conv1D(1, 7, padding="same", dtype="float32")

    def build(self, latent_shape=None):
        channels = self.latent_dim
        if self.spread is not None:
            self.spread.build((None, channels))
            channels = self.filters[-1]
        self.expand.build((None, None, channels))
        for f, stage, up in zip(self.filters[::-1], self.stages, self.up, strict=True):
            stage.build((None, None, f))
            up.build((None, None, f))
        self.wave.build((None, None, self.filters[0]))

    def call(self, latent, samples, training=False):
        if self.spread is not None:
            latent = self.spread(latent, frames=-(-samples // self.hop))
        hidden = self.expand(latent)
        for stage, up in zip(self.stages, self.up, strict=True):
            hidden = up(stage(hidden, training=training))
        return ops.tanh(self.wave(ops.leaky_relu(hidden, negative_slope=0.2)))[:, :samples, 0]


class Conv1DResnetVAE(AudioVAE):
    """VAE of waveforms with one code per frame, or one per clip.

    A stage of the encoder is a strided convolution and two residual blocks; the decoder mirrors it. Instance
    normalisation takes its statistics over the whole of what is encoded, so the code of a clip is not exactly
    a piece of the code of the file that it was cut from.

    Args:
        sample_rate: Hz.
        strides: of each stage, samples per step; their product is ``hop``, the samples per frame.
        filters: channels of each stage.
        latent_dim: numbers per frame, or per clip.
        latent_mode: ``"frames"``, a code that goes along with the sound; or ``"global"``, one code for a
            whole clip, whose decoder is told the time. It morphs whole sounds, and can hold but short ones.
        dropout: share of values dropped in the residual branches in training, 0..0.95.
        beta: weight of the KL divergence in nats (per frame), against a reconstruction error of 4.7 for
            silence.
        free_bits: nats per dimension (and frame) that cost nothing.
        clip_seconds: length of what ``sample`` makes, and of what ``decode`` makes of a global code, unless
            told.

    Input:
        Dict with ``audio (batch, samples)``, float in -1..1, at least one frame.

    Output:
        Dict: ``output``, audio ``(batch, samples)``; ``mean`` and ``log_variance`` of the code,
        ``(batch, ceil(samples / hop), latent_dim)`` or ``(batch, latent_dim)``.

    Reference:
        Kingma and Welling (2013), arXiv:1312.6114; residual blocks after the student project.
    """

    def __init__(
        self,
        *,
        sample_rate=8000,
        strides=(4, 4, 4),
        filters=(32, 64, 96),
        latent_dim=16,
        latent_mode="frames",
        dropout=0.0,
        beta=3e-3,
        free_bits=0.05,
        clip_seconds=2.0,
        **kwargs,
    ):
        check_sample_rate(sample_rate)
        check_range("clip_seconds", clip_seconds, 0.001, 3600.0)
        super().__init__(
            beta=beta,
            free_bits=free_bits,
            dropout=dropout,
            clip_samples=max(1, round(clip_seconds * sample_rate)),
            **kwargs,
        )
        self.strides, self.filters = check_stages(strides, filters)
        check_whole("latent_dim", latent_dim, 1)
        check_choice("latent_mode", latent_mode, LATENT_MODES)
        self.sample_rate, self.clip_seconds = sample_rate, clip_seconds
        self.latent_dim, self.latent_mode = latent_dim, latent_mode
        self.hop = math.prod(self.strides)
        if self.clip_samples < self.hop:
            raise ValueError(
                f"clip_seconds must be at least one frame, {self.hop / sample_rate:g} s; got "
                f"{clip_seconds!r}."
            )
        shape = {"strides": self.strides, "filters": self.filters}
        shape |= {"latent_dim": latent_dim, "latent_mode": latent_mode, "dropout": dropout}
        self.encoder, self.decoder = Encoder(**shape), Decoder(**shape)
        self.build()

    def latent_shape(self, samples):
        frames = -(-samples // self.hop)
        return (frames, self.latent_dim) if self.latent_mode == "frames" else (self.latent_dim,)

    def reconstruction_error(self, target, outputs):
        return reconstruction_error(target, outputs["output"])

    def _checked_length(self, latent, samples):
        if self.latent_mode == "global":
            return super()._checked_length(latent, samples)
        longest = latent.shape[1] * self.hop
        samples = longest if samples is None else samples
        check_whole("samples", samples, 1)
        if not longest - self.hop < samples <= longest:
            raise ValueError(
                f"samples must be {longest - self.hop + 1} to {longest}, what {latent.shape[1]} frames of "
                f"{self.hop} describe; got {samples}. Leave it out for all of them."
            )
        return samples


def check_stages(strides, filters):
    """Both as tuples. Raises ValueError unless they are equally many whole numbers of at least 1."""
    strides, filters = whole_numbers("strides", strides, 1), whole_numbers("filters", filters, 1)
    if len(strides) != len(filters) or not strides:
        raise ValueError(
            f"strides and filters must have one entry for each stage; got {strides} and {filters}."
        )
    return strides, filters
