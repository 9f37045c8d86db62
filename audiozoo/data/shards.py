"""How a folder of records is laid out: its index, and the bytes of its TFRecord files.

TensorFlow writes these files and reads them in order (``records``); what is in a record is made here, and
found again at any place.
"""

import pathlib
import struct

import numpy as np
import pydantic

from audiozoo.dsp.spectra import LOUDNESS_FLOOR_DB
from audiozoo.errors import DataError, one_line
from audiozoo.weights import sha256_of

INDEX = "records.json"
PLAN = "records.plan.json"  # what is to be written; it becomes the index when all shards are there
FEATURES = ("confidence", "f0_hz", "loudness_db")  # in the order in which an example has them
AGAIN = "Write the records again with the same settings: what is missing or damaged is made anew."
BYTES_LIST, FLOAT_LIST, INT64_LIST = 1, 2, 3  # kinds of a feature in a tf.train.Example


class _Section(pydantic.BaseModel, extra="forbid", frozen=True):
    """A part of the index."""


class Settings(_Section):
    """How records were made.

    Attributes:
        version: of the format.
        sample_rate: Hz.
        clip_samples: length of a clip.
        hop: samples per frame of pitch and loudness; None where there are none.
        f0_method: of the pitch, see ``pitch.estimate_f0``.
        clips_per_shard: in every shard but the last.
    """

    version: int = 1
    sample_rate: int
    clip_samples: int
    hop: int | None
    f0_method: str
    clips_per_shard: int

    @property
    def clip_frames(self):
        """Frames of pitch and loudness of a clip."""
        return 0 if self.hop is None else self.clip_samples // self.hop


class Source(_Section):
    """A recording that clips were cut from.

    Attributes:
        name: path below the folder that was read.
        label: folder that it lies in; "" for the folder itself.
        recording: what the file itself was cut from, where the data say so, else "".
        license: where the data say so, else "".
        sha256: of the file.
        samples: at ``Settings.sample_rate``.
        gain: what an int16 sample is multiplied by to give the original audio.
    """

    name: str
    label: str
    recording: str
    license: str
    sha256: str
    samples: int
    gain: float


class Shard(_Section):
    """A file of clips: its name, number of clips and of bytes, and sha256."""

    file: str
    clips: int
    bytes: int
    sha256: str


