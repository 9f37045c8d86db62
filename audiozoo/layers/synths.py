"""Synthesizers as layers, each cut in two: controls and signal.

``get_controls`` turns network outputs into named, bounded, physical quantities at frame rate;
``get_signal`` turns those into audio and knows nothing of networks. Editing a sound is editing
controls. The cut is that of magenta/ddsp (Engel et al., 2020).
"""

import keras
from keras import layers, ops

from audiozoo.dsp.envelopes import check_envelope, modified_sigmoid
from audiozoo.dsp.filters import TAILS, filter_noise
from audiozoo.dsp.oscillators import harmonic_bank, nyquist_mask


class Synth(layers.Layer):
    """A layer that computes controls, then a signal; always in float32.

    Half precision would turn phase into noise and is refused by every backend's FFT.
    """

    def __init__(self, **kwargs):
        super().__init__(**(kwargs | {"dtype": "float32"}))
        self.built = True  # no weights; and while a layer is not built, Keras traces its model at every batch

    def get_controls(self, *args, **kwargs) -> dict:
        """Named physical controls ``(batch, frames, channels)`` from network outputs."""
        raise NotImplementedError

    def get_signal(self, **controls):
        """Audio ``(batch, samples)`` from controls."""
        raise NotImplementedError

    def call(self, *args, **kwargs):
        return self.get_signal(**self.get_controls(*args, **kwargs))


@keras.saving.register_keras_serializable("audiozoo")
class HarmonicSynth(Synth):
    """Harmonics of one fundamental: pitch, loudness and timbre apart.

    Args:
        sample_rate: Hz.
        hop: samples per frame.
        envelope: ``"linear"`` or ``"nearest"``, see ``dsp.oscillators.harmonic_bank``.

    Input:
        ``amplitude_logits (batch, frames, 1)``, ``harmonic_logits (batch, frames, harmonics)``,
        ``f0_hz (batch, frames, 1)``.

    Output:
        Audio ``(batch, frames * hop)``.

    Reference:
        Engel et al. (2020), DDSP, arXiv:2001.04643, section 3.2.
    """

    def __init__(self, *, sample_rate, hop, envelope="linear", **kwargs):
        super().__init__(**kwargs)
        check_envelope(envelope)
        self.sample_rate, self.hop, self.envelope = sample_rate, hop, envelope

    def get_controls(self, amplitude_logits, harmonic_logits, f0_hz):
        """``amplitude`` in 0..2, ``harmonic_distribution`` summing to 1 over audible harmonics."""
        f0_hz = ops.convert_to_tensor(f0_hz, "float32")
        distribution = modified_sigmoid(ops.convert_to_tensor(harmonic_logits, "float32"))
        distribution *= nyquist_mask(f0_hz, harmonic_logits.shape[-1], sample_rate=self.sample_rate)
        total = ops.sum(distribution, axis=-1, keepdims=True)
        return {
            "f0_hz": f0_hz,
            "amplitude": modified_sigmoid(ops.convert_to_tensor(amplitude_logits, "float32")),
            "harmonic_distribution": distribution / ops.maximum(total, 1e-7),
        }

    def get_signal(self, f0_hz, amplitude, harmonic_distribution, phase=None):
        """Audio ``(batch, frames * hop)``; ``phase`` as in ``harmonic_bank``."""
        return harmonic_bank(
            f0_hz,
            amplitude * harmonic_distribution,
            sample_rate=self.sample_rate,
            hop=self.hop,
            envelope=self.envelope,
            phase=phase,
        )

    def get_config(self):
        return super().get_config() | {
            "sample_rate": self.sample_rate,
            "hop": self.hop,
            "envelope": self.envelope,
        }


@keras.saving.register_keras_serializable("audiozoo")
class FilteredNoiseSynth(Synth):
    """White noise through a filter that follows the sound: breath, bow, hammer.

    Args:
        hop: samples per frame.
        tails: ``"overlap"`` or ``"cut"``, see ``dsp.filters.filter_noise``.
        initial_bias: added to the logits, so that an untrained network hardly hisses.
        seed: of the noise. Inference repeats exactly; training draws anew at every step.

    Input:
        ``noise_logits (batch, frames, bands)``.

    Output:
        Audio ``(batch, frames * hop)``.

    Reference:
        Engel et al. (2020), DDSP, arXiv:2001.04643, section 3.3 and appendix B.5.
    """

    def __init__(self, *, hop, tails="overlap", initial_bias=-5.0, seed=0, **kwargs):
        super().__init__(**kwargs)
        if tails not in TAILS:
            raise ValueError(f"tails must be one of {TAILS}; got {tails!r}. Use 'overlap'.")
        self.hop, self.tails, self.initial_bias, self.seed = hop, tails, initial_bias, seed
        self.generator = keras.random.SeedGenerator(seed)

    def get_controls(self, noise_logits):
        """``noise_magnitudes`` in 0..2, linear gain from 0 Hz to Nyquist."""
        logits = ops.convert_to_tensor(noise_logits, "float32")
        return {"noise_magnitudes": modified_sigmoid(logits + self.initial_bias)}

    def get_signal(self, noise_magnitudes, noise=None, training=False):
        """Audio ``(batch, frames * hop)``; ``noise (batch, frames, hop)`` is drawn if not given."""
        if noise is None:
            noise = self.white_noise(noise_magnitudes, training=training)
        return filter_noise(noise, noise_magnitudes, tails=self.tails)

    def white_noise(self, noise_magnitudes, training=False):
        """Uniform noise in -1..1, one frame of ``hop`` samples for each frame of magnitudes.

        In training it is new for every item and step; otherwise it is the same for every item, so
        that a sound does not depend on its place in a batch.
        """
        batch, frames = (ops.shape(noise_magnitudes)[0] if training else 1), noise_magnitudes.shape[1]
        seed = self.generator if training else self.seed
        return keras.random.uniform((batch, frames, self.hop), -1.0, 1.0, seed=seed)

    def call(self, noise_logits, training=False):
        return self.get_signal(**self.get_controls(noise_logits), training=training)

    def get_config(self):
        return super().get_config() | {
            "hop": self.hop,
            "tails": self.tails,
            "initial_bias": self.initial_bias,
            "seed": self.seed,
        }
