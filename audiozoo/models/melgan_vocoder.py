"""MelGAN: from a mel spectrogram to the sound that has it, by convolutions alone.

Paper: Kumar et al. (2019), MelGAN, arXiv:1910.06711. Without ``ratios`` nothing is computed at the rate of
samples: convolutions over frames end in a spectrum (``layers.SpectralHead``), which takes a hundredth of the
time.
Difference: before the discriminator takes part, the generator learns to match spectra at several resolutions
(Yamamoto, Song and Kim, 2020, arXiv:1910.11480), which is most of what can be learned in an hour.
"""

import math

import keras
import numpy as np
from keras import layers, ops

from audiozoo.arguments import check_layers, check_range, check_whole, whole_numbers
from audiozoo.data.audio_io import check_sample_rate, mono_at_rate
from audiozoo.dsp.mel import envelope_of_bands
from audiozoo.errors import AudioError
from audiozoo.layers import (
    Convolution,
    DilatedResidual,
    MelSpectrogram,
    SpectralHead,
    TransposedConvolution,
)
from audiozoo.layers.frontends import MEL_FLOOR
from audiozoo.layers.weight_norm import fold_weight_norm, unfold_weight_norm
from audiozoo.losses import (
    hinge_discriminator,
    hinge_generator,
    multi_resolution_stft_loss,
    paired_feature_matching,
)
from audiozoo.models.adversarial import AdversarialModel
from audiozoo.models.audio_vae import as_batch
from audiozoo.models.exported import Array, Exported
from audiozoo.models.melgan_state import kernel_norms, read_generator

PIECE_FRAMES = 256  # computed at once: bounds memory, and is long against what has to be computed twice
LOWEST_MEL, HIGHEST_MEL = -8.0, 4.0  # log10; what lies beyond is measured in other units


def rectified(hidden):
    """The activation of all layers."""
    return ops.leaky_relu(hidden, negative_slope=0.2)


class WaveformGenerator(layers.Layer):
    """Mel spectrogram ``(batch, frames, bands)`` to audio ``(batch, frames * hop)``, as published."""

    def __init__(self, *, num_mels, channels, ratios, dilations, initializer, **kwargs):
        super().__init__(**({"autocast": False} | kwargs))
        self.num_mels = num_mels
        made = weight_normalized(initializer)
        self.stem = made(Convolution, channels, 7, padding="reflect")
        self.raises, self.stacks = [], []
        for ratio in ratios:
            channels //= 2
            self.raises.append(made(TransposedConvolution, channels, 2 * ratio, stride=ratio))
            self.stacks.append([made(DilatedResidual, channels, 3, dilation=steps) for steps in dilations])
        self.head = made(Convolution, 1, 7, padding="reflect")

    def build(self, input_shape=None):
        shape = (None, None, self.num_mels)
        for layer in self.in_order():
            layer.build(shape)
            shape = (None, None, layer.filters)

    def in_order(self):
        """All layers with weights, as they are passed through."""
        stages = zip(self.raises, self.stacks, strict=True)
        return [self.stem, *(layer for up, stack in stages for layer in (up, *stack)), self.head]

    def convolutions(self):
        """All convolutions, those of a residual block in the order of its branch, then its shortcut."""
        parts = (
            (layer.look, layer.mix, layer.shortcut) if isinstance(layer, DilatedResidual) else (layer,)
            for layer in self.in_order()
        )
        return [convolution for part in parts for convolution in part]

    def call(self, mel, training=False):
        hidden = self.stem(ops.cast(mel, self.compute_dtype), training=training)
        for up, stack in zip(self.raises, self.stacks, strict=True):
            hidden = up(rectified(hidden), training=training)
            for block in stack:
                hidden = block(hidden, training=training)
        signal = ops.cast(self.head(rectified(hidden), training=training), "float32")
        return ops.tanh(signal)[..., 0]


