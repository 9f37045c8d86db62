"""What variational autoencoders of sound share, beyond those of anything."""

import numpy as np
from keras import ops

from audiozoo.arguments import check_whole
from audiozoo.data.audio_io import mono_at_rate
from audiozoo.errors import AudioError
from audiozoo.models.exported import Array
from audiozoo.models.vae import VAE

LATENT_MODES = ("frames", "global")  # a code that goes along with the sound, or one for all of it
MOST_CHANNELS = 8  # as many samples are no sound
LOUDEST = 16.0  # four times beyond what a mix may reach; 16-bit samples lie far above


class AudioVAE(VAE, abstract=True):
    """A VAE whose items are sounds, ``(batch, samples)`` or ``(samples,)``, in -1..1 at ``sample_rate``.

    A subclass sets ``sample_rate``, ``encoder`` (audio ``(batch, samples, 1)`` to mean and log-variance) and
    ``decoder`` (code and a number of samples to the parameters of the output, ``(batch, samples)``), or says
    ``posterior`` and ``decoder_output``; and it says ``reconstruction_error`` and ``latent_shape(samples)``,
    and ``hop`` or ``check_samples``. Its constructor ends with ``build()``.

    Args:
        clip_samples: length of a sound that is made from nothing.
        kwargs: of ``VAE``.
    """

    encodes = "audio"
    trains_on = "clips"

    def __init__(self, *, clip_samples, **kwargs):
        super().__init__(**kwargs)
        self.clip_samples = clip_samples

    # --- Of the subclass ---

    def check_samples(self, samples):
        """Raise AudioError if the model cannot take audio of this length: by default, less than a frame."""
        if samples < self.hop:
            raise AudioError(
                f"audio must be at least one frame long, hop={self.hop} samples; got {samples}. "
                "Pass more of it, or pad it with silence."
            )

    # --- Sounds as items ---

    def build(self, input_shape=None):
        # By shape and not by a call on zeros, which takes JAX 20 seconds, operation by operation.
        self.encoder.build()
        self.decoder.build()

    @property
    def item_shape(self):
        return (self.clip_samples,)

    @property
    def code_rate(self):
        """Codes a second, in Hz; None where there is one for a whole clip."""
        along = len(self.latent_shape(self.clip_samples)) == 2
        return self.sample_rate / self.hop if along else None

    def as_items(self, audio, *, name):
        audio, single = as_batch(audio, name=name)
        self.check_samples(audio.shape[1])
        return audio, single

    def posterior(self, audio, training=False):
        return self.encoder(audio[..., None], training=training)

    def decoder_output(self, latent, item_shape, training=False):
        return self.decoder(latent, samples=item_shape[0], training=training)

    def exported_output(self):
        samples = self.clip_samples if self.code_rate is None else f"{self.hop} * frames"
        return "audio", Array(("batch", samples), "about -1..1")

    def exported_item(self, latent):
        samples = self.clip_samples if self.code_rate is None else ops.shape(latent)[1] * self.hop
        return self.decoder_output(latent, (samples,))

    def example_codes(self, audio):
        if self.code_rate is None:
            missing = max(0, self.clip_samples - audio.shape[1])
            audio = np.pad(audio, ((0, 0), (0, missing)), mode="wrap")[:, : self.clip_samples]
        return self.encode(audio)

    def check_ends(self, a, b):
        if a.shape != b.shape or len(a) != 1:
            raise AudioError(
                f"a and b must be single sounds of equal length; got shapes {a.shape} and {b.shape}. "
                "Cut the longer one."
            )

    def call(self, inputs, training=False):
        self.check_samples(inputs["audio"].shape[1])
        return super().call(inputs, training=training)

    def perform(self, audio, sample_rate):
        return self.reconstruct(mono_at_rate(audio, sample_rate, self.sample_rate))

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
        audio = self._decoded(latent, (self._checked_length(latent, samples),))
        return audio[0] if single else audio

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
        samples = self.clip_samples if samples is None else samples
        check_whole("samples", samples, 1)
        self.check_samples(samples)
        return self._sampled(n, seed, (samples,))

    def _checked_length(self, latent, samples):
        """Number of samples to decode, given the latent and what was asked for, or None."""
        samples = self.clip_samples if samples is None else samples
        check_whole("samples", samples, 1)
        return samples


def as_batch(audio, *, name="audio"):
    """Audio as float32 ``(batch, samples)``, and whether it was a single sound.

    Raises:
        AudioError: see ``AudioVAE.encode``.
    """
    try:
        audio = np.asarray(audio)
    except ValueError as error:
        raise AudioError(
            f"{name} must be (batch, samples); its sounds differ in length. Cut or pad them, or pass "
            "one by one."
        ) from error
    if not np.issubdtype(audio.dtype, np.number):
        raise AudioError(
            f"{name} must be an array of samples; got {audio.dtype}. Read files with "
            "audiozoo.data.audio_io.read_audio."
        )
    if not np.issubdtype(audio.dtype, np.floating):
        raise AudioError(f"{name} must be float in -1..1; got {audio.dtype}. Scale it to -1..1.")
    if audio.ndim not in (1, 2):
        raise AudioError(f"{name} must be (samples,) or (batch, samples); got shape {audio.shape}.")
    if not audio.size:
        raise AudioError(f"{name} must hold at least one sample; it is empty.")
    if audio.ndim == 2 and audio.shape[1] <= MOST_CHANNELS < audio.shape[0]:
        raise AudioError(
            f"{name} must be (samples,) or (batch, samples); shape {audio.shape} looks like (samples, "
            "channels). Mix the channels: audio.mean(axis=1)."
        )
    audio = audio.astype("float32")
    if not np.isfinite(audio).all():
        raise AudioError(
            f"{name} must be finite; {int((~np.isfinite(audio)).sum())} samples are NaN or infinite. "
            "Repair the recording, or replace them: numpy.nan_to_num(audio)."
        )
    peak = float(np.abs(audio).max())
    if peak > LOUDEST:
        raise AudioError(
            f"{name} must be in -1..1; its peak is {peak:.3g}. Scale it: 16-bit samples are to be divided by "
            "32768."
        )
    return (audio[None], True) if audio.ndim == 1 else (audio, False)
