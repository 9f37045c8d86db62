# %% [markdown]
# # Train on your own recordings
#
# The whole way from a folder of recordings to a preset that plays, in seconds: on a small network, and on
# plucked tones that are made here. A real training is the same with a folder of yours and the preset as it
# is; its card says how long it took.

# %%
import json
from pathlib import Path

import numpy as np

import audiozoo
from audiozoo.data.audio_io import write_audio
from audiozoo.data.tones import FMPlucks
from audiozoo.registry import Train

FMPlucks(num_recordings=2, duration_seconds=6.0).write("recordings")

# %% [markdown]
# ## A recipe
#
# A preset is an architecture, its configuration and how it is trained. This one begins as
# `ddsp_violin_small` and gets a network that learns while one waits. In a file of your own it is the YAML
# that `audiozoo info ddsp_violin_small` prints.

# %%
violin = audiozoo.info("ddsp_violin_small")
small = {"num_units": 32, "num_harmonics": 20, "num_noise_bands": 9, "reverb_length": 1600}
recipe = violin.model_copy(
    update={
        "name": "pluck",
        "config": violin.config | small,
        "weights": None,
        "train": Train(epochs=2, steps_per_epoch=20, batch_size=4, clip_seconds=0.5, warmup_steps=5),
    }
)

# %% [markdown]
# ## The run
#
# Called again with the same `out` it goes on where it was. Pitch and loudness of the recordings are kept in
# audiozoo's cache.

# %%
result = audiozoo.training.train(recipe, "recordings", out="run", progress=False)
print(f"{result['epochs']} epochs, validation {result['val_loss']:.2f}")
for line in Path("run/history.jsonl").read_text().splitlines():
    print(json.loads(line))

# %% [markdown]
# ## What came of it
#
# `run/preset` is a preset like any other. Here it plays an A that swells, and an octave above.

# %%
pluck = audiozoo.load(result["preset_folder"])
frames = 100
f0_hz = np.repeat([440.0, 880.0], frames)
loudness_db = np.tile(np.linspace(-50.0, -20.0, frames), 2)
controls = pluck.controls(f0_hz, loudness_db)
write_audio("plucked.wav", pluck.synthesize(**controls)[0], pluck.sample_rate)

# %% [markdown]
# On the command line the same is
#
# ```bash
# audiozoo info ddsp_violin_small > pluck.yaml    # and change it
# audiozoo train ./pluck.yaml --data recordings/ --out run
# audiozoo transfer voice.wav plucked.wav --preset run/preset
# ```
