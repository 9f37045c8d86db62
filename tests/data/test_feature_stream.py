"""Pitch and loudness by blocks are those of the whole recording, a little later."""

from pathlib import Path

import numpy as np
import pytest

import audiozoo
from audiozoo.data.audio_io import read_audio
from audiozoo.data.feature_stream import YIN_WINDOW_SECONDS, FeatureStream
from audiozoo.data.features import loudness
from audiozoo.data.pitch import estimate_f0, track_yin

RATE, HOP = 16000, 160


def streamed(audio, *, frames=1, sample_rate=RATE, hop=HOP):
    """Features in blocks of so many frames: ``(f0_hz, loudness_db, frames of latency)``."""
    stream = FeatureStream(sample_rate=sample_rate, hop=hop)
    blocks = [
        stream.process(audio[start : start + frames * hop]) for start in range(0, len(audio), frames * hop)
    ]
    f0_hz, loudness_db = (np.concatenate(values) for values in zip(*blocks, strict=True))
    return f0_hz, loudness_db, stream.latency_samples // hop


def tone(f0_hz, samples, sample_rate=RATE):
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(f0_hz, samples)) / sample_rate
    return sum(0.2 / k * np.sin(k * phase) for k in range(1, 6)).astype("float32")


@pytest.fixture(scope="module")
def melody():
    """A glide, noise, silence and another glide: 0.8 seconds."""
    rng = np.random.default_rng(0)
    glides = [tone(np.linspace(*ends, 4000), 4000) for ends in [(200.0, 400.0), (900.0, 300.0)]]
    noise = rng.uniform(-0.1, 0.1, 2400).astype("float32")
    return np.concatenate([glides[0], noise, np.zeros(2400, "float32"), glides[1]])


@pytest.mark.parametrize("frames", [1, 4, 20])
def test_loudness_is_that_of_the_whole_later(melody, frames):
    _, loudness_db, late = streamed(melody, frames=frames)
    delayed = np.concatenate([np.zeros(late * HOP, "float32"), melody])
    expected = loudness(delayed, sample_rate=RATE, hop=HOP)[: len(loudness_db)]
    np.testing.assert_allclose(loudness_db, expected, atol=1e-3)
    assert loudness_db.dtype == np.float32


@pytest.mark.parametrize("frames", [1, 4, 20])
def test_pitch_is_yins_with_time_running_backwards(melody, frames):
    f0_hz, _, late = streamed(melody, frames=frames)
    # Frame t of the melody stands at the same sample as frame T - t of the melody reversed.
    _, raw_hz, confidence = track_yin(melody[::-1], RATE, window_seconds=YIN_WINDOW_SECONDS)
    raw_hz, confidence = raw_hz[:0:-1], confidence[:0:-1]
    voiced = confidence >= 0.7
    assert 40 < voiced.sum() < len(voiced)
    heard = f0_hz[1 + late :]
    np.testing.assert_allclose(
        heard[voiced[: len(heard)]], raw_hz[: len(heard)][voiced[: len(heard)]], rtol=1e-6
    )


def test_unvoiced_frames_hold_the_last_pitch_and_begin_at_0_hz():
    audio = np.concatenate([np.zeros(3200, "float32"), tone(300.0, 4800), np.zeros(3200, "float32")])
    f0_hz, loudness_db, late = streamed(audio)
    assert not f0_hz[: 18 + late].any()
    np.testing.assert_allclose(f0_hz[24 + late : 48 + late], 300.0, rtol=2e-3)
    assert len(set(f0_hz[54 + late :])) == 1
    assert f0_hz[-1] == pytest.approx(300.0, rel=0.02)
    assert loudness_db[-1] == pytest.approx(-100.0)


@pytest.mark.parametrize(
    "sample_rate, hop", [(16000, 160), (16000, 512), (44100, 441), (48000, 240), (8000, 80)]
)
def test_a_tone_has_its_pitch_at_any_rate(sample_rate, hop):
    audio = tone(330.0, 50 * hop, sample_rate)
    f0_hz, _, late = streamed(audio, sample_rate=sample_rate, hop=hop)
    settled = f0_hz[late + -(-sample_rate // 20 // hop) :]
    assert np.abs(1200 * np.log2(settled / 330.0)).max() < 5


@pytest.mark.parametrize(
    "sample_rate, hop, latency", [(16000, 160, 160), (16000, 64, 192), (16000, 256, 0), (48000, 480, 480)]
)
def test_the_latency_is_the_least_that_half_a_window_allows(sample_rate, hop, latency):
    stream = FeatureStream(sample_rate=sample_rate, hop=hop)
    assert stream.latency_samples == latency
    ahead = max(256, round(0.016 * sample_rate))
    assert ahead - hop <= latency < ahead


def test_a_singing_voice_is_heard_as_by_the_tracker_for_whole_recordings():
    voice, _ = read_audio(
        Path(audiozoo.__file__).parent / "assets/singing_vocadito_14.flac", sample_rate=RATE
    )
    voice = voice[: 10 * RATE]
    whole = estimate_f0(voice, RATE)
    f0_hz, _, late = streamed(voice, frames=10)
    voiced = (whole.voiced & (whole.confidence > 0.8))[: len(f0_hz) - late]
    cents = 1200 * np.log2(f0_hz[late:][voiced] / whole.f0_hz[: len(voiced)][voiced])
    right = np.mean(np.abs(cents) < 50)
    print(f"{right:.3f} of {voiced.sum()} frames within 50 cents")
    assert right > 0.98
