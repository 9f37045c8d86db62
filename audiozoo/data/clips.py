"""Whole files as training data: folders of folders of clips, decoded once, cropped at random.

The folder a file lies in is its label, as in GTZAN (a folder per genre). Training and test files are
different files, never parts of one.
"""

import dataclasses
import warnings

import numpy as np

from audiozoo.data.cache import cached_audio
from audiozoo.data.datasets import audio_paths
from audiozoo.errors import AudioError, DataError
from audiozoo.progress import track
from audiozoo.weights import cache_folder


@dataclasses.dataclass(frozen=True)
class Clip:
    """One audio file ready for training.

    Attributes:
        name: path below the folder that was read.
        label: folder that it lies in; "" for the folder itself.
        audio: int16 ``(samples,)``, memory-mapped.
        gain: what an int16 sample is multiplied by to give the original audio.
    """

    name: str
    label: str
    audio: np.ndarray
    gain: float


def audio_folder(folder, *, sample_rate, cache=None, progress=False):
    """Every audio file below a folder as a clip, in order of path.

    Files are mixed to one channel and resampled once, and kept in a cache by their content. Those that cannot
    be read are named in a warning and left out (GTZAN has one: jazz.00054).

    Args:
        folder: searched recursively; or one audio file.
        sample_rate: Hz.
        cache: folder for the decoded audio; by default within audiozoo's cache.
        progress: show a progress bar.

    Returns:
        List of ``Clip``.

    Raises:
        DataError: no such folder, or not one readable file in it.
    """
    root, paths = audio_paths(folder)
    cache = cache_folder() / "clips" if cache is None else cache
    clips, refused = [], []
    for path in track(paths, "clips", shown=progress):
        try:
            audio, gain = cached_audio(path, sample_rate=sample_rate, cache=cache)
        except AudioError as error:
            refused.append(str(error))
            continue
        below = path.relative_to(root)
        clips.append(Clip(str(below), below.parent.name, audio, gain))
    if not clips:
        raise DataError(f"data {str(folder)!r} holds no readable audio: " + "; ".join(refused))
    if refused:
        warnings.warn(f"{len(refused)} files left out: " + "; ".join(refused), stacklevel=2)
    return clips


class ClipCrops:
    """Crops of equal length from clips, split by file.

    Of each label ``test_share`` of the files are held out, drawn by the seed (at least one, where there are
    two). A file shorter than a crop is a crop with silence after it.

    Args:
        clips: list of ``Clip``, all at one rate.
        sample_rate: Hz.
        clip_seconds: length of a crop.
        batch_size: crops in a batch.
        test_share: of the files, 0 to below 1.
        gain_range_db: training crops are turned up or down by up to this, and upside down half of the time.
        seed: of split and crops.

    Raises:
        DataError: there is but one file, and part of the files is to be held out.
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
    ):
        if len(clips) < 2 and test_share > 0.0:
            raise DataError(
                f"data must hold at least 2 files, one of them to be held out; it holds {clips[0].name!r} "
                "alone. Cut it into several files, or set test_share to 0."
            )
        self.clips, self.batch_size, self.seed = clips, batch_size, seed
        self.gain_range_db = gain_range_db
        self.samples = round(clip_seconds * sample_rate)
        self.held_out = split_by_label(clips, test_share, seed)
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
    """Numbers of the clips that are held out: of each label its share, drawn by the seed.

    Args:
        clips: list of ``Clip``.
        test_share: 0 to below 1.
        seed: of the draw; a file's fate depends on its label's files alone, not on other labels.

    Returns:
        Set of indices.
    """
    held_out = set()
    for label in sorted({clip.label for clip in clips}):
        of_label = [index for index, clip in enumerate(clips) if clip.label == label]
        count = round(test_share * len(of_label))
        if test_share > 0.0 and len(of_label) > 1:
            count = min(max(1, count), len(of_label) - 1)
        held_out |= set(np.random.default_rng(seed).permutation(of_label)[:count].tolist())
    return held_out
