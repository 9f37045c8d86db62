# %% [markdown]
# # A way through a code
#
# A VAE of sound turns sound into codes, a few numbers for each frame, and codes into sound. So whatever
# makes numbers makes sound. Here it is chance, and the way from one sound to another.

# %%
import numpy as np

import audiozoo
from audiozoo import latent
from audiozoo.data.audio_io import read_audio, write_audio
from audiozoo.demo import CLIP
from audiozoo.plots import latent_scatter

model = audiozoo.load("spectral_vae")
voice, sample_rate = read_audio(CLIP, sample_rate=model.sample_rate)
first, second = voice[: 2 * sample_rate], voice[2 * sample_rate : 4 * sample_rate]
codes = [model.encode(sound) for sound in (first, second)]
print(codes[0].shape, f"{model.code_rate:.1f} codes a second")

# %% [markdown]
# ## What passes through the code

# %%
write_audio("voice.wav", first, sample_rate)
write_audio("decoded.wav", model.decode(codes[0]), sample_rate)

# %% [markdown]
# ## Directions that say something
#
# None of the 64 numbers need mean anything by itself. Principal directions of the codes come in an order:
# the first are those along which a sound moves most. How many it takes says how much of the code is in use.

# %%
basis = latent.informative_basis(codes)
print(basis.rank(0.95), "of", len(basis.centre), "directions have 95 % of the singular values")
where = np.concatenate([basis.coordinates(code)[:, :2] for code in codes])
latent_scatter(where, labels=["first"] * len(codes[0]) + ["second"] * len(codes[1]), path="codes.png")

# %% [markdown]
# ## A random way
#
# Independent draws for every frame sound like noise. A Gaussian process has a memory, here of a third of a
# second. It walks in the coordinates of the directions, as far as the voice does, so that it stays where
# sounds of a voice are.

# %%
frames = round(3.0 * model.code_rate)
steps = latent.gaussian_process(frames, len(basis.centre), correlation_frames=0.3 * model.code_rate, seed=1)
deviations = np.concatenate([basis.coordinates(code) for code in codes]).std(axis=0)
walk = basis.codes(steps * deviations).astype("float32")
write_audio("walk.wav", model.decode(walk), sample_rate)

# %% [markdown]
# ## From one sound to another
#
# Both are aligned in time, so that what belongs together is side by side, and one becomes the other as it
# goes.

# %%
morph = latent.morph(*codes).astype("float32")
write_audio("second.wav", second, sample_rate)
write_audio("morph.wav", model.decode(morph), sample_rate)
