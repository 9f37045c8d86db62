"""Training batches: crops of recordings, as a pure function of seed and step.

A batch depends on nothing but ``(seed, step)``, so a run that was interrupted goes on with
exactly the batches it would have seen. The same crops feed tf.data and, where TensorFlow is not
installed or not the backend, any loop over numpy arrays.
"""

import fnmatch
import itertools

import keras
import numpy as np

from audiozoo.errors import DataError

TARGETS = (
    "image",
    "audio",
    "log_mel",
)  # what is learned to be made; the rest of a batch is what it is made from


class FeatureCrops:
    """Crops of equal length from recordings with features, split in time.

    The last ``validation_seconds`` of every recording (at most a fifth of it) are held out.

    Args:
        recordings: list of ``features.Recording``, all at one rate and hop.
        sample_rate: Hz.
        hop: samples per frame.
        clip_seconds: length of a crop; a whole number of frames.
        batch_size: crops in a batch.
        validation_seconds: held out at the end of every recording.
        validation_files: shell pattern of the recordings whose held-out part is used. Where pitch is
            uncertain, as in chords, a loss says more about the tracker than about the decoder.
        seed: of the random crops.

    Raises:
        DataError: no recording is long enough for one crop, or is named by ``validation_files``.
    """

    def __init__(
        self,
        recordings,
        *,
        sample_rate=16000,
        hop=160,
        clip_seconds=4.0,
        batch_size=16,
        validation_seconds=20.0,
        validation_files="*",
        seed=0,
    ):
        self.recordings, self.hop, self.batch_size, self.seed = recordings, hop, batch_size, seed
        self.clip_frames = round(clip_seconds * sample_rate / hop)
        samples = np.array([len(recording.audio) for recording in recordings])
        self.split_frame = held_out_from(
            samples, sample_rate=sample_rate, hop=hop, seconds=validation_seconds
        )
        self.validated = [fnmatch.fnmatch(recording.name, validation_files) for recording in recordings]
        if not any(self.validated):
            raise DataError(
                f"validation_files must match a recording; {validation_files!r} matches none of "
                f"{', '.join(recording.name for recording in recordings)}. Use '*' for all."
            )
        self.starts = np.array([max(0, split - self.clip_frames + 1) for split in self.split_frame])
        if not self.starts.sum():
            longest = max(len(r.audio) for r in recordings) / sample_rate
            raise DataError(
                f"data must hold a recording longer than clip_seconds = {clip_seconds} s and its held-out "
                f"part; the longest is {longest:.1f} s. Add longer recordings or set a shorter clip_seconds."
            )

    def batch(self, step):
        """Batch number ``step`` of random training crops, each place equally likely.

        Returns:
            Dict of float32 arrays: ``audio (batch, samples)``, ``f0_hz`` and ``loudness_db``
            ``(batch, frames, 1)``.
        """
        random = np.random.default_rng((self.seed, step))
        last = np.cumsum(self.starts)
        places = random.integers(0, last[-1], self.batch_size)
        which = np.searchsorted(last, places, side="right")
        return self.collate(which, places - (last - self.starts)[which])

    def validation_places(self):
        """``(recording, first frame)`` of consecutive crops through the held-out parts, in order."""
        ends = [len(recording.audio) // self.hop - self.clip_frames for recording in self.recordings]
        return [
            (index, start)
            for index in np.flatnonzero(self.validated)
            for start in range(self.split_frame[index], ends[index] + 1, self.clip_frames)
        ]

    def training_loudness_db(self):
        """Loudness of every frame that may be trained on, ``(frames,)``."""
        parts = zip(self.recordings, self.split_frame, strict=True)
        return np.concatenate([recording.features.loudness_db[:split] for recording, split in parts])

    def collate(self, which, starts):
        """The crops at these places, stacked."""
        crops = [self._crop(self.recordings[i], start) for i, start in zip(which, starts, strict=True)]
        return {name: np.stack([crop[name] for crop in crops]) for name in crops[0]}

    def _crop(self, recording, start):
        frames = slice(start, start + self.clip_frames)
        samples = recording.audio[start * self.hop : (start + self.clip_frames) * self.hop]
        return {
            "audio": samples.astype("float32") * np.float32(recording.gain),
            "f0_hz": recording.features.f0_hz[frames, None],
            "loudness_db": recording.features.loudness_db[frames, None],
        }


def held_out_from(samples, *, sample_rate, hop, seconds):
    """First frame of recordings that is held out: at their end that many seconds, at most a fifth.

    Args:
        samples: of each recording, int ``(recordings,)``.
        sample_rate: Hz.
        hop: samples per frame.
        seconds: held out.
    """
    held_out = np.minimum(seconds * sample_rate / hop, 0.2 * samples / hop)
    return samples // hop - np.round(held_out).astype(int)


def training_pairs(batch):
    """A batch as Keras wants it: ``(inputs, target)``, the target being the first of ``TARGETS`` in it.

    A model that is told nothing of the target is given the target itself.
    """
    name = next(name for name in TARGETS if name in batch)
    inputs = {key: value for key, value in batch.items() if key != name}
    # The target in memory of its own: on several devices TensorFlow takes arrays over without a copy, and
    # computes in the memory of one that nothing reads any more, whatever else lies there.
    return inputs or {name: batch[name]}, batch[name].copy()


class HeldOut(keras.utils.PyDataset):
    """What is held out as ``(inputs, target)`` batches, in order, for ``fit(validation_data=...)``.

    Args:
        crops: with ``validation_places``, ``collate`` and ``batch_size``.
        multiple_of: number of devices that share every batch; the last items are left out where their number
            is no multiple of it.
    """

    def __init__(self, crops, *, multiple_of=1):
        super().__init__()
        places = crops.validation_places()
        self.crops, self.places = crops, places[: len(places) // multiple_of * multiple_of]

    def __len__(self):
        return -(-len(self.places) // self.crops.batch_size)

    def __getitem__(self, index):
        first = index * self.crops.batch_size
        places = self.places[first : first + self.crops.batch_size]
        return training_pairs(self.crops.collate(*zip(*places, strict=True)))


def numpy_stream(crops, *, first_step=0):
    """Endless ``(inputs, target)`` pairs of numpy arrays, from batch ``first_step`` on."""
    return (training_pairs(crops.batch(step)) for step in itertools.count(first_step))


def tf_stream(crops, *, first_step=0):
    """The same as an endless ``tf.data.Dataset``, prefetched on a thread of its own."""
    import tensorflow as tf

    example = training_pairs(crops.batch(first_step))
    signature = tf.nest.map_structure(lambda array: tf.TensorSpec(array.shape, array.dtype), example)
    dataset = tf.data.Dataset.from_generator(
        lambda: numpy_stream(crops, first_step=first_step), output_signature=signature
    )
    return dataset.prefetch(tf.data.AUTOTUNE)


def training_stream(crops, *, first_step=0):
    """``tf_stream`` on the TensorFlow backend, ``numpy_stream`` on the others."""
    make = tf_stream if keras.backend.backend() == "tensorflow" else numpy_stream
    return make(crops, first_step=first_step)
