"""Ways through the codes of a data set, in its own units, and the sounds that they are."""

import numpy as np

from audiozoo.arguments import check_choice, check_range, check_whole
from audiozoo.atomic import make_folder
from audiozoo.data.audio_io import write_audio
from audiozoo.errors import IncompatiblePreset
from audiozoo.latent.encoded import decode_codes
from audiozoo.latent.trajectories import gaussian_process, lissajous, ornstein_uhlenbeck, spline

KINDS = ("gaussian", "ornstein-uhlenbeck", "spline", "lissajous")
LISSAJOUS_DIRECTIONS = 3


def walk_codes(encoded, kind, *, seconds, correlation_seconds=0.3, seed=0):
    """Codes of a random way as wide as those of a data set.

    Coordinates of random ways have the standard deviations of the data's, all directions moving
    independently; Lissajous moves the three most informative ones; a spline meets codes of the data drawn at
    random.

    Args:
        encoded: ``EncodedSet``.
        kind: one of ``KINDS``.
        seconds: length.
        correlation_seconds: see ``gaussian_process``; of a spline, the time between codes that it meets.
        seed: of the draws.

    Returns:
        float64 ``(frames, dims)``.

    Raises:
        IncompatiblePreset: a code that does not go along with the sound.
        ValueError: an argument out of range.
    """
    check_choice("kind", kind, KINDS)
    check_along_time(encoded)
    check_whole("seed", seed, 0)
    check_range("seconds", seconds, 2.0 / encoded.code_rate, 3600.0)
    check_range("correlation_seconds", correlation_seconds, 1e-3, 3600.0)
    basis, frames = encoded.basis, round(seconds * encoded.code_rate)
    dims = len(basis.centre)
    if kind == "spline":
        rows, rng = np.concatenate(encoded.codes), np.random.default_rng(seed)
        count = min(frames, 1 + max(1, round(seconds / correlation_seconds)))
        return spline(rows[rng.integers(len(rows), size=count)], frames)
    if kind == "lissajous":
        way = lissajous(frames, min(LISSAJOUS_DIRECTIONS, dims))
    else:
        process = gaussian_process if kind == "gaussian" else ornstein_uhlenbeck
        way = process(frames, dims, correlation_frames=correlation_seconds * encoded.code_rate, seed=seed)
    return basis.codes(way * basis.deviations[: way.shape[1]], seed=None)


def write_codes(path, model, codes):
    """Decode codes ``(frames, dims)`` into a file; what is louder than full scale is turned down.

    Returns:
        Length in seconds.

    Raises:
        AudioError, OutputError: see ``write_audio``.
    """
    make_folder(path.parent)
    sound = decode_codes(model, codes)
    sound = sound / max(1.0, float(np.abs(sound).max()))
    write_audio(path, sound, model.sample_rate)
    return len(sound) / model.sample_rate


def check_along_time(model):
    """Raise IncompatiblePreset unless a model's, or set's, codes go along with the sound."""
    if not getattr(model, "code_rate", None):
        raise IncompatiblePreset(
            "preset must have a code that goes along with the sound; this one has one code for a whole item, "
            "or none. Use spectral_vae or conv1d_resnet_vae."
        )
