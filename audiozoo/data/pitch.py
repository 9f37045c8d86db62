"""Fundamental frequency of one voice, by any of five trackers behind one function."""

import dataclasses
import functools

import numpy as np

from audiozoo.data.audio_io import mono_at_rate
from audiozoo.errors import MissingDependency

LOWEST_HZ, HIGHEST_HZ = 46.9, 2093.8  # the range of the default tracker
MIN_SECONDS = 0.5  # shorter audio is continued by its own reflection for the trackers
YIN_BLOCK_SAMPLES = 1 << 20  # of overlapping frames at once: bounds memory for long files and high rates


@dataclasses.dataclass(frozen=True)
class PitchTrack:
    """Pitch over time.

    Attributes:
        f0_hz: float32 ``(frames,)``; frame t stands at sample ``t * hop``. Unvoiced gaps are
            bridged in log frequency, so it is 0 everywhere or nowhere.
        confidence: float32 ``(frames,)`` in 0..1, how sure the tracker was.
        voiced: bool ``(frames,)``, where it heard a pitch.
    """

    f0_hz: np.ndarray
    confidence: np.ndarray
    voiced: np.ndarray


def estimate_f0(audio, sample_rate, *, method="swift", hop=160, threshold=None):
    """Track the pitch of a monophonic recording.

    Args:
        audio: ``(samples,)`` or ``(samples, channels)``, any length.
        sample_rate: Hz.
        method: ``"swift"`` (swift-f0, a small network, MIT licence: as right as pYIN on real
            recordings at 20 times the speed), ``"yin"`` (our own; frame by frame), ``"pyin"``
            (librosa; slow reference), ``"crepe"`` (the preset ``crepe_tiny``: a large network, from the
            waveform alone), ``"crepe_package"`` (its authors' package, where it is installed).
        hop: samples between frames, at ``sample_rate``.
        threshold: confidence from which a frame counts as voiced; by default the tracker's own.

    Returns:
        PitchTrack of ``ceil(samples / hop)`` frames.

    Raises:
        AudioError: see ``audio_io.mono_at_rate``.
        ValueError: unknown method, hop or threshold out of range.
        MissingDependency: the tracker's package is not installed.
    """
    if method not in TRACKERS:
        raise ValueError(f"method must be one of {', '.join(TRACKERS)}; got {method!r}. Use 'swift'.")
    if hop < 1:
        raise ValueError(f"hop must be at least 1 sample; got {hop!r}.")
    tracker, default_threshold = TRACKERS[method]
    threshold = default_threshold if threshold is None else threshold
    if not 0.0 <= threshold <= 1.0:
        raise ValueError(f"threshold must be between 0 and 1; got {threshold!r}.")
    mono = mono_at_rate(audio, sample_rate, sample_rate)
    frame_seconds = np.arange(-(-len(mono) // hop)) * (hop / sample_rate)
    shortfall = max(0, int(MIN_SECONDS * sample_rate) - len(mono))
    seconds, f0_hz, confidence = tracker(np.pad(mono, (0, shortfall), mode="symmetric"), sample_rate)
    voiced = (confidence >= threshold) & (f0_hz > 0)
    on_frames = np.interp(frame_seconds, seconds, confidence).astype("float32")
    if not voiced.any():
        silent = np.zeros(len(frame_seconds), "float32")
        return PitchTrack(silent, on_frames, silent > 0)
    # Only voiced estimates are interpolated: what a tracker says of noise is no pitch.
    log_f0 = np.interp(frame_seconds, seconds[voiced], np.log(f0_hz[voiced]))
    half_step = 0.5 * np.diff(seconds[:2], append=0)[0]
    nearest = np.searchsorted(seconds, frame_seconds - half_step)
    return PitchTrack(
        np.exp(log_f0).astype("float32"), on_frames, voiced[np.minimum(nearest, len(voiced) - 1)]
    )


def track_swift(audio, sample_rate):
    """swift-f0 (Nieradzik, 2025, arXiv:2508.18440): ``(seconds, f0_hz, confidence)``, 16 ms apart."""
    import swift_f0

    detector = swift_f0.SwiftF0(threads=1, spin=False)
    track = detector.detect(mono_at_rate(audio, sample_rate, 16000), 16000)
    return track.timestamps, track.pitch_hz, track.confidence


def track_yin(audio, sample_rate, *, hop_seconds=0.01, window_seconds=0.064):
    """YIN (de Cheveigne and Kawahara, 2002), steps 1 to 5, by FFT, in blocks of frames.

    The confidence is one minus the normalised difference at the chosen lag.
    """
    hop = max(1, round(hop_seconds * sample_rate))
    window = round(window_seconds * sample_rate)
    longest = int(sample_rate / LOWEST_HZ) + 2
    reach = window + longest
    padded = np.pad(audio.astype("float64"), (window // 2, reach))  # frame t is centred on its window
    frames = np.lib.stride_tricks.sliding_window_view(padded, reach)[: len(audio) : hop]
    count = max(1, YIN_BLOCK_SAMPLES // reach)
    blocks = [frames[start : start + count] for start in range(0, len(frames), count)]
    f0_hz, confidence = np.hstack([yin_frames(block, sample_rate, window) for block in blocks])
    return np.arange(len(frames)) * (hop / sample_rate), f0_hz, confidence


def yin_frames(frames, sample_rate, window, *, threshold=0.15):
    """Pitch of each frame alone, ``(2, frames)``: f0 in Hz and confidence.

    Args:
        frames: ``(frames, window + longest lag)`` samples.
        sample_rate: Hz.
        window: samples over which two stretches are compared.
        threshold: the first dip of the normalised difference below it is the period.
    """
    longest = frames.shape[1] - window
    shortest = max(2, int(sample_rate / HIGHEST_HZ))
    size = 1 << (frames.shape[1] - 1).bit_length()  # what wraps around falls behind the longest lag
    head = np.fft.rfft(frames[:, :window], size)
    products = np.fft.irfft(np.conj(head) * np.fft.rfft(frames, size), size)[:, :longest]
    energy = np.cumsum(np.pad(frames**2, ((0, 0), (1, 0))), axis=1)
    lagged = energy[:, window : window + longest] - energy[:, :longest]
    difference = np.maximum(lagged[:, :1] + lagged - 2.0 * products, 0.0)  # eq. 7
    mean = np.cumsum(difference[:, 1:], axis=1) / np.arange(1, longest)
    normalised = np.ones_like(difference)  # eq. 8
    np.divide(difference[:, 1:], mean, out=normalised[:, 1:], where=mean > 1e-9)

    inner = normalised[:, shortest:]
    dips = (inner[:, 1:-1] <= inner[:, :-2]) & (inner[:, 1:-1] < inner[:, 2:]) & (inner[:, 1:-1] < threshold)
    lag = np.where(dips.any(axis=1), dips.argmax(axis=1) + 1, inner.argmin(axis=1)) + shortest
    lag = np.clip(lag, 1, longest - 2)
    row = np.arange(len(frames))
    before, here, after = normalised[row, lag - 1], normalised[row, lag], normalised[row, lag + 1]
    curvature = before - 2.0 * here + after
    offset = np.where(curvature > 1e-12, 0.5 * (before - after) / np.maximum(curvature, 1e-12), 0.0)
    confidence = np.clip(1.0 - here, 0.0, 1.0) * (lagged[:, 0] > 1e-9 * window)
    return np.stack([sample_rate / (lag + np.clip(offset, -1.0, 1.0)), confidence])


def track_pyin(audio, sample_rate):
    """Probabilistic YIN (Mauch and Dixon, 2014) of librosa; its track has steps of 10 cents."""
    import librosa

    hop = max(1, round(0.01 * sample_rate))
    frame_length = 1 << int(np.ceil(np.log2(4 * sample_rate / LOWEST_HZ / 2)))
    f0_hz, voiced, probability = librosa.pyin(
        audio, fmin=LOWEST_HZ, fmax=HIGHEST_HZ, sr=sample_rate, frame_length=frame_length, hop_length=hop
    )
    confidence = np.where(voiced, np.maximum(probability, 0.5), 0.0)
    return np.arange(len(f0_hz)) * (hop / sample_rate), np.nan_to_num(f0_hz), confidence


def track_crepe(audio, sample_rate):
    """CREPE (Kim et al., 2018) by the smallest of the authors' networks, 10 ms apart."""
    hop = max(1, round(0.01 * sample_rate))
    f0_hz, confidence = crepe_tiny().predict_f0(audio, sample_rate, hop=hop, threshold=0.0)
    return np.arange(len(f0_hz)) * (hop / sample_rate), f0_hz, confidence


@functools.cache
def crepe_tiny():
    """The preset, loaded once: it is compiled at its first use."""
    from audiozoo.zoo import load  # the one model that data knows, by its name

    return load("crepe_tiny")


def track_crepe_package(audio, sample_rate):
    """CREPE by the authors' package, with the largest network."""
    try:
        import crepe
    except ImportError as error:
        raise MissingDependency(
            "method='crepe_package' needs the crepe package, which is not installed. Install it with "
            "pip install 'setuptools<81', then pip install --no-build-isolation crepe (which downloads its "
            "weights), or use method='crepe', which needs nothing."
        ) from error
    seconds, f0_hz, confidence, _ = crepe.predict(audio, sample_rate, step_size=10, verbose=0)
    return seconds, f0_hz, confidence


# A violin in a room keeps 98 % of its true frames at swift-f0's .5 but only 60 % at .9.
TRACKERS = {
    "swift": (track_swift, 0.5),
    "yin": (track_yin, 0.7),
    "pyin": (track_pyin, 0.5),
    "crepe": (track_crepe, 0.5),
    "crepe_package": (track_crepe_package, 0.5),
}
