"""Whole files as training data: folders of folders of clips, decoded once, cropped at random.

The folder a file lies in is its label, as in GTZAN (a folder per genre). Training and test files are
different files, never parts of one; and of different recordings, where file names tell which recording a file
was cut from.
"""

import dataclasses
import re
import warnings

import numpy as np

from audiozoo.arguments import check_range, check_whole
from audiozoo.data.audio_io import check_sample_rate
from audiozoo.data.cache import cached_audio
from audiozoo.data.datasets import audio_paths
from audiozoo.errors import AudioError, DataError, counted
from audiozoo.progress import track
from audiozoo.weights import cache_folder


@dataclasses.dataclass(frozen=True)
class Clip:
    """One audio file ready for training.

    Attributes:
        name: path below the folder that was read.
        label: folder that it lies in; "" for the folder itself.
        recording: what it was cut from; clips of one recording are trained on or held out together.
        audio: int16 ``(samples,)``, memory-mapped for each reading (``cache.StoredArray``).
        gain: what an int16 sample is multiplied by to give the original audio.
        license: where the data say so, else "".
        metadata: whatever else the data say.
    """

    name: str
    label: str
    recording: str
    audio: np.ndarray
    gain: float
    license: str = ""
    metadata: dict = dataclasses.field(default_factory=dict)


def audio_folder(folder, *, sample_rate, recording_pattern=None, cache=None, progress=False):
    """Every audio file below a folder as a clip, in order of path.

    Files are mixed to one channel and resampled once, and kept in a cache by their content. Those that cannot
    be read are named in a warning and left out (GTZAN has one: jazz.00054).

    Args:
        folder: searched recursively; or one audio file.
        sample_rate: Hz.
        recording_pattern: see ``registry.Train``.
        cache: folder for the decoded audio; by default within audiozoo's cache.
        progress: show a progress bar.

    Returns:
        List of ``Clip``.

    Raises:
        DataError: no such folder, or not one readable file in it.
    """
    check_sample_rate(sample_rate)
    root, paths = audio_paths(folder)

    def about(path):
        return {"recording": recording_of(str(path.relative_to(root)), recording_pattern)}

    return read_clips(root, paths, about, sample_rate=sample_rate, cache=cache, progress=progress)


def gtzan(folder, *, sample_rate=3000, clip_seconds=30.0, test_share=0.2, batch_size=8, seed=0, **reading):
    """GTZAN, or any folder of folders by genre, as batches of whole clips.

    Tzanetakis and Cook (2002), Musical genre classification of audio signals: 10 genres of 100 clips of 30
    seconds at 22,050 Hz. Nothing is downloaded. Of each genre a fifth of the files is held out; the others
    come shuffled, the held-out ones in order: ``pipelines.training_stream(crops)`` and
    ``pipelines.HeldOut(crops)``. The licences of its recordings are not known.

    Args:
        folder: that holds a folder for each genre.
        sample_rate: Hz.
        clip_seconds: from the beginning of a clip; a shorter one ends in silence.
        test_share, batch_size, seed: see ``ClipCrops``.
        reading: further arguments of ``audio_folder``.

    Returns:
        ``ClipCrops``.

    Raises:
        DataError: as ``audio_folder`` and ``ClipCrops``.
    """
    return ClipCrops(
        audio_folder(folder, sample_rate=sample_rate, **reading),
        sample_rate=sample_rate,
        clip_seconds=clip_seconds,
        batch_size=batch_size,
        test_share=test_share,
        seed=seed,
    )


def read_clips(root, paths, about, *, sample_rate, cache, progress):
    """Clips of files, decoded and cached; see ``audio_folder``.

    Args:
        root: folder that names begin below.
        paths: of the files.
        about: function of a path, to the further fields of its ``Clip``.
        sample_rate, cache, progress: see ``audio_folder``.
    """
    cache = cache_folder() / "clips" if cache is None else cache

    def read(path):
        return cached_audio(path, sample_rate=sample_rate, cache=cache)

    clips = []
    for path, (audio, gain) in read_files(root, paths, read, what="clips", progress=progress):
        below = path.relative_to(root)
        clips.append(Clip(name=str(below), label=below.parent.name, audio=audio, gain=gain, **about(path)))
    return clips


def read_files(root, paths, read, *, what, progress):
    """What is read of each file; those that cannot be read are named in a warning and left out.

    Args:
        root: folder, for the message.
        paths: of the files.
        read: function of a path that raises AudioError where it cannot be read.
        what: is read, for the progress bar.
        progress: show one.

    Returns:
        List of ``(path, what was read)``.

    Raises:
        DataError: not one file is readable.
    """
    found, refused = [], []
    for path in track(paths, what, shown=progress):
        try:
            found.append((path, read(path)))
        except AudioError as error:
            refused.append(str(error))
    if not found:
        raise DataError(f"data {str(root)!r} holds no readable audio: " + "; ".join(refused))
    if refused:
        warnings.warn(f"{counted(len(refused), 'file')} left out: " + "; ".join(refused), stacklevel=4)
    return found


