"""From network outputs at frame rate to controls at sample rate."""

import math

import numpy as np
from keras import ops

ENVELOPES = ("nearest", "linear")


def modified_sigmoid(logits):
    """Positive control with a long lower tail: ``2 * sigmoid(x)^ln(10) + 1e-7``.

    Slope and range suit amplitudes, which the ear judges by ratio: Engel et al. (2020), DDSP,
    arXiv:2001.04643, appendix B.5. Any shape; the result lies in 1e-7..2.
    """
    return 2.0 * ops.power(ops.sigmoid(logits), math.log(10.0)) + 1e-7


def next_frame(frames):
    """Each frame's successor; the last frame is its own. Shape ``(batch, frames, channels)``."""
    return ops.concatenate([frames[:, 1:], frames[:, -1:]], axis=1)


def frame_ramp(hop: int):
    """Position inside a frame, 0 at its first sample, rising by ``1 / hop``. Tensor ``(hop,)``."""
    return ops.convert_to_tensor(np.arange(hop, dtype="float32") / np.float32(hop))


def upsample_frames(frames, hop: int, envelope: str = "linear"):
    """Controls at frame rate to controls at sample rate.

    Args:
        frames: ``(batch, frames, channels)``; frame ``t`` stands at sample ``t * hop``.
        hop: samples per frame.
        envelope: ``"nearest"`` holds each frame for ``hop`` samples; ``"linear"`` moves straight
            to the next one (the last frame is held).

    Returns:
        ``(batch, frames * hop, channels)``.

    Raises:
        ValueError: unknown envelope.
    """
    check_envelope(envelope)
    frames = ops.convert_to_tensor(frames, "float32")
    count, channels = frames.shape[1], frames.shape[2]
    start = ops.expand_dims(frames, 2)
    if envelope == "linear":
        end = ops.expand_dims(next_frame(frames), 2)
        samples = start + (end - start) * frame_ramp(hop)[:, None]
    else:
        samples = ops.repeat(start, hop, axis=2)
    return ops.reshape(samples, (-1, count * hop, channels))


def check_envelope(envelope: str) -> None:
    """Raise ValueError unless ``envelope`` is one of ``ENVELOPES``."""
    if envelope not in ENVELOPES:
        raise ValueError(f"envelope must be one of {ENVELOPES}; got {envelope!r}. Use 'linear'.")
