"""MelNet: spectrograms of a class number by number, each drawn from what came before it, coarse to fine.

Paper: Vasquez and Lewis (2019), MelNet, arXiv:1906.01083.

A spectrogram is split into tiers: the last one is every second frame, the one before it every second band of
what is left, and so on in turns; the first is a coarse picture that says how the piece goes. A tier is drawn
frame by frame, in a frame from the lowest band up, and given all tiers below it. Each number is drawn from a
mixture of Gaussians, so the whole has a likelihood, and that is what is learned.

Differences from the paper:

- Each band has a vector of its own where a tier begins: without one a network has to count to know how high a
  band is.
- Tiers are trained together by default, with one optimizer.
- Recurrences are GRU or minGRU instead of LSTM, and begin with zeros.
- ``upsampler="parallel"`` draws the numbers of all tiers but the first independently of each other, in one
  pass, as the re-implementation of Deepest-Project does (2019, github.com/Deepest-Project/MelNet).

``melnet_seed`` is what a student project made of the same paper, and why that gave noise.
"""

import keras
import numpy as np
from keras import layers, ops

from audiozoo.arguments import check_choice, check_layers, check_range, check_whole, whole_numbers
from audiozoo.data.audio_io import mono_at_rate
from audiozoo.errors import AudioError
from audiozoo.layers import CentralizedLayer, FrequencyDelayedLayer, SurroundingLayer, TimeDelayedLayer
from audiozoo.layers.axial import CELLS, WAYS
from audiozoo.losses import mixture_negative_log_likelihood, mixture_sample
from audiozoo.models.base import BATCH
from audiozoo.models.spectrogram_generator import SpectrogramGenerator
from audiozoo.progress import track

UPSAMPLERS = ("autoregressive", "parallel")
TIME, FREQUENCY = 1, 2  # axes of ``(batch, frames, bands)``
HOTTEST = 10.0
# Deviations. What is drawn is kept where the numbers of music are: beyond them a network has learned
# nothing, and from a number far out it goes on to others.
FARTHEST = 4.0
STRANGEST = 10.0  # beyond what any audio within -1..1 can have


class Entrance(layers.Layer):
    """Numbers ``(batch, frames, bands)`` as vectors, each with those of its band and its class added.

    Args:
        units: length of the vectors.
        num_classes: how many classes there are.
        with_features: whether features of lower tiers are added too.
    """

    def __init__(self, units, *, num_classes, with_features=False, **kwargs):
        super().__init__(**({"autocast": False} | kwargs))
        self.units, self.num_classes = units, num_classes
        self.features = layers.Dense(units, use_bias=False) if with_features else None

    def build(self, bands):
        def vectors(name, *shape, scale):
            initializer = keras.initializers.RandomNormal(stddev=scale)
            return self.add_weight(name=name, shape=(*shape, self.units), initializer=initializer)

        self.direction = vectors("direction", scale=0.5)
        self.of_band = vectors("of_band", bands, scale=0.1)
        self.of_class = vectors("of_class", self.num_classes, scale=0.1)
        if self.features is not None:
            self.features.build((None, None, None, self.units))

    def call(self, values, label, features=None):
        return self.around(label, features) + self.along(values)

    def around(self, label, features=None):
        """What does not depend on the numbers, ``(batch, 1 or frames, bands, units)``."""
        chosen = ops.one_hot(label, self.num_classes, dtype=self.compute_dtype)
        of_class = ops.matmul(chosen, ops.cast(self.of_class, self.compute_dtype))[:, None, None]
        around = of_class + ops.cast(self.of_band, self.compute_dtype)
        return around if features is None else around + self.features(features)

    def along(self, values):
        """What does, ``(..., units)`` of numbers ``(...)``."""
        direction = ops.cast(self.direction, self.compute_dtype)
        return ops.cast(values, self.compute_dtype)[..., None] * direction