class SpectrumGenerator(layers.Layer):
    """The same without a step at the rate of samples: what it ends in is a spectrum of every frame."""

    def __init__(self, *, filters, window_length, hop, channels, dilations, initializer, **kwargs):
        super().__init__(**({"autocast": False} | kwargs))
        self.mel_filters = filters
        made = weight_normalized(initializer)
        self.stem = made(Convolution, channels, 7, padding="reflect")
        self.stack = [made(DilatedResidual, channels, 3, dilation=steps) for steps in dilations]
        self.head = SpectralHead(window_length, hop, kernel_initializer=initializer())

    def build(self, input_shape=None):
        self.stem.build((None, None, self.mel_filters.shape[1]))
        for layer in (*self.stack, self.head):
            layer.build((None, None, self.stem.filters))

    def call(self, mel, training=False):
        hidden = self.stem(ops.cast(mel, self.compute_dtype), training=training)
        for block in self.stack:
            hidden = block(hidden, training=training)
        envelope = envelope_of_bands(math.log(10.0) * ops.cast(mel, "float32"), self.mel_filters)
        return self.head(rectified(hidden), envelope, training=training)


def weight_normalized(initializer):
    """A function that makes a layer of a class, with weight normalisation and an initializer of its own."""

    def made(kind, filters, kernel_size, **settings):
        return kind(
            filters,
            kernel_size=kernel_size,
            normalization="weight",
            kernel_initializer=initializer(),
            **settings,
        )

    return made


