"""Log-mel spectrograms as training data for generators: folders of classes, cropped in time.

The folder a file lies in is its class. Spectrograms are computed once and kept in a cache; a sound is read
for them and not needed any more.
"""

import dataclasses

import numpy as np

from audiozoo.arguments import check_range, check_whole
from audiozoo.data.audio_io import check_sample_rate, read_audio
from audiozoo.data.cache import StoredArray, entry_of, kept
from audiozoo.data.clips import read_files, recording_of, split_by_label
from audiozoo.data.datasets import audio_paths
from audiozoo.data.maestro import about_maestro, is_maestro
from audiozoo.dsp.mel import mel_filters
from audiozoo.dsp.spectra import analysis_window
from audiozoo.errors import DataError
from audiozoo.weights import cache_folder

MEL_GAIN = 1000.0  # of the compression, as in ``layers.AudioTransform``
BLOCK_FRAMES = 4096  # of which the transform is taken at once


@dataclasses.dataclass(frozen=True)
class MelClip:
    """The spectrogram of one audio file.

    Attributes:
        name: path below the folder that was read.
        label: class.
        recording: what it was cut from; clips of one recording are trained on or held out together.
        log_mel: float16 ``(frames, bands)``, memory-mapped for each reading (``cache.StoredArray``).
        license: where the data say so, else "".
    """

    name: str
    label: str
    recording: str
    log_mel: np.ndarray
    license: str = ""


def class_folder(
    folder, *, sample_rate, num_mels, window_length, hop, recording_pattern=None, cache=None, progress=False
):
    """The log-mel spectrogram of every audio file below a folder of class folders, in order of path.

    The class of a file is the folder that it lies in: that of GTZAN is its genre. In MAESTRO, which is known
    by its CSV file, it is the composer. Files are mixed to one channel and resampled. Those that cannot be
    read are named in a warning and left out.

    Args:
        folder: searched recursively; or one audio file.
        sample_rate: Hz.
        num_mels, window_length, hop: see ``log_mel_of``.
        recording_pattern: see ``registry.Train``; MAESTRO tells itself what is one piece.
        cache: folder for the spectrograms; by default within audiozoo's cache.
        progress: show a progress bar.

    Returns:
        List of ``MelClip``.

    Raises:
        DataError: no such folder, or not one readable file in it.
    """
    check_sample_rate(sample_rate)
    settings = {"sample_rate": sample_rate, "num_mels": num_mels}
    settings |= {"window_length": window_length, "hop": hop}
    root, paths = audio_paths(folder)
    if is_maestro(root):
        known = about_maestro(root, paths)
        paths = list(known)
    else:
        known = {path: about_file(root, path, recording_pattern) for path in paths}
    cache = cache_folder() / "mels" if cache is None else cache
    found = read_files(
        root,
        paths,
        lambda path: cached_log_mel(path, settings, cache=cache),
        what="spectrograms",
        progress=progress,
    )
    return [
        MelClip(name=str(path.relative_to(root)), log_mel=log_mel, **known[path]) for path, log_mel in found
    ]


def about_file(root, path, recording_pattern):
    """Class and recording of a file below a folder; what lies in the folder itself is of its name."""
    name = str(path.relative_to(root))
    return {
        "label": path.parent.name or root.resolve().name,
        "recording": recording_of(name, recording_pattern),
    }


