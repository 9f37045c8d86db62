"""What each architecture is measured at: a training step, its use, the same in plain PyTorch, its quality.

A new architecture adds its entry to ``WORKLOADS``.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from benchmarks import ddsp_parts, ddsp_quality, train_step, vae_quality


@dataclasses.dataclass(frozen=True)
class Workload:
    """How to run one architecture, each by a function; those of the baseline need PyTorch.

    Attributes:
        batch: ``(model, batch_size)`` to the inputs and targets of a training step; targets are audio.
        use: ``(model, batch_size)`` to a function of no arguments that makes ``batch_size`` clips of audio.
        reconstructions: see ``ddsp_quality.reconstructions``.
        judge: ``(model, data, seconds, apart)`` to a dict of what is worth knowing of a recipe; see
            ``vae_quality.judge``.
        baseline_step: ``(preset, batch_size, device)`` to a function that does a step in plain PyTorch, on a
            device of its name; None where there is no such model.
        baseline_use: likewise, what ``use`` does.
        parts: ``(model, seconds, batch_size, repeats, picture)`` to ``(name, result)`` of what only this
            architecture has; None for nothing.
    """

    batch: Callable
    use: Callable
    reconstructions: Callable
    judge: Callable
    baseline_step: Callable | None = None
    baseline_use: Callable | None = None
    parts: Callable | None = None


def ddsp_batch(model, batch_size):
    """Features of a wandering voice, and noise."""
    return train_step.clips(batch_size, sample_rate=model.sample_rate, hop=model.hop)


def ddsp_use(model, batch_size):
    """From features to audio."""
    features, _ = ddsp_batch(model, batch_size)
    return lambda: model.synthesize(**model.controls(**features))


def ddsp_baseline_use(preset, batch_size, device):
    """From features to audio, in plain PyTorch."""
    import torch

    from benchmarks.baselines import ddsp_pytorch

    model = ddsp_pytorch.DDSPDecoder(**train_step.baseline_config(preset)).to(device)
    features, _ = train_step.clips(batch_size, sample_rate=model.sample_rate, hop=model.hop)

    def run():
        with torch.no_grad():
            return model(*(torch.from_numpy(value).to(device) for value in features.values())).cpu()

    return run


def vae_batch(model, batch_size):
    """Noise of the length that the model was made for."""
    shape = (batch_size, model.clip_samples)
    audio = 0.1 * np.random.default_rng(0).standard_normal(shape).astype("float32")
    return {"audio": audio}, audio


def vae_use(model, batch_size):
    """From audio through the code to audio."""
    inputs, _ = vae_batch(model, batch_size)
    return lambda: model.reconstruct(inputs["audio"])


def of(preset):
    """The workload of a preset's architecture. Raises ValueError if it has none yet."""
    if preset.architecture not in WORKLOADS:
        raise ValueError(
            f"preset {preset.name!r} is a {preset.architecture}, which has no workload; these have: "
            f"{', '.join(WORKLOADS)}. Add an entry to benchmarks/workloads.py."
        )
    return WORKLOADS[preset.architecture]


DDSP = Workload(
    batch=ddsp_batch,
    use=ddsp_use,
    reconstructions=ddsp_quality.reconstructions,
    judge=ddsp_quality.judge,
    baseline_step=train_step.baseline_step,
    baseline_use=ddsp_baseline_use,
    parts=ddsp_parts.measurements,
)
AUDIO_VAE = Workload(
    batch=vae_batch, use=vae_use, reconstructions=vae_quality.reconstructions, judge=vae_quality.judge
)
WORKLOADS = {
    "DDSPDecoder": DDSP,
    "Conv1DResnetVAE": AUDIO_VAE,
    "Conv1DResnetVAESeed": AUDIO_VAE,
    "SpectralVAE": AUDIO_VAE,
}
