"""From features to a Gaussian, and from a Gaussian to a draw."""

import keras
from keras import layers, ops

# Of the posterior at the start. From a variance of 1 noise would drown the code, nothing would come through,
# and the KL divergence would switch the code off before the decoder has learned to listen.
INITIAL_LOG_VARIANCE = -4.0


@keras.saving.register_keras_serializable("audiozoo")
class GaussianHead(layers.Layer):
    """Features to mean and log-variance of a diagonal Gaussian, in single precision.

    Args:
        latent_dim: dimensions of the Gaussian.
        mean_initializer: of the weights of the mean; ``"zeros"`` where something else gives it at first.

    Input:
        ``(..., channels)``.

    Output:
        ``mean`` and ``log_variance``, each ``(..., latent_dim)``.

    Reference:
        Kingma and Welling (2013), Auto-Encoding Variational Bayes, arXiv:1312.6114, appendix C.2.
    """

    def __init__(self, latent_dim, *, mean_initializer="glorot_uniform", **kwargs):
        super().__init__(**(kwargs | {"dtype": "float32"}))
        self.latent_dim, self.mean_initializer = latent_dim, mean_initializer
        self.mean = layers.Dense(latent_dim, kernel_initializer=mean_initializer, dtype="float32")
        self.log_variance = layers.Dense(
            latent_dim,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            bias_initializer=keras.initializers.Constant(INITIAL_LOG_VARIANCE),
            dtype="float32",
        )

    def build(self, input_shape):
        self.mean.build(input_shape)
        self.log_variance.build(input_shape)

    def call(self, inputs):
        return self.mean(inputs), self.log_variance(inputs)

    def get_config(self):
        config = {"latent_dim": self.latent_dim, "mean_initializer": self.mean_initializer}
        return super().get_config() | config


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
