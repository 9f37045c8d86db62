"""Spectral losses: do two sounds look alike at every trade of time for frequency?"""

import math

import keras
from keras import ops

from audiozoo.dsp.spectra import stft_magnitude


@keras.saving.register_keras_serializable("audiozoo")
class MultiScaleSpectralLoss(keras.losses.Loss):
    """Mean difference of magnitudes plus mean difference of their logarithms, over six windows.

    For each window, with a hop of a quarter: ``mean |A - B| + mean |log(A + eps) - log(B + eps)|``
    (Engel et al., 2020, DDSP, arXiv:2001.04643, section 4.2.1; Wang et al., 2019). Phase is
    ignored. The logarithmic part dominates and keeps quiet partials in view.

    Args:
        window_lengths: samples.
        epsilon: added inside the logarithm.

    Input:
        Two audio tensors ``(batch, samples)``, more samples than half the longest window.

    Output:
        One value per item, averaged by the reduction that Keras applies.
    """

    def __init__(
        self,
        window_lengths=(2048, 1024, 512, 256, 128, 64),
        epsilon=1e-7,
        name="multi_scale_spectral_loss",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        self.window_lengths = tuple(window_lengths)
        self.epsilon = epsilon

    def call(self, y_true, y_pred):
        return sum(sum(self.parts(y_true, y_pred, window)) for window in self.window_lengths)

    def parts(self, reference, estimate, window_length):
        """Linear and logarithmic part for one window, each ``(batch,)``."""
        hop = window_length // 4
        a = ops.stop_gradient(stft_magnitude(reference, window_length=window_length, hop=hop))
        b = stft_magnitude(estimate, window_length=window_length, hop=hop)
        linear = ops.mean(ops.abs(a - b), axis=(1, 2))
        logarithmic = ops.mean(ops.abs(ops.log(a + self.epsilon) - ops.log(b + self.epsilon)), axis=(1, 2))
        return linear, logarithmic

    def get_config(self):
        return super().get_config() | {"window_lengths": list(self.window_lengths), "epsilon": self.epsilon}


QUIET = 3e-4  # magnitude, some -100 dB of full scale: what is quieter is silence
FAINT = 1e-2  # some -70 dB: a quieter clip is not blown up to the importance of a loud one


def multi_resolution_stft_loss(reference, estimate, *, window_lengths=(2048, 1024, 512, 256)):
    """Spectral convergence plus mean difference of log-magnitudes, mean over windows.

    For each window, with a hop of a quarter: ``|A - B| / |A| + mean |log A - log B|``, norms over the
    spectrogram of each item (Yamamoto, Song and Kim, 2020, Parallel WaveGAN, arXiv:1910.11480, eq. 6 and 7).
    The first term sees loud partials, the second everything that can be heard; phase is ignored.

    Args:
        reference, estimate: audio ``(batch, samples)``, more samples than half the longest window.
        window_lengths: samples.

    Returns:
        Scalar; no gradient flows into ``reference``.
    """
    total = 0.0
    for window_length in window_lengths:
        hop = window_length // 4
        a = ops.stop_gradient(audible(reference, window_length, hop))
        b = audible(estimate, window_length, hop)
        faint = FAINT * math.sqrt(a.shape[1] * a.shape[2])
        convergence = norms(a - b) / (norms(a) + faint)
        total += ops.mean(convergence) + ops.mean(ops.abs(ops.log(a) - ops.log(b)))
    return total / len(window_lengths)


def audible(audio, window_length, hop):
    """Magnitudes of which what is quiet is a little more than it was.

    Not cut off: a generator that begins below the threshold would never learn to be heard.
    """
    magnitude = stft_magnitude(audio, window_length=window_length, hop=hop)
    return ops.sqrt(ops.square(magnitude) + QUIET**2)


def norms(magnitude):
    """Square root of the sum of squares of each item."""
    # The root has no gradient at 0, where an estimate is perfect.
    return ops.sqrt(ops.maximum(ops.sum(ops.square(magnitude), axis=(1, 2)), 1e-12))
