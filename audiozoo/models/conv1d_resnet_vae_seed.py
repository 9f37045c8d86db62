"""The Conv1D ResNet VAE as a student project published it: its table of layers, its loss, its faults.

Origin: the student project's table, which this reproduces row by row, and the public Kaggle notebook that it
derives from (basu369victor, "Generate music with Variational AutoEncoder", GTZAN at 3 kHz).

It is here to be compared with, and not to be used. What keeps it from learning:

- A clip of 30 seconds is one time step of 90,000 channels. With kernels of width 1 that is a dense layer to
  64 numbers, and one back: it can learn 64 waveforms by heart, and knows nothing of time.
- Instance normalisation over one step and one channel gives its shift, whatever comes in. All residual blocks
  of the encoder are dead.
- Cross-entropy has no minimum for audio in -1..1: every negative sample pulls its logit to minus infinity. In
  training it falls without end, until it is NaN.
- With a squared error instead, every dimension of the code collapses onto the prior.

``Conv1DResnetVAE`` is what works.
"""

from keras import layers, ops
from scipy.special import expit

from audiozoo.arguments import check_whole
from audiozoo.data.audio_io import check_sample_rate
from audiozoo.errors import AudioError
from audiozoo.layers import SeedResnet1DBlock
from audiozoo.losses import bernoulli_negative_log_likelihood, gaussian_negative_log_likelihood
from audiozoo.models.audio_vae import AudioVAE

LIKELIHOODS = ("bernoulli", "gaussian")
ENCODER_WIDTHS = (64, 128, 128, 256)
DECODER_WIDTHS = (512, 256, 128, 64)


class SeedEncoder(layers.Layer):
    """Audio ``(batch, samples, 1)`` to mean and log-variance, each ``(batch, latent_dim)``.

    ``rows`` are those of the published table, under the names that Keras gave them there. Numbers are missing
    because the convolutions inside of the blocks were counted, too.
    """

    def __init__(self, *, samples, latent_dim, dropout, **kwargs):
        super().__init__(**kwargs)
        self.samples = samples
        self.rows = []
        for index, width in enumerate(ENCODER_WIDTHS):
            number = f"_{3 * index}" if index else ""
            self.rows.append(layers.Conv1D(width, 1, strides=2, name=f"conv1d{number}"))
            number = f"_{index}" if index else ""
            # Meant as (filters, kernel_size): see SeedResnet1DBlock.
            self.rows.append(
                SeedResnet1DBlock(width, 1, "encode", dropout=dropout, name=f"resnet1d_block{number}")
            )
        self.rows += [layers.Flatten(name="flatten"), layers.Dense(2 * latent_dim, name="dense")]

    def build(self, input_shape=None):
        shape = (None, 1, self.samples)
        for row in self.rows:
            row.build(shape)
            shape = row.compute_output_shape(shape)

    def call(self, audio, training=False):
        hidden = ops.transpose(audio, (0, 2, 1))  # one step, as many channels as there are samples
        for row in self.rows:
            hidden = call_row(row, hidden, training)
        return ops.split(ops.cast(hidden, "float32"), 2, axis=-1)


class SeedDecoder(layers.Layer):
    """Code ``(batch, latent_dim)`` to a number per sample, ``(batch, samples)``; ``rows`` as above."""

    def __init__(self, *, samples, latent_dim, dropout, **kwargs):
        super().__init__(**kwargs)
        self.latent_dim = latent_dim
        self.rows = [layers.Reshape((1, latent_dim), name="reshape")]
        blocks = len(ENCODER_WIDTHS)
        for index, width in enumerate(DECODER_WIDTHS):
            self.rows.append(
                SeedResnet1DBlock(
                    width, 1, "decode", dropout=dropout, name=f"resnet1d_block_{blocks + index}"
                )
            )
            self.rows.append(layers.Conv1DTranspose(width, 1, name=f"conv1d_transpose_{2 + 3 * index}"))
        self.rows.append(
            layers.Conv1DTranspose(samples, 1, name=f"conv1d_transpose_{3 * len(DECODER_WIDTHS)}")
        )

    def build(self, input_shape=None):
        shape = (None, self.latent_dim)
        for row in self.rows:
            row.build(shape)
            shape = row.compute_output_shape(shape)

    def call(self, latent, samples, training=False):
        hidden = latent
        for row in self.rows:
            hidden = call_row(row, hidden, training)
        return ops.cast(hidden[:, 0], "float32")


