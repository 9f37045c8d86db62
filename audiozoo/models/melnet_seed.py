"""MelNet as a student project published it: its layers, its loss, its faults.

Origin: Kaunismaa et al. (2022), arXiv:2205.07319, and their public code (JacksonKaunismaa/neural-music),
which this follows where the two differ; that in turn was begun from github.com/resemble-ai/MelNet.

It is here to be compared with, and not to be used: all that it made was noise. Why:

- The shift in time goes the wrong way. The target is the spectrogram a frame later, and a tier that is to see
  what came before sees what comes after: at frame t its input *is* the target of frame t. It learns to copy,
  and when it samples there is nothing to copy.
- The shift in frequency is none: its list of paddings is off by one axis, and what should be told of the
  bands below is told of the next item of the batch, at the same place. One that is alone, as a sample is, is
  told zeros.
- Deviations are exp of a vector of length 1 / components: between 0.90 and 1.11 whatever is learned. A loud
  sound is told to 1, a quiet one too.
- That number is a variance in the loss, and a deviation in the sampler.
- 0.00001 is added to every density, so what is far off has no gradient.
- Spectrograms are of power, neither logarithmic nor standardised.
- Lower tiers have no loss. They say the mean of a mixture, with noise that is one number for the whole
  spectrogram, and learn through the tier above, which sees the spectrogram itself anyway.
- Of what goes backward in time the features are not turned round again; in the larger extractor what is to go
  backward in frequency goes forward, with time turned round.
- A frame is drawn as a whole, its bands independently of each other, and for each the whole network runs.
- The lowest tier has two layers for features that it does not get, 4 * units numbers that learn nothing.

Here, other than there, what was sampled so far lies at the end of a clip that begins as zeros, instead of in
a spectrogram that grows from two frames of zeros: all passes are of one shape. ``MelNet`` is what works.
"""

import keras
import numpy as np
from keras import layers, ops

from audiozoo.arguments import check_choice, check_layers, check_whole, whole_numbers
from audiozoo.dsp.mel import compress
from audiozoo.layers import GRU, FrequencyDelayedLayer, Sampling, TimeDelayedLayer
from audiozoo.models.melnet import FREQUENCY, TIME, halves, interleaved
from audiozoo.models.spectrogram_generator import SpectrogramGenerator
from audiozoo.progress import track

EXTRACTORS = ("two_way", "four_way")
LEAST_DENSITY = LEAST_WEIGHT = 1e-5
STANDARD_NORMAL = keras.initializers.RandomNormal(stddev=1.0)


class Extraction(layers.Layer):
    """One number for each of a spectrogram ``(batch, frames, bands)``, of a whole frame or band at once."""

    def __init__(self, frames, bands, *, four_way, **kwargs):
        super().__init__(**({"autocast": False} | kwargs))
        self.frames = frames
        self.time_forward, self.time_backward = GRU(bands), GRU(bands)
        self.over_frequency = [GRU(frames), GRU(frames)] if four_way else []
        self.weighting = layers.Dense(1)

    def build(self, input_shape=None):
        for cell in (self.time_forward, self.time_backward, *self.over_frequency):
            cell.build((None, None, cell.units))
        self.weighting.build((None, 2 + len(self.over_frequency)))

    def call(self, spectrogram):
        seen = [self.time_forward(spectrogram)[0], self.time_backward(ops.flip(spectrogram, axis=1))[0]]
        if self.over_frequency:
            frames = spectrogram.shape[1]
            bands = ops.swapaxes(ops.pad(spectrogram, ((0, 0), (0, self.frames - frames), (0, 0))), 1, 2)
            for cell, inputs in zip(self.over_frequency, (bands, ops.flip(bands, axis=2)), strict=True):
                seen.append(ops.swapaxes(cell(inputs)[0], 1, 2)[:, :frames])
        return self.weighting(ops.stack(seen, axis=-1))[..., 0]


class Tier(layers.Layer):
    """Mixtures for a spectrogram ``(batch, frames, bands)``, of what comes later in it and of a condition.

    In training an item is told of the next one in the batch too, otherwise each is treated as if alone.

    The condition is ``(batch, frames or 1, bands or 1)``; of the lowest tier it may be ``(batch, 1, 1,
    units)``.
    """

    def __init__(self, units, *, depth, components, **kwargs):
        super().__init__(**({"autocast": False} | kwargs))
        self.time_input, self.frequency_input = layers.Dense(units), layers.Dense(units)
        self.time_condition, self.frequency_condition = layers.Dense(units), layers.Dense(units)
        self.time_layers = [TimeDelayedLayer(units) for _ in range(depth)]
        self.frequency_layers = [FrequencyDelayedLayer(units) for _ in range(depth)]
        self.head = layers.Dense(3 * components, dtype="float32")
        self.units = units

    def build(self, input_shape=None):
        for dense in (self.time_input, self.frequency_input, self.time_condition, self.frequency_condition):
            dense.build((None, None, None, 1))
        for layer in (*self.time_layers, *self.frequency_layers):
            layer.build((None, None, None, self.units))
        self.head.build((None, None, None, 2 * self.units))

    def call(self, spectrogram, condition, training=False):
        if len(condition.shape) == 4:
            to_time = to_frequency = ops.cast(condition, self.compute_dtype)
        else:
            to_time = self.time_condition(condition[..., None])
            to_frequency = self.frequency_condition(condition[..., None])
        later = ops.pad(spectrogram[:, 1:], ((0, 0), (0, 1), (0, 0)))
        other = (
            ops.pad(spectrogram[1:], ((0, 1), (0, 0), (0, 0))) if training else ops.zeros_like(spectrogram)
        )
        in_time = self.time_input(later[..., None]) + to_time
        in_frequency = self.frequency_input(other[..., None]) + to_frequency
        for time_layer, frequency_layer in zip(self.time_layers, self.frequency_layers, strict=True):
            in_time = time_layer(in_time)
            in_frequency = frequency_layer(in_frequency, in_time)
        return self.head(ops.concatenate([in_time, in_frequency], axis=-1))


