# %% [markdown]
# # Train on your own recordings
#
# The whole way from a folder of recordings to a preset that plays, in seconds: on a small network, and on
# plucked tones that are made here. A real training is the same with a folder of yours and the preset as it
# is; its card says how long it took.

# %%
import json
from pathlib import Path

import audiozoo
from audiozoo.data.audio_io import read_audio, write_audio
from audiozoo.data.tones import FMPlucks
from audiozoo.plots import spectrogram_comparison
from audiozoo.registry import Train

FMPlucks(num_recordings=5, duration_seconds=6.0).write("recordings")

# %% [markdown]
# ## A recipe
#
# A preset is an architecture, its configuration and how it is trained. This one begins as `spectral_vae`,
# at a lower rate and with a network that learns while one waits. In a file of your own it is the YAML that
# `audiozoo info spectral_vae` prints.

# %%
loops = audiozoo.info("spectral_vae")
small = {"sample_rate": 16000, "num_mels": 64, "window_length": 1024, "hop": 256}
small |= {"filters": 32, "latent_dim": 8, "clip_seconds": 1.0}
recipe = loops.model_copy(
    update={
        "name": "plucks",
        "config": loops.config | small,
        "weights": None,
        "train": Train(epochs=3, steps_per_epoch=30, batch_size=8, clip_seconds=1.0, warmup_steps=10),
    }
)

# %% [markdown]
# ## The run
#
# A fifth of the files is held out, and judges every epoch. Called again with the same `out`, the run goes
# on where it was.

# %%
result = audiozoo.training.train(recipe, "recordings", out="run", progress=False)
for line in Path("run/history.jsonl").read_text().splitlines():
    epoch = json.loads(line)
    print(f"epoch {epoch['epoch']}: loss {epoch['loss']:.2f}, held out {epoch['val_loss']:.2f}")

# %% [markdown]
# ## What came of it
#
# `run/preset` is a preset like any other. What a melody says to it are 8 numbers for every 16 ms.

# %%
model = audiozoo.load(result["preset_folder"])
melody, sample_rate = read_audio("recordings/fm_pluck_0.wav", sample_rate=model.sample_rate)
melody = melody[: 3 * sample_rate]
code = model.encode(melody)
decoded = model.decode(code, samples=len(melody))
print(melody.shape, code.shape)
write_audio("melody.wav", melody, sample_rate)
write_audio("decoded.wav", decoded, sample_rate)
spectrogram_comparison(
    melody, decoded, sample_rate=sample_rate, titles=("melody", "decoded"), path="melody.png"
)

# %% [markdown]
# On the command line the same is
#
# ```bash
# audiozoo info spectral_vae > plucks.yaml    # and change it
# audiozoo train ./plucks.yaml --data recordings/ --out run
# audiozoo reconstruct melody.wav decoded.wav --preset run/preset
# ```
