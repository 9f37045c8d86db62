"""One step of Adam on clips of 4 seconds: our decoder as Keras trains it, and the plain PyTorch one."""

import numpy as np

CLIP_SECONDS = 4.0
# The preset evaluated exactly, and from tables; both with the synthesizer that the baseline has, too.
BASELINE_SYNTHESIZER = {"envelope": "nearest", "noise_tails": "cut"}
VARIANTS = {
    "ours": {"table_rows": 0},
    "ours_from_tables": {"table_rows": 1024},
    "ours_with_baseline_synthesizer": {"table_rows": 0} | BASELINE_SYNTHESIZER,
    "ours_with_baseline_synthesizer_from_tables": {"table_rows": 1024} | BASELINE_SYNTHESIZER,
}
# Low: these clips are noise, and weights that run away would be slow for reasons of their own.
LEARNING_RATE = 1e-4


def rivals(preset, batch_size):
    """Dict name -> function of no arguments that does a step, for ``stopwatch``."""
    steps = {name: our_step(preset, batch_size, **changes) for name, changes in VARIANTS.items()}
    return {"baseline": baseline_step(preset, batch_size)} | steps


def our_step(preset, batch_size, **changes):
    """A step of the preset's architecture with ``changes`` of its configuration, compiled."""
    import keras

    from audiozoo.models import AudioModel
    from audiozoo.models.base import jit_choice

    model = AudioModel.architectures[preset.architecture](**preset.config | changes)
    optimizer = keras.optimizers.Adam(LEARNING_RATE)
    model.compile(optimizer, loss=model.training_loss(), jit_compile=jit_choice(model))
    features, audio = clips(batch_size, sample_rate=model.sample_rate, hop=model.hop)
    return lambda: model.train_on_batch(features, audio)


def baseline_step(preset, batch_size, device="cpu"):
    """A step of the plain decoder of the same sizes, on one core or on PyTorch's ``"cuda"``."""
    import torch

    from benchmarks.baselines import ddsp_pytorch

    torch.set_num_threads(1)
    model = ddsp_pytorch.DDSPDecoder(**baseline_config(preset)).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    features, audio = clips(batch_size, sample_rate=model.sample_rate, hop=model.hop)
    f0_hz, loudness_db = (torch.from_numpy(features[name]).to(device) for name in ("f0_hz", "loudness_db"))
    audio = torch.from_numpy(audio).to(device)

    def step():
        loss = ddsp_pytorch.multi_scale_spectral_loss(audio, model(f0_hz, loudness_db))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def baseline_config(preset):
    """Constructor arguments of the plain decoder: the preset's, without what it has no choice of."""
    no_choice = ("envelope", "noise_tails", "recurrence", "table_rows")
    return {name: value for name, value in preset.config.items() if name not in no_choice}


def clips(batch_size, *, sample_rate, hop):
    """Features of a wandering voice, and noise for it to be compared with: ``(inputs, audio)``."""
    random = np.random.default_rng(0)
    frames = round(CLIP_SECONDS * sample_rate / hop)
    wander = np.cumsum(random.standard_normal((2, batch_size, frames, 1)), axis=2) / np.sqrt(frames)
    features = {
        "f0_hz": 440.0 * 2.0 ** np.clip(wander[0], -1.0, 1.0),
        "loudness_db": -30.0 + 10.0 * wander[1],
    }
    audio = 0.1 * random.standard_normal((batch_size, frames * hop))
    return {name: values.astype("float32") for name, values in features.items()}, audio.astype("float32")