class Index(_Section):
    """What a folder of records holds.

    Attributes:
        settings: how it was made.
        sources: the recordings, in the order of their clips.
        left_out: names of files that could not be used.
        shards: in order; none in a plan.
    """

    settings: Settings
    sources: list[Source]
    left_out: list[str]
    shards: list[Shard] = []

    @property
    def clips_of_sources(self):
        """Number of clips of each recording, ``(sources,)``."""
        samples = np.array([source.samples for source in self.sources])
        return -(-samples // self.settings.clip_samples)

    def places(self):
        """Recording, and first sample in it, of each clip: two arrays ``(clips,)``."""
        counts = self.clips_of_sources
        source = np.repeat(np.arange(len(counts)), counts)
        first = np.cumsum(counts) - counts
        return source, (np.arange(len(source)) - first[source]) * self.settings.clip_samples


def opened(folder, *, verify):
    """A folder of records and its index, once every shard was found to be there.

    Args:
        folder: that ``write_records`` wrote.
        verify: compare the sha256 of each shard, too.

    Returns:
        ``(folder, Index)``.

    Raises:
        DataError: see ``verify_records``.
    """
    folder = pathlib.Path(folder)
    if (folder / PLAN).is_file() and not (folder / INDEX).is_file():
        raise DataError(f"records {str(folder)!r} were not written to their end. {AGAIN}")
    if not (folder / INDEX).is_file():
        what = f"holds no records: there is no {INDEX} in it" if folder.is_dir() else "is no folder"
        what = what if folder.exists() else "does not exist"
        raise DataError(
            f"folder must be one that 'audiozoo records' wrote; {str(folder)!r} {what}. Write the records "
            "first."
        )
    index = read_index(folder / INDEX)
    found = [damage(folder / shard.file, shard, verify=verify) for shard in index.shards]
    damaged = [sentence for sentence in found if sentence]
    if damaged:
        more = f"; and {len(damaged) - 8} more" if len(damaged) > 8 else ""
        raise DataError(f"records {str(folder)!r} are damaged: {'; '.join(damaged[:8])}{more}. {AGAIN}")
    return folder, index


def damage(path, shard, *, verify=True):
    """What is wrong with a shard, or None."""
    if not path.is_file():
        return f"shard {path.name} is missing"
    size = path.stat().st_size
    if size != shard.bytes:
        return f"shard {path.name} has {size} bytes instead of {shard.bytes}"
    if verify and sha256_of(path) != shard.sha256:
        return f"shard {path.name} is not the one that was written: its sha256 differs"
    return None


def read_index(path):
    """The ``Index`` in a file. Raises DataError if it is none."""
    try:
        index = Index.model_validate_json(path.read_bytes())
    except (pydantic.ValidationError, OSError) as error:
        raise DataError(
            f"{str(path)!r} is no index of records ({one_line(error)[:200]}). Delete the folder and write "
            "the records again, or update audiozoo."
        ) from error
    newest = Settings.model_fields["version"].default
    if index.settings.version != newest:
        raise DataError(
            f"{str(path)!r} is of version {index.settings.version} of the format; this audiozoo reads "
            f"{newest}. Write the records again, or update audiozoo."
        )
    return index


def example_of(number, start, source, pcm, features, settings):
    """A clip as a serialized ``tf.train.Example``.

    Written here, field by field, since the order in which protobuf writes a map may change, and so would the
    bytes of a shard. What is of equal length in every example comes last: it lies at a fixed distance from
    the end of a record, where it is found without parsing.

    Args:
        number: of the clip.
        start: its first sample in the recording.
        source: ``Source``.
        pcm: int16 samples, of the last clip of a recording maybe less than a clip.
        features: ``Features`` of the whole recording, or None.
        settings: ``Settings``.
    """
    entries = [
        entry("clip", INT64_LIST, varint(number)),
        entry("start", INT64_LIST, varint(start)),
        entry("samples", INT64_LIST, varint(len(pcm))),
        entry("recording", BYTES_LIST, source.name.encode()),
        entry("gain", FLOAT_LIST, np.float32(source.gain).tobytes()),
    ]
    clip = {"audio": np.pad(pcm, (0, settings.clip_samples - len(pcm)))}
    if features is not None:
        first, frames = start // settings.hop, settings.clip_frames
        for name in FEATURES:
            values = getattr(features, name)[first : first + frames]
            # Beyond the end: silence, and the pitch that was heard last, as in every gap.
            beyond = {"f0_hz": values[-1], "loudness_db": LOUDNESS_FLOOR_DB}.get(name, 0.0)
            clip[name] = np.pad(values, (0, frames - len(values)), constant_values=beyond)
    entries += [entry(name, *of) for name, of in fixed_part(settings, clip).items()]
    return field(1, b"".join(entries))


def fixed_part(settings, clip):
    """Kind and bytes of what is of equal length in every example, in order, the samples last."""
    names = () if settings.hop is None else FEATURES
    found = {name: (FLOAT_LIST, clip[name].astype("<f4").tobytes()) for name in names}
    return found | {"audio": (BYTES_LIST, clip["audio"].astype("<i2").tobytes())}


def fixed_places(settings):
    """How many bytes before the end of a record each of the arrays of ``fixed_part`` begins."""
    empty = {name: np.zeros(settings.clip_frames) for name in FEATURES}
    parts, places, back = fixed_part(settings, empty | {"audio": np.zeros(settings.clip_samples)}), {}, 0
    for name, (kind, payload) in reversed(parts.items()):
        places[name] = back + len(payload)
        back += len(entry(name, kind, payload))
    return places


def entry(name, kind, payload):
    """An entry of the map of features in a ``tf.train.Example``."""
    return field(1, field(1, name.encode()) + field(2, field(kind, field(1, payload))))


def field(number, payload):
    """A field of a protobuf message whose length stands before it."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def varint(number):
    """A whole number as protobuf writes it: seven bits a byte, the lowest first."""
    groups = [number >> shift & 127 for shift in range(0, max(1, number.bit_length()), 7)]
    return bytes([group | 128 for group in groups[:-1]] + groups[-1:])


def record_ends(path, count):
    """Where the data of each record of a TFRecord file end, in bytes.

    A record is the length of its data (8 bytes), a checksum of it (4), the data, and a checksum of them (4).
    """
    ends, position = [], 0
    with open(path, "rb", buffering=0) as shard:
        for _ in range(count):
            shard.seek(position)
            (length,) = struct.unpack("<Q", shard.read(8))
            ends.append(position + 12 + length)
            position = ends[-1] + 4
    return ends
