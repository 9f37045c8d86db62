"""Training batches: crops of recordings, as a pure function of seed and step.

A batch depends on nothing but ``(seed, step)``, so a run that was interrupted goes on with
exactly the batches it would have seen. The same crops feed tf.data and, where TensorFlow is not
installed or not the backend, any loop over numpy arrays.
"""

import fnmatch
import itertools
import math

import keras
import numpy as np
import scipy.fft

from audiozoo.dsp.spectra import LOUDNESS_FLOOR_DB
from audiozoo.errors import DataError

CONTEXT_FRAMES = 2  # of the source beyond a transposed crop, for the interpolation of its last samples


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
        gain_db: training crops are made louder or softer by up to this much, at random.
        transpose_semitones: training crops are transposed by up to this much, at random, by playing
            them faster or slower: 12 semitones up takes twice as much of the recording.
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
        gain_db=0.0,
        transpose_semitones=0.0,
        loudness_noise_db=0.0,
        seed=0,
    ):
        self.recordings, self.hop, self.batch_size, self.seed = recordings, hop, batch_size, seed
        self.gain_db, self.transpose_semitones = gain_db, transpose_semitones
        self.loudness_noise_db = loudness_noise_db
        self.clip_frames = round(clip_seconds * sample_rate / hop)
        frame_rate = sample_rate / hop
        self.split_frame = [
            len(r.audio) // hop - round(min(validation_seconds * frame_rate, 0.2 * len(r.audio) / hop))
            for r in recordings
        ]
        self.validated = [fnmatch.fnmatch(recording.name, validation_files) for recording in recordings]
        if not any(self.validated):
            raise DataError(
                f"validation_files must match a recording; {validation_files!r} matches none of "
                f"{', '.join(recording.name for recording in recordings)}. Use '*' for all."
            )
        longest = self._source_frames(2.0 ** (transpose_semitones / 12.0))
        self.starts = np.array([max(0, split - longest + 1) for split in self.split_frame])
        if not self.starts.sum():
            longest = max(len(r.audio) for r in recordings) / sample_rate
            raise DataError(
                f"data must hold a recording longer than clip_seconds = {clip_seconds} s and its held-out "
                f"part; the longest is {longest:.1f} s. Add longer recordings or set a shorter clip_seconds."
            )

    def batch(self, step):
        """Batch number ``step`` of random training crops, each place equally likely, augmented.

        Returns:
            Dict of float32 arrays: ``audio (batch, samples)``, ``f0_hz`` and ``loudness_db``
            ``(batch, frames, 1)``.
        """
        random = np.random.default_rng((self.seed, step))
        last = np.cumsum(self.starts)
        places = random.integers(0, last[-1], self.batch_size)
        which = np.searchsorted(last, places, side="right")
        starts = places - (last - self.starts)[which]
        speeds = 2.0 ** (random.uniform(-1.0, 1.0, self.batch_size) * self.transpose_semitones / 12.0)
        gains_db = random.uniform(-1.0, 1.0, self.batch_size) * self.gain_db
        sources = zip((self.recordings[i] for i in which), starts, speeds, strict=True)
        crops = (
            self._transposed(*source) if self.transpose_semitones else self._crop(*source[:2])
            for source in sources
        )
        batch = stack(amplified(crop, gain_db) for crop, gain_db in zip(crops, gains_db, strict=True))
        sounding = batch["loudness_db"] > LOUDNESS_FLOOR_DB
        noise = random.standard_normal(batch["loudness_db"].shape, "float32") * sounding
        return batch | {"loudness_db": batch["loudness_db"] + np.float32(self.loudness_noise_db) * noise}

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
        return stack(self._crop(self.recordings[i], start) for i, start in zip(which, starts, strict=True))

    def _crop(self, recording, start):
        frames = slice(start, start + self.clip_frames)
        samples = recording.audio[start * self.hop : (start + self.clip_frames) * self.hop]
        return {
            "audio": samples.astype("float32") * np.float32(recording.gain),
            "f0_hz": recording.features.f0_hz[frames, None],
            "loudness_db": recording.features.loudness_db[frames, None],
        }

    def _source_frames(self, speed):
        """Frames of a recording that a crop at this speed is made of."""
        return self.clip_frames if speed == 1.0 else math.ceil((self.clip_frames + CONTEXT_FRAMES) * speed)

    def _transposed(self, recording, start, speed):
        """The crop that begins at ``start`` and runs through the recording at ``speed``, its pitch with it.

        Loudness is that of the source: what A-weighting makes of a semitone is 0.1 dB on average.
        """
        samples = (self.clip_frames + CONTEXT_FRAMES) * self.hop
        source = recording.audio[start * self.hop :][: round(samples * speed)]
        speed = len(source) / samples
        position = start + speed * np.arange(self.clip_frames)
        f0_hz, loudness_db = (
            np.interp(position, np.arange(len(track)), track).astype("float32")[:, None]
            for track in (recording.features.f0_hz, recording.features.loudness_db)
        )
        audio = stretched(source.astype("float32") * np.float32(recording.gain), samples)
        audio = audio[: self.clip_frames * self.hop]
        return {"audio": audio, "f0_hz": np.float32(speed) * f0_hz, "loudness_db": loudness_db}


def stretched(audio, samples):
    """Audio made as long as that by playing it slower or faster, its spectrum up to Nyquist either way.

    Played slower it has nothing to fill the top of the band. A resampler leaves a hole there, whose
    logarithm weighs more in a spectral loss than all the rest; here the old top is mirrored into it.
    """
    spectrum = scipy.fft.rfft(audio)
    spectrum = np.concatenate([spectrum, spectrum[-2::-1].conj()])[: samples // 2 + 1]
    return scipy.fft.irfft(spectrum, samples) * np.float32(samples / len(audio))


def amplified(crop, gain_db):
    """A crop made louder by ``gain_db``, its loudness with it; digital silence stays what it is."""
    silent = crop["loudness_db"] <= LOUDNESS_FLOOR_DB
    return crop | {
        "audio": crop["audio"] * np.float32(10.0 ** (gain_db / 20.0)),
        "loudness_db": np.where(silent, crop["loudness_db"], crop["loudness_db"] + np.float32(gain_db)),
    }


def stack(crops):
    """One batch of several crops."""
    crops = list(crops)
    return {name: np.stack([crop[name] for crop in crops]) for name in crops[0]}


def training_pairs(batch):
    """A batch as Keras wants it: ``(inputs, target)``, the target being the audio."""
    return {name: value for name, value in batch.items() if name != "audio"}, batch["audio"]


class HeldOut(keras.utils.PyDataset):
    """The held-out crops as ``(inputs, target)`` batches, in order, for ``fit(validation_data=...)``."""

    def __init__(self, crops):
        super().__init__()
        self.crops, self.places = crops, crops.validation_places()

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
