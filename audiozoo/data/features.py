"""Pitch and loudness of recordings, and their cache on disk."""

import dataclasses
import pathlib

import numpy as np

from audiozoo.data.audio_io import read_audio
from audiozoo.data.cache import entry_of, kept, load_audio, save_audio
from audiozoo.data.pitch import estimate_f0
from audiozoo.foreign import npz_arrays

BLOCK_FRAMES = 8192  # frames of loudness computed at once: bounds memory for long files
CONTEXT_SAMPLES = 512  # more than a loudness window may reach beyond its block
CACHE_VERSION = 2  # raised when the meaning of a cached number changes


@dataclasses.dataclass(frozen=True)
class Features:
    """What a decoder is told about a recording, one value a frame, each float32 ``(frames,)``.

    Attributes:
        f0_hz: pitch; gaps bridged; all 0 if no pitch was heard at all.
        confidence: of the pitch, 0..1.
        loudness_db: A-weighted, dB relative to full scale.
    """

    f0_hz: np.ndarray
    confidence: np.ndarray
    loudness_db: np.ndarray


@dataclasses.dataclass(frozen=True)
class Recording:
    """One recording ready for training.

    Attributes:
        name: file name.
        audio: int16 ``(samples,)``, memory-mapped for each reading (``cache.StoredArray``).
        gain: what an int16 sample is multiplied by to give the original audio.
        features: one value for each ``hop`` samples.
    """

    name: str
    audio: np.ndarray
    gain: float
    features: Features


def extract_features(audio, *, sample_rate, hop=160, f0_method="swift"):
    """Features of mono audio ``(samples,)`` at its own rate: ``ceil(samples / hop)`` frames."""
    pitch = estimate_f0(audio, sample_rate, method=f0_method, hop=hop)
    loudness_db = loudness(audio, sample_rate=sample_rate, hop=hop)
    return Features(pitch.f0_hz, pitch.confidence, loudness_db)


def loudness(audio, *, sample_rate, hop=160):
    """A-weighted loudness in dB of mono audio of any length, float32 ``(ceil(samples / hop),)``."""
    from keras import ops

    from audiozoo.dsp.spectra import a_weighted_loudness

    frames = -(-len(audio) // hop)
    block = block_length(frames, BLOCK_FRAMES)
    context = -(-CONTEXT_SAMPLES // hop)  # frames
    padded = np.pad(audio, (context * hop, (-(-frames // block) * block + context) * hop - len(audio)))
    pieces = []
    for start in range(0, frames, block):
        piece = padded[None, start * hop : (start + block + 2 * context) * hop]
        decibels = ops.convert_to_numpy(a_weighted_loudness(piece, sample_rate=sample_rate, hop=hop))
        pieces.append(decibels[0, context : context + block, 0])
    return np.concatenate(pieces)[:frames]


def block_length(frames: int, longest: int) -> int:
    """Frames to compute at once: few distinct values, since some backends compile anew for each."""
    return min(longest, 1 << max(frames - 1, 127).bit_length())


def loudness_statistics(loudness_db, *, range_db=40.0):
    """Mean and standard deviation in dB over the frames within ``range_db`` of the loudest.

    Pauses are left out: how long a player waits says nothing about how loud he plays.
    """
    active = loudness_db[loudness_db > np.max(loudness_db) - range_db]
    return float(np.mean(active)), float(np.std(active))


def cached_recording(path, *, sample_rate, hop, f0_method, cache):
    """Audio and features of a file, from the cache or computed and put there.

    Args:
        path: audio file of any format and rate.
        sample_rate: Hz, of the features and of the stored audio.
        hop: samples per frame.
        f0_method: see ``pitch.estimate_f0``.
        cache: folder.

    Returns:
        Recording.

    Raises:
        AudioError: the file cannot be used.
        OutputError: the cache cannot be written.
    """
    settings = {"sample_rate": sample_rate, "hop": hop, "f0_method": f0_method, "version": CACHE_VERSION}
    entry = entry_of(path, settings, cache=cache)

    def compute():
        audio, _ = read_audio(path, sample_rate=sample_rate)
        return audio, extract_features(audio, sample_rate=sample_rate, hop=hop, f0_method=f0_method)

    def read(folder):
        audio, gain = load_audio(folder)
        frames = -(-len(audio) // hop)
        features = Features(**npz_arrays(folder / "features.npz", most_bytes=4096 + 12 * frames))
        shapes = {values.shape for values in dataclasses.asdict(features).values()}
        if shapes != {(frames,)}:
            raise ValueError(f"it holds features {shapes} of {frames} frames")
        return Recording(pathlib.Path(path).name, audio, gain, features)

    return kept(entry, compute, save_recording, read)


def save_recording(folder, recorded):
    """Write audio and features of a recording into a folder of the cache."""
    audio, features = recorded
    save_audio(folder, audio)
    np.savez(folder / "features.npz", **dataclasses.asdict(features))