class Extractor(layers.Layer):
    """Features of the tiers below, ``(batch, frames, bands)``, at each of their places: ``(..., units)``.

    Args:
        units, depth, num_classes, cell, ways, remat: see ``ParallelTier``.
    """

    def __init__(self, units, *, depth, num_classes, cell, ways, remat, **kwargs):
        super().__init__(**({"autocast": False} | kwargs))
        self.remat = remat
        self.entrance = Entrance(units, num_classes=num_classes)
        self.blocks = [SurroundingLayer(units, cell=cell, ways=ways) for _ in range(depth)]

    def build(self, bands):
        self.entrance.build(bands)
        for block in self.blocks:
            block.build((None, None, None, block.units))

    def call(self, lower, label):
        features = self.entrance(lower, label)
        for block in self.blocks:
            features = again_if(self.remat, block)(features)
        return features


class ParallelTier(layers.Layer):
    """Mixtures of all numbers of a tier at once, from the tiers below alone.

    Args:
        units, depth, components, cell, ways, remat: see ``MelNet``; the depth is that of the extractor.
        num_classes: how many classes there are.

    Input:
        Numbers of the tier, which are not looked at; class ``(batch,)``; ``lower``, the tiers below, all of
        these ``(batch, frames, bands)``.

    Output:
        ``(batch, frames, bands, 3 * components)``, see ``losses.mixture_parameters``.
    """

    def __init__(self, units, *, depth, components, cell, ways, num_classes, remat, **kwargs):
        super().__init__(**({"autocast": False} | kwargs))
        settings = {"num_classes": num_classes, "cell": cell, "ways": ways, "remat": remat}
        self.extractor = Extractor(units, depth=depth, **settings)
        self.head = MixtureHead(components)
        self.units = units

    def build(self, bands):
        self.extractor.build(bands)
        self.head.build((None, None, None, self.units))

    def call(self, values, label, lower):
        return self.head(self.extractor(lower, label))

    def draw(self, inputs):
        """Numbers of the tier; ``inputs`` as ``AutoregressiveTier.draw``, with ``lower`` for the features."""
        parameters = self.call(None, inputs["label"], inputs["lower"])
        temperature = inputs["temperature"][:, None, None]
        drawn = value_of(parameters, inputs["choice"], inputs["normal"], temperature)
        return ops.where(inputs["fixed"], inputs["given"], drawn)


