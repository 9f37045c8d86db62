"""Codes between two codes: on the straight line, and on the arc."""

import numpy as np


def linear_path(start, end, positions):
    """Codes on the straight line, ``(positions, ...)``; position 0 is the start, 1 the end."""
    positions = np.reshape(positions, (-1,) + (1,) * np.ndim(start))
    return (1.0 - positions) * start + positions * end


def spherical_path(start, end, positions):
    """Codes on the arc: direction turns evenly, and length changes evenly from one end's to the other's.

    Draws from the prior of many dimensions lie close to a sphere, which the straight line leaves. Vectors are
    those of the last axis; where two point the same way, or one is 0, theirs is the straight line; and where
    they point opposite ways, no arc is distinguished and theirs is the straight line, too.

    Args:
        start, end: ``(..., dims)``.
        positions: ``(positions,)``, 0 for the start, 1 for the end.

    Returns:
        ``(positions, ..., dims)``.
    """
    straight = linear_path(start, end, positions)
    lengths = [np.linalg.norm(code, axis=-1, keepdims=True) for code in (start, end)]
    cosine = np.sum(start * end, axis=-1, keepdims=True) / np.maximum(lengths[0] * lengths[1], 1e-12)
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    sine = np.sin(angle)
    turning = (sine > 1e-3) & (lengths[0] > 0.0) & (lengths[1] > 0.0)
    safe = [np.where(turning, length, 1.0) for length in lengths]
    t = np.reshape(positions, (-1,) + (1,) * np.ndim(start))
    direction = (np.sin((1.0 - t) * angle) * start / safe[0] + np.sin(t * angle) * end / safe[1]) / np.where(
        turning, sine, 1.0
    )
    return np.where(turning, linear_path(*lengths, positions) * direction, straight)
