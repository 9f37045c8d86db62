"""Pitch and loudness of a voice while it is sung: by blocks, with a small fixed delay.

A frame's value describes the sound around one instant, so some of what follows must be heard first. Half a
loudness window are 256 samples (16 ms at 16 kHz). YIN compares a window with a stretch that lies
one period away; ``pitch.track_yin`` looks for it in the future, which costs the longest period
in addition (21 ms). Here it is looked for in the past: time runs backwards, and nothing else differs. The
window is half as long as there, 32 ms, which still holds one and a half of the longest periods
(de Cheveigne and Kawahara, 2002, ask for one): so both features are known after 16 ms.
"""

import numpy as np

from audiozoo.data.pitch import LOWEST_HZ, TRACKERS, yin_frames
from audiozoo.dsp.spectra import LOUDNESS_FLOOR_DB, a_weighting_power, hann_window

YIN_WINDOW_SECONDS = 0.032
LOUDNESS_WINDOW = 512  # samples, as in dsp.spectra.a_weighted_loudness


class FeatureStream:
    """Features of a voice that comes in blocks.

    Args:
        sample_rate: Hz.
        hop: samples per frame.

    Attributes:
        latency_samples: a whole number of hops by which features are late.
    """

    def __init__(self, *, sample_rate, hop):
        self.sample_rate, self.hop = sample_rate, hop
        self.yin_window = 2 * round(YIN_WINDOW_SECONDS * sample_rate / 2)
        self.yin_reach = self.yin_window + int(sample_rate / LOWEST_HZ) + 2
        ahead = max(LOUDNESS_WINDOW, self.yin_window) // 2
        self._behind = max(LOUDNESS_WINDOW // 2, self.yin_reach - self.yin_window // 2)
        self.latency_samples = hop * (-(-ahead // hop) - 1)
        self._voiced_from = TRACKERS["yin"][1]
        self.reset()

    def process(self, audio):
        """Features of the next frames.

        Args:
            audio: float32 ``(samples,)``, a whole multiple of ``hop``, one voice.

        Returns:
            ``(f0_hz, loudness_db)``, each float32 ``(samples // hop,)``: of the frames that stood at the
            beginning of each hop ``latency_samples`` ago. Where no pitch is heard the last one is held;
            before the first one it is 0 Hz.
        """
        heard = np.concatenate([self._past, audio])
        self._past = heard[len(audio) :]
        count = len(audio) // self.hop
        return self._pitch(heard, count), self._loudness(heard, count)

    def reset(self):
        """Begin anew, after silence."""
        self._past = np.zeros(self.latency_samples + self._behind, "float32")
        self._held_hz = np.float32(0.0)

    def _pitch(self, heard, count):
        backwards = self._stretches(heard, count, self.yin_window // 2, self.yin_reach)[:, ::-1]
        f0_hz, confidence = yin_frames(backwards.astype("float64"), self.sample_rate, self.yin_window)
        voiced = (confidence >= self._voiced_from) & (f0_hz > 0)
        held = np.empty(count, "float32")
        for frame in range(count):
            self._held_hz = held[frame] = f0_hz[frame] if voiced[frame] else self._held_hz
        return held

    def _loudness(self, heard, count):
        # dsp.spectra.a_weighted_loudness without tensors: for so few numbers they cost ten times as much.
        stretches = self._stretches(heard, count, LOUDNESS_WINDOW // 2, LOUDNESS_WINDOW)
        spectra = np.fft.rfft(stretches * hann_window(LOUDNESS_WINDOW))
        power = np.abs(spectra) ** 2 @ a_weighting_power(self.sample_rate, LOUDNESS_WINDOW)
        return (10.0 * np.log10(np.maximum(power, 10.0 ** (LOUDNESS_FLOOR_DB / 10.0)))).astype("float32")

    def _stretches(self, heard, count, ahead, length):
        """``(count, length)``: what is heard until ``ahead`` samples after each frame."""
        first = self._behind + ahead - length
        return np.lib.stride_tricks.sliding_window_view(heard, length)[first :: self.hop][:count]
