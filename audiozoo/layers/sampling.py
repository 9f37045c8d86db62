"""Random draws inside a network."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("audiozoo")
class Sampling(layers.Layer):
    """A draw from a diagonal Gaussian in training, its mean otherwise.

    ``mean + exp(log_variance / 2) * noise``: written so, the draw passes gradients on to mean and variance.
    The logarithm keeps the variance positive and its gradient even over all orders of magnitude.

    Args:
        seed: of the noise, which is new at every step.

    Input:
        ``mean`` and ``log_variance`` of equal shape.

    Output:
        That shape.

    Reference:
        Kingma and Welling (2013), Auto-Encoding Variational Bayes, arXiv:1312.6114, section 2.4.
    """

    def __init__(self, *, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)
        self.built = True  # no weights

    def call(self, mean, log_variance, training=False):
        if not training:
            return ops.convert_to_tensor(mean)
        noise = keras.random.normal(ops.shape(mean), dtype=self.compute_dtype, seed=self.generator)
        return mean + ops.exp(0.5 * log_variance) * noise

    def get_config(self):
        return super().get_config() | {"seed": self.seed}
