"""What a sound is like, frame by frame: loudness, brightness, spread, noisiness.

Conventions are librosa's: a periodic Hann window, frame t centred on sample ``t * hop``, zeros beyond both
ends. Definitions: Peeters (2004), A large set of audio features for sound description.
"""

import dataclasses

import numpy as np

from audiozoo.data.audio_io import check_sample_rate
from audiozoo.metrics.spectra import a_weighting_power, frames_of, power_weights, stft_magnitude

LOUDNESS_FLOOR_DB = -100.0
ROLLOFF_SHARE = 0.85
SMALLEST_POWER = 1e-10  # of a bin, in the flatness
ZERO_AMPLITUDE = 1e-10  # at or below it, a sample has no sign of its own


@dataclasses.dataclass(frozen=True)
class Descriptors:
    """One value a frame, each ``(frames,)``.

    Attributes:
        loudness_db: A-weighted power in the window, dB relative to full scale: a full-scale sine at 1 kHz
            reads -3, silence -100.
        centroid_hz: mean frequency, weighted by magnitude; 0 in silence.
        bandwidth_hz: standard deviation of frequency, weighted by magnitude; 0 in silence.
        rolloff_hz: frequency below which 85 % of the magnitude lies.
        flatness: geometric over arithmetic mean of the power spectrum: 0 for a sine, 1 for silence, 0.56 on
            average for white noise.
        zero_crossing_rate: share of samples whose sign differs from the one before.
    """

    loudness_db: np.ndarray
    centroid_hz: np.ndarray
    bandwidth_hz: np.ndarray
    rolloff_hz: np.ndarray
    flatness: np.ndarray
    zero_crossing_rate: np.ndarray


def describe(audio, *, sample_rate, window_length=2048, hop=512):
    """Descriptors of mono audio.

    Args:
        audio: ``(samples,)``.
        sample_rate: Hz.
        window_length: samples.
        hop: samples between frames.

    Returns:
        Descriptors of ``1 + samples // hop`` frames.

    Raises:
        ValueError: audio that is not ``(samples,)``, empty or not finite; a sample rate out of range.
    """
    audio = np.asarray(audio, "float64")
    if audio.ndim != 1 or not audio.size or not np.isfinite(audio).all():
        raise ValueError(
            f"audio must be finite and (samples,), at least one; got shape {audio.shape} with "
            f"{int((~np.isfinite(audio)).sum())} samples NaN or infinite. Mix it to mono."
        )
    sample_rate = check_sample_rate(sample_rate)
    magnitude = stft_magnitude(audio, window_length=window_length, hop=hop, padding="zeros")
    hz = np.fft.rfftfreq(window_length, 1.0 / sample_rate)
    share = magnitude / np.maximum(magnitude.sum(axis=1, keepdims=True), np.finfo("float64").tiny)
    centroid_hz = share @ hz
    variance = np.sum(share * (hz - centroid_hz[:, None]) ** 2, axis=1)
    return Descriptors(
        loudness_db=loudness_db(magnitude, hz, window_length, sample_rate),
        centroid_hz=centroid_hz,
        bandwidth_hz=np.sqrt(variance),
        rolloff_hz=rolloff_hz(magnitude, hz),
        flatness=flatness(magnitude),
        zero_crossing_rate=zero_crossing_rate(audio, window_length, hop),
    )


def loudness_db(magnitude, hz, window_length, sample_rate):
    """A-weighted power of each frame in dB; by Parseval's theorem a mean square of the windowed signal."""
    power = magnitude**2 @ (power_weights(sample_rate, window_length) * a_weighting_power(hz))
    return 10.0 * np.log10(np.maximum(power, 10.0 ** (LOUDNESS_FLOOR_DB / 10.0)))


def rolloff_hz(magnitude, hz):
    """Lowest frequency up to which a frame holds 85 % of its magnitude."""
    cumulative = np.cumsum(magnitude, axis=1)
    return hz[np.argmax(cumulative >= ROLLOFF_SHARE * cumulative[:, -1:], axis=1)]


def flatness(magnitude):
    """Geometric over arithmetic mean of the power of each frame's bins."""
    power = np.maximum(magnitude**2, SMALLEST_POWER)
    return np.exp(np.mean(np.log(power), axis=1)) / np.mean(power, axis=1)


def zero_crossing_rate(audio, window_length, hop):
    """Changes of sign a sample in each frame; beyond both ends the audio is held."""
    half = window_length // 2
    held = np.pad(np.where(np.abs(audio) <= ZERO_AMPLITUDE, 0.0, audio), half, mode="edge")
    negative = frames_of(np.signbit(held), length=window_length, hop=hop)
    return np.sum(negative[:, 1:] != negative[:, :-1], axis=1) / window_length
