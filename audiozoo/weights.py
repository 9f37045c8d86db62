"""Where a preset's weights are, and whether they are the ones that were released.

Packaged, then cached, then downloaded; whichever it is, the sha256 is checked every time. A file in the
cache needs no network; a file with another sha256 is never used and never kept.

``AUDIOZOO_CACHE`` moves the cache, ``AUDIOZOO_OFFLINE=1`` forbids the network.
"""

import hashlib
import io
import math
import os
from pathlib import Path
from typing import BinaryIO

from audiozoo.atomic import replacing
from audiozoo.errors import IncompatiblePreset, OutputError, WeightsCorrupt, WeightsUnavailable, one_line
from audiozoo.foreign import refused
from audiozoo.registry import Preset, Weights

LARGEST_HALF = 65504.0  # the largest number in half precision
PACKED_FROM = 1000  # numbers in an array; a smaller one grows when it is packed
MOST_EXPANSION = 100  # of a weights file, unpacked: weights are numbers like noise, which hardly pack
DEEPEST_GROUP = 100  # HDF5's own walks are recursions, and would end the process


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
    try:  # a download replaces what is there at once: another process may have just put it there
        return _download(preset, cached, offline=network_is_forbidden() if offline is None else offline)
    except (WeightsUnavailable, WeightsCorrupt):
        if cached.is_file() and _fault(cached, weights):
            _discard(cached)
        raise


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


def check_readable(path: str | os.PathLike, *, finite: bool = True) -> None:
    """Make sure that a file is a complete HDF5 file of numbers, all of them its own.

    Args:
        path: the file.
        finite: whether each number must be.

    Raises:
        WeightsUnavailable: there is no such file.
        WeightsCorrupt: it is truncated, damaged, or something else; it refers to other files, as HDF5 can; or
            it unpacks to more than weights do.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsUnavailable(
            f"no weights file at {path}: there is no such file. Give the path of a .weights.h5."
        )
    with (
        refused(WeightsCorrupt, f"{path} is not a complete .weights.h5 file", "Copy or save it again."),
        open(path, "rb") as file,
    ):
        check_hdf5(file, finite=finite)


def check_hdf5(file: BinaryIO, *, finite: bool = True) -> None:
    """Look at everything in an open HDF5 file, see ``check_readable``.

    Raises:
        ValueError: it holds something else; and whatever h5py raises.
    """
    import h5py

    most = MOST_EXPANSION * file.seek(0, os.SEEK_END)  # bytes, all arrays together
    with h5py.File(file) as root:
        groups, seen = [(root, 0)], set()
        while groups:
            group, depth = groups.pop()
            for name in group:
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise ValueError(f"{group.name}/{name} refers to elsewhere")
                item = group[name]
                address = h5py.h5o.get_info(item.id).addr
                if address in seen:  # groups that hold each other would be walked through for ever
                    raise ValueError(f"{item.name} stands twice")
                seen.add(address)
                if isinstance(item, h5py.Dataset):
                    most -= max(item.nbytes, math.prod(item.chunks or ()) * item.dtype.itemsize)
                    if most < 0:
                        raise ValueError(f"it unpacks to more than {MOST_EXPANSION} times its size")
                    _check_numbers(item, finite)
                elif depth == DEEPEST_GROUP:
                    raise ValueError(f"it has groups within more than {DEEPEST_GROUP} others")
                else:
                    groups.append((item, depth + 1))


def _check_numbers(dataset, finite):
    """Raise ValueError for an array that is of no numbers, or lies in another file."""
    import numpy as np

    if dataset.is_virtual or dataset.external:
        raise ValueError(f"{dataset.name} lies in another file")
    nameless = dataset.attrs.get("dtype") == "bfloat16"  # what numpy does not know
    if dataset.dtype.kind not in "biuf" and not nameless:
        raise ValueError(f"{dataset.name} holds {dataset.dtype}, no numbers")
    values = dataset[()]  # all of it, or a file that is cut would pass
    if finite and not nameless and not np.isfinite(values).all():
        raise ValueError(f"{dataset.name} holds NaN or infinity")


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

    check_readable(source, finite=False)

    def halved(name, values):
        if not np.issubdtype(values.dtype, np.floating):
            return values
        if not np.all(np.abs(values) <= LARGEST_HALF):  # false for NaN too
            raise IncompatiblePreset(
                f"{source}: {name} holds a value that is not finite or beyond {LARGEST_HALF:.0f}, "
                "the largest in half precision. Ship this file in single precision."
            )
        return values.astype("float16")

    image = io.BytesIO()  # on a full disk HDF5 ends the process
    with h5py.File(source) as single, h5py.File(image, "w") as half:

        def copy(name, item):
            if isinstance(item, h5py.Dataset):
                packing = {"compression": "gzip"} if item.size >= PACKED_FROM else {}
                item_copy = half.create_dataset(name, data=halved(name, item[()]), **packing)
            else:
                item_copy = half.require_group(name)
            item_copy.attrs.update(item.attrs)

        half.attrs.update(single.attrs)
        single.visititems(copy)
    with replacing(destination) as temporary:
        temporary.write_bytes(image.getbuffer())


def _packaged(preset):
    if preset.folder is None:
        return ()
    return preset.folder / "weights" / preset.weights.file, preset.folder / preset.weights.file


def _fault(path, weights: Weights):
    """Return what is wrong with a file, or None."""
    try:
        size = path.stat().st_size
        if size != weights.size:
            return f"it has {size} bytes instead of {weights.size}"
        found = sha256_of(path)
    except OSError as error:  # another process may have taken it away
        return f"it cannot be read ({one_line(error)})"
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
            downloader=_Fetch(weights),
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


class _Fetch:
    """How pooch downloads: no more than was released, with a rich progress bar on stderr."""

    def __init__(self, weights):
        self.weights = weights

    def __call__(self, url, path, _):
        import pooch
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn(self.weights.file), BarColumn(), DownloadColumn(), TimeRemainingColumn()
        with (
            Progress(*columns, console=Console(stderr=True), transient=True) as bar,
            open(path, "wb") as file,
        ):
            self.file, self.bar, self.received = file, bar, 0
            self.task = bar.add_task(self.weights.file, total=self.weights.size)
            pooch.HTTPDownloader()(url, self, None)

    def write(self, data):
        self.received += len(data)
        if self.received > self.weights.size:
            raise ValueError(f"it has more than {self.weights.size} bytes")
        self.file.write(data)
        self.bar.update(self.task, advance=len(data))

    def flush(self):
        self.file.flush()
