"""How right is a pitch track? The measures of melody extraction, as mir_eval defines them.

A track is ``(frames,)`` in Hz on the same frames as the reference; 0 Hz means unvoiced. Accuracy asks for the
pitch alone: where a tracker offers a pitch though it holds the frame for unvoiced, pass the pitch; for the
voicing measures, pass the track with 0 Hz in those frames.

Sources: Poliner et al. (2007), Melody transcription from music audio; Raffel et al. (2014),
mir_eval. A reference without the frames in question scores what it does there: accuracy 0, recall 1, false
alarm 0.
"""

import numpy as np


def raw_pitch_accuracy(reference_hz, estimate_hz, *, tolerance_cents=50.0):
    """Share of the reference's voiced frames in which the pitch is right.

    Args:
        reference_hz, estimate_hz: ``(frames,)``, 0 for unvoiced.
        tolerance_cents: a pitch closer than that is right.

    Returns:
        float, 0..1.

    Raises:
        ValueError: tracks of unequal length, empty, negative or not finite.
    """
    reference_hz, estimate_hz = check_tracks(reference_hz, estimate_hz)
    right = np.abs(deviation_cents(reference_hz, estimate_hz)) < tolerance_cents
    return float(np.sum(right) / max(1, np.sum(reference_hz > 0.0)))


def deviation_cents(reference_hz, estimate_hz):
    """Deviation in cents, sharp is positive, in the frames that are voiced in both tracks.

    Args, Raises: as ``raw_pitch_accuracy``.

    Returns:
        ``(frames voiced in both,)``, empty if there is none.
    """
    reference_hz, estimate_hz = check_tracks(reference_hz, estimate_hz)
    both = (reference_hz > 0.0) & (estimate_hz > 0.0)
    return 1200.0 * np.log2(estimate_hz[both] / reference_hz[both])


def voicing_recall(reference_hz, estimate_hz):
    """Share of the reference's voiced frames that are voiced in the estimate.

    Args, Returns, Raises: as ``raw_pitch_accuracy``.
    """
    reference_hz, estimate_hz = check_tracks(reference_hz, estimate_hz)
    voiced = reference_hz > 0.0
    return float(np.mean(estimate_hz[voiced] > 0.0)) if voiced.any() else 1.0


def voicing_false_alarm(reference_hz, estimate_hz):
    """Share of the reference's unvoiced frames that are voiced in the estimate.

    Args, Returns, Raises: as ``raw_pitch_accuracy``.
    """
    reference_hz, estimate_hz = check_tracks(reference_hz, estimate_hz)
    unvoiced = reference_hz == 0.0
    return float(np.mean(estimate_hz[unvoiced] > 0.0)) if unvoiced.any() else 0.0


def check_tracks(reference_hz, estimate_hz):
    """Both tracks as float64. Raises ValueError, see ``raw_pitch_accuracy``."""
    tracks = np.asarray(reference_hz, "float64"), np.asarray(estimate_hz, "float64")
    if tracks[0].ndim != 1 or tracks[0].shape != tracks[1].shape or not tracks[0].size:
        raise ValueError(
            "reference_hz and estimate_hz must both be (frames,), on the same frames; got shapes "
            f"{tracks[0].shape} and {tracks[1].shape}. Interpolate one on the frames of the other."
        )
    for name, track in zip(("reference_hz", "estimate_hz"), tracks, strict=True):
        if not np.all(np.isfinite(track) & (track >= 0.0)):
            raise ValueError(f"{name} must be finite and at least 0 Hz; write 0 where it is unvoiced.")
    return tracks
