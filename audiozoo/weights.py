"""Where a preset's weights are, and whether they are the ones that were released.

Packaged, then cached, then downloaded; whichever it is, the sha256 is checked every time. A file in the
cache needs no network; a file with another sha256 is never used and never kept.

``AUDIOZOO_CACHE`` moves the cache, ``AUDIOZOO_OFFLINE=1`` forbids the network.
"""

import hashlib
import os
from pathlib import Path

from audiozoo.atomic import replacing
from audiozoo.errors import IncompatiblePreset, OutputError, WeightsCorrupt, WeightsUnavailable, one_line
from audiozoo.registry import Preset, Weights

LARGEST_HALF = 65504.0  # the largest number in half precision
PACKED_FROM = 1000  # numbers in an array; a smaller one grows when it is packed


def locate(preset: Preset, *, offline: bool | None = None) -> Path:
    """Return the path of a preset's released weights, after checking their sha256.

    Args:
        preset: as returned by ``audiozoo.info``.
        offline: True never downloads, False may; None asks ``AUDIOZOO_OFFLINE``.

    Raises:
        WeightsUnavailable: the preset has none, or they cannot be downloaded from here.
        WeightsCorrupt: the file is truncated or altered.
        OutputError: the cache cannot be written.
    """
    weights = preset.weights
    if weights is None:
        raise WeightsUnavailable(
            f"preset {preset.name!r} is a recipe without released weights. Train it with "
            f"'audiozoo train {preset.name} --data DIR', or load it untrained with weights=False."
        )
    for path in _packaged(preset):
        if path.is_file():
            _check(path, weights, remedy="Install audiozoo, or copy the preset, again.")
            return path
    cached = cache_folder() / weights.file
    if cached.is_file() and _fault(cached, weights) is None:
        return cached
    _discard(cached)
    return _download(preset, cached, offline=network_is_forbidden() if offline is None else offline)


def cache_folder() -> Path:
    """Return where downloads are kept: ``AUDIOZOO_CACHE``, or the system's place for caches."""
    folder = os.environ.get("AUDIOZOO_CACHE")
    if folder:
        return Path(folder).expanduser()
    import pooch  # 0.05 s, which listing and packaged weights do without

    return Path(pooch.os_cache("audiozoo"))


def network_is_forbidden() -> bool:
    """Whether ``AUDIOZOO_OFFLINE`` forbids the network."""
    return os.environ.get("AUDIOZOO_OFFLINE", "") not in ("", "0")


