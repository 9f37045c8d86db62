"""Large data: recordings as a few large files that are read from beginning to end.

A folder of records holds shards, TFRecord files of clips of equal length, and ``records.json``, which says
what is in them and is written last. A clip is int16, as in the cache; silence fills up the last one of a
recording. Clips follow each other through a recording, and recordings through the shards, so that the same
files serve two readers: ``read_records`` streams clips in a shuffled order; ``stored_clips`` and
``stored_recordings`` give whole recordings of which any place can be read, as ``train`` wants them, without
TensorFlow.
"""

import contextlib
import itertools
import os
import pathlib
import shutil

import numpy as np

from audiozoo.arguments import check_choice, check_range, check_whole
from audiozoo.atomic import make_folder, replacing
from audiozoo.data.audio_io import check_sample_rate, finite_blocks, read_blocks
from audiozoo.data.cache import StoredArray
from audiozoo.data.clips import Clip, read_files, recording_of, split_by_label
from audiozoo.data.datasets import audio_paths
from audiozoo.data.features import Features, Recording, cached_recording
from audiozoo.data.freesound import free_loops, is_freesound
from audiozoo.data.pipelines import held_out_from
from audiozoo.data.shards import (
    AGAIN,
    FEATURES,
    INDEX,
    PLAN,
    Index,
    Settings,
    Shard,
    Source,
    damage,
    example_of,
    fixed_places,
    opened,
    read_index,
    record_ends,
)
from audiozoo.errors import AudioError, DataError, MissingDependency, OutputError, counted, one_line
from audiozoo.foreign import refused
from audiozoo.progress import track
from audiozoo.weights import cache_folder, sha256_of

PARTS = ("training", "held_out", "all")
OPEN_SHARDS = 16  # read in turns
BYTES_BESIDES = 400  # of an example, at most about: names, numbers, framing


def write_records(
    data,
    out,
    *,
    sample_rate,
    clip_seconds,
    hop=None,
    f0_method="swift",
    clips_per_shard=1024,
    cache=None,
    progress=False,
):
    """Write a folder of recordings as shards of TFRecords.

    Recordings are mixed to one channel, resampled and cut block by block: memory holds a block, however long
    they are; only pitch is tracked in a whole recording at once. They are read twice, since their peak must
    be known before a sample is written. Killed and called again, it goes on with the first shard that is
    missing, and the files become the same bytes as if it had not been killed.

    Args:
        data: folder, searched recursively; or one audio file. Of the Freesound Loop Dataset, the loops whose
            licence allows any use.
        out: folder to write into: a new or empty one, or one that this call began to write.
        sample_rate: Hz, of the clips.
        clip_seconds: length of a clip; silence fills up the last one of a recording.
        hop: samples per frame of pitch and loudness, which are included then; recordings in which no pitch is
            heard are left out. None includes neither.
        f0_method: see ``pitch.estimate_f0``.
        clips_per_shard: 1024 clips of 4 seconds at 16 kHz are 131 MB.
        cache: folder for pitch and loudness; by default within audiozoo's cache.
        progress: show progress bars.

    Returns:
        Dict: ``folder``, ``recordings``, ``clips``, ``shards``, ``bytes``, ``seconds`` of sound, and
        ``left_out``, names of files that could not be used.

    Raises:
        AudioError, ValueError: a setting out of its range.
        DataError: a clip that is no whole number of frames; no usable recording; the folder was begun with
            other settings, or of recordings that were changed since.
        OutputError: the folder holds something else, cannot be written, or the disk is too small or full.
        MissingDependency: TensorFlow is not installed.
    """
    tensorflow("written")
    settings = checked_settings(sample_rate, clip_seconds, hop, f0_method, clips_per_shard)
    root, about = free_loops(data) if is_freesound(data) else plain_files(data)
    cache = cache_folder() / "features" if cache is None else cache
    out = make_folder(out)
    with alone_in(out):
        plan = agreed_plan(out, root, about, settings, cache=cache, progress=progress)
        check_space(out, plan)
        shards = written_shards(out, plan, root, cache=cache, progress=progress)
        index = plan.model_copy(update={"shards": shards})
        with replacing(out / INDEX) as draft:
            draft.write_text(index.model_dump_json(indent=1))
        remove(out / PLAN)
    return summary(out, index)


