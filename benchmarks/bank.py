"""The harmonic bank beside the sine of the whole tensor, alone, and how both grow: numbers and a picture."""

import numpy as np

from benchmarks import stopwatch

CLIP_SECONDS = 4.0
FRAME_RATE = 100  # Hz
# One quantity grows while the others stay as they are for ``rivals``.
CURVES = {
    "num_harmonics": [25, 50, 100, 200, 400],
    "batch_size": [1, 2, 4, 8, 16, 32],
    "sample_rate": [16000, 24000, 32000, 48000],
}
DIRECTIONS = ("forward", "forward_backward")
AXES = {"num_harmonics": "harmonics", "batch_size": "clips", "sample_rate": "sample rate / Hz"}
LABELS = {
    "baseline": "sine of the whole tensor (PyTorch)",
    "nearest": "ours, nearest",
    "linear": "ours, linear",
}


def rivals(direction, *, num_harmonics=100, batch_size=4, sample_rate=16000):
    """The banks of clips of 4 s: the plain one, and ours with held and with linear envelopes.

    Args:
        direction: ``"forward"``, or ``"forward_backward"`` with the gradient of the amplitudes.
        num_harmonics: partials; every one is computed, but those beyond Nyquist have amplitude 0.
        batch_size: clips.
        sample_rate: Hz.

    Returns:
        Dict name -> function of no arguments, for ``stopwatch``.
    """
    import torch
    from keras import ops

    from audiozoo.dsp.oscillators import harmonic_bank
    from benchmarks import compiled
    from benchmarks.baselines import ddsp_pytorch

    random = np.random.default_rng(0)
    frames, hop = round(CLIP_SECONDS * FRAME_RATE), sample_rate // FRAME_RATE
    f0_hz = random.uniform(200.0, 800.0, (batch_size, frames, 1)).astype("float32")
    amplitudes = random.random((batch_size, frames, num_harmonics), dtype="float32") / num_harmonics
    amplitudes *= f0_hz * np.arange(1, num_harmonics + 1) < 0.5 * sample_rate
    upstream = random.standard_normal((batch_size, frames * hop), dtype="float32")
    sound = {"sample_rate": sample_rate, "hop": hop}

    plain = {name: torch.from_numpy(array) for name, array in (("f0", f0_hz), ("upstream", upstream))}
    plain_amplitudes = torch.from_numpy(amplitudes).requires_grad_()

    def baseline():
        if direction == "forward":
            with torch.no_grad():
                return ddsp_pytorch.harmonic_bank(plain["f0"], plain_amplitudes, **sound)
        audio = ddsp_pytorch.harmonic_bank(plain["f0"], plain_amplitudes, **sound)
        return audio.detach(), *torch.autograd.grad(audio, plain_amplitudes, plain["upstream"])

    # Every tensor is an argument: what a compiler knows beforehand, it may compute beforehand.
    arguments = [ops.convert_to_tensor(array) for array in (amplitudes, f0_hz)]
    if direction == "forward_backward":
        arguments.insert(0, ops.convert_to_tensor(upstream))
    compile_ = compiled.forward if direction == "forward" else compiled.forward_and_gradient

    def ours(envelope):
        run = compile_(lambda amplitudes, f0_hz: harmonic_bank(f0_hz, amplitudes, **sound, envelope=envelope))
        return lambda: run(*arguments)

    return {"baseline": baseline, "nearest": ours("nearest"), "linear": ours("linear")}


def curves(repeats, quantities=CURVES):
    """Median seconds of every bank for each value of each quantity.

    Returns:
        Dict quantity -> direction -> dict with the quantity's ``values`` and a list of seconds for
        each bank.
    """
    found = {}
    for quantity, values in quantities.items():
        found[quantity] = {}
        for direction in DIRECTIONS:
            points = [stopwatch.compare(rivals(direction, **{quantity: value}), repeats) for value in values]
            seconds = {name: [point[name]["median_seconds"] for point in points] for name in LABELS}
            found[quantity][direction] = {"values": list(values)} | seconds
            print(quantity, direction, found[quantity][direction], flush=True)
    return found


def picture(found, path, *, backend):
    """The curves as a PNG: a column for each quantity, forward above forward and backward."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from audiozoo.atomic import replacing

    figure = Figure(figsize=(10, 6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, len(found), sharex="col", sharey=True, squeeze=False)
    for column, (quantity, directions) in zip(panels.T, found.items(), strict=True):
        for panel, direction in zip(column, DIRECTIONS, strict=True):
            curve = directions[direction]
            for name, label in LABELS.items():
                panel.plot(curve["values"], curve[name], marker="o", label=label)
            panel.set_xscale("log", base=2)
            panel.set_yscale("log")
            panel.set_xticks(curve["values"], [f"{value:g}" for value in curve["values"]])
            panel.minorticks_off()
            panel.grid(alpha=0.3)
        column[1].set_xlabel(AXES[quantity])
    for panel, direction in zip(panels[:, 0], DIRECTIONS, strict=True):
        panel.set_ylabel(f"{direction.replace('_', ' + ')} / s")
    figure.suptitle(f"Harmonic bank, one core, {backend}: 100 harmonics, 4 clips of 4 s, 16 kHz, or as below")
    panels[0, 0].legend(fontsize=8)
    with replacing(path) as draft:
        figure.savefig(draft, dpi=100)