def recording_of(name, pattern):
    """The recording that the file of this name was cut from; by default the file itself."""
    found = re.search(pattern, name) if pattern else None
    return found.group(1) if found else name


class ClipCrops:
    """Crops of equal length from clips, split by recording.

    Of each label about ``test_share`` of the files are held out, whole recordings in an order drawn by
    ``split_seed`` (at least one, where there are two): runs with different ``seed`` are judged by the same
    files. A file shorter than a crop is a crop with silence after it.

    Args:
        clips: list of ``Clip``, all at one rate.
        sample_rate: Hz.
        clip_seconds: length of a crop.
        batch_size: crops in a batch.
        test_share: of the files, 0 to below 1.
        gain_range_db: training crops are turned up or down by up to this, and upside down half of the time.
        seed: of the crops.
        split_seed: of the split.

    Raises:
        DataError: there is but one file, and part of the files is to be held out.
        ValueError: a number out of its range.
    """

    def __init__(
        self,
        clips,
        *,
        sample_rate,
        clip_seconds=2.0,
        batch_size=16,
        test_share=0.2,
        gain_range_db=6.0,
        seed=0,
        split_seed=0,
    ):
        check_range("clip_seconds", clip_seconds, 1.0 / sample_rate, 3600.0)
        check_range("test_share", test_share, 0.0, 0.99)
        check_whole("batch_size", batch_size, 1)
        check_whole("seed", seed, 0)
        check_whole("split_seed", split_seed, 0)
        if len(clips) < 2 and test_share > 0.0:
            raise DataError(
                f"data must hold at least 2 files, one of them to be held out; it holds {clips[0].name!r} "
                "alone. Cut it into several files, or set test_share to 0, in a preset train.test_share."
            )
        self.clips, self.batch_size, self.seed = clips, batch_size, seed
        self.gain_range_db = gain_range_db
        self.samples = round(clip_seconds * sample_rate)
        self.held_out = split_by_label(clips, test_share, split_seed)
        self.starts = np.array(
            [
                0 if index in self.held_out else max(1, len(clip.audio) - self.samples + 1)
                for index, clip in enumerate(clips)
            ]
        )

    def batch(self, step):
        """Batch number ``step`` of random training crops, each place equally likely.

        Returns:
            Dict: ``audio``, float32 ``(batch, samples)``.
        """
        random = np.random.default_rng((self.seed, step))
        last = np.cumsum(self.starts)
        places = random.integers(0, last[-1], self.batch_size)
        which = np.searchsorted(last, places, side="right")
        batch = self.collate(which, places - (last - self.starts)[which])
        gain_db = random.uniform(-self.gain_range_db, self.gain_range_db, self.batch_size)
        gain = random.choice([-1.0, 1.0], self.batch_size) * 10.0 ** (gain_db / 20.0)
        return {"audio": batch["audio"] * gain[:, None].astype("float32")}

    def validation_places(self):
        """``(clip, first sample)`` of consecutive crops through the held-out files, in order."""
        return [
            (index, start)
            for index in sorted(self.held_out)
            for start in range(0, max(1, len(self.clips[index].audio) - self.samples + 1), self.samples)
        ]

    def labels(self, places):
        """The label of each of these places, or None where all clips lie in one folder."""
        found = [self.clips[index].label for index, _ in places]
        return found if len({clip.label for clip in self.clips}) > 1 else None

    def collate(self, which, starts):
        """The crops at these places, stacked."""
        audio = np.zeros((len(which), self.samples), "float32")
        for row, index, start in zip(audio, which, starts, strict=True):
            clip = self.clips[index]
            samples = clip.audio[start : start + self.samples]
            row[: len(samples)] = samples * np.float32(clip.gain)
        return {"audio": audio}


def split_by_label(clips, test_share, seed):
    """Numbers of the clips that are held out: of each label about its share, whole recordings.

    Recordings come in an order drawn by the seed, and are held out until the share is reached as nearly as
    can be; at least one is, and at least one is not, where a label has two.

    Args:
        clips: list of ``Clip``.
        test_share: 0 to below 1.
        seed: of the draw; a file's fate depends on its label's files alone, not on other labels.

    Returns:
        Set of indices.
    """
    held_out = set()
    for label in sorted({clip.label for clip in clips}):
        recordings = {}
        for index, clip in enumerate(clips):
            if clip.label == label:
                recordings.setdefault(clip.recording, []).append(index)
        drawn = [
            list(recordings.values())[i] for i in np.random.default_rng(seed).permutation(len(recordings))
        ]
        totals = np.cumsum([len(indices) for indices in drawn])
        count = 1 + int(np.argmin(np.abs(totals - test_share * totals[-1])))
        if test_share > 0.0 and len(drawn) > 1:
            held_out |= {index for indices in drawn[: min(count, len(drawn) - 1)] for index in indices}
    return held_out
