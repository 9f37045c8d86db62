"""What all variational autoencoders of the zoo share: how they are trained, and what can be done with a code.

Paper: Kingma and Welling (2013), Auto-Encoding Variational Bayes, arXiv:1312.6114; beta as in Higgins et al.
(2017), beta-VAE, ICLR.
"""

import keras
import numpy as np
from keras import ops

from audiozoo.data.audio_io import mono_at_rate
from audiozoo.errors import AudioError
from audiozoo.layers import Sampling
from audiozoo.losses import beta_vae_loss, kl_per_dimension
from audiozoo.models.arguments import check_range, check_whole
from audiozoo.models.base import AudioModel

BATCH = 16  # items computed at once: bounds memory, and the number of shapes to compile for
ACTIVE_VARIANCE = 0.01  # of a dimension's posterior mean over the data (Burda et al., 2015, arXiv:1509.00519)


class VAE(AudioModel, abstract=True):
    """An encoder to a Gaussian code, a decoder from it, and the loss that ties them.

    A subclass sets ``sample_rate``, ``encoder`` (audio ``(batch, samples, 1)`` to mean and log-variance) and
    ``decoder`` (code and a number of samples to the parameters of the output, ``(batch, samples)``), and says
    ``reconstruction_error`` and ``latent_shape``. It passes on the arguments below, which every VAE has:

    Args:
        beta: weight of the KL divergence, in nats, against the reconstruction. In training it is the variable
            ``beta_now`` that counts: a warm-up may ``assign`` to it at any step, on every backend.
        free_bits: nats that each dimension may say at no cost.
        dropout: share of values that are dropped in training, wherever the architecture has dropout.
        clip_samples: length of a sound that is made from nothing.

    Attributes:
        beta_now: non-trainable variable, ``beta`` at first. It belongs to a run of training, not to the
            sound, and is neither counted nor saved with the weights.
    """

    # Convolutions are as fast without it, and ready in a quarter of the time.
    gains_from_xla = False

    def __init__(self, *, beta, free_bits, dropout, clip_samples, **kwargs):
        super().__init__(**kwargs)
        check_range("beta", beta, 0.0, 1e6)
        check_range("free_bits", free_bits, 0.0, 1e3)
        check_range("dropout", dropout, 0.0, 0.95)
        self.beta, self.free_bits, self.dropout = beta, free_bits, dropout
        self.clip_samples = clip_samples
        self.sampling = Sampling()
        self.beta_now = self.add_weight(
            name="beta_now",
            shape=(),
            dtype="float32",
            initializer=keras.initializers.Constant(beta),
            trainable=False,
        )
        self.reconstruction_metric = keras.metrics.Mean("reconstruction")
        self.kl_metric = keras.metrics.Mean("kl")
        self.active_metric = keras.metrics.Mean("active_dimensions")

    # --- Of the subclass ---

    def latent_shape(self, samples):
        """Shape of the code of that many samples: ``(dims,)`` or ``(frames, dims)``."""
        raise NotImplementedError

    def reconstruction_error(self, target, output):
        """Error of each item, ``(batch,)``, from the target and the decoder's output ``(batch, samples)``."""
        raise NotImplementedError

    def audio_of(self, output):
        """Audio that a decoder's output stands for."""
        return output

    def check_samples(self, samples):
        """Raise AudioError if the model cannot take audio of this length."""
        raise NotImplementedError

    # --- Training ---

    trains_on = "clips"

    def render(self, inputs):
        return self.reconstruct(inputs["audio"])

    def perform(self, audio, sample_rate):
        return self.reconstruct(mono_at_rate(audio, sample_rate, self.sample_rate))

    def call(self, inputs, training=False):
        audio = ops.cast(inputs["audio"], "float32")
        self.check_samples(audio.shape[1])
        mean, log_variance = self.encoder(audio[..., None], training=training)
        latent = self.sampling(mean, log_variance, training=training)
        output = self.decoder(latent, samples=audio.shape[1], training=training)
        return {"output": output, "mean": mean, "log_variance": log_variance}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """``reconstruction + beta_now * KL`` with free bits; what it consists of goes to the log."""
        if sample_weight is not None:
            raise ValueError("sample_weight must be None: every clip counts the same. Draw clips more often.")
        reconstruction = self.reconstruction_error(ops.cast(y, "float32"), y_pred["output"])
        kl = kl_per_dimension(y_pred["mean"], y_pred["log_variance"])
        means = ops.reshape(y_pred["mean"], (-1, y_pred["mean"].shape[-1]))
        active = ops.cast(ops.var(means, axis=0) > ACTIVE_VARIANCE, "float32")
        self.reconstruction_metric.update_state(reconstruction)
        self.kl_metric.update_state(ops.sum(kl))
        self.active_metric.update_state(ops.sum(active))
        # Held-out sound is judged by the whole beta: else the early epochs of a warm-up would seem the best.
        beta = ops.convert_to_tensor(self.beta_now) if training else self.beta
        return beta_vae_loss(reconstruction, kl, beta=beta, free_bits=self.free_bits)

    def count_params(self):
        """Parameters of encoder and decoder; ``beta_now`` is none."""
        return self.encoder.count_params() + self.decoder.count_params()

    def save_own_variables(self, store):
        """Save nothing: the model's only own variable is ``beta_now``."""

    def load_own_variables(self, store):
        """Load nothing, so that a loaded model begins with its own ``beta``."""

    # --- Codes and sounds ---

    def encode(self, audio, *, sample=False, seed=0):
        """What a sound says to the model: the mean of its posterior, or a draw from it.

        Args:
            audio: ``(batch, samples)`` or ``(samples,)``, float in -1..1, at ``sample_rate``.
            sample: draw instead.
            seed: of the draw.

        Returns:
            float32 ``(batch, frames, dims)`` or ``(batch, dims)``; without ``batch`` for a single sound.

        Raises:
            AudioError: the audio is of unequal lengths, too short, not finite, of another type or shape.
        """
        audio, single = as_batch(audio)
        self.check_samples(audio.shape[1])
        posterior = self._in_batches(self._posterior, {"audio": audio})
        latent = posterior["mean"]
        if sample:
            noise = np.random.default_rng(seed).standard_normal(latent.shape, dtype="float32")
            latent = latent + np.exp(0.5 * posterior["log_variance"]) * noise
        return latent[0] if single else latent

    def decode(self, latent, *, samples=None):
        """The sound of a code.

        Args:
            latent: as ``encode`` returns it.
            samples: length of the sound; by default all that a code with frames describes, and
                ``clip_samples`` for one without.

        Returns:
            float32 ``(batch, samples)``, or ``(samples,)`` for a single code.

        Raises:
            ValueError: a code of the wrong size or not finite, or more samples than it has frames for.
        """
        latent, single = self._checked_latent(latent)
        audio = self._decoded(latent, self._checked_length(latent, samples))
        return audio[0] if single else audio

    def reconstruct(self, audio):
        """A sound as the model remembers it: encoded to the posterior's mean, and decoded.

        Args:
            audio: as for ``encode``.

        Returns:
            float32 of the same shape.

        Raises:
            AudioError: as ``encode``.
        """
        audio, single = as_batch(audio)
        rebuilt = self._decoded(self.encode(audio), audio.shape[1])
        return rebuilt[0] if single else rebuilt

    def sample(self, n=1, seed=0, *, samples=None):
        """Sounds from nothing: decoded draws from the prior.

        Args:
            n: how many.
            seed: of the draws. One seed gives the same codes on every backend.
            samples: length of each; by default ``clip_samples``.

        Returns:
            float32 ``(n, samples)``.

        Raises:
            ValueError: ``n`` or ``samples`` out of range.
        """
        check_whole("n", n, 1)
        samples = self.clip_samples if samples is None else samples
        check_whole("samples", samples, 1)
        self.check_samples(samples)
        shape = (n, *self.latent_shape(samples))
        latent = np.random.default_rng(seed).standard_normal(shape, dtype="float32")
        return self._decoded(latent, samples)

    def interpolate(self, a, b, n, *, spherical=True):
        """Sounds between two sounds, on the straight line or the arc between their codes.

        Args:
            a, b: ``(samples,)``, equally long.
            n: how many, both ends included.
            spherical: along the arc, on which codes keep their distance from 0, as draws from the prior have
                it; False: along the straight line.

        Returns:
            float32 ``(n, samples)``; the first is ``reconstruct(a)``, the last ``reconstruct(b)``.

        Raises:
            AudioError: as ``encode``; one of them is a batch, or they differ in length.
            ValueError: ``n`` below 2.
        """
        check_whole("n", n, 2)
        a, b = (as_batch(audio, name=name)[0] for name, audio in (("a", a), ("b", b)))
        if a.shape != b.shape or len(a) != 1:
            raise AudioError(
                f"a and b must be single sounds of equal length; got shapes {a.shape} and {b.shape}. "
                "Cut the longer one."
            )
        start, end = self.encode(np.concatenate([a, b]))
        path = spherical_path if spherical else linear_path
        return self._decoded(path(start, end, np.linspace(0.0, 1.0, n)), a.shape[1])

    def _posterior(self, inputs):
        mean, log_variance = self.encoder(inputs["audio"][..., None])
        return {"mean": mean, "log_variance": log_variance}

    def _decoded(self, latent, samples):
        # The grid carries no numbers: compiled functions know lengths by the shapes of their inputs.
        grid = np.zeros((len(latent), samples), "float32")
        return self._in_batches(self._audio, {"latent": latent.astype("float32"), "grid": grid})

    def _audio(self, inputs):
        return self.audio_of(self.decoder(inputs["latent"], samples=inputs["grid"].shape[1]))

    def _in_batches(self, function, inputs):
        """``run_compiled`` on a few items at a time, in batches of 1, 2, 4, 8 or 16 items."""
        items = len(next(iter(inputs.values())))
        size = min(BATCH, 1 << (items - 1).bit_length())
        pieces = []
        for start in range(0, items, size):
            index = np.minimum(np.arange(start, start + size), items - 1)
            pieces.append(self.run_compiled(function, {name: value[index] for name, value in inputs.items()}))
        return keras.tree.map_structure(lambda *parts: np.concatenate(parts)[:items], *pieces)

    def _checked_latent(self, latent):
        latent = np.asarray(latent, "float32")
        shape = self.latent_shape(self.clip_samples)
        expected = "(batch, frames, dims)" if len(shape) == 2 else "(batch, dims)"
        if (
            latent.ndim not in (len(shape), len(shape) + 1)
            or latent.shape[-1] != shape[-1]
            or not latent.size
        ):
            raise ValueError(
                f"latent must be {expected} with dims={shape[-1]}, with or without batch; got shape "
                f"{latent.shape}. Make it with encode."
            )
        if not np.isfinite(latent).all():
            raise ValueError(f"latent must be finite; {int((~np.isfinite(latent)).sum())} values are not.")
        single = latent.ndim == len(shape)
        return (latent[None] if single else latent), single

    def _checked_length(self, latent, samples):
        """Number of samples to decode, given the latent and what was asked for, or None."""
        samples = self.clip_samples if samples is None else samples
        check_whole("samples", samples, 1)
        return samples


