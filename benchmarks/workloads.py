"""What each architecture is measured at: a training step, its use, the same in plain PyTorch, its quality.

A new architecture adds its entry to ``WORKLOADS``.
"""

import dataclasses
from collections.abc import Callable

from benchmarks import ddsp_parts, ddsp_quality, train_step


@dataclasses.dataclass(frozen=True)
class Workload:
    """How to run one architecture, each by a function; those of the baseline need PyTorch.

    Attributes:
        clip_seconds: length of a clip, in training and in use.
        batch: ``(model, batch_size)`` to the inputs and targets of a training step.
        use: ``(model, batch_size)`` to a function of no arguments that makes ``batch_size`` clips of audio.
        baseline_step: ``(preset, batch_size, device)`` to a function that does a step in plain PyTorch, on a
            device of its name.
        baseline_use: likewise, what ``use`` does.
        parts: ``(model, seconds, batch_size, repeats, picture)`` to ``(name, result)`` of what only this
            architecture has.
        reconstructions: see ``ddsp_quality.reconstructions``.
    """

    clip_seconds: float
    batch: Callable
    use: Callable
    baseline_step: Callable
    baseline_use: Callable
    parts: Callable
    reconstructions: Callable


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


def of(preset):
    """The workload of a preset's architecture. Raises ValueError if it has none yet."""
    if preset.architecture not in WORKLOADS:
        raise ValueError(
            f"preset {preset.name!r} is a {preset.architecture}, which has no workload; these have: "
            f"{', '.join(WORKLOADS)}. Add an entry to benchmarks/workloads.py."
        )
    return WORKLOADS[preset.architecture]


WORKLOADS = {
    "DDSPDecoder": Workload(
        clip_seconds=train_step.CLIP_SECONDS,
        batch=ddsp_batch,
        use=ddsp_use,
        baseline_step=train_step.baseline_step,
        baseline_use=ddsp_baseline_use,
        parts=ddsp_parts.measurements,
        reconstructions=ddsp_quality.reconstructions,
    )
}
