"""A VAE of log-mel spectrograms, made for loops: a code for every frame, and phase found afterwards.

Origin: a student project, a temporal spectral VAE of the Freesound Loop Dataset with one vector for a whole
clip, a normalisation at its output, and statistics that were never undone before the inversion. Here the
code goes along with the sound, the output is linear, and ``AudioTransform`` undoes what it did.
Paper: Kingma and Welling (2013), Auto-Encoding Variational Bayes, arXiv:1312.6114.
"""

import dataclasses
import math

import numpy as np
from keras import layers, ops

from audiozoo.arguments import check_choice, check_range, check_whole, whole_numbers
from audiozoo.data.audio_io import check_sample_rate
from audiozoo.layers import AudioTransform, GaussianHead, Resnet1DBlock, TimePool, TimeSpread
from audiozoo.layers.frontends import MEL_FLOOR, METHODS
from audiozoo.models.audio_vae import LATENT_MODES, AudioVAE
from audiozoo.models.exported import Array

SMALLEST_VARIANCE = 1e-6  # of a component: what varies less is no part of the sound
QUIET_MEL = 1e-4  # a sound quieter than this in all bands is not blown up to the importance of a loud one


class SpectralEncoder(layers.Layer):
    """Spectrogram ``(batch, frames, mels)`` to mean and log-variance ``(batch, [frames,] dims)``.

    Of a code for each frame, the mean is a linear function of the frame, ``shortcut``, plus what the residual
    blocks find out, which is nothing at the start.
    """

    def __init__(self, *, num_mels, filters, dilations, latent_dim, latent_mode, block, **kwargs):
        super().__init__(**({"autocast": False} | kwargs))
        self.num_mels, self.filters = num_mels, filters
        self.stem = layers.Conv1D(filters, 3, padding="same")
        self.blocks = [Resnet1DBlock(filters, dilation=dilation, **block) for dilation in dilations]
        of_frames = latent_mode == "frames"
        self.pool = None if of_frames else TimePool()
        self.shortcut = layers.Dense(latent_dim, dtype="float32") if of_frames else None
        self.head = GaussianHead(latent_dim, mean_initializer="zeros" if of_frames else "glorot_uniform")

    def build(self, input_shape=None):
        self.stem.build((None, None, self.num_mels))
        hidden_shape = (None, None, self.filters)
        for block in self.blocks:
            block.build(hidden_shape)
        if self.pool is not None:
            self.pool.build(hidden_shape)
        else:
            self.shortcut.build((None, None, self.num_mels))
        self.head.build((None, self.filters))

    def call(self, spectrogram, training=False):
        hidden = self.stem(spectrogram)
        for block in self.blocks:
            hidden = block(hidden, training=training)
        hidden = ops.leaky_relu(hidden, negative_slope=0.2)
        if self.pool is not None:
            return self.head(self.pool(hidden))
        mean, log_variance = self.head(hidden)
        return mean + self.shortcut(spectrogram), log_variance


class SpectralDecoder(layers.Layer):
    """Code and number of frames to spectrogram ``(batch, frames, mels)``; the encoder's mirror."""

    def __init__(self, *, num_mels, filters, dilations, latent_dim, latent_mode, block, **kwargs):
        super().__init__(**({"autocast": False} | kwargs))
        self.filters, self.latent_dim = filters, latent_dim
        of_frames = latent_mode == "frames"
        self.spread = None if of_frames else TimeSpread(filters)
        self.shortcut = layers.Dense(num_mels, dtype="float32") if of_frames else None
        self.expand = layers.Conv1D(filters, 3, padding="same")
        self.blocks = [Resnet1DBlock(filters, dilation=dilation, **block) for dilation in reversed(dilations)]
        initializer = "zeros" if of_frames else "glorot_uniform"
        self.bands = layers.Conv1D(num_mels, 1, kernel_initializer=initializer, dtype="float32")

    def build(self, latent_shape=None):
        hidden_shape, channels = (None, None, self.filters), self.latent_dim
        if self.spread is not None:
            self.spread.build((None, channels))
            channels = self.filters
        else:
            self.shortcut.build((None, None, channels))
        self.expand.build((None, None, channels))
        for block in self.blocks:
            block.build(hidden_shape)
        self.bands.build(hidden_shape)

    def call(self, latent, frames, training=False):
        hidden = self.expand(latent if self.spread is None else self.spread(latent, frames=frames))
        for block in self.blocks:
            hidden = block(hidden, training=training)
        bands = self.bands(ops.leaky_relu(hidden, negative_slope=0.2))
        return bands if self.spread is not None else bands + self.shortcut(latent)


