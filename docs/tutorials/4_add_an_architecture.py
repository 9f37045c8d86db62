# %% [markdown]
# # Add an architecture
#
# A model of the zoo is one class: its keyword-only constructor arguments are its configuration, and the
# constructor ends by building it. Here is an organ: pitch and loudness in, a sum of harmonics out, whose
# strengths depend on the loudness. In the package it would be a file of its own,
# `audiozoo/models/organ.py`; CONTRIBUTING.md says what else belongs to it.

# %%
import keras
import numpy as np
from keras import layers, ops

import audiozoo
from audiozoo.data.audio_io import write_audio
from audiozoo.data.features import loudness
from audiozoo.layers import HarmonicSynth, Perceptron
from audiozoo.losses import MultiScaleSpectralLoss
from audiozoo.models import AudioModel


class Organ(AudioModel):
    """Harmonics whose strengths follow the loudness.

    Args:
        sample_rate: Hz.
        hop: samples per frame.
        units: width of the network.
        num_harmonics: of the sound.

    Input:
        Dict: ``f0_hz`` and ``loudness_db``, ``(batch, frames, 1)``.

    Output:
        Audio ``(batch, frames * hop)``.
    """

    trains_on = "instrument"  # so `audiozoo.training.train` knows what to make of a folder

    def __init__(self, *, sample_rate=16000, hop=160, units=32, num_harmonics=12, **kwargs):
        super().__init__(**kwargs)
        self.sample_rate, self.hop = sample_rate, hop
        self.units, self.num_harmonics = units, num_harmonics
        # A network of one number needs the random bias: see Perceptron.
        self.network = Perceptron(units=units, depth=2, first_bias=1.0)
        self.amplitude_head = layers.Dense(1)
        self.harmonic_head = layers.Dense(num_harmonics)
        self.synth = HarmonicSynth(sample_rate=sample_rate, hop=hop)
        self.build()

    def build(self, input_shape=None):
        self.network.build((None, None, 1))
        for head in (self.amplitude_head, self.harmonic_head):
            head.build((None, None, self.units))

    def call(self, inputs, training=False):
        hidden = self.network(inputs["loudness_db"] / 60.0 + 1.0)  # about 0..1
        return self.synth(self.amplitude_head(hidden), self.harmonic_head(hidden), inputs["f0_hz"])

    def training_loss(self):
        return MultiScaleSpectralLoss()


# %% [markdown]
# ## Something to learn
#
# Tones of three harmonics, the brighter the louder, with 0.4 seconds of each.

# %%
rng = np.random.default_rng(0)
sample_rate, hop, frames = 16000, 160, 40
pitch_hz = rng.uniform(110.0, 440.0, (16, 1))
level = rng.uniform(0.05, 0.5, (16, 1))
time = np.arange(frames * hop) / sample_rate
strengths = [1.0, level, level**2]
target = level * sum(s * np.sin(2 * np.pi * k * pitch_hz * time) for k, s in enumerate(strengths, 1))
target = target.astype("float32")
inputs = {
    "f0_hz": np.repeat(pitch_hz[:, None], frames, axis=1).astype("float32"),
    "loudness_db": np.stack([loudness(tone, sample_rate=sample_rate, hop=hop) for tone in target])[..., None],
}

# %% [markdown]
# ## Training is Keras's
#
# `compile` and `fit`, on every backend. A model with a loss of its own overrides `compute_loss` instead.

# %%
keras.utils.set_random_seed(0)
organ = Organ()
organ.compile(optimizer=keras.optimizers.Adam(0.01), loss=organ.training_loss())
history = organ.fit(inputs, target, batch_size=8, epochs=20, verbose=0).history["loss"]
print(f"loss {history[0]:.2f}, in the end {history[-1]:.2f}")
write_audio("target.wav", target.reshape(-1), sample_rate)
played = ops.convert_to_numpy(organ(inputs))
write_audio("played.wav", played.reshape(-1), sample_rate)

# %% [markdown]
# ## Saved and loaded
#
# Subclassing has registered it: configuration, `.keras` files and preset folders work, and load to the same
# sound. Weights are kept in half precision in a preset.

# %%
organ.save_to_preset("organ", name="organ")
again = audiozoo.load("./organ")
difference = np.abs(ops.convert_to_numpy(again(inputs)) - played).max()
print(again.get_config(), f"differs by {difference:.1g} of full scale")
assert difference < 0.01