def read_records(
    folder,
    *,
    part="training",
    features=None,
    batch_size=16,
    test_share=0.2,
    split_seed=0,
    validation_seconds=None,
    recording_pattern=None,
    shuffled_clips=1024,
    seed=0,
    verify=True,
):
    """Batches of a folder of records as a ``tf.data.Dataset``, for ``fit`` on any backend.

    What is trained on comes in an order drawn by ``seed``, another one in each epoch: from 16 shards in
    turns, through a buffer of clips from which one is drawn at random. What is held out comes in order. A
    recording's last clip, which silence fills up, is left out unless it is the only one. Nothing is held out
    that is trained on: with the same arguments the parts share no sample, and no recording either unless
    ``validation_seconds`` says so.

    TensorFlow compares the checksum of every record that it reads; what it raises then, ``damage_named``
    turns into a ``DataError``.

    Args:
        folder: that ``write_records`` wrote.
        part: ``"training"``, ``"held_out"`` or ``"all"``, in order.
        features: what of ``f0_hz``, ``loudness_db`` and ``confidence`` a model is told; None for the first
            two, where the records hold them.
        batch_size: clips; of those that are trained on the last, smaller batch is left out.
        test_share, split_seed: see ``clips.ClipCrops``, which holds out the same recordings.
        validation_seconds: hold out that much of the end of each recording, at most a fifth, instead of whole
            recordings; for models of one instrument.
        recording_pattern: see ``registry.Train``.
        shuffled_clips: in the buffer.
        seed: of the order.
        verify: compare the sha256 of every shard first, which reads all of them once.

    Returns:
        Dataset of ``(inputs, target)``: audio is float32 ``(batch, samples)``, features are
        ``(batch, frames, 1)``; a model that is told no features is given the audio itself.

    Raises:
        DataError: a shard is missing or damaged, the records lack a feature, a part is empty or has less
            than a batch.
        ValueError: an argument out of its range.
        MissingDependency: TensorFlow is not installed.
    """
    tf = tensorflow("read")
    check_choice("part", part, PARTS)
    check_whole("batch_size", batch_size, 1)
    check_whole("shuffled_clips", shuffled_clips, 1)
    check_whole("seed", seed, 0)
    folder, index = opened(folder, verify=verify)
    told = told_features(folder, index, features)
    wanted = part_of_clips(
        index,
        part,
        test_share=test_share,
        split_seed=split_seed,
        validation_seconds=validation_seconds,
        recording_pattern=recording_pattern,
    )
    count, training = int(wanted.sum()), part == "training"
    if count < (batch_size if training else 1):
        raise DataError(
            f"records {str(folder)!r} hold {counted(count, 'clip')} of the part {part!r}, less than a batch "
            f"of {batch_size}. Add recordings, or change batch_size, test_share or validation_seconds."
        )

    ends = np.cumsum([shard.clips for shard in index.shards])
    holding = [
        str(folder / shard.file)
        for shard, end in zip(index.shards, ends, strict=True)
        if wanted[end - shard.clips : end].any()
    ]
    paths = tf.data.Dataset.from_tensor_slices(holding)
    if training:
        examples = paths.shuffle(len(holding), seed=seed).interleave(
            tf.data.TFRecordDataset,
            cycle_length=min(OPEN_SHARDS, len(holding)),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
    else:
        examples = tf.data.TFRecordDataset(paths)
    if not wanted.all():
        number = {"clip": tf.io.FixedLenFeature([], tf.int64)}
        table = tf.constant(wanted)
        examples = examples.filter(lambda example: table[tf.io.parse_single_example(example, number)["clip"]])
    # Tells ``fit`` how long an epoch is, and TensorFlow raises where more or fewer come.
    examples = examples.apply(tf.data.experimental.assert_cardinality(count))
    if training:
        examples = examples.shuffle(shuffled_clips, seed=seed)
    batches = examples.batch(batch_size, drop_remainder=training)
    return batches.map(parser(index.settings, told), num_parallel_calls=tf.data.AUTOTUNE).prefetch(
        tf.data.AUTOTUNE
    )


def verify_records(folder):
    """Read every shard and compare it with the index.

    Args:
        folder: that ``write_records`` wrote.

    Returns:
        As ``write_records``.

    Raises:
        DataError: names every shard that is missing, cut short or altered, and says what to do.
    """
    return summary(*opened(folder, verify=True))


@contextlib.contextmanager
def damage_named(folder):
    """Raise DataError that names the shard, where TensorFlow, which does not, finds a record damaged.

    ``with damage_named(folder): model.fit(read_records(folder, verify=False))``

    Args:
        folder: that is being read. Where it is whole, TensorFlow's error goes on as it is.
    """
    tf = tensorflow("read")
    try:
        yield
    except tf.errors.OpError:
        verify_records(folder)
        raise


def is_records(folder):
    """Whether this is a folder of records, finished or not."""
    return any((pathlib.Path(folder) / name).is_file() for name in (INDEX, PLAN))


def stored_clips(folder, *, sample_rate, recording_pattern=None):
    """The recordings of a folder of records, as ``clips.audio_folder`` gives those of files.

    Crops of them are the same, to the sample, as crops of the files.

    Args:
        folder: that ``write_records`` wrote. Every shard is verified.
        sample_rate: Hz, which must be that of the records.
        recording_pattern: see ``registry.Train``.

    Returns:
        List of ``clips.Clip``.

    Raises:
        DataError: a shard is missing or damaged; the records are at another rate.
    """
    folder, index = opened(folder, verify=True)
    check_agreement(folder, index, sample_rate=sample_rate)
    sounds = stored_audio(folder, index)
    return [
        Clip(source.name, source.label, source.recording, audio, source.gain, source.license)
        for source, audio in zip(with_recordings(index, recording_pattern), sounds, strict=True)
    ]


def stored_recordings(folder, *, sample_rate, hop):
    """The recordings of a folder of records, as ``datasets.instrument_folder`` gives those of files.

    Args:
        folder: that ``write_records`` wrote. Every shard is verified; pitch and loudness are read at once.
        sample_rate: Hz, which must be that of the records.
        hop: samples per frame, which must be that of the records.

    Returns:
        List of ``features.Recording``.

    Raises:
        DataError: a shard is missing or damaged; the records are at another rate or hop, or without features.
    """
    folder, index = opened(folder, verify=True)
    check_agreement(folder, index, sample_rate=sample_rate, hop=hop)
    frames = index.settings.clip_frames
    features = stored_features(folder, index)
    firsts = frames * (np.cumsum(index.clips_of_sources) - index.clips_of_sources)
    recordings = []
    for source, audio, first in zip(index.sources, stored_audio(folder, index), firsts, strict=True):
        its_own = {
            name: values[first : first - (-source.samples // hop)] for name, values in features.items()
        }
        recordings.append(
            Recording(pathlib.PurePath(source.name).name, audio, source.gain, Features(**its_own))
        )
    return recordings


class RecordedAudio(StoredArray):
    """The int16 samples of a recording, read from the records of its clips whenever a part is asked for.

    Args:
        paths: of all shards.
        shards, firsts: of each of its clips, the number of a shard and the first byte of the samples there.
        samples: of the recording.
        clip_samples: length of a clip.
    """

    def __init__(self, paths, shards, firsts, *, samples, clip_samples):
        self.paths, self.shards, self.firsts, self.clip_samples = paths, shards, firsts, clip_samples
        self.dtype, self.shape = np.dtype("<i2"), (samples,)

    def __getitem__(self, place):
        if not isinstance(place, slice) or place.step not in (None, 1):
            return self[:][place]
        start, stop, _ = place.indices(len(self))
        parts = []
        while start < stop:
            clip, within = divmod(start, self.clip_samples)
            count = min(stop - start, self.clip_samples - within)
            path = self.paths[self.shards[clip]]
            with (
                refused(DataError, f"shard {str(path)!r} was changed since it was opened", AGAIN),
                open(path, "rb", buffering=0) as shard,
            ):
                shard.seek(self.firsts[clip] + within * self.dtype.itemsize)
                parts.append(np.frombuffer(shard.read(count * self.dtype.itemsize), self.dtype, count))
            start += count
        return np.concatenate(parts) if parts else np.zeros(0, self.dtype)


def tensorflow(what):
    """TensorFlow, where it is installed. Raises MissingDependency."""
    try:
        import tensorflow as tf
    except ImportError as error:
        raise MissingDependency(
            f"TFRecords are {what} by TensorFlow, which is not installed: pip install tensorflow. 'audiozoo "
            "train' needs neither: it takes a folder of recordings, or one of records as it is."
        ) from error
    return tf


def checked_settings(sample_rate, clip_seconds, hop, f0_method, clips_per_shard):
    """Arguments of ``write_records`` as ``Settings``. See there for what is raised."""
    from audiozoo.data.pitch import TRACKERS

    sample_rate = check_sample_rate(sample_rate)
    check_range("clip_seconds", clip_seconds, 1.0 / sample_rate, 600.0)
    check_whole("clips_per_shard", clips_per_shard, 1)
    clip_samples = round(clip_seconds * sample_rate)
    if hop is not None:
        check_whole("hop", hop, 1)
        check_choice("f0_method", f0_method, list(TRACKERS))
        if clip_samples % hop:
            raise DataError(
                f"clip_seconds must be a whole number of frames of hop = {hop} samples; got {clip_seconds} s "
                f"of {counted(clip_samples, 'sample')}. "
                f"Use {max(1, clip_samples // hop) * hop / sample_rate} s."
            )
    return Settings(
        sample_rate=sample_rate,
        clip_samples=clip_samples,
        hop=hop,
        f0_method=f0_method,
        clips_per_shard=clips_per_shard,
    )


def plain_files(data):
    """Every audio file below a folder: ``(folder, dict path -> what is known of it, which is nothing)``."""
    root, paths = audio_paths(data)
    return root, {path: {} for path in paths}


def agreed_plan(out, root, about, settings, *, cache, progress):
    """What is to be written into a folder: what it was begun with, if that is the same, or a new plan.

    Args:
        out: the folder.
        root, about: of the recordings.
        settings: ``Settings``.
        cache, progress: see ``write_records``.

    Returns:
        ``Index``; its shards are those of records that were finished before.

    Raises:
        DataError, OutputError: see ``write_records``.
    """
    if is_records(out):
        plan = read_index(out / (INDEX if (out / INDEX).is_file() else PLAN))
        check_same(out, root, about, plan, settings, progress=progress)
        return plan
    strangers = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
    if strangers:
        raise OutputError(
            f"out {str(out)!r} must be a new folder, or one of records; it holds {strangers[0]!r}. "
            "Choose another."
        )

    def read(path):
        return scanned(path, settings, cache=cache)

    found = read_files(root, list(about), read, what="recordings", progress=progress)
    sources = []
    for path, facts in found:
        below, known = path.relative_to(root), about[path]
        sources.append(
            Source(
                name=below.as_posix(),
                label=below.parent.name,
                recording=known.get("recording", ""),
                license=known.get("license", ""),
                **facts,
            )
        )
    names = {source.name for source in sources}
    left_out = sorted({path.relative_to(root).as_posix() for path in about} - names)
    plan = Index(settings=settings, sources=sources, left_out=left_out)
    with replacing(out / PLAN) as draft:
        draft.write_text(plan.model_dump_json(indent=1))
    return plan


def check_same(out, root, about, plan, settings, *, progress):
    """Raise DataError if a folder was begun with other settings, or of other recordings."""
    now = settings.model_dump()
    differing = [
        f"{name} (was {before}, is {now[name]})"
        for name, before in plan.settings.model_dump().items()
        if before != now[name]
    ]
    if differing:
        raise DataError(
            f"out {str(out)!r} holds records with another {'; '.join(differing)}. Choose another folder, or "
            "delete it to begin anew."
        )
    found = {path.relative_to(root).as_posix() for path in about}
    expected = {source.name for source in plan.sources} | set(plan.left_out)
    changed = sorted(found ^ expected) + [
        source.name
        for source in track(plan.sources, "recordings", shown=progress)
        if source.name in found and sha256_of(root / source.name) != source.sha256
    ]
    if changed:
        more = f" and {len(changed) - 8} more" if len(changed) > 8 else ""
        raise DataError(
            f"out {str(out)!r} was begun of recordings that were changed, added or taken away since: "
            f"{', '.join(changed[:8])}{more}. Choose another folder, or delete it to begin anew."
        )


def scanned(path, settings, *, cache):
    """What must be known of a recording before it is written: part of its ``Source``. Raises AudioError."""
    blocks, _ = read_blocks(path, sample_rate=settings.sample_rate)
    samples, peak = 0, 0.0
    for block in finite_blocks(blocks, name=f"path {str(path)!r}"):
        samples, peak = samples + len(block), max(peak, float(np.abs(block).max(initial=0.0)))
    if not samples:
        raise AudioError(f"path {str(path)!r} must hold at least one sample; it is empty.")
    if settings.hop is not None and not features_of(path, settings, cache=cache).f0_hz.any():
        raise AudioError(f"no pitch is heard in {str(path)!r}")
    return {"sha256": sha256_of(path), "samples": samples, "gain": gain_for(peak)}


def gain_for(peak):
    """As ``cache.save_audio`` has it: a crop of records is a crop of the cache, to the sample."""
    return max(1.0, peak) / 32767.0


def features_of(path, settings, *, cache):
    """Pitch and loudness of a file, computed once."""
    kept = {"sample_rate": settings.sample_rate, "hop": settings.hop, "f0_method": settings.f0_method}
    return cached_recording(path, **kept, cache=cache).features


@contextlib.contextmanager
def alone_in(out):
    """Keep other writers out of a folder, and take away what a killed one left half-written.

    Raises:
        OutputError: another process writes there.
    """
    import fcntl

    handle = os.open(out, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the process, killed or not
        except OSError as error:
            raise OutputError(
                f"out {str(out)!r} is being written by another process, or cannot be locked "
                f"({error.strerror}). Wait for it, or choose another folder."
            ) from error
        for draft in [*out.glob(".*-clips-*.tfrecord"), *out.glob(".*-records*.json")]:
            remove(draft)
        yield
    finally:
        os.close(handle)


def remove(path):
    """Take a file away; what cannot be removed, such as a folder of that name, does no harm there."""
    with contextlib.suppress(OSError):
        path.unlink()


def written_shards(out, plan, root, *, cache, progress):
    """Write the shards that are not there, or not whole; a list of ``Shard``, of all of them."""
    known, shards, following = {shard.file: shard for shard in plan.shards}, [], None
    layout = list(plan.layout())
    for file, clips in track(layout, "shards", shown=progress):
        path = out / file
        if not is_whole(path, plan, clips, known.get(file)):
            if clips.start != following:  # else a recording is read on from where the shard before ended
                examples = examples_from(clips.start, plan, root, cache=cache)
            last = file == layout[-1][0]  # which is read to the end: a recording may hold more than it did
            write_shard(path, examples if last else itertools.islice(examples, len(clips)))
            following = clips.stop
        digest = sha256_of(path)
        shards.append(Shard(file=file, clips=len(clips), bytes=path.stat().st_size, sha256=digest))
    return shards


def check_space(out, plan):
    """Raise OutputError where a disk has not the room for what is still to be written."""
    size = BYTES_BESIDES + plan.settings.clip_bytes
    there = sum(path.lstat().st_size for path in out.glob("*.tfrecord"))
    needed, free = int(plan.clips_of_sources.sum()) * size - there, shutil.disk_usage(out).free
    if needed > free:
        raise OutputError(
            f"out {str(out)!r} needs about {needed / 1e9:.1f} GB more; {free / 1e9:.1f} GB are free. Choose "
            "another disk."
        )


def is_whole(path, plan, clips, shard):
    """Whether a shard is there and undamaged: by what the index says of it, or else by its own checksums."""
    tf = tensorflow("read")
    try:
        if damage(path, plan, clips, shard) is not None:
            return False
        return shard is not None or sum(1 for _ in tf.data.TFRecordDataset(str(path))) == len(clips)
    except (OSError, tf.errors.OpError):
        return False


def write_shard(path, examples):
    """Write serialized examples as a TFRecord file, whole or not at all. Raises OutputError."""
    tf = tensorflow("written")
    with replacing(path) as draft:
        try:
            with tf.io.TFRecordWriter(str(draft)) as sink:
                for example in examples:
                    sink.write(example)
        except tf.errors.OpError as error:
            raise OSError(None, one_line(error.message)) from error


def examples_from(first, plan, root, *, cache):
    """Serialized examples, from clip number ``first`` on. Raises DataError if a file has changed."""
    settings, ends = plan.settings, np.cumsum(plan.clips_of_sources)
    length = settings.clip_samples
    for source, end in zip(plan.sources, ends, strict=True):
        if end <= first:
            continue
        path, number = root / source.name, int(end - -(-source.samples // length))
        features = None if settings.hop is None else features_of(path, settings, cache=cache)
        blocks, _ = read_blocks(path, sample_rate=settings.sample_rate)
        read, peak = 0, 0.0
        for piece in pieces(blocks, length):
            start, read, peak = read, read + len(piece), max(peak, float(np.abs(piece).max()))
            if number >= first and read <= source.samples:
                pcm = np.round(piece / source.gain).astype("<i2")
                yield example_of(number, start, source, pcm, features, settings)
            number += 1
        if (read, gain_for(peak)) != (source.samples, source.gain):
            raise DataError(
                f"path {str(path)!r} was changed while it was being read, or {PLAN} is damaged. Delete the "
                "folder of records, and begin anew."
            )


def pieces(blocks, length):
    """The same samples in pieces of ``length``, and a last one of what is left."""
    kept = np.zeros(0, "float32")
    for block in blocks:
        kept = np.concatenate([kept, block])
        for start in range(0, len(kept) - length + 1, length):
            yield kept[start : start + length]
        kept = kept[len(kept) // length * length :]
    if len(kept):
        yield kept


def parser(settings, told):
    """Function of a batch of serialized examples to what ``read_records`` gives."""
    import tensorflow as tf

    frames = settings.clip_frames
    spec = {"audio": tf.io.FixedLenFeature([], tf.string), "gain": tf.io.FixedLenFeature([], tf.float32)}
    spec |= {name: tf.io.FixedLenFeature([frames, 1], tf.float32) for name in told}

    def parse(examples):
        found = tf.io.parse_example(examples, spec)
        samples = tf.io.decode_raw(found.pop("audio"), tf.int16, little_endian=True)
        samples = tf.ensure_shape(samples, (None, settings.clip_samples))
        audio = tf.cast(samples, tf.float32) * found.pop("gain")[:, None]
        return found or {"audio": audio}, audio  # as ``training_pairs`` of arrays, which can be copied

    return parse


def part_of_clips(index, part, *, test_share, split_seed, validation_seconds, recording_pattern):
    """Which clips are of a part, bool ``(clips,)``; see ``read_records``."""
    check_range("test_share", test_share, 0.0, 0.99)
    check_whole("split_seed", split_seed, 0)
    settings = index.settings
    source, start = index.places()
    samples = np.array([each.samples for each in index.sources])
    end = start + settings.clip_samples
    usable = (end <= samples[source]) | (start == 0)
    if part == "all":
        return usable
    if validation_seconds is None:
        held_out = np.isin(
            source, list(split_by_label(with_recordings(index, recording_pattern), test_share, split_seed))
        )
        return usable & (held_out if part == "held_out" else ~held_out)
    check_range("validation_seconds", validation_seconds, 0.0, 1e9)
    hop = settings.hop or 1
    limit = hop * held_out_from(
        samples, sample_rate=settings.sample_rate, hop=hop, seconds=validation_seconds
    )
    return usable & (start >= limit[source] if part == "held_out" else end <= limit[source])


def with_recordings(index, recording_pattern):
    """The sources, each with what it was cut from: said by the data, found in its name, or itself."""
    return [
        source.model_copy(
            update={"recording": source.recording or recording_of(source.name, recording_pattern)}
        )
        for source in index.sources
    ]


def told_features(folder, index, features):
    """Names of the features that a model is told. Raises DataError where the records lack one."""
    there = () if index.settings.hop is None else FEATURES
    told = tuple(name for name in ("f0_hz", "loudness_db") if name in there) if features is None else features
    for name in told:
        if name not in there:
            raise DataError(
                f"records {str(folder)!r} hold no feature {name!r}, but {', '.join(there) or 'audio alone'}. "
                "Pitch and loudness are written where hop is given (audiozoo records --hop)."
            )
    return told


def check_agreement(folder, index, **wanted):
    """Raise DataError unless the records are at the rate, and the hop, that a model needs."""
    for name, value in wanted.items():
        there = getattr(index.settings, name)
        if there != value:
            raise DataError(
                f"records {str(folder)!r} have {name} = {there}; the model needs {value}. Write them with "
                f"audiozoo records --{name.replace('_', '-')} {value}."
            )


def stored_audio(folder, index):
    """``RecordedAudio`` of each recording."""
    settings = index.settings
    paths, counts = [folder / shard.file for shard in index.shards], index.clips_of_sources
    ends = [record_ends(path, shard.clips) for path, shard in zip(paths, index.shards, strict=True)]
    shards = np.repeat(np.arange(len(paths)), [len(of_shard) for of_shard in ends])
    firsts = np.concatenate(ends) - fixed_places(settings)["audio"][0]
    first_clips = np.cumsum(counts) - counts
    found = []
    for source, first, count in zip(index.sources, first_clips, counts, strict=True):
        clips = slice(first, first + count)
        found.append(
            RecordedAudio(
                paths,
                shards[clips],
                firsts[clips],
                samples=source.samples,
                clip_samples=settings.clip_samples,
            )
        )
    return found


def stored_features(folder, index):
    """Dict of every feature to its values, float32 ``(clips * frames of a clip,)``."""
    clips, frames = sum(shard.clips for shard in index.shards), index.settings.clip_frames
    found = {name: np.empty((clips, frames), "float32") for name in FEATURES}
    places, clip = fixed_places(index.settings), 0
    for shard in index.shards:
        content = np.memmap(folder / shard.file, np.uint8, mode="r")
        for end in record_ends(folder / shard.file, shard.clips):
            for name, values in found.items():
                values[clip] = content[end - places[name][0] :][: 4 * frames].view("<f4")
            clip += 1
    if not all(np.isfinite(values).all() for values in found.values()):
        raise DataError(f"records {str(folder)!r} hold pitch or loudness that is not finite. {AGAIN}")
    return {name: values.reshape(-1) for name, values in found.items()}


def summary(folder, index):
    """What ``write_records`` returns."""
    return {
        "folder": str(folder),
        "recordings": len(index.sources),
        "clips": sum(shard.clips for shard in index.shards),
        "shards": len(index.shards),
        "bytes": sum(shard.bytes for shard in index.shards),
        "seconds": sum(source.samples for source in index.sources) / index.settings.sample_rate,
        "left_out": index.left_out,
    }