def log_mel_of(audio, *, sample_rate, num_mels, window_length, hop):
    """Compressed mel bands of audio, those of ``layers.AudioTransform.log_mel``, of sounds of any length.

    Args:
        audio: ``(samples,)``.
        sample_rate: Hz.
        num_mels: bands.
        window_length: samples, even.
        hop: samples between frames.

    Returns:
        float32 ``(1 + samples // hop, num_mels)``; frame t is centred on sample ``t * hop``.
    """
    filters = mel_filters(sample_rate, window_length, num_mels)
    window = analysis_window("hann", window_length)
    padded = np.pad(audio, window_length // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, window_length)[::hop]
    blocks = (frames[start : start + BLOCK_FRAMES] for start in range(0, len(frames), BLOCK_FRAMES))
    return np.concatenate(
        [
            np.log1p(MEL_GAIN * (np.abs(np.fft.rfft(block * window)) @ filters)).astype("float32")
            for block in blocks
        ]
    )


def cached_log_mel(path, settings, *, cache):
    """``log_mel_of`` a file of any format and rate, computed once.

    Args:
        path: audio file.
        settings: arguments of ``log_mel_of``.
        cache: folder.

    Returns:
        ``StoredArray``, float16.

    Raises:
        AudioError: the file cannot be read.
        OutputError: the cache cannot be written.
    """
    entry = entry_of(path, settings | {"gain": MEL_GAIN, "version": 1}, cache=cache)

    def compute():
        audio, _ = read_audio(path, sample_rate=settings["sample_rate"])
        return log_mel_of(audio, **settings).astype("float16")

    def write(folder, log_mel):
        np.save(folder / "log_mel.npy", log_mel)

    def read(folder):
        log_mel = StoredArray(folder / "log_mel.npy")
        if log_mel.dtype != np.float16 or log_mel.shape[1:] != (settings["num_mels"],) or not len(log_mel):
            raise ValueError(f"it holds {log_mel.dtype} {log_mel.shape}")
        return log_mel

    return kept(entry, compute, write, read)


def with_gain(log_mel, gain_db):
    """The compressed mel bands of the same sound turned up or down, exactly: magnitudes are linear in it.

    Args:
        log_mel: ``(..., frames, bands)``.
        gain_db: broadcasts against it.
    """
    return np.log1p(np.expm1(log_mel) * 10.0 ** (np.asarray(gain_db) / 20.0)).astype("float32")


class MelCrops:
    """Crops of equal length from spectrograms, with their class, and what others are to be made from.

    Split as by ``clips.ClipCrops``: of each class about ``test_share`` of the files are held out, whole
    recordings, drawn by ``split_seed``. In training every class is equally likely, and within it every place.
    A file shorter than a crop is a crop with silence after it.

    Args:
        clips: list of ``MelClip``.
        clip_frames: length of a crop.
        noise_dim: numbers of noise for each crop; with 0 it is the crop itself that the model is told, so
            that it learns each of its numbers from those before.
        batch_size: crops in a batch.
        test_share: of the files, 0 to below 1.
        gain_range_db: training crops are turned up or down by up to this.
        seed: of the crops and of their noise.
        split_seed: of the split.

    Attributes:
        classes: names, in alphabetical order; a label is the number of one.

    Raises:
        DataError: a class of which nothing is left to train on.
        ValueError: a number out of its range.
    """

    def __init__(
        self,
        clips,
        *,
        clip_frames=128,
        noise_dim=64,
        batch_size=16,
        test_share=0.2,
        gain_range_db=6.0,
        seed=0,
        split_seed=0,
    ):
        check_range("test_share", test_share, 0.0, 0.99)
        check_range("gain_range_db", gain_range_db, 0.0, 60.0)
        for name, value in (("clip_frames", clip_frames), ("batch_size", batch_size)):
            check_whole(name, value, 1)
        check_whole("noise_dim", noise_dim, 0)
        check_whole("seed", seed, 0)
        check_whole("split_seed", split_seed, 0)
        if len(clips) < 2 and test_share > 0.0:
            raise DataError(
                f"data must hold at least 2 files, one of them to be held out; it holds {clips[0].name!r} "
                "alone. Cut it into several files, or set test_share to 0, in a preset train.test_share."
            )
        self.clips, self.clip_frames, self.noise_dim = clips, clip_frames, noise_dim
        self.batch_size, self.seed, self.gain_range_db = batch_size, seed, gain_range_db
        self.num_mels = clips[0].log_mel.shape[1]
        self.classes = tuple(sorted({clip.label for clip in clips}))
        self.label_of = [self.classes.index(clip.label) for clip in clips]
        self.held_out = split_by_label(clips, test_share, split_seed)
        starts = np.array([max(1, len(clip.log_mel) - clip_frames + 1) for clip in clips])
        # For each class its training files, and how many crops begin in them or in one before.
        self.training = []
        for label in range(len(self.classes)):
            which = np.array(
                [i for i, own in enumerate(self.label_of) if own == label and i not in self.held_out]
            )
            self.training.append((which, starts[which], np.cumsum(starts[which])))

    def batch(self, step):
        """Batch number ``step`` of random training crops.

        Returns:
            Dict: ``log_mel``, float32 ``(batch, frames, bands)``; ``label``, int32 ``(batch,)``; and
            ``noise``, float32 ``(batch, noise_dim)``, or ``known``, the spectrograms again.
        """
        random = np.random.default_rng((self.seed, step))
        labels = random.integers(0, len(self.classes), self.batch_size)
        share = random.random(self.batch_size)
        places = []
        for label, part in zip(labels, share, strict=True):
            which, starts, last = self.training[label]
            place = int(part * last[-1])
            row = np.searchsorted(last, place, side="right")
            places.append((which[row], place - (last - starts)[row]))
        gain_db = random.uniform(-self.gain_range_db, self.gain_range_db, (self.batch_size, 1, 1))
        log_mel = with_gain(self.log_mel_at(places), gain_db)
        noise = random.standard_normal((self.batch_size, self.noise_dim), dtype="float32")
        return self.labelled(log_mel, labels, noise)

    def labelled(self, log_mel, labels, noise):
        """Spectrograms, their classes and their noise as a batch; see ``batch``."""
        told = {"noise": noise} if self.noise_dim else {"known": log_mel}
        return {"log_mel": log_mel, "label": np.asarray(labels, "int32")} | told

    def validation_places(self):
        """``(clip, first frame)`` of consecutive crops through the held-out files, in order."""
        return [
            (index, start)
            for index in sorted(self.held_out)
            for start in range(
                0, max(1, len(self.clips[index].log_mel) - self.clip_frames + 1), self.clip_frames
            )
        ]

    def labels(self, places):
        """The class of each of these places."""
        return [self.clips[index].label for index, _ in places]

    def collate(self, which, starts):
        """The crops at these places, stacked; the noise of each depends on its place alone."""
        places = list(zip(which, starts, strict=True))
        noise = [
            np.random.default_rng((int(index), int(start), 1)).standard_normal(
                self.noise_dim, dtype="float32"
            )
            for index, start in places
        ]
        labels = [self.label_of[index] for index, _ in places]
        return self.labelled(self.log_mel_at(places), labels, np.stack(noise))

    def log_mel_at(self, places):
        """Spectrograms at ``(clip, first frame)``, float32 ``(places, frames, bands)``."""
        log_mel = np.zeros((len(places), self.clip_frames, self.num_mels), "float32")
        for crop, (index, start) in zip(log_mel, places, strict=True):
            frames = self.clips[index].log_mel[start : start + self.clip_frames]
            crop[: len(frames)] = frames
        return log_mel
