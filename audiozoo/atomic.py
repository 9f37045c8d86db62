"""Files and folders that are either written whole or not at all."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audiozoo.errors import OutputError, one_line


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path to write to; it becomes ``path`` when the block ends without an error.

    A killed process leaves at most a hidden temporary file, never half of ``path``.

    Args:
        path: the file to write. Its folder must exist; a file of that name is replaced.

    Yields:
        A path in the same folder (a rename is atomic only within one file system) with the same
        suffix (some writers choose their format by it).

    Raises:
        OutputError: the folder is missing or not writable, or the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())  # the data must be on the disk before the name points to it
        os.replace(temporary, path)
    except OutputError:
        raise
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        _remove(temporary)


@contextmanager
def replacing_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary folder to fill; it becomes ``path`` when the block ends without an error.

    Args:
        path: the folder to write, made with its parents. A folder of that name is replaced: until the new one
            is in its place, it is there whole. A process killed between the two renames leaves both, hidden,
            beside it.

    Yields:
        An empty folder beside it.

    Raises:
        OutputError: the place is not writable, or the disk is full.
    """
    path = Path(path)
    draft, retired = (path.with_name(f".{path.name}-{secrets.token_hex(4)}") for _ in range(2))
    try:
        draft.mkdir(parents=True)
        yield draft
        if path.exists():  # moved away whole: a folder half removed would be in the way for ever
            os.replace(path, retired)
        os.replace(draft, path)
        shutil.rmtree(retired, ignore_errors=True)  # only now: until here it is the only one there is
    except OutputError:
        raise
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def make_folder(path: str | os.PathLike) -> Path:
    """Return ``path`` as a folder that exists and can be written to, made with its parents if need be.

    Raises:
        OutputError: it cannot be made, is a file, or refuses new files.
    """
    path = Path(path)
    probe = path / f".{secrets.token_hex(4)}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.touch()  # asking the permission bits is not enough: root, and read-only disks
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        _remove(probe)
    return path


def _unwritable(path, error):
    reason = error.strerror or one_line(error)
    return OutputError(f"cannot write {path}: {reason}. Choose a place that you may write to.")


def _remove(path):
    # OSError: where the folder itself is the trouble, there is nothing to remove either.
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return