class AutoregressiveTier(layers.Layer):
    """Mixtures of the numbers of a tier, each from those in frames before, those below it, and lower tiers.

    Args:
        units, depth, components, cell, ways, remat: see ``MelNet``; ways is None for the first tier.
        num_classes: how many classes there are.

    Input:
        Numbers of the tier ``(batch, frames, bands)``; class ``(batch,)``; ``lower``, the tiers below, in the
        same shape, but not for the first.

    Output:
        ``(batch, frames, bands, 3 * components)``, see ``losses.mixture_parameters``.
    """

    def __init__(self, units, *, depth, components, cell, ways, num_classes, remat, **kwargs):
        super().__init__(**({"autocast": False} | kwargs))
        self.units, self.depth, self.remat, self.is_first = units, depth, remat, ways is None
        entrance = {"num_classes": num_classes, "with_features": not self.is_first}
        if not self.is_first:
            settings = {"num_classes": num_classes, "cell": cell, "ways": ways, "remat": remat}
            self.extractor = Extractor(units, depth=1, **settings)
        self.time_entrance = Entrance(units, **entrance)
        self.frequency_entrance = Entrance(units, **entrance)
        self.time_layers = [TimeDelayedLayer(units, cell=cell) for _ in range(depth)]
        self.frequency_layers = [FrequencyDelayedLayer(units, cell=cell) for _ in range(depth)]
        # One vector a frame: the only place where a band hears of far ones at once. The first tier alone.
        self.central_entrance = layers.Dense(units) if self.is_first else None
        self.central_layers = [
            CentralizedLayer(units, cell=cell) for _ in range(depth if self.is_first else 0)
        ]
        self.head = MixtureHead(components)

    def build(self, bands):
        if not self.is_first:
            self.extractor.build(bands)
        for entrance in (self.time_entrance, self.frequency_entrance):
            entrance.build(bands)
        if self.is_first:
            self.central_entrance.build((None, None, bands))
        for layer in (*self.time_layers, *self.frequency_layers, *self.central_layers, self.head):
            layer.build((None, None, None, self.units))

    def call(self, values, label, lower=None):
        features = None if lower is None else self.extractor(lower, label)
        before = delayed(values, TIME)
        in_time = self.time_entrance(before, label, features)
        in_frequency = self.frequency_entrance(delayed(values, FREQUENCY), label, features)
        central = self.central_entrance(before) if self.is_first else None
        for number in range(self.depth):
            in_time = context = again_if(self.remat, self.time_layers[number])(in_time)
            if self.is_first:
                central = again_if(self.remat, self.central_layers[number])(central)
                context = context + central[:, :, None]
            in_frequency = again_if(self.remat, self.frequency_layers[number])(in_frequency, context)
        return self.head(in_frequency)

    # --- Sampling ---

    def features(self, inputs):
        """What ``draw`` needs of the tiers below: dict of ``lower`` and ``label`` to ``(..., units)``."""
        return self.extractor(inputs["lower"], inputs["label"])

    def silence(self, items, bands):
        """The states before the first frame, as ``draw`` takes and returns them, of numpy."""
        return {
            "last": np.zeros((items, bands), "float32"),
            "time_states": np.zeros((items, self.depth, bands, self.units), "float32"),
            "central_states": np.zeros((items, len(self.central_layers), self.units), "float32"),
        }

    def draw(self, inputs):
        """The next frames, each once through all layers, and in it one number after the other.

        Equal to ``call`` on what is drawn; nothing is computed twice.

        Args:
            inputs: dict: ``choice`` and ``normal``, random numbers, see ``losses.mixture_sample``; ``given``,
                numbers to take instead where the boolean ``fixed`` says so, all of these ``(batch, frames,
                bands)``; ``temperature`` and ``label (batch,)``; ``features`` of these frames, but for the
                first tier; and the states after the frame before, see ``silence``.

        Returns:
            Dict: ``values (batch, frames, bands)``, and the states after the last of them.
        """
        label, temperature = inputs["label"], inputs["temperature"]
        features = inputs.get("features")
        frames = inputs["choice"].shape[1]

        def by_frame(array):
            return ops.swapaxes(array, 0, 1)

        def by_frame_and_band(array):
            return ops.transpose(array, (1, 2, 0, *range(3, len(array.shape))))

        def everywhere(around):
            return ops.repeat(around, frames, axis=1) if features is None else around

        def frame(before, now):
            last, time_states, central_states = before
            in_time = now["around_time"] + self.time_entrance.along(last)
            central = self.central_entrance(ops.cast(last, self.compute_dtype)) if self.is_first else None
            contexts, states_now, central_now = [], [], []
            for number in range(self.depth):
                in_time, state = self.time_layers[number].step(in_time, time_states[number])
                states_now.append(state)
                context = in_time
                if self.is_first:
                    central, state = self.central_layers[number].step(central, central_states[number])
                    central_now.append(state)
                    context = context + central[:, None]
                contexts.append(by_frame(context))
            zero = ops.zeros_like(contexts[0][0])

            def band(below, here):
                value, states = below
                x, states_here = here["around"] + self.frequency_entrance.along(value), []
                for number, layer in enumerate(self.frequency_layers):
                    x, state = layer.step(x, here["contexts"][number], states[number])
                    states_here.append(state)
                value = value_of(self.head(x), here["choice"], here["normal"], temperature)
                reached = (ops.where(here["fixed"], here["given"], value), tuple(states_here))
                return reached, reached

            bands = {name: now[name] for name in ("choice", "normal", "given", "fixed")}
            bands |= {"around": now["around_frequency"], "contexts": tuple(contexts)}
            start = (ops.zeros_like(now["choice"][0]), (zero,) * self.depth)
            _, (values, _) = ops.scan(band, start, bands)
            reached = (by_frame(values), tuple(states_now), tuple(central_now))
            return reached, reached

        given = {name: by_frame_and_band(inputs[name]) for name in ("choice", "normal", "given", "fixed")}
        given["around_time"] = by_frame(everywhere(self.time_entrance.around(label, features)))
        given["around_frequency"] = by_frame_and_band(
            everywhere(self.frequency_entrance.around(label, features))
        )
        start = (
            inputs["last"],
            *(
                tuple(ops.cast(inputs[name][:, number], self.compute_dtype) for number in range(count))
                for name, count in (
                    ("time_states", self.depth),
                    ("central_states", len(self.central_layers)),
                )
            ),
        )
        (last, time_states, central_states), (values, *_) = ops.scan(frame, start, given)
        reached = {"values": by_frame(values), "last": last}
        for name, states in (("time_states", time_states), ("central_states", central_states)):
            kept = ops.stack(states, axis=1) if states else inputs[name]
            reached[name] = ops.cast(kept, "float32")
        return reached


