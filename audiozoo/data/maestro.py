"""MAESTRO: piano recordings of a competition, with who composed what.

Hawthorne et al. (2019), Enabling Factorized Piano Music Modeling and Generation with the MAESTRO Dataset,
ICLR, arXiv:1810.12247; 200 hours, 120 GB, CC BY-NC-SA 4.0, https://magenta.tensorflow.org/datasets/maestro.
Nothing is downloaded here: unpack ``maestro-v3.0.0.zip`` and pass its folder.
"""

import csv
import pathlib

from audiozoo.errors import DataError
from audiozoo.foreign import content, refused

LICENSE = "CC BY-NC-SA 4.0"
NEEDED = ("canonical_composer", "canonical_title", "audio_filename")


def is_maestro(folder):
    """Whether a folder is the dataset: whether it holds its ``maestro-v*.csv``."""
    return bool(list(pathlib.Path(folder).glob("maestro-v*.csv")))


def about_maestro(folder, paths):
    """What the dataset's CSV file says of its recordings.

    Args:
        folder: that holds the CSV file and, in a folder for each year, the audio.
        paths: of audio files below it.

    Returns:
        Dict path -> dict: ``label``, the composer; ``recording``, composer and title, since a piece that
        several people play is one recording; ``license``. Files that the CSV file does not name are left out.

    Raises:
        DataError: a CSV file that is not the dataset's, or that names none of the files.
    """
    table = sorted(pathlib.Path(folder).glob("maestro-v*.csv"))[-1]
    with refused(DataError, f"{str(table)!r} must be the table of MAESTRO", "Unpack it again."):
        lines = content(table).decode("utf-8").splitlines(keepends=True)
        rows = list(csv.DictReader(lines, restkey="further cells", restval=""))
    if not rows or not set(NEEDED) <= set(rows[0]):
        raise DataError(
            f"{str(table)!r} must be the table of MAESTRO, with columns {', '.join(NEEDED)}; it has "
            f"{', '.join(rows[0]) if rows else 'no rows':.200}. Move it away if the folder is something else."
        )
    by_name = {row["audio_filename"]: row for row in rows}
    known = {}
    for path in paths:
        row = by_name.get(path.relative_to(folder).as_posix())
        if row is not None:
            composer, title = row["canonical_composer"], row["canonical_title"]
            known[path] = {"label": composer, "recording": f"{composer}: {title}", "license": LICENSE}
    if not known:
        raise DataError(
            f"data {str(folder)!r} holds none of the recordings that {table.name} names. Unpack the audio "
            "beside it."
        )
    return known
