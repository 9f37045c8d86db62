"""How a folder of records is laid out: its index, and the bytes of its TFRecord files.

TensorFlow writes these files and reads them in order (``records``); what is in a record is made here, and
found again at any place.
"""

import functools
import itertools
import pathlib
import struct
from typing import Annotated

import numpy as np
import pydantic

from audiozoo.dsp.spectra import LOUDNESS_FLOOR_DB
from audiozoo.errors import DataError
from audiozoo.foreign import content, obstacle, refused
from audiozoo.weights import sha256_of

INDEX = "records.json"
PLAN = "records.plan.json"  # what is to be written; it becomes the index when all shards are there
FEATURES = ("confidence", "f0_hz", "loudness_db")  # in the order in which an example has them
AGAIN = "Write the records again with the same settings: what is missing or damaged is made anew."
BYTES = 2  # how a field of a protobuf message is written: its length, and so many bytes
BYTES_LIST, FLOAT_LIST, INT64_LIST = 1, 2, 3  # kinds of a feature in a tf.train.Example
RECORD_HEAD, RECORD_TAIL = 12, 4  # bytes of a record before its data (their number, and a checksum) and after

# Of all recordings together numpy still counts the samples in 64 bits.
Count = Annotated[int, pydantic.Field(ge=1, le=1 << 40)]
# As ``records.gain_for`` gives it, of 32-bit floats.
Gain = Annotated[float, pydantic.Field(ge=1.0 / 32767.0, lt=1e35)]


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
    sample_rate: Count
    clip_samples: Count
    hop: Count | None
    f0_method: str
    clips_per_shard: Count

    @property
    def clip_frames(self):
        """Frames of pitch and loudness of a clip."""
        return 0 if self.hop is None else self.clip_samples // self.hop

    @property
    def clip_bytes(self):
        """Bytes of the samples and features of a clip."""
        return 2 * self.clip_samples + 4 * self.clip_frames * len(FEATURES)


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
    samples: Count
    gain: Gain


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
    sources: Annotated[list[Source], pydantic.Field(min_length=1)]
    left_out: list[str]
    shards: list[Shard] = []

    @pydantic.model_validator(mode="after")
    def _is_of_one_piece(self):
        names = [source.name for source in self.sources] + self.left_out
        if len(set(names)) < len(names):
            raise ValueError("a recording stands in it twice")
        there = ((shard.file, shard.clips) for shard in self.shards)
        expected = ((file, len(clips)) for file, clips in self.layout())
        if self.shards and any(pair[0] != pair[1] for pair in itertools.zip_longest(there, expected)):
            raise ValueError("its shards are not those of its recordings")
        if any(shard.bytes < shard.clips * self.settings.clip_bytes for shard in self.shards):
            raise ValueError("a shard of it is smaller than its clips")
        return self

    @functools.cached_property
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

    def layout(self):
        """Yield the name of each shard, and the range of its clips."""
        total, size = int(self.clips_of_sources.sum()), self.settings.clips_per_shard
        count = -(-total // size)
        for number in range(count):
            clips = range(number * size, min(total, (number + 1) * size))
            yield f"clips-{number:05d}-of-{count:05d}.tfrecord", clips

    def headings(self, clips):
        """Yield the bytes with which the example of each of these clips begins."""
        ends, length = np.cumsum(self.clips_of_sources), self.settings.clip_samples
        for number, place in zip(clips, np.searchsorted(ends, clips, side="right"), strict=True):
            source = self.sources[place]
            start = (number - int(ends[place] - self.clips_of_sources[place])) * length
            yield heading(number, start, min(length, source.samples - start), source, self.settings)


def opened(folder, *, verify):
    """A folder of records and its index, once every shard was found to be there.

    Args:
        folder: that ``write_records`` wrote.
        verify: see ``damage``.

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
    with refused(DataError, f"records {str(folder)!r} cannot be read", AGAIN):
        found = [
            damage(folder / file, index, clips, shard, verify=verify)
            for (file, clips), shard in zip(index.layout(), index.shards, strict=True)
        ]
    damaged = [sentence for sentence in found if sentence]
    if damaged:
        more = f"; and {len(damaged) - 8} more" if len(damaged) > 8 else ""
        raise DataError(f"records {str(folder)!r} are damaged: {'; '.join(damaged[:8])}{more}. {AGAIN}")
    return folder, index


def damage(path, index, clips, shard=None, *, verify=True):
    """What is wrong with a shard, or None.

    How long its records are is looked at always: TensorFlow would end the process over one of 2^60 bytes.

    Args:
        path: of the file.
        index: ``Index``, or the plan of one.
        clips: range of the numbers of the clips that it must hold.
        shard: what the index says of it; None for a plan, which says nothing.
        verify: compare its sha256, and of each record which clip it is, too.
    """
    reason = "is a link, which may lead anywhere" if path.is_symlink() else obstacle(path)
    if reason:
        return f"shard {path.name} {reason}"
    size = path.stat().st_size
    if shard is not None and size != shard.bytes:
        return f"shard {path.name} has {size} bytes instead of {shard.bytes}"
    if shard is not None and verify and sha256_of(path) != shard.sha256:
        return f"shard {path.name} is not the one that was written: its sha256 differs"
    ends = record_ends(path, len(clips))
    if len(ends) != len(clips) or (verify and not are_clips(path, index, clips, ends)):
        return f"shard {path.name} does not hold the clips {clips.start} to {clips.stop - 1}"
    return None


def are_clips(path, index, clips, ends):
    """Whether all but samples and features is in the records of a shard what ``example_of`` writes there."""
    places, begin = fixed_places(index.settings).values(), RECORD_HEAD
    shard = np.asarray(np.memmap(path, np.uint8, mode="r"))
    for end, start in zip(ends, index.headings(clips), strict=True):
        expected = [(begin, start)] + [(end - back - len(before), before) for back, before in places]
        if begin + len(start) != expected[1][0]:
            return False
        if any(shard[place : place + len(part)].tobytes() != part for place, part in expected):
            return False
        begin = end + RECORD_TAIL + RECORD_HEAD
    return True


def read_index(path):
    """The ``Index`` in a file. Raises DataError if it is none."""
    with refused(
        DataError,
        f"{str(path)!r} is no index of records",
        "Delete the folder and write the records again, or update audiozoo.",
    ):
        index = Index.model_validate_json(content(path))
        if path.name == INDEX and not index.shards:
            raise ValueError("it names no shards")
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
    clip = {"audio": np.pad(pcm, (0, settings.clip_samples - len(pcm)))}
    if features is not None:
        first, frames = start // settings.hop, settings.clip_frames
        for name in FEATURES:
            values = getattr(features, name)[first : first + frames]
            # Beyond the end: silence, and the pitch that was heard last, as in every gap.
            beyond = {"f0_hz": values[-1], "loudness_db": LOUDNESS_FLOOR_DB}.get(name, 0.0)
            clip[name] = np.pad(values, (0, frames - len(values)), constant_values=beyond)
    fixed = b"".join(entry(name, *of) for name, of in fixed_part(settings, clip).items())
    return heading(number, start, len(pcm), source, settings) + fixed


def heading(number, start, samples, source, settings):
    """The bytes of an example up to what is of equal length in every one."""
    entries = [
        entry("clip", INT64_LIST, varint(number)),
        entry("start", INT64_LIST, varint(start)),
        entry("samples", INT64_LIST, varint(samples)),
        entry("recording", BYTES_LIST, source.name.encode()),
        entry("gain", FLOAT_LIST, np.float32(source.gain).tobytes()),
    ]
    about = b"".join(entries)
    back, before = next(iter(fixed_places(settings).values()))
    return varint(1 << 3 | BYTES) + varint(len(about) + len(before) + back) + about


def fixed_part(settings, clip):
    """Kind and bytes of what is of equal length in every example, in order, the samples last."""
    names = () if settings.hop is None else FEATURES
    found = {name: (FLOAT_LIST, clip[name].astype("<f4").tobytes()) for name in names}
    return found | {"audio": (BYTES_LIST, clip["audio"].astype("<i2").tobytes())}


@functools.cache
def fixed_places(settings):
    """Where each of the arrays of ``fixed_part`` lies in a record.

    Returns:
        Dict name -> ``(its bytes and those behind it, what of its entry stands before it)``.
    """
    empty = {name: np.zeros(settings.clip_frames) for name in FEATURES}
    parts = fixed_part(settings, empty | {"audio": np.zeros(settings.clip_samples)})
    entries = {name: (entry(name, *of), len(of[1])) for name, of in parts.items()}
    sizes = [len(whole) for whole, _ in entries.values()]
    return {
        name: (sum(sizes[place + 1 :]) + size, whole[: len(whole) - size])
        for place, (name, (whole, size)) in enumerate(entries.items())
    }


def entry(name, kind, payload):
    """An entry of the map of features in a ``tf.train.Example``."""
    return field(1, field(1, name.encode()) + field(2, field(kind, field(1, payload))))


def field(number, payload):
    """A field of a protobuf message whose length stands before it."""
    return varint(number << 3 | BYTES) + varint(len(payload)) + payload


def varint(number):
    """A whole number as protobuf writes it: seven bits a byte, the lowest first."""
    groups = [number >> shift & 127 for shift in range(0, max(1, number.bit_length()), 7)]
    return bytes([group | 128 for group in groups[:-1]] + groups[-1:])


def record_ends(path, count):
    """Where the data of each record of a TFRecord file end, in bytes; none if the last does not end it.

    A record is the length of its data (8 bytes), a checksum of it (4), the data, and a checksum of them (4).
    """
    ends, position, size = [], 0, path.stat().st_size
    with open(path, "rb", buffering=0) as shard:
        while len(ends) < count and position + RECORD_HEAD + RECORD_TAIL <= size:
            shard.seek(position)
            (length,) = struct.unpack("<Q", shard.read(8))
            ends.append(position + RECORD_HEAD + length)
            position = ends[-1] + RECORD_TAIL
    return ends if position == size else []
