"""Short-time spectra, mel bands and A-weighting in numpy float64, for measuring.

``audiozoo.dsp.spectra`` is the float32 twin that gradients flow through.
"""

import functools

import numpy as np

PADDING = {"reflect": "reflect", "zeros": "constant"}


@functools.lru_cache
def hann_window(length):
    """Periodic Hann window ``(length,)``."""
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(length) / length)


def frames_of(audio, *, length, hop):
    """Frames ``(..., frames, length)`` that lie whole inside audio ``(..., samples)``, a view."""
    return np.lib.stride_tricks.sliding_window_view(audio, length, axis=-1)[..., ::hop, :]


def stft_magnitude(audio, *, window_length, hop, padding=None, fft_length=None):
    """Magnitudes of the short-time Fourier transform with a periodic Hann window.

    Args:
        audio: ``(..., samples)``.
        window_length: samples.
        hop: samples between frames.
        padding: ``"reflect"`` or ``"zeros"`` by half a window: frame t is centred on sample ``t * hop``;
            None: only frames that lie whole inside the audio.
        fft_length: samples, by default those of the window.

    Returns:
        ``(..., frames, fft_length // 2 + 1)``.
    """
    if padding is not None:
        half = window_length // 2
        audio = np.pad(audio, [(0, 0)] * (audio.ndim - 1) + [(half, half)], mode=PADDING[padding])
    frames = frames_of(audio, length=window_length, hop=hop)
    return np.abs(np.fft.rfft(frames * hann_window(window_length), fft_length))


@functools.lru_cache
def mel_filters(sample_rate, fft_length, num_bands, lowest_hz, highest_hz):
    """Triangles on the mel scale of HTK, ``(fft_length // 2 + 1, num_bands)``, each of peak 1.

    Their sides are straight on the mel scale, as in HTK and VGGish; in librosa they are straight in Hz.
    """
    mel = hz_to_mel(np.fft.rfftfreq(fft_length, 1.0 / sample_rate))[:, None]
    edges = np.linspace(hz_to_mel(lowest_hz), hz_to_mel(highest_hz), num_bands + 2)
    rising = (mel - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mel) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0.0, np.minimum(rising, falling))
    filters[0] = 0.0  # 0 Hz is no sound
    return filters


def hz_to_mel(hz):
    """Mel of a frequency in Hz, any shape (O'Shaughnessy, 1987; HTK)."""
    return 1127.0 * np.log1p(np.asarray(hz) / 700.0)


@functools.lru_cache
def power_weights(sample_rate, window_length):
    """Weight of each bin's squared magnitude in the mean square of the signal, ``(bins,)``.

    Parseval's theorem for a Hann window, one-sided: every bin but 0 Hz and Nyquist has a mirror image.
    """
    weights = np.full(window_length // 2 + 1, 2.0)
    weights[0] = 1.0
    if window_length % 2 == 0:
        weights[-1] = 1.0
    return weights / (window_length * np.sum(hann_window(window_length) ** 2))


def a_weighting_power(hz):
    """A-weighting (IEC 61672-1, annex E) as a power gain at frequencies in Hz, any shape."""
    square = np.asarray(hz, "float64") ** 2
    amplitude = 12194.217**2 * square**2
    amplitude /= (square + 20.598997**2) * (square + 12194.217**2)
    amplitude /= np.sqrt((square + 107.65265**2) * (square + 737.86223**2))
    return amplitude**2 * 10.0 ** (2.0 / 10.0)  # 2 dB make it 0 dB at 1 kHz