class MixtureHead(layers.Dense):
    """The numbers of mixtures, see ``losses.mixture_parameters``; at first nearly alike."""

    def __init__(self, components, **kwargs):
        initializer = keras.initializers.RandomNormal(stddev=0.01)
        super().__init__(3 * components, kernel_initializer=initializer, **({"dtype": "float32"} | kwargs))
        self.components = components

    def build(self, input_shape):
        super().build(input_shape)
        means = np.linspace(-1.0, 1.0, self.components) if self.components > 1 else np.zeros(1)
        self.bias.assign(np.concatenate([means, np.zeros(2 * self.components)]).astype("float32"))


class MelNet(SpectrogramGenerator):
    """Spectrograms of a class, number by number.

    Args:
        classes: their names, in the order of their numbers.
        sample_rate: Hz.
        num_mels: bands, a multiple of 2 for every second tier after the first.
        window_length: samples, of the spectrogram's windows.
        hop: samples between its frames.
        clip_frames: frames that are learned from at once; a multiple of 2 for the other tiers.
        depths: layers of each tier, the coarse one first.
        units: width of all layers.
        components: Gaussians in a mixture.
        cell: ``"gru"``, or ``"mingru"``, which trains two to three times as fast.
        upsampler: ``"autoregressive"``, or ``"parallel"``: numbers of further tiers are drawn independently
            of each other, and at once.
        extractor: ``"four_way"``, or ``"two_way"``: along which ways a further tier looks at those below.
        learned_tiers: numbers of the tiers that are trained, from 1; all of them where it is empty. They
            share nothing, so each may be trained by itself, on a machine of its own, and put in by
            ``take_tier``.
        remat: compute layers again in the backward pass instead of keeping what they gave: less memory, more
            time.

    Input:
        Dict: ``known (batch, clip_frames, num_mels)``, log-mel spectrograms, and ``label (batch,)``, the
        numbers of classes.

    Output:
        ``(batch, clip_frames, num_mels, 3 * components)``: for each number of the standardised spectrogram
        its mixture, given those that come before it, see ``losses.mixture_parameters``.

    Reference:
        Vasquez and Lewis (2019), arXiv:1906.01083, and what the head of this file names.
    """

    def __init__(
        self,
        *,
        classes=("music",),
        sample_rate=22050,
        num_mels=80,
        window_length=1024,
        hop=256,
        clip_frames=128,
        depths=(4, 3, 2),
        units=64,
        components=10,
        cell="gru",
        upsampler="autoregressive",
        extractor="four_way",
        learned_tiers=(),
        remat=False,
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
        check_choice("cell", cell, tuple(CELLS))
        check_choice("upsampler", upsampler, UPSAMPLERS)
        check_choice("extractor", extractor, WAYS)
        self.depths = whole_numbers("depths", depths, 1)
        for depth in self.depths:
            check_layers("depths", depth)
        if not self.depths:
            raise ValueError("depths must be at least one number; got ().")
        self.learned_tiers = whole_numbers("learned_tiers", learned_tiers, 1)
        if any(number > len(self.depths) for number in self.learned_tiers):
            raise ValueError(
                f"learned_tiers must be numbers of tiers, 1 to {len(self.depths)}; got {self.learned_tiers}."
            )
        self.units, self.components, self.cell = units, components, cell
        self.upsampler, self.extractor, self.remat = upsampler, extractor, bool(remat)
        # Along which axis each tier after the first lies between what is below it; the last between frames.
        count = len(self.depths) - 1
        self.axes = tuple(TIME if (count - number) % 2 else FREQUENCY for number in range(count))
        for name, axis in (("clip_frames", TIME), ("num_mels", FREQUENCY)):
            parts = 2 ** self.axes.count(axis)
            if getattr(self, name) % parts:
                raise ValueError(
                    f"{name} must be a multiple of {parts}, since {len(self.depths)} tiers halve it "
                    f"{self.axes.count(axis)} times; got {getattr(self, name)}."
                )
        settings = {"components": components, "cell": cell, "num_classes": len(self.classes)}
        settings["remat"] = self.remat
        kinds = {"autoregressive": AutoregressiveTier, "parallel": ParallelTier}
        self.tiers = [
            (kinds[upsampler] if number else AutoregressiveTier)(
                units, depth=depth, ways=extractor if number else None, name=f"tier_{number + 1}", **settings
            )
            for number, depth in enumerate(self.depths)
        ]
        for number, (tier, (_, bands)) in enumerate(zip(self.tiers, self.grids(), strict=True), start=1):
            tier.build(bands)
            tier.trainable = self.learns(number)
        self.trackers = {
            number: keras.metrics.Mean(f"loss_of_tier_{number}")
            for number in range(1, len(self.depths) + 1)
            if self.learns(number)
        }
        self.built = True

    def learns(self, number):
        """Whether a tier, counted from 1, is trained."""
        return not self.learned_tiers or number in self.learned_tiers

    def grids(self, clips=1):
        """Frames and bands of each tier of so many clips in a row."""
        shape, shapes = [clips * self.clip_frames, self.num_mels], []
        for axis in reversed(self.axes):
            shape[axis - 1] //= 2
            shapes.append(tuple(shape))
        return [tuple(shape), *reversed(shapes)]

    def tiers_of(self, grid):
        """A spectrogram, or what belongs to each of its numbers, ``(batch, frames, bands, ...)``, as tiers.

        Returns:
            List of ``(lower, values)``, the first tier first: all that is below the tier, and its own.
        """
        parts = []
        for axis in reversed(self.axes):
            grid, values = halves(grid, axis)
            parts.append((grid, values))
        return [(None, grid), *reversed(parts)]

    def call(self, inputs, training=False):
        label = inputs["label"]
        spectrogram = self.transform.standardised(inputs["known"])
        grid = None
        for tier, axis, (lower, values) in zip(
            self.tiers, (None, *self.axes), self.tiers_of(spectrogram), strict=True
        ):
            parameters = tier(values, label, lower)
            grid = parameters if axis is None else interleaved(grid, parameters, axis)
        return grid

    # --- Training ---

    def batch_loss(self, x, y, y_pred, *, training):
        """Negative log-likelihood of the standardised spectrogram, nats per number of the learned tiers."""
        values = self.tiers_of(self.transform.standardised(y))
        parameters = self.tiers_of(y_pred)
        total, count = 0.0, 0
        for number, tracker in self.trackers.items():
            loss = ops.mean(mixture_negative_log_likelihood(values[number - 1][1], parameters[number - 1][1]))
            tracker.update_state(loss)
            frames, bands = self.grids()[number - 1]
            total, count = total + frames * bands * loss, count + frames * bands
        return total / count

    def take_tier(self, number, other):
        """Take the weights of a tier from another model of the same arguments but for ``learned_tiers``.

        Args:
            number: of the tier, from 1.
            other: ``MelNet`` that has the same statistics, as one trained on the same data.

        Raises:
            ValueError: no such tier, or the other model has other arguments or statistics.
        """
        check_range("number", number, 1, len(self.tiers))
        if not isinstance(other, MelNet):
            raise ValueError(f"other must be a MelNet; got {type(other).__name__}. Load it first.")
        ours, theirs = (model.get_config() | {"name": None, "learned_tiers": None} for model in (self, other))
        same = ours == theirs and all(
            np.array_equal(a, b)
            for a, b in zip(self.transform.get_weights(), other.transform.get_weights(), strict=True)
        )
        if not same:
            raise ValueError(
                "other must have the arguments and statistics of this model; train it on the same data."
            )
        self.tiers[number - 1].set_weights(other.tiers[number - 1].get_weights())

    # --- Sampling ---

    def sample(self, class_name, n=1, seed=0, *, seconds=None, temperature=1.0, prime=None, progress=False):
        """Spectrograms of a class.

        The first tier goes on as long as it is asked to, and the others see all of it. Of equal seeds, a
        further one is like the others, and a longer one begins with the first tier of the others.

        Args:
            class_name: one of ``classes``.
            n: how many.
            seed: of the random numbers. One seed gives the same on every backend, and for every class.
            seconds: length; by default that of one clip.
            temperature: 1 draws from what was learned; below 1, what is likely becomes more so, to 0.01.
            prime: standardised spectrogram ``(frames, num_mels)`` to go on from, such as
                ``model.transform.spectrogram(audio)``; it is what the result begins with. Tiers need a
                multiple of some number of frames, 2 in ``melnet_small``: the first ones of a prime are left
                out for that.
            progress: show a progress bar.

        Returns:
            float32 ``(n, frames, num_mels)``, standardised as by ``layers.AudioTransform``: what ``sound``
            takes.

        Raises:
            UnknownClass: no such class.
            AudioError: a prime of another shape, not standardised, or shorter or longer than it may be.
            ValueError: ``n``, ``seed``, ``seconds`` or ``temperature`` out of range.
        """
        check_whole("n", n, 1)
        check_whole("seed", seed, 0)
        check_range("temperature", temperature, 0.01, HOTTEST)
        label = self.label_of(class_name)
        frames = self.frames_of(seconds)
        clips = -(-frames // self.clip_frames)
        primed, where = self.primed(prime, frames, clips)
        same = {"label": np.full(n, label, "int32"), "temperature": np.full(n, temperature, "float32")}
        whole = None
        for number, (axis, (_, given), (_, fixed)) in enumerate(
            zip((None, *self.axes), self.tiers_of(primed), self.tiers_of(where), strict=True)
        ):
            shape = given.shape[1:]
            inputs = same | noise_of(seed, number, n, shape)
            inputs |= {"given": np.repeat(given, n, axis=0), "fixed": np.repeat(fixed, n, axis=0)}
            values = self.drawn(self.tiers[number], inputs, whole, clips, progress)
            whole = values if axis is None else interleaved_numpy(whole, values, axis)
        return whole[:, :frames]

    def continue_recording(self, audio, sample_rate, class_name, *, seconds, **settings):
        """What a class makes of the end of a recording: its spectrogram, and how it might go on.

        Args:
            audio: ``(samples,)`` or ``(samples, channels)``.
            sample_rate: of the audio, Hz.
            class_name: one of ``classes``.
            seconds: length of the whole, longer than the audio.
            settings: ``n``, ``seed``, ``temperature`` and ``progress``, as of ``sample``.

        Returns:
            As ``sample``; see there for what is left out at the beginning.

        Raises:
            AudioError: no usable audio, or none that is shorter than ``seconds``.
            UnknownClass, ValueError: as ``sample``.
        """
        audio = mono_at_rate(audio, sample_rate, self.sample_rate)
        frames, known = self.frames_of(seconds), len(audio) // self.hop + 1
        if not self.frame_step <= known < frames:
            raise AudioError(
                f"audio must be shorter than seconds, {frames} frames of {self.hop} samples, and have at "
                f"least {self.frame_step}; got {known}. Take the end of it, or make seconds longer."
            )
        return self.sample(class_name, seconds=seconds, prime=self.transform.spectrogram(audio), **settings)

    @property
    def frame_step(self):
        """Frames of the result for one of the first tier: a prime is a multiple of them."""
        return 2 ** self.axes.count(TIME)

    def primed(self, prime, frames, clips):
        """What is given of the result, ``(1, frames, num_mels)`` in whole clips, and where it is."""
        given = np.zeros((1, clips * self.clip_frames, self.num_mels), "float32")
        fixed = np.zeros(given.shape, bool)
        if prime is None:
            return given, fixed
        prime = np.asarray(ops.convert_to_numpy(prime))
        if prime.ndim != 2 or prime.shape[1] != self.num_mels or prime.dtype.kind not in "iuf":
            raise AudioError(
                f"prime must be numbers (frames, {self.num_mels}); got {prime.dtype} of shape {prime.shape}."
            )
        if not np.all(np.abs(prime) <= STRANGEST):  # false for NaN too
            raise AudioError(
                f"prime must be finite and standardised, within {STRANGEST:g} deviations, as "
                f"transform.spectrogram returns it; got {np.abs(prime).max():g}. Look at what made it."
            )
        left_out = len(prime) % self.frame_step
        if not self.frame_step <= len(prime) < frames:
            raise AudioError(
                f"prime must have {self.frame_step} to {frames - 1} frames, {frames} being the whole; got "
                f"{len(prime)}. Take its end, or make seconds longer."
            )
        prime = prime[left_out:]
        given[0, : len(prime)], fixed[0, : len(prime)] = prime, True
        return given, fixed

    def drawn(self, tier, inputs, lower, clips, progress):
        """The numbers of one tier, a clip after the other where it has states to carry on."""
        if isinstance(tier, ParallelTier):
            return self.run_in_batches(tier.draw, inputs | {"lower": lower})
        if lower is not None:
            # As much at once as of one clip: all frames of an item are seen together.
            inputs["features"] = self.run_in_batches(
                tier.features, {"lower": lower, "label": inputs["label"]}, most=max(1, BATCH // clips)
            )
        items, frames, bands = inputs["choice"].shape
        states, pieces = tier.silence(items, bands), []
        for clip in track(range(clips), tier.name.replace("_", " "), shown=progress):
            part = slice(clip * (frames // clips), (clip + 1) * (frames // clips))
            now = {name: value[:, part] if value.ndim > 1 else value for name, value in inputs.items()}
            states = self.run_in_batches(tier.draw, now | states)
            pieces.append(states.pop("values"))
        return np.concatenate(pieces, axis=1)


def again_if(remat, layer):
    """A layer; with ``remat`` one that is computed again in the backward pass."""
    # A new function each time: one that JAX knows it takes for the same, with the weights of the last call.
    return keras.remat(lambda *inputs: layer(*inputs)) if remat else layer


def value_of(parameters, choice, normal, temperature):
    """``losses.mixture_sample`` within bounds."""
    return ops.clip(mixture_sample(parameters, choice, normal, temperature), -FARTHEST, FARTHEST)


def delayed(grid, axis):
    """A grid one step later along an axis, after zeros."""
    length = grid.shape[axis]
    around = [(1, 0) if number == axis else (0, 0) for number in range(3)]
    padded = ops.pad(grid, around)
    return padded[:, :length] if axis == TIME else padded[:, :, :length]


def halves(grid, axis):
    """Every second frame or band of a grid, from the first and from the second on."""
    return (grid[:, 0::2], grid[:, 1::2]) if axis == TIME else (grid[:, :, 0::2], grid[:, :, 1::2])


def interleaved(even, odd, axis):
    """The reverse of ``halves``."""
    shape = list(even.shape)
    shape[0], shape[axis] = -1, 2 * shape[axis]
    return ops.reshape(ops.stack([even, odd], axis=axis + 1), shape)


def interleaved_numpy(even, odd, axis):
    """``interleaved`` of arrays."""
    return ops.convert_to_numpy(interleaved(even, odd, axis))


def noise_of(seed, tier, items, shape):
    """Random numbers of a tier for each of some items; those of a longer grid begin with the same."""

    def random(item, use):
        return np.random.default_rng((seed, item, tier, use))

    return {
        "choice": np.stack([random(item, 0).random(shape, dtype="float32") for item in range(items)]),
        "normal": np.stack(
            [random(item, 1).standard_normal(shape, dtype="float32") for item in range(items)]
        ),
    }