def sha256_of(path: str | os.PathLike) -> str:
    """Return the sha256 of a file as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_readable(path: str | os.PathLike) -> None:
    """Make sure that a file is a complete HDF5 file.

    Raises:
        WeightsUnavailable: there is no such file.
        WeightsCorrupt: it is truncated, damaged, or something else.
    """
    import h5py

    path = Path(path)
    if not path.is_file():
        raise WeightsUnavailable(
            f"no weights file at {path}: there is no such file. Give the path of a .weights.h5."
        )
    try:
        with h5py.File(path) as file:
            file.visititems(lambda name, item: item[()] if isinstance(item, h5py.Dataset) else None)
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise WeightsCorrupt(
            f"{path} is not a complete .weights.h5 file ({one_line(error)}). Copy or save it again."
        ) from error


def halve(source: str | os.PathLike, destination: str | os.PathLike) -> None:
    """Rewrite a ``.weights.h5`` in half precision; ``model.load_weights`` reads it into float32 variables.

    Rounding moves a weight by at most 0.05 %, or 3e-8. Integers are kept. Large arrays are packed.

    Args:
        source: path of the file, saved from an uncompiled model (else the optimizer goes along).
        destination: path to write, whole or not at all.

    Raises:
        WeightsUnavailable, WeightsCorrupt: ``source`` is missing or damaged.
        IncompatiblePreset: a weight is not finite, or beyond what half precision can hold.
        OutputError: ``destination`` cannot be written.
    """
    import h5py
    import numpy as np

    check_readable(source)

    def halved(name, values):
        if not np.issubdtype(values.dtype, np.floating):
            return values
        if not np.all(np.abs(values) <= LARGEST_HALF):  # false for NaN too
            raise IncompatiblePreset(
                f"{source}: {name} holds a value that is not finite or beyond {LARGEST_HALF:.0f}, "
                "the largest in half precision. Ship this file in single precision."
            )
        return values.astype("float16")

    with h5py.File(source) as single, replacing(destination) as temporary, h5py.File(temporary, "w") as half:

        def copy(name, item):
            if isinstance(item, h5py.Dataset):
                packing = {"compression": "gzip"} if item.size >= PACKED_FROM else {}
                item_copy = half.create_dataset(name, data=halved(name, item[()]), **packing)
            else:
                item_copy = half.require_group(name)
            item_copy.attrs.update(item.attrs)

        half.attrs.update(single.attrs)
        single.visititems(copy)


def _packaged(preset):
    if preset.folder is None:
        return ()
    return preset.folder / "weights" / preset.weights.file, preset.folder / preset.weights.file


def _fault(path, weights: Weights):
    """Return what is wrong with a file, or None."""
    size = path.stat().st_size
    if size != weights.size:
        return f"it has {size} bytes instead of {weights.size}"
    found = sha256_of(path)
    return None if found == weights.sha256 else f"its sha256 is {found} instead of {weights.sha256}"


def _check(path, weights, *, remedy):
    fault = _fault(path, weights)
    if fault:
        raise WeightsCorrupt(f"{path} is truncated or altered: {fault}. {remedy}")


def _discard(path):
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable_cache(path, error) from error


def _unwritable_cache(path, error):
    return OutputError(
        f"cannot write into the cache {path.parent}: {error.strerror or one_line(error)}. "
        "Set AUDIOZOO_CACHE to a folder that you may write to."
    )


def _download(preset, path, *, offline):
    import pooch
    import requests

    weights = preset.weights
    if weights.url is None:
        raise WeightsUnavailable(
            f"weights {weights.file!r} of preset {preset.name!r} are neither packaged in {preset.folder} nor "
            f"intact in the cache {path.parent}, and it names no url. Install audiozoo, or copy it, again."
        )
    if offline:
        raise WeightsUnavailable(
            f"weights {weights.file!r} of preset {preset.name!r} are not intact in the cache {path.parent}, "
            f"and the network is forbidden. Run 'audiozoo download {preset.name}' without AUDIOZOO_OFFLINE."
        )
    pooch.get_logger().setLevel("WARNING")  # the bar says it
    try:
        pooch.retrieve(
            weights.url,
            known_hash=f"sha256:{weights.sha256}",
            fname=path.name,
            path=path.parent,
            progressbar=_Bar(weights.file),
        )
    except requests.RequestException as error:
        raise WeightsUnavailable(
            f"weights of preset {preset.name!r} could not be downloaded: {one_line(error)}. Try again later, "
            f"or put {weights.url} into {path.parent} by hand."
        ) from error
    except ValueError as error:  # pooch's word for another hash; it keeps nothing
        raise WeightsCorrupt(
            f"{weights.url} is not the file that was released: {one_line(error)}. Nothing was kept. "
            "Try again; if it stays so, the server holds another file."
        ) from error
    except OSError as error:
        raise _unwritable_cache(path, error) from error
    return path


class _Bar:
    """A rich progress bar on stderr with the methods that pooch calls."""

    total = 0

    def __init__(self, name):
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn(name), BarColumn(), DownloadColumn(), TimeRemainingColumn()
        self.progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self.task = self.progress.add_task(name)

    def update(self, amount):
        self.progress.start()
        self.progress.update(self.task, advance=amount, total=self.total)

    def reset(self):
        self.progress.reset(self.task)

    def close(self):
        self.progress.stop()
