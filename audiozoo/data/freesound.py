"""The Freesound Loop Dataset: loops under several licences, with what their makers say of them.

Ramires et al. (2020), The Freesound Loop Dataset and Annotation Tool, ISMIR; 9,455 loops, 8.8 GB,
https://zenodo.org/records/3967852. Nothing is downloaded here: unpack ``FSL10K.zip`` and pass its folder.
"""

import pathlib
import re
import warnings

from audiozoo.data.clips import read_clips
from audiozoo.data.datasets import audio_paths
from audiozoo.errors import DataError
from audiozoo.foreign import json_object, refused

METADATA = "metadata.json"
# As the addresses of licences have it. Others forbid commercial use or advertisement.
FREE_LICENSES = ("/publicdomain/zero/", "/licenses/by/")


def is_freesound(folder):
    """Whether a folder is the dataset: whether it holds its ``metadata.json``."""
    return (pathlib.Path(folder) / METADATA).is_file()


def freesound_loops(folder, *, sample_rate=44100, free_only=True, cache=None, progress=False):
    """Every loop of the dataset whose licence allows any use, in order of path.

    Loops of one user count as of one recording, since they often share their sounds: they are trained on or
    held out together. Files that cannot be read, or that the metadata do not know, are named in a warning.

    Args:
        folder: that holds ``metadata.json`` and, anywhere below, audio whose names begin with the sound's
            number.
        sample_rate: Hz; the dataset's is 44,100.
        free_only: leave out all but CC0 and CC BY.
        cache: folder for the decoded audio; by default within audiozoo's cache.
        progress: show a progress bar.

    Returns:
        List of ``clips.Clip`` with ``license`` and ``metadata``.

    Raises:
        DataError: no metadata, metadata that are not the dataset's, or not one usable loop.
    """
    root, known = free_loops(folder, free_only=free_only)
    return read_clips(root, list(known), known.get, sample_rate=sample_rate, cache=cache, progress=progress)


def free_loops(folder, *, free_only=True):
    """The loops of the dataset that ``freesound_loops`` reads, and what is known of them.

    Args:
        folder, free_only: see there.

    Returns:
        ``(folder, dict)`` of paths to their ``recording``, ``license`` and ``metadata``.

    Raises:
        DataError: see there.
    """
    metadata = read_metadata(pathlib.Path(folder) / METADATA)
    root, paths = audio_paths(folder)
    known, unknown = {}, []
    for path in paths:
        number = re.match(r"\d+", path.name)
        entry = metadata.get(number.group()) if number else None
        if entry is None:
            unknown.append(path.name)
        elif not free_only or any(part in entry["license"] for part in FREE_LICENSES):
            user = str(entry.get("username", ""))
            recording = f"user {user}" if user else path.name
            known[path] = {"recording": recording, "license": entry["license"], "metadata": entry}
    if unknown:
        more = f" and {len(unknown) - 8} more" if len(unknown) > 8 else ""
        warnings.warn(
            f"{len(unknown)} files left out, unknown to {METADATA}: {', '.join(unknown[:8])}{more}",
            stacklevel=3,
        )
    barred = len(paths) - len(known) - len(unknown)
    if barred and known:
        warnings.warn(f"{barred} loops left out, whose licence is neither CC0 nor CC BY.", stacklevel=3)
    if not known:
        raise DataError(
            f"data {str(folder)!r} holds no loop under CC0 or CC BY that {METADATA} knows. Look at its "
            "licences, or pass free_only=False."
        )
    return root, known


def read_metadata(path):
    """Dict number -> dict of what is known of a sound, its ``license`` at least."""
    with refused(
        DataError, f"{str(path)!r} must be the metadata of the Freesound Loop Dataset", "Unpack it again."
    ):
        metadata = json_object(path)
    if not all(
        isinstance(entry, dict) and isinstance(entry.get("license"), str) for entry in metadata.values()
    ):
        raise DataError(
            f"{str(path)!r} must be the metadata of the Freesound Loop Dataset: for each number of a sound "
            "an object with its license. Move it away if the folder is something else."
        )
    return metadata
