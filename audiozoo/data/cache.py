"""Cache of what was computed from a file, keyed by its content and by every setting."""

import hashlib
import json
import os
import pathlib
import shutil
import tempfile

import numpy as np

from audiozoo.data.audio_io import read_audio
from audiozoo.errors import AudioError, DataError, OutputError
from audiozoo.foreign import json_object, refused


def entry_of(path, settings, *, cache):
    """Folder for what is computed from the file at ``path`` with these settings, there or not.

    Args:
        path: of any file.
        settings: dict that JSON can hold; what it leaves out must not matter.
        cache: folder.
    """
    with (
        refused(AudioError, f"path {str(path)!r} cannot be read", "Copy it again."),
        open(path, "rb") as content,
    ):
        digest = hashlib.file_digest(content, "sha256")
    digest.update(json.dumps(settings, sort_keys=True).encode())
    return pathlib.Path(cache) / digest.hexdigest()[:32]


def fill(entry, write):
    """Make an entry with ``write(folder)``, aside, and rename it into place: none is ever seen half-written.

    Args:
        entry: of ``entry_of``.
        write: function of a folder, which puts files into it.

    Raises:
        OutputError: the cache cannot be written.
    """
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        draft = pathlib.Path(tempfile.mkdtemp(dir=entry.parent, prefix=".draft-"))
    except OSError as error:
        raise OutputError(
            f"cache {str(entry.parent)!r} cannot be written ({error}). Set AUDIOZOO_CACHE to another folder."
        ) from error
    try:
        write(draft)
        os.replace(draft, entry)
    except OSError as error:
        if not entry.exists():  # else another process was first, with the same content
            raise OutputError(f"cache {str(entry.parent)!r} cannot be written ({error}).") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def kept(entry, compute, write, read):
    """What ``read(entry)`` finds in an entry; it is made first where there is none, anew where it is damaged.

    Args:
        entry: of ``entry_of``.
        compute: function of nothing, to what is kept.
        write: function of a folder and of that, which puts files into it.
        read: function of a folder, which raises whatever it stumbles over.

    Raises:
        OutputError: the cache cannot be written.
    """
    if entry.exists():
        try:
            with refused(DataError, f"{str(entry)!r} is damaged", "It is made anew."):
                return read(entry)
        except DataError:
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
    values = compute()
    fill(entry, lambda folder: write(folder, values))
    with refused(OutputError, f"{str(entry)!r} cannot be made anew", "Set AUDIOZOO_CACHE to another folder."):
        return read(entry)


def save_audio(folder, audio):
    """Keep float audio ``(samples,)`` as int16, scaled down only if it must be."""
    gain = max(1.0, float(np.abs(audio).max())) / 32767.0
    np.save(folder / "audio.npy", np.round(audio / gain).astype("int16"))
    (folder / "gain.json").write_text(json.dumps({"gain": gain}))  # a bare number could be cut unseen


def load_audio(folder):
    """What ``save_audio`` kept: ``StoredArray``, and the gain of a sample. Raises where it is damaged."""
    audio, gain = StoredArray(folder / "audio.npy"), json_object(folder / "gain.json")["gain"]
    if audio.dtype != np.int16 or len(audio.shape) != 1 or not len(audio) or not 0.0 < gain < np.inf:
        raise ValueError(f"it holds {audio.dtype} {audio.shape} with a gain of {gain!r:.80}")
    return audio, gain


class StoredArray(np.lib.mixins.NDArrayOperatorsMixin):
    """An array in a file, such as samples, that is memory-mapped for each reading.

    Between two of them nothing is open. A map that stayed would hold its file open, and a process may have a
    thousand: fewer than there are loops in a folder.

    Args:
        path: ``.npy`` file.
    """

    def __init__(self, path):
        self.path = path
        mapped = np.load(path, mmap_mode="r")
        self.dtype, self.shape, self.offset = mapped.dtype, mapped.shape, mapped.offset

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, place):
        mapped = np.memmap(self.path, self.dtype, mode="r", offset=self.offset, shape=self.shape)
        return np.array(mapped[place])

    def __array__(self, dtype=None, copy=None):
        return self[:].astype(dtype or self.dtype, copy=False)

    def __array_ufunc__(self, ufunc, method, *inputs, **settings):
        whole = (np.asarray(value) if isinstance(value, StoredArray) else value for value in inputs)
        return getattr(ufunc, method)(*whole, **settings)


def cached_audio(path, *, sample_rate, cache):
    """Mono audio of a file of any format and rate, decoded once.

    Args:
        path: audio file.
        sample_rate: Hz, of the result.
        cache: folder.

    Returns:
        As ``load_audio``.

    Raises:
        AudioError: the file cannot be read.
        OutputError: the cache cannot be written.
    """
    entry = entry_of(path, {"sample_rate": sample_rate, "version": 1}, cache=cache)

    def compute():
        audio, _ = read_audio(path, sample_rate=sample_rate)
        return audio

    return kept(entry, compute, save_audio, load_audio)
