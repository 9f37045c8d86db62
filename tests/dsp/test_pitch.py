"""Conversions of pitch against librosa."""

import librosa
import numpy as np
from keras import ops

from audiozoo.dsp.pitch import LOWEST_HZ, hz_to_midi, midi_to_hz

NOTES = np.arange(0, 128, dtype="float32")


def test_frequency_of_a_note_number():
    assert float(midi_to_hz(69.0)) == 440.0
    np.testing.assert_allclose(ops.convert_to_numpy(midi_to_hz(NOTES)), librosa.midi_to_hz(NOTES), rtol=2e-6)


def test_there_and_back_is_within_a_hundredth_of_a_cent():
    hz = librosa.midi_to_hz(NOTES).astype("float32")
    np.testing.assert_allclose(ops.convert_to_numpy(hz_to_midi(hz)), NOTES, atol=1e-4)


def test_an_unvoiced_frame_has_the_lowest_note_and_not_minus_infinity():
    notes = ops.convert_to_numpy(hz_to_midi(np.array([0.0, 1e-20, LOWEST_HZ], "float32")))
    np.testing.assert_allclose(notes, 0.0, atol=1e-4)