class SpectralVAE(AudioVAE):
    """VAE of log-mel spectrograms with one code per frame, or one per clip.

    Mel bands are channels and all convolutions run over time. What the decoder says is a spectrogram, and
    ``transform`` finds audio that has it; ``spectrogram`` and ``decode_spectrogram`` stop before that, and
    ``transform.invert`` takes other methods than ``inversion``.

    Statistics of the training set are weights of ``transform``: ``adapt`` measures them, training does so
    by itself, and a model without them refuses to encode.

    Args:
        sample_rate: Hz.
        num_mels: bands.
        window_length: samples of the analysis.
        hop: samples per frame.
        filters: channels.
        dilations: of the residual blocks, in frames; the decoder has the same blocks in reverse.
        normalize: whether the blocks have instance normalisation. Without it a code depends on its frame's
            neighbourhood only.
        latent_dim: numbers per frame, or per clip.
        latent_mode: ``"frames"``, a code that goes along with the sound, or ``"global"``, one for a clip.
        dropout: share of values dropped in the residual branches in training, 0..0.95.
        beta: weight of the KL divergence in nats (per frame), against a reconstruction error of about 2.6
            for a model that knows the mean spectrum alone.
        free_bits: nats per dimension (and frame) that cost nothing.
        clip_seconds: length of what ``sample`` makes, and of what ``decode`` makes of a global code, unless
            told.
        inversion: how audio is found, ``"griffin_lim"`` from random phase, or ``"pghi"``, from integrated
            phase.
        inversion_iterations: of Griffin-Lim, from that phase on.

    Input:
        Dict with ``audio (batch, samples)``, float in -1..1, at least one frame.

    Output:
        Dict: ``output``, spectrogram ``(batch, 1 + samples // hop, num_mels)``, standardised;
        ``spectrogram``, that of the input; ``mean`` and ``log_variance`` of the code,
        ``(batch, 1 + samples // hop, latent_dim)`` or ``(batch, latent_dim)``.

    Reference:
        Kingma and Welling (2013), arXiv:1312.6114; per-frame codes as in Caillon and Esling (2021), RAVE,
        arXiv:2111.05011.
    """

    def __init__(
        self,
        *,
        sample_rate=44100,
        num_mels=128,
        window_length=2048,
        hop=512,
        filters=192,
        dilations=(1, 3),
        normalize=False,
        latent_dim=64,
        latent_mode="frames",
        dropout=0.0,
        beta=1e-3,
        free_bits=0.0,
        clip_seconds=1.486,
        inversion="pghi",
        inversion_iterations=32,
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
        for name, value in (("num_mels", num_mels), ("filters", filters), ("latent_dim", latent_dim)):
            check_whole(name, value, 1)
        dilations = whole_numbers("dilations", dilations, 1)
        check_choice("latent_mode", latent_mode, LATENT_MODES)
        check_choice("inversion", inversion, tuple(METHODS))
        self.sample_rate, self.num_mels = sample_rate, num_mels
        self.window_length, self.hop = window_length, hop
        self.filters, self.dilations, self.normalize = filters, dilations, normalize
        self.latent_dim, self.latent_mode = latent_dim, latent_mode
        check_whole("inversion_iterations", inversion_iterations, 0)
        self.clip_seconds = clip_seconds
        self.inversion, self.inversion_iterations = inversion, inversion_iterations
        self.transform = AudioTransform(
            sample_rate=sample_rate, num_mels=num_mels, window_length=window_length, hop=hop
        )
        shape = {"num_mels": num_mels, "filters": filters, "dilations": dilations}
        shape |= {"latent_dim": latent_dim, "latent_mode": latent_mode}
        shape |= {"block": {"normalize": normalize, "dropout": dropout}}
        self.encoder, self.decoder = SpectralEncoder(**shape), SpectralDecoder(**shape)
        self.build()

    # --- Of an AudioVAE ---

    def frames_of(self, samples):
        """Frames of a clip of that many samples."""
        return 1 + samples // self.hop

    def latent_shape(self, samples):
        one = (self.latent_dim,)
        return (self.frames_of(samples), *one) if self.latent_mode == "frames" else one

    def as_items(self, audio, *, name):
        self.transform.check_adapted()
        return super().as_items(audio, name=name)

    def posterior(self, audio, training=False):
        return self.encoder(self.transform(audio), training=training)

    def decoder_output(self, latent, item_shape, training=False):
        return self.decoder(latent, frames=self.frames_of(item_shape[0]), training=training)

    def item_of(self, output, item_shape):
        return self.transform.invert(
            output, method=self.inversion, iterations=self.inversion_iterations, samples=item_shape[0]
        )

    def exported(self):
        self.transform.check_adapted()
        return dataclasses.replace(super().exported(), settings=self.transform.settings())

    def exported_output(self):
        frames = self.frames_of(self.clip_samples) if self.code_rate is None else "frames"
        return "mel", Array(("batch", frames, self.num_mels), "log10 of mel magnitudes, at least -5")

    def exported_item(self, latent):
        # Where a code has frames, it says itself how many.
        return self.transform.log10_mel(self.decoder_output(latent, self.item_shape))

    def played_item(self, latent):
        return np.log10(np.maximum(self.transform.mel(self.decode_spectrogram(latent)), MEL_FLOOR))

    def _checked_length(self, latent, samples):
        if self.latent_mode == "global":
            return super()._checked_length(latent, samples)
        shortest = (latent.shape[1] - 1) * self.hop
        samples = max(1, shortest) if samples is None else samples
        check_whole("samples", samples, 1)
        if not shortest <= samples < shortest + self.hop:
            raise ValueError(
                f"samples must be {max(1, shortest)} to {shortest + self.hop - 1}, what {latent.shape[1]} "
                f"frames, {self.hop} samples apart, describe; got {samples}. Leave it out for the first."
            )
        return samples

    # --- Training ---

    def adapt(self, batches):
        """Measure statistics of the training set, and begin with its principal components as the code.

        A random network needs longer to find the plane in which spectra lie than to learn what bends it. In
        units of their standard deviation the components are a code as the prior wants it.
        """
        batches = [batch["audio"] for batch in batches]
        self.transform.adapt(batches)
        if self.latent_mode == "frames":
            spectra = (ops.convert_to_numpy(self.transform(audio)) for audio in batches)
            axes, deviations = principal_components(spectra, self.latent_dim)
            self.encoder.shortcut.kernel.assign(axes / deviations)
            self.decoder.shortcut.kernel.assign((axes * deviations).T)

    def call(self, inputs, training=False):
        audio = ops.cast(inputs["audio"], "float32")
        self.check_samples(audio.shape[1])
        spectrogram = self.transform(audio)
        mean, log_variance = self.encoder(spectrogram, training=training)
        latent = self.sampling(mean, log_variance, training=training)
        output = self.decoder_output(latent, audio.shape[1:], training=training)
        return {"output": output, "spectrogram": spectrogram, "mean": mean, "log_variance": log_variance}

    def reconstruction_error(self, target, outputs):
        """Mean absolute and mean squared difference of standardised spectrograms, and mel convergence.

        The logarithm takes what is quiet for as important as what is loud. The third term does not: it is
        the norm of the difference of mel bands over their norm, as spectral convergence is of bins. The
        target is not used; it is the audio whose spectrogram ``call`` has made.
        """
        original, estimate = outputs["spectrogram"], outputs["output"]
        difference = estimate - original
        plain = ops.mean(ops.abs(difference) + ops.square(difference), axis=(1, 2))
        original, estimate = (self.transform.mel_of(spectrogram) for spectrogram in (original, estimate))
        silence = QUIET_MEL * math.sqrt(original.shape[1] * self.num_mels)
        return plain + norm(original - estimate) / (norm(original) + silence)

    # --- Spectrograms ---

    def spectrogram(self, audio):
        """Standardised log-mel spectrogram of audio, ``(batch, frames, num_mels)`` or without ``batch``.

        Raises: as ``encode``.
        """
        audio, single = self.as_items(audio, name="audio")
        spectrogram = self.run_in_batches(self._transformed, {"audio": audio})
        return spectrogram[0] if single else spectrogram

    def _transformed(self, inputs):
        return self.transform(inputs["audio"])

    def decode_spectrogram(self, latent, *, samples=None):
        """What the decoder says, before audio is found that fits it.

        Args, Raises: as ``decode``.

        Returns:
            float32 ``(batch, frames, num_mels)``, standardised, or without ``batch``.
        """
        latent, single = self._checked_latent(latent)
        spectrogram = self._decoder_outputs(latent, (self._checked_length(latent, samples),))
        return spectrogram[0] if single else spectrogram


def principal_components(spectra, count):
    """Directions in which centred spectra vary most, and how far.

    Args:
        spectra: iterable of arrays ``(..., mels)``, centred.
        count: of directions; beyond the number of bands they are 0.

    Returns:
        ``axes (mels, count)`` of length 1, and standard deviations ``(count,)``, float32, falling.
    """
    total, frames = 0.0, 0
    for batch in spectra:
        rows = batch.reshape(-1, batch.shape[-1]).astype("float64")
        total, frames = total + rows.T @ rows, frames + len(rows)
    variances, axes = np.linalg.eigh(total / frames)
    axes, variances = axes[:, ::-1][:, :count], variances[::-1][:count]
    missing = count - len(variances)
    axes, variances = np.pad(axes, ((0, 0), (0, missing))), np.pad(variances, (0, missing))
    return axes.astype("float32"), np.sqrt(np.maximum(variances, SMALLEST_VARIANCE)).astype("float32")


def norm(spectrogram):
    """Square root of the sum of squares of each item."""
    return ops.sqrt(ops.sum(ops.square(spectrogram), axis=(1, 2)) + 1e-12)
