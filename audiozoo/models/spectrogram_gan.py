"""What generators of spectrograms share that make music of a class from noise."""

import numpy as np
from keras import ops

from audiozoo.arguments import check_whole
from audiozoo.layers.frontends import MEL_FLOOR
from audiozoo.models.adversarial import AdversarialModel
from audiozoo.models.exported import Array, Exported
from audiozoo.models.spectrogram_generator import SpectrogramGenerator


class SpectrogramGAN(SpectrogramGenerator, AdversarialModel, abstract=True):
    """A generator of mel spectrograms from noise and class, and what can be done with them.

    A subclass sets ``generator`` and ``discriminator``; called on noise and class, the generator returns
    ``(batch, frames, bands)`` in units of its own. It says what these are by ``as_output`` and
    ``as_spectrogram``, the two ways between them and standardised spectrograms, and says the losses.

    Args:
        classes, sample_rate, num_mels, window_length, hop, clip_frames, latent_dim: see ``CMelGAN``.
        kwargs: of ``AdversarialModel``.

    Attributes:
        stringable: whether the generator makes one longer spectrogram of several lots of noise.
    """

    stringable = True

    def __init__(
        self, *, classes, sample_rate, num_mels, window_length, hop, clip_frames, latent_dim, **kwargs
    ):
        super().__init__(
            classes=classes,
            sample_rate=sample_rate,
            num_mels=num_mels,
            window_length=window_length,
            hop=hop,
            clip_frames=clip_frames,
            **kwargs,
        )
        check_whole("latent_dim", latent_dim, 1)
        self.latent_dim = latent_dim

    # --- Of the subclass ---

    def as_output(self, log_mel):
        """Log-mel spectrograms of the data in the generator's units: tensor to tensor."""
        raise NotImplementedError

    def as_spectrogram(self, output):
        """What the generator made, as standardised spectrograms: numpy to numpy."""
        raise NotImplementedError

    def as_log10_mel(self, output):
        """``log10`` of the mel magnitudes of what the generator made, as a vocoder takes them; tensors."""
        raise NotImplementedError

    # --- Export ---

    def exported(self):
        self.transform.check_adapted()
        clips, frames = ("clips",), f"{self.clip_frames} * clips"
        if not self.stringable:
            clips, frames = (), self.clip_frames
        classes = ", ".join(f"{number} {name}" for number, name in enumerate(self.classes))
        return Exported(
            inputs={
                "noise": Array(("batch", *clips, self.latent_dim), "standard normal"),
                "label": Array(("batch",), f"class: {classes}", "int32"),
            },
            outputs={"mel": Array(("batch", frames, self.num_mels), "log10 of mel magnitudes, at least -5")},
            function=lambda inputs: {"mel": self.as_log10_mel(self.call(inputs))},
            reference=self._played_mel,
            example=self._example_noise,
            settings=self.transform.settings(),
        )

    def _played_mel(self, inputs):
        mel = self.transform.mel(self.render(inputs))
        return {"mel": np.log10(np.maximum(mel, MEL_FLOOR))}

    def _example_noise(self, audio):
        random = np.random.default_rng(0)
        shape = (2, 3, self.latent_dim) if self.stringable else (2, self.latent_dim)
        labels = np.arange(2) % len(self.classes)
        return {"noise": random.standard_normal(shape, "float32"), "label": labels.astype("int32")}

    # --- Training ---

    def build_discriminator(self):
        self.discriminator.build((None, self.clip_frames, self.num_mels))

    def call(self, inputs, training=False):
        return self.generator(inputs["noise"], inputs["label"], training=training)

    def batch_loss(self, x, y, y_pred, *, training):
        """As ``AdversarialModel``; the target is a log-mel spectrogram, not yet standardised."""
        y = self.as_output(ops.convert_to_tensor(y))
        return super().batch_loss(x, y, y_pred, training=training)

    def discriminator_inputs(self, items, inputs):
        return {"spectrogram": items, "label": inputs["label"]}

    # --- Sampling ---

    def sample(self, class_name, n=1, seed=0, *, seconds=None):
        """Spectrograms of a class from noise.

        A longer one than a clip is made of several lots of noise, one after the other: it stays in its class,
        but what happens changes from clip to clip. Of equal seeds, a longer or further one begins with the
        others.

        Args:
            class_name: one of ``classes``.
            n: how many.
            seed: of the noise. One seed gives the same noise on every backend, and for every class.
            seconds: length; by default that of one clip.

        Returns:
            float32 ``(n, frames, num_mels)``, standardised as by ``layers.AudioTransform``: what ``sound``
            takes.

        Raises:
            UnknownClass: no such class.
            ValueError: ``n``, ``seed`` or ``seconds`` out of range.
        """
        check_whole("n", n, 1)
        check_whole("seed", seed, 0)
        label = self.label_of(class_name)
        frames = self.frames_of(seconds)
        clips = -(-frames // self.clip_frames)
        if clips > 1 and not self.stringable:
            raise ValueError(
                f"seconds must be at most {self.clip_frames * self.hop / self.sample_rate:.3g}, one clip, "
                f"for a {type(self).__name__}; got {seconds}. String several clips together."
            )
        noise = np.stack(
            [
                np.random.default_rng((seed, item)).standard_normal((clips, self.latent_dim), dtype="float32")
                for item in range(n)
            ]
        )
        inputs = {"noise": noise if clips > 1 else noise[:, 0], "label": np.full(n, label, "int32")}
        return self.as_spectrogram(self.run_in_batches(self.call, inputs))[:, :frames]

    def render(self, inputs):
        """Spectrograms of a batch of training inputs, standardised, ``(batch, frames, num_mels)``."""
        inputs = {name: inputs[name] for name in ("noise", "label")}
        return self.as_spectrogram(self.run_in_batches(self.call, inputs))