def as_batch(audio, *, name="audio"):
    """Audio as float32 ``(batch, samples)``, and whether it was a single sound.

    Raises:
        AudioError: see ``VAE.encode``.
    """
    try:
        audio = np.asarray(audio)
    except ValueError as error:
        raise AudioError(
            f"{name} must be (batch, samples); its sounds differ in length. Cut or pad them, or pass "
            "one by one."
        ) from error
    if not np.issubdtype(audio.dtype, np.floating):
        raise AudioError(f"{name} must be float in -1..1; got {audio.dtype}. Scale it to -1..1.")
    if audio.ndim not in (1, 2):
        raise AudioError(f"{name} must be (samples,) or (batch, samples); got shape {audio.shape}.")
    if not audio.size:
        raise AudioError(f"{name} must hold at least one sample; it is empty.")
    audio = audio.astype("float32")
    if not np.isfinite(audio).all():
        raise AudioError(
            f"{name} must be finite; {int((~np.isfinite(audio)).sum())} samples are NaN or infinite. "
            "Repair the recording, or replace them: numpy.nan_to_num(audio)."
        )
    return (audio[None], True) if audio.ndim == 1 else (audio, False)


def linear_path(start, end, positions):
    """Codes on the straight line, ``(positions, ...)``; position 0 is the start, 1 the end."""
    positions = np.reshape(positions, (-1,) + (1,) * np.ndim(start))
    return (1.0 - positions) * start + positions * end