class MelNetSeed(SpectrogramGenerator):
    """The student project's MelNet.

    Args:
        classes: their names, in the order of their numbers.
        sample_rate: Hz.
        num_mels: bands, a multiple of 2 for every split along frequency.
        window_length: samples, of the spectrogram's windows.
        hop: samples between its frames.
        clip_frames: frames of a spectrogram, one more than a multiple of 2 for every split along time.
        depths: layers of each tier, the coarse one first; the last two have the full resolution between them.
        units: width of all layers but those of the extractor.
        components: Gaussians in a mixture.
        extractor: ``"two_way"``, along time, as in the project's last version; ``"four_way"``, of the
            version on its slides, in which the class is one number.

    Input:
        Dict: ``known (batch, clip_frames, num_mels)``, log-mel spectrograms, and ``label (batch,)``, the
        numbers of classes.

    Output:
        ``(batch, clip_frames - 1, num_mels, 3 * components)``: for each number of the power spectrogram but
        the first frame, what ``mixtures`` makes a mixture of.

    Reference:
        Kaunismaa et al. (2022), arXiv:2205.07319, and the code published with it.
    """

    gains_from_xla = False

    def __init__(
        self,
        *,
        classes=("music",),
        sample_rate=22050,
        num_mels=180,
        window_length=2048,
        hop=800,
        clip_frames=83,
        depths=(12, 6, 5, 4),
        units=64,
        components=10,
        extractor="two_way",
        **kwargs,
    ):
        super().__init__(
            classes=classes,
            sample_rate=sample_rate,
            num_mels=num_mels,
            window_length=window_length,
            hop=hop,
            clip_frames=clip_frames,
            **kwargs,
        )
        check_whole("units", units, 1)
        check_whole("components", components, 1)
        check_choice("extractor", extractor, EXTRACTORS)
        self.depths = whole_numbers("depths", depths, 1)
        for depth in self.depths:
            check_layers("depths", depth)
        if len(self.depths) < 2:
            raise ValueError(f"depths must be at least two numbers; got {self.depths}.")
        self.units, self.components, self.extractor = units, components, extractor
        splits = len(self.depths) - 2
        self.axes = tuple(TIME if (splits - number) % 2 else FREQUENCY for number in range(splits))
        parts = 2 ** self.axes.count(TIME)
        if clip_frames % parts != 1 % parts or clip_frames < 2:
            raise ValueError(
                f"clip_frames must be one more than a multiple of {parts}, since the first frame is no "
                f"target; got {clip_frames}."
            )
        if num_mels % 2 ** self.axes.count(FREQUENCY):
            raise ValueError(
                f"num_mels must be a multiple of {2 ** self.axes.count(FREQUENCY)}; got {num_mels}."
            )
        # What comes out of the four-way extractor's lowest tier is one number of the class.
        self.class_vectors = self.add_weight(
            name="class_vectors",
            shape=(len(self.classes), 1 if extractor == "four_way" else units),
            initializer=STANDARD_NORMAL,
        )
        self.tiers = [
            Tier(units, depth=depth, components=components, name=f"tier_{number}")
            for number, depth in enumerate(self.depths, start=1)
        ]
        frames, bands, grids = clip_frames, num_mels, []
        for axis in (*reversed(self.axes), None):
            grids.append((frames, bands))
            frames, bands = (frames // 2, bands) if axis == TIME else (frames, bands // 2)
        self.extractors = [
            Extraction(*grid, four_way=extractor == "four_way", name=f"extractor_{number}")
            for number, grid in enumerate(reversed(grids), start=1)
        ]
        for layer in (*self.tiers, *self.extractors):
            layer.build()
        if extractor == "two_way":
            for dense in (self.tiers[0].time_condition, self.tiers[0].frequency_condition):
                dense.trainable = False  # of what is not called there is no gradient
        self.noise = Sampling(dtype="float32")
        self.built = True

    def count_params(self):
        """Parameters as they were published: without the statistics of the data, which are not used."""
        return super().count_params() - sum(int(np.prod(weight.shape)) for weight in self.transform.weights)

    def power(self, log_mel):
        """Power in mel bands, of log-mel spectrograms."""
        return ops.square(ops.expm1(ops.convert_to_tensor(log_mel)) / self.transform.gain)

    def call(self, inputs, training=False):
        spectrogram = self.power(inputs["known"])[:, :-1]
        nothing = ops.zeros_like(spectrogram[:, :1, :1])
        noise = self.noise(nothing, nothing, training=training)
        return self.numbers(spectrogram, inputs["label"], noise, training=training)

    def numbers(self, spectrogram, label, noise, training=False):
        """What the last tier says of a power spectrogram; ``noise (batch, 1, 1)`` is that of the others."""
        chosen = ops.one_hot(label, len(self.classes), dtype=spectrogram.dtype)
        of_class = ops.matmul(chosen, ops.cast(self.class_vectors, spectrogram.dtype))[:, None, None]

        def coarse(grid, tier):
            if not tier:
                condition = of_class if self.extractor == "two_way" else of_class[..., 0]
                return self.mean_of(self.tiers[0](grid, condition, training=training), noise)
            own, below = halves(grid, self.axes[tier - 1])
            below = coarse(below, tier - 1)
            features = self.extractors[tier - 1](below)
            found = self.mean_of(self.tiers[tier](own, features, training=training), noise)
            return interleaved(found, below, self.axes[tier - 1])

        picture = coarse(spectrogram, len(self.tiers) - 2)
        return self.tiers[-1](spectrogram, self.extractors[-1](picture), training=training)

    def mixtures(self, numbers):
        """Means, deviations (or variances) and weights, each ``(..., components)``."""
        means, deviations, weights = ops.split(numbers, 3, axis=-1)
        length = ops.sqrt(ops.sum(ops.square(deviations), axis=-1, keepdims=True) + 1e-12)
        return means, ops.exp(deviations / (self.components * length)), ops.softmax(weights)

    def mean_of(self, numbers, noise):
        """The mean of a mixture, and of its deviation as much as the noise says."""
        means, deviations, weights = self.mixtures(numbers)
        return ops.sum(means * weights, axis=-1) + ops.sum(deviations * weights, axis=-1) * noise

    def batch_loss(self, x, y, y_pred, *, training):
        """As published: of every frame but the first, with a floor under densities and weights."""
        target = self.power(y)[:, 1:, :, None]
        means, variances, weights = self.mixtures(y_pred)
        densities = ops.exp(-0.5 * ops.square(target - means) / variances) / ops.sqrt(2.0 * np.pi * variances)
        likelihood = ops.sum((weights + LEAST_WEIGHT) * (densities + LEAST_DENSITY), axis=-1)
        return -ops.mean(ops.log(likelihood))

    def sample(self, class_name, n=1, seed=0, *, seconds=None, progress=False):
        """Spectrograms of a class, frame by frame, for each of which the whole network runs.

        Args:
            class_name: one of ``classes``.
            n: how many.
            seed: of the random numbers.
            seconds: length; by default that of one clip.
            progress: show a progress bar.

        Returns:
            float32 ``(n, frames, num_mels)``, standardised as by ``layers.AudioTransform``.

        Raises:
            UnknownClass: no such class.
            ValueError: ``n``, ``seed`` or ``seconds`` out of range.
        """
        check_whole("n", n, 1)
        check_whole("seed", seed, 0)
        label = np.full(n, self.label_of(class_name), "int32")
        random = np.random.default_rng(seed)
        clip = np.zeros((n, self.clip_frames - 1, self.num_mels), "float32")
        frames = []
        for _ in track(range(self.frames_of(seconds)), "frames", shown=progress):
            drawn = {
                "choice": random.random((n, self.num_mels), dtype="float32"),
                "normal": random.standard_normal((n, self.num_mels), dtype="float32"),
                "noise": random.standard_normal((n, 1, 1), dtype="float32"),
            }
            frame = self.run_in_batches(self.next_frame, {"clip": clip, "label": label} | drawn)
            frames.append(frame)
            clip = np.concatenate([clip[:, 1:], frame[:, None]], axis=1)
        magnitude = np.sqrt(np.maximum(np.stack(frames, axis=1), 0.0))
        return self.standardised(compress(magnitude, self.transform.gain))

    def next_frame(self, inputs):
        """The frame after a power spectrogram, drawn from what the last tier says at its end."""
        numbers = self.numbers(inputs["clip"], inputs["label"], inputs["noise"])[:, -1]
        means, deviations, weights = self.mixtures(numbers)
        last = ops.cumsum(weights, axis=-1)[..., :-1]
        number = ops.sum(ops.cast(inputs["choice"][..., None] >= last, "int32"), axis=-1)
        drawn = means + deviations * inputs["normal"][..., None]
        return ops.sum(ops.one_hot(number, self.components, dtype=drawn.dtype) * drawn, axis=-1)
