"""Conversions between frequency, MIDI note number and interval."""

import math

from keras import ops

A4_HZ, A4_MIDI = 440.0, 69.0
LOWEST_HZ = 8.1757989  # MIDI note 0; keeps the logarithm finite where f0 is 0 (unvoiced)


def hz_to_midi(f0_hz):
    """MIDI note number of a frequency; 0 Hz (unvoiced) becomes note 0. Any shape, float32."""
    ratio = ops.maximum(f0_hz, LOWEST_HZ) / A4_HZ
    return A4_MIDI + ops.log(ratio) * (12.0 / math.log(2.0))


def midi_to_hz(midi):
    """Frequency in Hz of a MIDI note number. Any shape, float32."""
    return A4_HZ * ops.exp((midi - A4_MIDI) * (math.log(2.0) / 12.0))
