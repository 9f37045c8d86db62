"""Pitch and loudness of recordings, and their cache on disk."""

import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import tempfile

import numpy as np

from audiozoo.data.audio_io import read_audio
from audiozoo.data.pitch import estimate_f0
from audiozoo.errors import OutputError

BLOCK_FRAMES = 8192  # frames of loudness computed at once: bounds memory for long files
CONTEXT_SAMPLES = 512  # more than a loudness window may reach beyond its block
CACHE_VERSION = 1  # raised when the meaning of a cached number changes


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
        audio: int16 ``(samples,)``, memory-mapped.
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

    The cache is keyed by the file's content and every setting. An entry is a folder that is
    renamed into place when complete, so that a half-written one is never seen.

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
    with open(path, "rb") as content:
        digest = hashlib.file_digest(content, "sha256")
    digest.update(json.dumps(settings, sort_keys=True).encode())
    entry = pathlib.Path(cache) / digest.hexdigest()[:32]
    if not entry.exists():
        audio, _ = read_audio(path, sample_rate=sample_rate)
        store_recording(
            entry, audio, extract_features(audio, sample_rate=sample_rate, hop=hop, f0_method=f0_method)
        )
    with np.load(entry / "features.npz") as stored:
        features = Features(stored["f0_hz"], stored["confidence"], stored["loudness_db"])
        gain = float(stored["gain"])
    return Recording(pathlib.Path(path).name, np.load(entry / "audio.npy", mmap_mode="r"), gain, features)


def store_recording(entry, audio, features):
    """Write one cache entry, atomically. Audio is kept as int16, scaled down only if it must be."""
    gain = max(1.0, float(np.abs(audio).max())) / 32767.0
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        draft = pathlib.Path(tempfile.mkdtemp(dir=entry.parent, prefix=".draft-"))
    except OSError as error:
        raise OutputError(
            f"cache {str(entry.parent)!r} cannot be written ({error}). Set AUDIOZOO_CACHE to another folder."
        ) from error
    try:
        np.save(draft / "audio.npy", np.round(audio / gain).astype("int16"))
        np.savez(draft / "features.npz", gain=gain, **dataclasses.asdict(features))
        os.replace(draft, entry)
    except OSError as error:
        if not entry.exists():  # else another process was first, with the same content
            raise OutputError(f"cache {str(entry.parent)!r} cannot be written ({error}).") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
