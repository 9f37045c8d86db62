"""Files that others have made, and that may hold anything: read whole and within bounds, or refused.

What a decoder stumbles over has no common base and no list (``struct.error``, ``KeyError``,
``RecursionError``, ``MemoryError`` ...). Whatever it is, it becomes one error of ours, which names the file.
"""

import itertools
import json
import os
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from audiozoo.errors import AudioZooError, one_line

MOST_TEXT_BYTES = 1 << 28  # of a JSON or a table: half an hour of two hands at 60 frames a second has 1 << 27
PIECE_BYTES = 1 << 20  # read at once


@contextmanager
def refused(kind: type[AudioZooError], what: str, advice: str) -> Iterator[None]:
    """Raise whatever the block stumbles over as one error of ours; errors of ours pass.

    Around the reading of a foreign file alone: the block turns its own mistakes, too, into a refusal.

    Args:
        kind: class of the error.
        what: names the file and says what it is not, such as "path 'a.wav' cannot be read as audio".
        advice: what to do, a sentence.

    Raises:
        kind: with what, the reason in parentheses, and the advice.
    """
    try:
        yield
    except AudioZooError:
        raise
    except Exception as error:
        reason = one_line(error)[:300] or type(error).__name__  # MemoryError says nothing
        raise kind(f"{what} ({reason}). {advice}") from error


def obstacle(path: str | os.PathLike) -> str | None:
    """Return why there is no file to open at ``path``, as in "is a folder", or None.

    A pipe or a device would be waited for, or read, for ever.
    """
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "does not exist"
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        return f"cannot be reached ({one_line(error)})"
    if stat.S_ISDIR(mode):
        return "is a folder"
    return None if stat.S_ISREG(mode) else "is a pipe or a device"


def content(path: str | os.PathLike, *, most_bytes: int = MOST_TEXT_BYTES) -> bytes:
    """Return the bytes of a file. Raises OSError for what is no file, and for more than ``most_bytes``."""
    reason = obstacle(path)
    if reason:
        raise OSError(f"it {reason}")
    with open(path, "rb") as file:
        # Not by its size, which a file of the system does not tell; nor into memory for the most.
        pieces = iter(lambda: file.read(PIECE_BYTES), b"")
        data = b"".join(itertools.islice(pieces, most_bytes // PIECE_BYTES + 1))
    if len(data) > most_bytes:
        raise OSError(f"it has more than {most_bytes} bytes")
    return data


def json_object(path: str | os.PathLike) -> dict[str, Any]:
    """Return the object in a JSON file. Raises OSError, ValueError or RecursionError if there is none."""
    values = json.loads(content(path).decode("utf-8"))
    if not isinstance(values, dict):
        raise ValueError(f"it must hold an object; it holds a value of type {type(values).__name__}")
    return values


def npz_arrays(path: str | os.PathLike, *, most_bytes: int) -> dict[str, Any]:
    """Return the arrays of an ``.npz`` by name; never a pickle.

    Args:
        path: the file.
        most_bytes: of what it holds, unpacked: a small file can unpack to a thousand times its size.

    Raises:
        OSError, ValueError, and what else numpy and zipfile raise.
    """
    import numpy as np

    reason = obstacle(path)
    if reason:
        raise OSError(f"it {reason}")
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > most_bytes:
        raise ValueError(f"it unpacks to {unpacked} bytes, where {most_bytes} are allowed")
    with np.load(path, allow_pickle=False) as file:
        return dict(file)