def call_row(row, hidden, training):
    """A row of the table, on what the one above it made."""
    return row(hidden, training=training) if isinstance(row, SeedResnet1DBlock) else row(hidden)


class Conv1DResnetVAESeed(AudioVAE):
    """The student project's VAE of clips of one fixed length.

    Args:
        sample_rate: Hz.
        samples: of every clip.
        latent_dim: numbers per clip.
        likelihood: ``"bernoulli"``, the project's: cross-entropy of audio in -1..1 as if it were
            probabilities, summed over samples; it diverges. Or ``"gaussian"``, with variance 1: a squared
            error.
        dropout: share of values dropped in the residual blocks in training, 0..0.95. The project dropped 0.3,
            but never called its model in training mode.
        beta: weight of the KL divergence; the project reports 1, 10 and 100.
        free_bits: nats per dimension that cost nothing; the project had none.

    Input:
        Dict with ``audio (batch, samples)``, float in -1..1.

    Output:
        Dict: ``output (batch, samples)``, logits under ``"bernoulli"`` and else audio; ``mean`` and
        ``log_variance`` of the code, ``(batch, latent_dim)``.

    Reference:
        The student project's table of layers; Kingma and Welling (2013), arXiv:1312.6114.
    """

    def __init__(
        self,
        *,
        sample_rate=3000,
        samples=90000,
        latent_dim=10,
        likelihood="bernoulli",
        dropout=0.3,
        beta=10.0,
        free_bits=0.0,
        **kwargs,
    ):
        check_sample_rate(sample_rate)
        check_whole("samples", samples, 1)
        check_whole("latent_dim", latent_dim, 1)
        if likelihood not in LIKELIHOODS:
            raise ValueError(
                f"likelihood must be one of {', '.join(LIKELIHOODS)}; got {likelihood!r}. Use 'gaussian'."
            )
        super().__init__(beta=beta, free_bits=free_bits, dropout=dropout, clip_samples=samples, **kwargs)
        self.sample_rate, self.samples, self.latent_dim = sample_rate, samples, latent_dim
        self.likelihood = likelihood
        shape = {"samples": samples, "latent_dim": latent_dim, "dropout": dropout}
        self.encoder, self.decoder = SeedEncoder(**shape), SeedDecoder(**shape)
        self.build()

    def latent_shape(self, samples):
        return (self.latent_dim,)

    def reconstruction_error(self, target, outputs):
        if self.likelihood == "bernoulli":
            return bernoulli_negative_log_likelihood(target, outputs["output"])
        return gaussian_negative_log_likelihood(target, outputs["output"])

    def item_of(self, output, item_shape):
        # The project plays the probabilities: all samples positive.
        return expit(output) if self.likelihood == "bernoulli" else output

    def exported_item(self, latent):
        output = super().exported_item(latent)
        return ops.sigmoid(output) if self.likelihood == "bernoulli" else output

    def check_samples(self, samples):
        if samples != self.samples:
            raise AudioError(
                f"audio must be exactly {self.samples} samples long ({self.samples / self.sample_rate:g} s); "
                f"got {samples}. Cut or pad it, or use Conv1DResnetVAE, which takes any length."
            )

    def _checked_length(self, latent, samples):
        samples = super()._checked_length(latent, samples)
        self.check_samples(samples)
        return samples
