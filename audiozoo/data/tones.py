"""Synthetic recordings with known pitch, for debugging a model before real data takes part."""

import dataclasses
import pathlib

import numpy as np
from keras import ops

from audiozoo.data.audio_io import write_audio
from audiozoo.data.features import Features, Recording, loudness
from audiozoo.dsp.oscillators import fm_pluck
from audiozoo.dsp.pitch import midi_to_hz


@dataclasses.dataclass(frozen=True)
class FMPlucks:
    """Melodies of plucked FM tones, drawn from a seed; used like a folder of recordings.

    A decoder that cannot learn these in minutes has a defect: pitch is exact, every note is the
    same instrument, and there is no room.

    Args:
        num_recordings: how many melodies.
        duration_seconds: of each.
        note_seconds: from one pluck to the next.
        lowest_midi, highest_midi: range of the notes.
        modulation_index: radians at the onset; 1 for a dull pluck of a few harmonics, 4 for a bright one.
        sample_rate: Hz.
        hop: samples per frame of features.
        seed: of the melodies.

    Raises:
        ValueError: a melody shorter than one note, or an empty range of notes.
    """

    num_recordings: int = 8
    duration_seconds: float = 8.0
    note_seconds: float = 0.5
    lowest_midi: int = 48
    highest_midi: int = 84
    modulation_index: float = 4.0
    sample_rate: int = 16000
    hop: int = 160
    seed: int = 0

    def __post_init__(self):
        if not 0 < self.note_seconds <= self.duration_seconds:
            raise ValueError(
                "note_seconds must be above 0 and at most duration_seconds; "
                f"got {self.note_seconds} and {self.duration_seconds}."
            )
        if self.num_recordings < 1:
            raise ValueError(f"num_recordings must be at least 1; got {self.num_recordings}.")
        if self.lowest_midi > self.highest_midi:
            raise ValueError(
                f"lowest_midi must not be above highest_midi; got {self.lowest_midi} and {self.highest_midi}."
            )

    def recordings(self) -> list[Recording]:
        """All melodies, in order."""
        return [self.recording(index) for index in range(self.num_recordings)]

    def write(self, folder) -> None:
        """Write the melodies as WAV files, a folder that anything can be trained on.

        Raises:
            OutputError: the folder cannot be written.
        """
        for recording in self.recordings():
            audio = recording.audio * np.float32(recording.gain)
            write_audio(pathlib.Path(folder) / f"{recording.name}.wav", audio, self.sample_rate)

    def recording(self, index: int) -> Recording:
        """Melody number ``index``, the same at every call."""
        random = np.random.default_rng((self.seed, index))
        notes = int(self.duration_seconds / self.note_seconds)
        midi = random.integers(self.lowest_midi, self.highest_midi, notes, endpoint=True)
        f0_hz = ops.convert_to_numpy(midi_to_hz(midi.astype("float32")))
        plucks = fm_pluck(
            f0_hz,
            sample_rate=self.sample_rate,
            duration_seconds=self.note_seconds,
            modulation_index=self.modulation_index,
        )
        audio = 0.5 * ops.convert_to_numpy(plucks).reshape(-1)
        frames = len(audio) // self.hop
        audio = audio[: frames * self.hop]
        sounding = np.minimum(np.arange(frames) * self.hop * notes // len(audio), notes - 1)
        features = Features(
            f0_hz=f0_hz[sounding],
            confidence=np.ones(frames, "float32"),
            loudness_db=loudness(audio, sample_rate=self.sample_rate, hop=self.hop),
        )
        return Recording(
            f"fm_pluck_{index}", np.round(audio * 32767).astype("int16"), 1.0 / 32767.0, features
        )
