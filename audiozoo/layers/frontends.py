"""What stands between audio and a network that reads pictures of it."""

import math
from collections.abc import Iterable

import keras
import numpy as np
from keras import layers, ops

from audiozoo.arguments import check_whole
from audiozoo.dsp import inversion
from audiozoo.dsp.mel import compress, expand, mel_filters
from audiozoo.dsp.spectra import analysis_window, stft_magnitude
from audiozoo.errors import AudioError, StatisticsMissing

# How phase is found, and how many iterations of Griffin-Lim are worth their time. Setting out from the phase
# that was integrated, five lead further than 32 from a random one (benchmarks/RESULTS.md).
METHODS = {"griffin_lim": 32, "pghi": 5}
VOCODER_ITERATIONS = 32
# Of magnitudes, how much is the vocoder's and not flat within bands: exponent of their geometric mean.
VOCODER_SHARE = 0.7
MEL_FLOOR = 1e-5  # mel magnitude below which ``MelSpectrogram`` hears nothing
LOUDEST = 15.0  # after compression: whatever the gain, far above what audio within -1..1 can have


class _MelBands(layers.Layer):
    """Mel bands of the magnitudes of an STFT: what the two kinds of spectrogram below share.

    Args:
        sample_rate: Hz.
        num_mels: bands.
        window_length: samples, even.
        hop: samples between frames, at most half a window.
        window: ``"hann"`` or ``"gaussian"``.
        lowest_hz, highest_hz: range of the bands; by default 0 to half the sample rate.
        mel_scale: ``"slaney"`` or ``"htk"``.
    """

    SETTINGS = (
        "sample_rate",
        "num_mels",
        "window_length",
        "hop",
        "window",
        "lowest_hz",
        "highest_hz",
        "mel_scale",
    )

    def __init__(
        self,
        *,
        sample_rate,
        num_mels,
        window_length,
        hop,
        window="hann",
        lowest_hz=0.0,
        highest_hz=None,
        mel_scale="slaney",
        **kwargs,
    ):
        super().__init__(**(kwargs | {"dtype": "float32"}))  # FFTs know no half precision
        check_whole("sample_rate", sample_rate, 1)
        check_whole("num_mels", num_mels, 1)
        analysis_window(window, window_length)
        if window_length % 2:
            raise ValueError(f"window_length must be even; got {window_length}.")
        inversion.check_hop(hop, window_length)
        self.sample_rate, self.num_mels = sample_rate, num_mels
        self.window_length, self.hop, self.window = window_length, hop, window
        self.lowest_hz, self.highest_hz, self.mel_scale = lowest_hz, highest_hz, mel_scale
        self.filters = mel_filters(
            sample_rate, window_length, num_mels, lowest_hz=lowest_hz, highest_hz=highest_hz, scale=mel_scale
        )

    def bands(self, audio, padding, floor=1e-10):
        """Mel magnitudes ``(batch, frames, bands)`` of audio ``(batch, samples)``; see ``stft_magnitude``."""
        magnitude = stft_magnitude(
            audio,
            window_length=self.window_length,
            hop=self.hop,
            window=self.window,
            padding=padding,
            floor=floor,
        )
        return ops.matmul(magnitude, ops.convert_to_tensor(self.filters))

    def settings(self):
        """What two spectrograms must have in common for one to be made of the other, by name."""
        highest_hz = 0.5 * self.sample_rate if self.highest_hz is None else self.highest_hz
        return {name: getattr(self, name) for name in self.SETTINGS} | {"highest_hz": highest_hz}

    def get_config(self):
        return super().get_config() | {name: getattr(self, name) for name in self.SETTINGS}


