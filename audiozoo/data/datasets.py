"""Folders of recordings as datasets."""

import pathlib
import warnings

from audiozoo.data.audio_io import SUFFIXES
from audiozoo.data.features import cached_recording
from audiozoo.errors import AudioError, DataError, counted
from audiozoo.progress import track
from audiozoo.weights import cache_folder


def instrument_folder(folder, *, sample_rate=16000, hop=160, f0_method="swift", cache=None, progress=False):
    """Every recording below a folder, with pitch and loudness, in order of path.

    Files that cannot be used are named in a warning and left out.

    Args:
        folder: searched recursively; or one audio file.
        sample_rate: Hz.
        hop: samples per frame.
        f0_method: see ``pitch.estimate_f0``.
        cache: folder for the features; by default within audiozoo's cache.
        progress: show a progress bar.

    Returns:
        List of ``features.Recording``.

    Raises:
        DataError: no such folder, or not one usable recording in it.
    """
    _, paths = audio_paths(folder)
    cache = cache_folder() / "features" if cache is None else cache
    recordings, refused = [], []
    for path in track(paths, "pitch and loudness", shown=progress):
        try:
            recording = cached_recording(
                path, sample_rate=sample_rate, hop=hop, f0_method=f0_method, cache=cache
            )
        except AudioError as error:
            refused.append(str(error))
            continue
        if recording.features.f0_hz.any():
            recordings.append(recording)
        else:
            refused.append(f"no pitch is heard in {str(path)!r}")
    if not recordings:
        raise DataError(f"data {str(folder)!r} holds no usable recording: " + "; ".join(refused))
    if refused:
        warnings.warn(f"{counted(len(refused), 'file')} left out: " + "; ".join(refused), stacklevel=2)
    return recordings


def audio_paths(folder):
    """Every audio file below a folder, in order of path, and the folder.

    Args:
        folder: searched recursively; or one audio file, whose folder is then the folder.

    Returns:
        ``(folder, paths)``.

    Raises:
        DataError: no such folder, or no audio in it.
    """
    folder = pathlib.Path(folder)
    if not folder.exists():
        raise DataError(f"data must be a folder of recordings; {str(folder)!r} does not exist.")
    found = sorted(folder.rglob("*")) if folder.is_dir() else [folder]
    paths = [path for path in found if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not paths:
        raise DataError(f"data must hold audio ({', '.join(SUFFIXES)}); {str(folder)!r} holds none.")
    return (folder if folder.is_dir() else folder.parent), paths