def spherical_path(start, end, positions):
    """Codes on the arc: direction turns evenly, and length changes evenly from one end's to the other's.

    Draws from the prior of many dimensions lie close to a sphere, which the straight line leaves. Vectors are
    those of the last axis; where two point the same way, or one is 0, theirs is the straight line; and where
    they point opposite ways, no arc is distinguished and theirs is the straight line, too.

    Args:
        start, end: ``(..., dims)``.
        positions: ``(positions,)``, 0 for the start, 1 for the end.

    Returns:
        ``(positions, ..., dims)``.
    """
    straight = linear_path(start, end, positions)
    lengths = [np.linalg.norm(code, axis=-1, keepdims=True) for code in (start, end)]
    cosine = np.sum(start * end, axis=-1, keepdims=True) / np.maximum(lengths[0] * lengths[1], 1e-12)
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    sine = np.sin(angle)
    turning = (sine > 1e-3) & (lengths[0] > 0.0) & (lengths[1] > 0.0)
    safe = [np.where(turning, length, 1.0) for length in lengths]
    t = np.reshape(positions, (-1,) + (1,) * np.ndim(start))
    direction = (np.sin((1.0 - t) * angle) * start / safe[0] + np.sin(t * angle) * end / safe[1]) / np.where(
        turning, sine, 1.0
    )
    return np.where(turning, linear_path(*lengths, positions) * direction, straight)