class ScaleDiscriminator(layers.Layer):
    """Audio ``(batch, samples, 1)`` to what is said of it at each place, and the features behind that."""

    def __init__(self, *, channels, most_channels, strides, **kwargs):
        super().__init__(**kwargs)

        def convolution(filters, kernel_size, **settings):
            return Convolution(
                filters,
                kernel_size,
                normalization="weight",
                kernel_initializer=keras.initializers.RandomNormal(stddev=0.02),
                **settings,
            )

        self.convolutions = [convolution(channels, 15, padding="reflect")]
        for stride in strides:
            before, channels = channels, min(most_channels, channels * stride)
            self.convolutions.append(
                convolution(channels, 10 * stride + 1, stride=stride, groups=max(1, before // 4))
            )
        self.convolutions.append(convolution(min(most_channels, 2 * channels), 5))
        self.score = convolution(1, 3)

    def build(self, input_shape=None):
        shape = (None, None, 1)
        for layer in (*self.convolutions, self.score):
            layer.build(shape)
            shape = (None, None, layer.filters)

    def call(self, audio, training=False):
        hidden, features = audio, []
        for layer in self.convolutions:
            hidden = rectified(layer(hidden, training=training))
            features.append(ops.cast(hidden, "float32"))
        return ops.cast(self.score(hidden, training=training), "float32"), features


class MultiScaleDiscriminator(layers.Layer):
    """The same network, with weights of its own, on audio at the rate, half of it, a quarter ..."""

    def __init__(self, *, scales, **settings):
        super().__init__(name="discriminator", autocast=False)
        self.scales = [ScaleDiscriminator(**settings) for _ in range(scales)]

    def build(self, input_shape=None):
        for scale in self.scales:
            scale.build()

    def call(self, audio, training=False):
        audio = ops.cast(audio[..., None], self.compute_dtype)
        scores, features = [], []
        for number, scale in enumerate(self.scales):
            audio = half_rate(audio) if number else audio
            score, hidden = scale(audio, training=training)
            scores.append(score)
            features += hidden
        return {"scores": scores, "features": features}


def half_rate(audio):
    """Means of four samples, two apart, of ``(batch, samples, 1)``; at the ends of the three there are."""
    samples = audio.shape[1]
    padded = ops.pad(audio, ((0, 0), (1, 1), (0, 0)))
    means = ops.average_pool(padded, 4, strides=2, padding="valid")
    present = np.convolve(np.pad(np.ones(samples), 1), np.ones(4), "valid")[::2]
    return means * ops.cast(4.0 / present[:, None], means.dtype)


class MelGANVocoder(AdversarialModel):
    """Sound of a mel spectrogram, by a generator that a discriminator of waveforms has trained.

    The spectrogram is ``layers.MelSpectrogram``, with settings that are part of the configuration: what was
    made with others is not understood. ``mel`` makes it, ``vocode`` turns it into sound, and
    ``AudioTransform.invert(method="vocoder")`` does the same with the spectrograms of other models.

    Args:
        sample_rate: Hz.
        num_mels: bands of the spectrogram.
        window_length: samples of its windows.
        hop: samples for each of its frames.
        lowest_hz, highest_hz: range of its bands; by default 0 to half the sample rate.
        channels: of the first convolution; each stage has half as many as the one before.
        ratios: steps for one in each transposed convolution, even, with the product ``hop``. With none,
            ``()``, the sound is put together from a spectrum of every frame.
        dilations: of the residual blocks in each stage; without ``ratios`` of all of them.
        initial_deviation: standard deviation of the kernels at first, published 0.02; None: as wide as keeps
            the loudness of what passes (LeCun et al., 1998, Efficient BackProp), which learns faster.
        discriminator_scales: discriminators, each at half the rate of the one before.
        discriminator_channels: of the first convolution in each, a multiple of 4.
        discriminator_most_channels: of any.
        discriminator_strides: steps of their convolutions in groups.
        spectral_weight: of ``multi_resolution_stft_loss``; 0 once published.
        mel_weight: of the mean absolute difference of mel spectrograms, log10; 0 once published.
        matching_weight: of feature matching, the mean over all features. The published code has 10 times the
            sum over three scales of 4/15 of six features, which is 48.

    Input:
        Dict with ``audio (batch, samples)``, float in -1..1, at least four frames.

    Output:
        Audio ``(batch, samples)`` that has its mel spectrogram.

    Reference:
        Kumar et al. (2019), arXiv:1910.06711; Yang et al. (2020), arXiv:2005.05106.
    """

    trains_on = "clips"

    def __init__(
        self,
        *,
        sample_rate=22050,
        num_mels=80,
        window_length=1024,
        hop=256,
        lowest_hz=0.0,
        highest_hz=None,
        channels=512,
        ratios=(8, 8, 2, 2),
        dilations=(1, 3, 9),
        initial_deviation=0.02,
        discriminator_scales=3,
        discriminator_channels=16,
        discriminator_most_channels=1024,
        discriminator_strides=(4, 4, 4, 4),
        spectral_weight=1.0,
        mel_weight=1.0,
        matching_weight=48.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_sample_rate(sample_rate)
        ratios, dilations = whole_numbers("ratios", ratios, 2), whole_numbers("dilations", dilations, 1)
        strides = whole_numbers("discriminator_strides", discriminator_strides, 1)
        for name, value in (
            ("channels", channels),
            ("discriminator_channels", discriminator_channels),
            ("discriminator_most_channels", discriminator_most_channels),
        ):
            check_whole(name, value, 1)
        check_layers("discriminator_scales", discriminator_scales)
        for name, value in (
            ("spectral_weight", spectral_weight),
            ("mel_weight", mel_weight),
            ("matching_weight", matching_weight),
        ):
            check_range(name, value, 0.0, 1e6)
        if initial_deviation is not None:
            check_range("initial_deviation", initial_deviation, 1e-6, 10.0)
        if ratios and math.prod(ratios) != hop:
            raise ValueError(
                f"ratios must have the product hop={hop}, or be none; got {ratios}, which is "
                f"{math.prod(ratios)}."
            )
        if any(ratio % 2 for ratio in ratios):
            raise ValueError(f"ratios must be even; got {ratios}. Use for instance (8, 8, 2, 2).")
        if channels % 2 ** len(ratios):
            raise ValueError(
                f"channels must be divisible by {2 ** len(ratios)}, 2 for each of the {len(ratios)} ratios; "
                f"got {channels}."
            )
        self.sample_rate, self.num_mels = sample_rate, num_mels
        self.window_length, self.hop = window_length, hop
        self.lowest_hz, self.highest_hz = lowest_hz, highest_hz
        self.channels, self.ratios, self.dilations = channels, ratios, dilations
        self.initial_deviation = initial_deviation
        self.discriminator_scales, self.discriminator_channels = discriminator_scales, discriminator_channels
        self.discriminator_most_channels = discriminator_most_channels
        self.discriminator_strides = strides
        self.spectral_weight, self.mel_weight = spectral_weight, mel_weight
        self.matching_weight = matching_weight
        self.spectrogram = MelSpectrogram(
            sample_rate=sample_rate,
            num_mels=num_mels,
            window_length=window_length,
            hop=hop,
            lowest_hz=lowest_hz,
            highest_hz=highest_hz,
        )
        shared = {"channels": channels, "dilations": dilations, "initializer": self.new_initializer}
        if ratios:
            self.generator = WaveformGenerator(num_mels=num_mels, ratios=ratios, name="generator", **shared)
        else:
            self.generator = SpectrumGenerator(
                filters=self.spectrogram.filters,
                window_length=window_length,
                hop=hop,
                name="generator",
                **shared,
            )
        self.discriminator = MultiScaleDiscriminator(
            scales=discriminator_scales,
            channels=discriminator_channels,
            most_channels=discriminator_most_channels,
            strides=strides,
        )
        self.generator.build()
        self.built = True

    def new_initializer(self):
        """An initializer of kernels, with a seed of its own."""
        if self.initial_deviation is None:
            return keras.initializers.LecunNormal()
        return keras.initializers.RandomNormal(stddev=self.initial_deviation)

    # --- Training ---

    def build_discriminator(self):
        self.discriminator.build()

    def call(self, inputs, training=False):
        audio = ops.cast(inputs["audio"], "float32")
        samples = audio.shape[1]
        whole = ops.pad(audio, ((0, 0), (0, -samples % self.hop)))
        return self.generator(self.spectrogram(whole), training=training)[:, :samples]

    def discriminator_loss(self, real, fake):
        return hinge_discriminator(real["scores"], fake["scores"])

    def generator_loss(self, real, fake):
        matching = paired_feature_matching(real["features"], fake["features"])
        return hinge_generator(fake["scores"]) + self.matching_weight * matching

    def reconstruction_loss(self, target, output):
        """Spectra at several resolutions, and the mel spectrogram itself."""
        target, loss = ops.cast(target, "float32"), ops.zeros(())
        if self.spectral_weight:
            loss = loss + self.spectral_weight * multi_resolution_stft_loss(target, output)
        if self.mel_weight:
            difference = self.spectrogram(target) - self.spectrogram(output)
            loss = loss + self.mel_weight * ops.mean(ops.abs(difference))
        return loss

    # --- Sound ---

    def mel(self, audio):
        """The spectrogram that ``vocode`` takes, of audio in memory, which is checked.

        Args:
            audio: float in -1..1 at ``sample_rate``, ``(samples,)`` or ``(batch, samples)``.

        Returns:
            float32 ``(frames, num_mels)`` or ``(batch, frames, num_mels)``, a frame for every ``hop`` samples
            that are whole.

        Raises:
            AudioError: audio that is no such array, not finite, or shorter than a window.
        """
        audio, single = as_batch(audio)
        if audio.shape[1] < self.window_length:
            raise AudioError(
                f"audio must be at least one window long, {self.window_length} samples; got "
                f"{audio.shape[1]}. Pass more of it, or pad it with silence."
            )
        mel = ops.convert_to_numpy(self.spectrogram(ops.convert_to_tensor(audio)))
        return mel[0] if single else mel

    def vocode(self, mel):
        """The sound of a spectrogram, of any length, in pieces: the sound is that of a single pass.

        Beyond its ends the spectrogram is continued by its mirror image, as audio was when it was made, and
        what that sounds like is cut off; otherwise a sound would end in a click.

        Args:
            mel: as ``mel`` returns it.

        Returns:
            float32 ``(frames * hop,)`` or ``(batch, frames * hop)``.

        Raises:
            AudioError: a spectrogram of another shape, not finite, or in other units than ``log10``.
        """
        mel, single = self._checked_mel(mel)
        audio = np.stack([self._vocoded(item) for item in mel])
        return audio[0] if single else audio

    def reconstruct(self, audio):
        """Audio as its mel spectrogram tells it.

        Args, Raises: as ``mel``; audio of any length.

        Returns:
            float32 of the same shape.
        """
        audio, single = as_batch(audio)
        samples = audio.shape[1]
        whole = max(-(-samples // self.hop) * self.hop, self.window_length)
        rebuilt = self.vocode(self.mel(np.pad(audio, ((0, 0), (0, whole - samples)))))[:, :samples]
        return rebuilt[0] if single else rebuilt

    def render(self, inputs):
        return self.reconstruct(inputs["audio"])

    def perform(self, audio, sample_rate):
        return self.reconstruct(mono_at_rate(audio, sample_rate, self.sample_rate))

    @property
    def context_frames(self):
        """Frames on either side that have a part in the sound of one."""
        if not self.ratios:
            return 3 + sum(self.dilations) + math.ceil(self.window_length / self.hop / 2)
        beyond = 3
        for ratio in reversed(self.ratios):
            beyond += sum(self.dilations)
            beyond = math.ceil((beyond + ratio // 2) / ratio) + 1
        return beyond + 3

    def _vocoded(self, mel):
        """Audio ``(frames * hop,)`` of a spectrogram ``(frames, num_mels)``."""
        frames, context = len(mel), self.context_frames
        # Short sounds in a size that is a power of 2: a new size is a new compilation.
        size = min(PIECE_FRAMES, 1 << (frames - 1).bit_length())
        pieces = -(-frames // size)
        beyond = pieces * size - frames + context
        padded = np.pad(mel, ((context, beyond), (0, 0)), mode="symmetric")
        audio = [
            self.run_compiled(
                self._generated, {"mel": padded[None, start : start + size + 2 * context].astype("float32")}
            )[0, context * self.hop : (context + size) * self.hop]
            for start in range(0, pieces * size, size)
        ]
        return np.concatenate(audio)[: frames * self.hop]

    def _generated(self, inputs):
        return self.generator(inputs["mel"])

    def _checked_mel(self, mel):
        """The spectrogram as float32 ``(batch, frames, num_mels)``, and whether it was a single one."""
        mel = np.asarray(ops.convert_to_numpy(mel))
        if not np.issubdtype(mel.dtype, np.floating):
            raise AudioError(f"mel must be float; got {mel.dtype}. Make it with mel(audio).")
        if mel.ndim not in (2, 3) or mel.shape[-1] != self.num_mels or not mel.size:
            raise AudioError(
                f"mel must be (frames, {self.num_mels}) or (batch, frames, {self.num_mels}), not empty; got "
                f"shape {mel.shape}. Make it with mel(audio)."
            )
        if not np.isfinite(mel).all():
            raise AudioError(
                f"mel must be finite; {int((~np.isfinite(mel)).sum())} values are NaN or infinite. Look at "
                "what made it."
            )
        lowest, highest = float(mel.min()), float(mel.max())
        if lowest < LOWEST_MEL or highest > HIGHEST_MEL:
            raise AudioError(
                f"mel must be log10 of magnitudes, about -5 to 1; it lies between {lowest:.3g} and "
                f"{highest:.3g}. Divide natural logarithms by log(10) and decibels by 20, and take the "
                "logarithm of what is linear."
            )
        single = mel.ndim == 2
        mel = np.maximum(mel.astype("float32"), math.log10(MEL_FLOOR))
        return (mel[None] if single else mel), single

    # --- Speed ---

    def fold_weight_norm(self):
        """Keep kernels themselves instead of their direction and length: the same sound, a little faster.

        For a model that is played. When it is trained on, it unfolds by itself.
        """
        fold_weight_norm(self.generator)
        self._forget_compiled()

    def make_train_function(self, force=False):
        if self.generator.stem.folded:
            unfold_weight_norm(self.generator)
            self._forget_compiled()
            force = True
        return super().make_train_function(force)

    def _forget_compiled(self):
        self._compiled_functions.clear()
        self.predict_function = self.test_function = None

    # --- Export ---

    def exported(self):
        played = self.fresh_copy()
        played.fold_weight_norm()
        if not self.ratios:
            played.generator.head.transforms = "matrices"
        return Exported(
            inputs={
                "mel": Array(("batch", "frames", self.num_mels), "log10 of mel magnitudes, about -5 to 1")
            },
            outputs={"audio": Array(("batch", f"{self.hop} * frames"), "-1..1")},
            function=lambda inputs: {"audio": played._sound_of_any_length(inputs["mel"])},
            reference=lambda inputs: {"audio": self.vocode(inputs["mel"])},
            example=lambda audio: {"mel": self.mel(audio)},
            settings=self.spectrogram.settings(),
        )

    def _sound_of_any_length(self, mel):
        """``vocode`` in one piece, as tensors: the same mirror images at the ends, however short it is."""
        frames, context = ops.shape(mel)[1], self.context_frames
        # Never the remainder of a negative number, which ONNX files get wrong.
        first = 2 * frames - ops.mod(context, 2 * frames)
        index = ops.mod(ops.arange(frames + 2 * context) + first, 2 * frames)
        continued = ops.take(mel, ops.minimum(index, 2 * frames - 1 - index), axis=1)
        audio = self.generator(ops.maximum(continued, math.log10(MEL_FLOOR)))
        return audio[:, context * self.hop : (context + frames) * self.hop]

    # --- Weights from elsewhere ---

    @classmethod
    def from_torch(cls, state, *, input_scale=1.0, input_offset=0.0, **settings):
        """A model with the weights of a MelGAN generator that PyTorch has trained; it needs none itself.

        Args:
            state: path of a .npz file, or dict, of arrays by their names in the state dict, as the code of
                the paper has them or the one by Seungwon Park: ``torch.load(path, map_location="cpu",
                weights_only=True)`` gives it. With weight normalisation or after its removal.
            input_scale, input_offset: what that network was given, of ``log10`` of mel magnitudes:
                ``input_scale * mel + input_offset``. Park's: ``math.log(10) / 5`` and 1.
            settings: arguments of the constructor that no weights tell: ``sample_rate``, ``window_length``,
                ``lowest_hz``, ``highest_hz``, ``dilations``; by default the published ones.

        Returns:
            ``MelGANVocoder``.

        Raises:
            ValueError: the arrays are no such generator, or one of other settings than these.
        """
        found = read_generator(state)
        model = cls(**({"window_length": 4 * found.config["hop"]} | settings | found.config))
        check_range("input_scale", input_scale, 1e-6, 1e6)
        # g, v and bias of each convolution, as our layers have them.
        for layer, (v, g, bias) in zip(model.generator.convolutions(), found.weights, strict=True):
            if layer is model.generator.stem:
                bias = bias + input_offset * np.sum(v * (g / kernel_norms(v)), axis=(0, 1))
                g = input_scale * g
            for variable, value in ((layer.v, v), (layer.g, g), (layer.bias, bias)):
                variable.assign(value)
        return model