@keras.saving.register_keras_serializable("audiozoo")
class AudioTransform(_MelBands):
    """Audio to standardised log-mel spectrograms, and back.

    Forth: magnitudes of the STFT, mel bands, ``log(1 + gain * mel)``, statistics of the training set taken
    out. Back: the same steps undone in reverse. Two of them lost something and are estimated: phase, and mel
    bands, where bins that share a band cannot be told apart any more.

    Statistics are weights: measure them by ``adapt``, on the training set alone, and they travel with the
    model. Each band has its own mean, since sounds share most of their spectral slope; all bands have one
    standard deviation, that around those means. So an error means the same number of dB in every band, bands
    that are nearly always silent are not blown up, and a model that knows the means alone has a mean squared
    error of 1. Before ``adapt`` the layer, when called, gives NaN or infinity, so that models can be built
    before their weights are loaded; ``spectrogram`` and ``invert`` refuse.

    A clip of ``samples`` has ``1 + samples // hop`` frames; frame t is centred on sample ``t * hop``, and
    outside the clip there is silence. Any clip of one sample or more will do.

    Args:
        sample_rate: Hz.
        num_mels: bands.
        window_length: samples, even.
        hop: samples between frames, at most half a window. A quarter suits a network; an eighth is what
            ``"pghi"`` needs.
        window: ``"hann"``, or ``"gaussian"``, which ``"pghi"`` is derived for.
        lowest_hz, highest_hz: range of the bands; by default 0 to half the sample rate.
        mel_scale: ``"slaney"`` or ``"htk"``.
        gain: of the compression; full scale is 1.

    Input:
        Audio ``(batch, samples)``.

    Output:
        ``(batch, 1 + samples // hop, num_mels)``, of mean 0 and variance 1 over the training set.

    Reference:
        Mel bands: Slaney (1998), Auditory Toolbox. Phase: see ``audiozoo.dsp.inversion``.
    """

    def __init__(
        self,
        *,
        sample_rate,
        num_mels=128,
        window_length=2048,
        hop=512,
        window="hann",
        lowest_hz=0.0,
        highest_hz=None,
        mel_scale="slaney",
        gain=1000.0,
        **kwargs,
    ):
        super().__init__(
            sample_rate=sample_rate,
            num_mels=num_mels,
            window_length=window_length,
            hop=hop,
            window=window,
            lowest_hz=lowest_hz,
            highest_hz=highest_hz,
            mel_scale=mel_scale,
            **kwargs,
        )
        if not gain > 0.0:
            raise ValueError(f"gain must be positive; got {gain}. Use 1000 for audio within -1..1.")
        self.gain = gain
        self.mean = self.add_weight(name="mean", shape=(num_mels,), initializer="zeros", trainable=False)
        # 0 says that it was not measured: no standard deviation is 0, and NaN could not be saved.
        self.deviation = self.add_weight(name="deviation", shape=(), initializer="zeros", trainable=False)

    def call(self, audio):
        return self.standardised(self.log_mel(audio))

    def standardised(self, log_mel):
        """Compressed mel bands, as ``log_mel`` returns them, with the statistics taken out."""
        return (ops.convert_to_tensor(log_mel) - self.mean) / self.deviation

    def compressed(self, spectrogram):
        """Undo ``standardised``; nothing is clipped."""
        return ops.convert_to_tensor(spectrogram) * self.deviation + self.mean

    def log_mel(self, audio):
        """Compressed mel bands ``(batch, frames, bands)`` of audio ``(batch, samples)``, not standardised."""
        return compress(self.bands(audio, "zeros"), self.gain)

    def mel_of(self, spectrogram):
        """Mel magnitudes of standardised spectrograms, ``(batch, frames, bands)``, with a gradient.

        What lies below 0 after the statistics are undone is silence; far above full scale it stays finite.
        """
        compressed = ops.clip(spectrogram * self.deviation + self.mean, 0.0, LOUDEST)
        return ops.expm1(compressed) / self.gain

    def log10_mel(self, spectrogram):
        """``log10`` of the mel magnitudes of standardised spectrograms, as a vocoder takes them; tensors."""
        compressed = ops.clip(self.compressed(spectrogram), 0.0, LOUDEST)
        return log10_mel((ops.exp(compressed) - 1.0) / self.gain)  # ONNX has no expm1

    def adapt(self, batches):
        """Measure the statistics, in float64, of the training set and nothing else.

        Args:
            batches: iterable of audio, each ``(batch, samples)`` or ``(samples,)``, of any lengths.

        Raises:
            AudioError: no audio, audio that is empty or not finite, or nothing but one constant.
        """
        if not isinstance(batches, Iterable) or hasattr(batches, "dtype"):
            raise AudioError(
                f"batches must be an iterable of batches of audio; got {type(batches).__name__}. Put a "
                "single batch into a list: [audio]."
            )
        checked = (checked_audio(batch, f"batch {index}") for index, batch in enumerate(batches))
        self.adapt_log_mel(self.log_mel(audio) for audio in checked)

    def adapt_log_mel(self, batches):
        """``adapt`` where the mel bands are there already.

        Args:
            batches: iterable of what ``log_mel`` returns, each ``(..., bands)``.

        Raises:
            AudioError: none at all, or nothing but one constant.
        """
        count, mean, squares = 0, np.zeros(self.num_mels), np.zeros(self.num_mels)
        for batch in batches:
            frames = ops.convert_to_numpy(batch).astype("float64").reshape(-1, self.num_mels)
            # Means and sums of squares of two sets make those of their union: Chan, Golub and LeVeque (1979).
            part = len(frames) / (count + len(frames))
            distance = frames.mean(axis=0) - mean
            squares += len(frames) * frames.var(axis=0) + count * part * distance**2
            mean += part * distance
            count += len(frames)
        if not count:
            raise AudioError("batches must hold audio of the training set; there was none.")
        deviation = np.sqrt(squares.mean() / count)
        if not deviation > 0.0:
            raise AudioError("batches must hold sound; every frame is the same, as in silence.")
        self.mean.assign(mean.astype("float32"))
        self.deviation.assign(np.float32(deviation))

    def spectrogram(self, audio):
        """Standardised spectrogram of audio in memory, which is checked; ``invert`` is the way back.

        (Not called forward: by that name, with PyTorch, Keras calls a layer.)

        Args:
            audio: ``(samples,)`` or ``(batch, samples)``.

        Returns:
            float32 array ``(frames, num_mels)`` or ``(batch, frames, num_mels)``.

        Raises:
            StatisticsMissing: before ``adapt``, or loading weights.
            AudioError: audio that is empty or not finite.
        """
        self.check_adapted()
        single = np.ndim(audio) == 1
        spectrogram = ops.convert_to_numpy(self(checked_audio(audio, "audio")))
        return spectrogram[0] if single else spectrogram

    def invert(
        self,
        spectrogram,
        *,
        method="griffin_lim",
        samples=None,
        iterations=None,
        mel_inverse="nnls",
        seed=0,
        vocoder=None,
    ):
        """Audio whose spectrogram is the given one, or nearly.

        Args:
            spectrogram: ``(frames, num_mels)`` or ``(batch, frames, num_mels)``, standardised.
            method: ``"griffin_lim"``: phase found by iterating; ``"pghi"``: by integrating its gradient;
                ``"vocoder"``: by a network that has learned what sounds have such bands.
            samples: length of the audio, of ``1 + samples // hop`` frames; ``(frames - 1) * hop`` by default.
            iterations: of Griffin-Lim, by default 32, and with ``"pghi"`` 5 that set out from its phase;
                0 is PGHI alone. With ``"vocoder"`` 32 that set out from its sound, made to have these bands;
                0 is the vocoder alone.
            mel_inverse: ``"nnls"`` or ``"pinv"``, see ``audiozoo.dsp.inversion.mel_to_magnitude``; not of
                ``"vocoder"``.
            seed: of random phase.
            vocoder: of ``"vocoder"``: a ``MelGANVocoder`` of the same mel settings, whatever its compression.

        Returns:
            float32 array ``(samples,)`` or ``(batch, samples)``.

        Raises:
            StatisticsMissing: before ``adapt``, or loading weights.
            AudioError: a spectrogram of another shape, or not finite.
            ValueError: an unknown method, a length that another number of frames has, no vocoder or one of
                other settings.
        """
        if (method == "vocoder") != (vocoder is not None):
            raise ValueError(
                "method and vocoder belong together: method='vocoder', vocoder=audiozoo.load(...); got "
                f"method={method!r} and vocoder={vocoder!r}."
            )
        check_whole("seed", seed, 0)
        if iterations is not None:
            check_whole("iterations", iterations, 0)
        if mel_inverse not in inversion.MEL_INVERSES:
            raise ValueError(
                f"mel_inverse must be one of {inversion.MEL_INVERSES}; got {mel_inverse!r}. Use 'nnls'."
            )
        if method == "vocoder":
            iterations = VOCODER_ITERATIONS if iterations is None else iterations
            return self.vocoded(spectrogram, vocoder, samples, iterations)
        if method not in METHODS:
            raise ValueError(
                f"method must be one of {(*METHODS, 'vocoder')}; got {method!r}. Use 'griffin_lim'."
            )
        magnitude = self.magnitude(spectrogram, mel_inverse=mel_inverse)
        settings = {"hop": self.hop, "window": self.window, "seed": seed}
        phase = inversion.phase_by_integration(magnitude, **settings) if method == "pghi" else None
        iterations = METHODS[method] if iterations is None else iterations
        return inversion.griffin_lim(
            magnitude, samples=samples, iterations=iterations, phase=phase, **settings
        )

    def vocoded(self, spectrogram, vocoder, samples, iterations):
        """``invert`` by a vocoder."""
        if not hasattr(vocoder, "vocode"):
            raise ValueError(
                "vocoder must be a model that makes sound of mel spectrograms, such as "
                f"audiozoo.load('melgan_vocoder_small'); got {vocoder!r:.80}."
            )
        ours, theirs = self.settings(), vocoder.spectrogram.settings()
        differing = [
            f"{name}={theirs[name]!r}, not {own!r}" for name, own in ours.items() if own != theirs[name]
        ]
        if differing:
            raise ValueError(
                f"vocoder must have the mel settings of this transform; it has {'; '.join(differing)}. "
                "Choose another one, or method='pghi'."
            )
        mel = self.mel(spectrogram)
        samples = inversion.check_length(mel.shape[-2], self.window_length // 2 + 1, self.hop, samples)
        logarithms = np.log10(np.maximum(mel, MEL_FLOOR)).astype("float32")
        # Our frames are centred where theirs begin. One more, since sound may go on for all but a hop.
        longer = np.concatenate([logarithms, logarithms[..., -1:, :]], axis=-2)
        audio = vocoder.vocode(longer)[..., self.hop // 2 :][..., :samples]
        if not iterations:
            return audio
        spectrum = inversion.stft(audio, window_length=self.window_length, hop=self.hop, window=self.window)
        flat = inversion.mel_to_magnitude(mel, self.filters)
        details = np.abs(spectrum) ** VOCODER_SHARE * flat ** (1.0 - VOCODER_SHARE)
        return inversion.griffin_lim(
            inversion.mel_to_magnitude(mel, self.filters, initial=details),
            hop=self.hop,
            samples=samples,
            window=self.window,
            iterations=iterations,
            phase=np.angle(spectrum),
        )

    def magnitude(self, spectrogram, *, mel_inverse="nnls"):
        """Linear magnitudes of a standardised spectrogram; Args and Raises as in ``invert``.

        Returns:
            float32 array ``(..., frames, window_length // 2 + 1)``.
        """
        return inversion.mel_to_magnitude(self.mel(spectrogram), self.filters, method=mel_inverse)

    def mel(self, spectrogram):
        """Mel magnitudes, float64 ``(..., frames, bands)``, of standardised spectrograms, after a check."""
        self.check_adapted()
        spectrogram = ops.convert_to_numpy(spectrogram)
        bands = spectrogram.shape[-1] if spectrogram.ndim in (2, 3) else None
        if bands != self.num_mels or spectrogram.dtype.kind not in "iuf":
            raise AudioError(
                f"spectrogram must be numbers (frames, {self.num_mels}) or (batch, frames, {self.num_mels}); "
                f"got {spectrogram.dtype} of shape {spectrogram.shape}."
            )
        spectrogram = spectrogram.astype("float64")
        if not np.isfinite(spectrogram).all():
            raise AudioError(
                f"spectrogram must be finite; {int((~np.isfinite(spectrogram)).sum())} values are NaN or "
                "infinite. Look at what made it."
            )
        compressed = spectrogram * float(self.deviation) + ops.convert_to_numpy(self.mean)
        return expand(np.minimum(compressed, LOUDEST), self.gain)

    def check_adapted(self):
        """Raise StatisticsMissing unless the statistics were measured or loaded."""
        if not float(ops.convert_to_numpy(self.deviation)) > 0.0:
            raise StatisticsMissing(
                f"{self.name} does not know the statistics of its training set yet. Call adapt(batches) with "
                "training audio, or load weights that were saved after it."
            )

    def compute_output_shape(self, input_shape):
        samples = input_shape[1]
        return (input_shape[0], None if samples is None else 1 + samples // self.hop, self.num_mels)

    def get_config(self):
        return super().get_config() | {"gain": self.gain}


@keras.saving.register_keras_serializable("audiozoo")
class MelSpectrogram(_MelBands):
    """The spectrogram that MelGAN and its kin turn into sound: ``log10`` of mel bands of magnitudes.

    There is a frame for every ``hop`` samples, neither more nor fewer: frame t stands for the samples from
    ``t * hop`` to ``(t + 1) * hop`` and is centred on their middle. Outside the clip lies its mirror image.

    Args:
        sample_rate: Hz.
        num_mels: bands.
        window_length: samples, even.
        hop: samples between frames, even, at most half a window.
        lowest_hz, highest_hz: range of the bands; by default 0 to half the sample rate.

    Input:
        Audio ``(batch, samples)``, more samples than ``(window_length - hop) / 2``.

    Output:
        ``(batch, samples // hop, num_mels)``, at least -5, and about 0 for a tone of full scale.

    Reference:
        Kumar et al. (2019), MelGAN, arXiv:1910.06711, and the settings of the code published with it.
    """

    def __init__(self, *, sample_rate, num_mels=80, window_length=1024, hop=256, **kwargs):
        super().__init__(
            sample_rate=sample_rate, num_mels=num_mels, window_length=window_length, hop=hop, **kwargs
        )
        if hop % 2:
            raise ValueError(f"hop must be even; got {hop}. Use {hop + 1}.")

    def call(self, audio):
        beyond = (self.window_length - self.hop) // 2
        audio = ops.pad(audio, ((0, 0), (beyond, beyond)), mode="reflect")
        return log10_mel(self.bands(audio, "none", floor=MEL_FLOOR))

    def compute_output_shape(self, input_shape):
        samples = input_shape[1]
        return (input_shape[0], None if samples is None else samples // self.hop, self.num_mels)


def log10_mel(mel):
    """Mel magnitudes of any shape as a vocoder takes them: ``log10``, at least -5."""
    return ops.log(ops.maximum(mel, MEL_FLOOR)) / math.log(10.0)


def checked_audio(audio, name):
    """Audio in memory as float32 ``(batch, samples)``. Raises AudioError if it is empty or not finite."""
    audio = np.asarray(ops.convert_to_numpy(audio))
    if not np.issubdtype(audio.dtype, np.floating):
        raise AudioError(f"{name} must be float in -1..1; got {audio.dtype}. Scale it to -1..1.")
    audio = audio.astype("float32")
    audio = audio[None] if audio.ndim == 1 else audio
    if audio.ndim != 2 or not audio.size:
        raise AudioError(
            f"{name} must be (samples,) or (batch, samples), not empty; got shape {audio.shape}."
        )
    wrong = int(np.sum(~np.isfinite(audio)))
    if wrong:
        raise AudioError(
            f"{name} must be finite; {wrong} of {audio.size} samples are NaN or infinite. Repair the "
            "recording, or replace them: numpy.nan_to_num(audio)."
        )
    return audio
