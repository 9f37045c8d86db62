# %% [markdown]
# # A voice becomes a violin
#
# `ddsp_violin` plays what a voice sings. Between the two lie controls, plain arrays of numbers, and editing
# them edits the sound. The voice is a packaged clip; put `read_audio("yours.wav")` in its place.

# %%
import numpy as np

import audiozoo
from audiozoo.data.audio_io import read_audio, write_audio
from audiozoo.data.features import extract_features
from audiozoo.demo import CLIP
from audiozoo.plots import spectrogram_comparison

model = audiozoo.load("ddsp_violin")
voice, sample_rate = read_audio(CLIP, sample_rate=model.sample_rate)
voice = voice[: 4 * sample_rate]
write_audio("voice.wav", voice, sample_rate)

# %% [markdown]
# ## In one line
#
# The voice is a low one for a violin, so it is played an octave higher.

# %%
violin = model.transfer(voice, sample_rate, semitones=12)
write_audio("violin.wav", violin, sample_rate)
spectrogram_comparison(
    voice, violin, sample_rate=sample_rate, titles=("voice", "violin"), path="voice_and_violin.png"
)

# %% [markdown]
# ## In three steps
#
# `transfer` hears the pitch and the loudness of the voice, a frame every 10 ms; asks the network for the
# controls of a synthesizer; and plays them in the learned room.

# %%
features = extract_features(voice, sample_rate=sample_rate)
louder = features.loudness_db + 10.0  # the voice is a quiet recording
controls = model.controls(2.0 * features.f0_hz, louder)
print({name: value.shape for name, value in controls.items()})  # (batch, frames, channels)

# %% [markdown]
# The pitch of the voice glides and trembles. Moved to the nearest semitone it is a violin with frets. 0 Hz
# is a frame without pitch, and stays so.

# %%
f0_hz = controls["f0_hz"]
semitones = np.round(12.0 * np.log2(np.maximum(f0_hz, 1.0) / 440.0))
fretted = controls | {"f0_hz": np.where(f0_hz > 0.0, 440.0 * 2.0 ** (semitones / 12.0), 0.0)}
write_audio("fretted.wav", model.synthesize(**fretted)[0], sample_rate)

# %% [markdown]
# Odd harmonics alone sound hollow, as a clarinet does. Shares of the harmonics need not sum to 1 when they
# are played: what is taken away makes the tone softer.

# %%
hollow = controls | {"harmonic_distribution": controls["harmonic_distribution"].copy()}
hollow["harmonic_distribution"][..., 1::2] = 0.0
write_audio("hollow.wav", model.synthesize(**hollow)[0], sample_rate)

# %% [markdown]
# Without harmonics, the bow alone is left; and without the room, all of it is dry.

# %%
bow = controls | {"amplitude": 0.0 * controls["amplitude"]}
write_audio("bow.wav", 5.0 * model.synthesize(**bow, reverb=None)[0], sample_rate)
write_audio("dry.wav", model.synthesize(**controls, reverb=None)[0], sample_rate)
