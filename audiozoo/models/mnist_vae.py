"""The VAE of handwritten digits: the smallest one in which all that a VAE does can be seen.

Paper: Kingma and Welling (2013), Auto-Encoding Variational Bayes, arXiv:1312.6114, section 5 and appendix C:
one hidden layer of 500 tanh units on either side, a Bernoulli distribution for each pixel.
Differences: a convolutional and a batch-normalised variant besides; Glorot's initial weights, Adam.
"""

import math

import numpy as np
from keras import layers, ops
from scipy.special import expit

from audiozoo.arguments import check_whole
from audiozoo.errors import ImageError
from audiozoo.losses import bernoulli_negative_log_likelihood
from audiozoo.models.exported import Array
from audiozoo.models.vae import VAE, drawn

VARIANTS = ("dense", "convolutional", "batch_norm")
CHANNELS = (16, 32)  # of the convolutions; each halves the image


class Hidden(layers.Layer):
    """The hidden layer: ``(batch, values)`` to ``(batch, units)``, in -1..1."""

    def __init__(self, units, *, batch_norm, dropout, **kwargs):
        super().__init__(**kwargs)
        # Batch normalisation has a shift of its own.
        self.dense = layers.Dense(units, use_bias=not batch_norm)
        self.norm = layers.BatchNormalization(momentum=0.9) if batch_norm else None
        self.dropped = layers.Dropout(dropout)

    def build(self, input_shape):
        self.dense.build(input_shape)
        if self.norm is not None:
            self.norm.build((None, self.dense.units))

    def call(self, values, training=False):
        hidden = self.dense(values)
        if self.norm is not None:
            hidden = self.norm(hidden, training=training)
        return self.dropped(ops.tanh(hidden), training=training)


class Encoder(layers.Layer):
    """Images ``(batch, size, size)`` to mean and log-variance, each ``(batch, latent_dim)``."""

    def __init__(self, *, image_size, variant, hidden_units, latent_dim, dropout, **kwargs):
        super().__init__(**({"autocast": False} | kwargs))
        self.image_size = image_size
        self.convolutions = [
            layers.Conv2D(channels, 3, strides=2, padding="same", activation="relu")
            for channels in (CHANNELS if variant == "convolutional" else ())
        ]
        self.hidden = Hidden(hidden_units, batch_norm=variant == "batch_norm", dropout=dropout)
        self.mean = layers.Dense(latent_dim, dtype="float32")
        self.log_variance = layers.Dense(latent_dim, dtype="float32")

    def build(self, input_shape=None):
        size, before = self.image_size, 1
        for convolution in self.convolutions:
            convolution.build((None, size, size, before))
            size, before = -(-size // 2), convolution.filters
        self.hidden.build((None, size * size * before))
        for head in (self.mean, self.log_variance):
            head.build((None, self.hidden.dense.units))

    def call(self, images, training=False):
        maps = images[..., None]
        for convolution in self.convolutions:
            maps = convolution(maps)
        hidden = self.hidden(ops.reshape(maps, (-1, math.prod(maps.shape[1:]))), training=training)
        return self.mean(hidden), self.log_variance(hidden)


class Decoder(layers.Layer):
    """Code ``(batch, latent_dim)`` to the logit of each pixel, ``(batch, size, size)``."""

    def __init__(self, *, image_size, variant, hidden_units, latent_dim, dropout, **kwargs):
        super().__init__(**({"autocast": False} | kwargs))
        self.image_size, self.latent_dim = image_size, latent_dim
        self.hidden = Hidden(hidden_units, batch_norm=variant == "batch_norm", dropout=dropout)
        self.corner = -(-image_size // 2 ** len(CHANNELS))  # size of the smallest maps
        if variant == "convolutional":
            self.expand = layers.Dense(self.corner**2 * CHANNELS[-1], activation="relu")
            # Four pixels at once, from one place of the smaller map.
            self.convolutions = [
                layers.Conv2D(4 * CHANNELS[0], 3, padding="same", activation="relu"),
                layers.Conv2D(4, 3, padding="same", dtype="float32"),
            ]
        else:
            self.expand = layers.Dense(image_size**2, dtype="float32")
            self.convolutions = []

    def build(self, latent_shape=None):
        self.hidden.build((None, self.latent_dim))
        self.expand.build((None, self.hidden.dense.units))
        for convolution, before in zip(self.convolutions, CHANNELS[::-1], strict=False):
            convolution.build((None, None, None, before))

    def call(self, latent, training=False):
        values = self.expand(self.hidden(latent, training=training))
        if not self.convolutions:
            return ops.reshape(values, (-1, self.image_size, self.image_size))
        maps = ops.reshape(values, (-1, self.corner, self.corner, CHANNELS[-1]))
        for convolution in self.convolutions:
            maps = pixels_of(convolution(maps))
        return maps[:, : self.image_size, : self.image_size, 0]


def pixels_of(maps):
    """Maps ``(batch, size, size, 4 * channels)`` as ``(batch, 2 * size, 2 * size, channels)``."""
    size, channels = maps.shape[1], maps.shape[-1] // 4
    blocks = ops.reshape(maps, (-1, size, size, 2, 2, channels))
    return ops.reshape(ops.transpose(blocks, (0, 1, 3, 2, 4, 5)), (-1, 2 * size, 2 * size, channels))


class MnistVAE(VAE):
    """VAE of square images whose pixels are on or off, with one code an image.

    Args:
        image_size: pixels in a row, and rows; at least 4.
        variant: ``"dense"``, one hidden layer as in the paper; ``"batch_norm"``, the same, normalised over
            the batch before the tanh; ``"convolutional"``, two convolutions on either side of it.
        hidden_units: of the hidden layer in the encoder, and of that in the decoder.
        latent_dim: numbers in a code.
        beta: weight of the KL divergence in nats; 1 for the evidence lower bound.
        free_bits: nats per dimension that cost nothing.
        dropout: share of the hidden units dropped in training, 0..0.95.

    Input:
        Dict with ``image (batch, size, size)``, float in 0..1: the probability that a pixel is on.

    Output:
        Dict: ``output``, the logit of each pixel, ``(batch, size, size)``; ``mean`` and ``log_variance`` of
        the code, ``(batch, latent_dim)``.

    Reference:
        Kingma and Welling (2013), arXiv:1312.6114.
    """

    encodes = "image"
    trains_on = "images"

    def __init__(
        self,
        *,
        image_size=28,
        variant="dense",
        hidden_units=500,
        latent_dim=10,
        beta=1.0,
        free_bits=0.0,
        dropout=0.0,
        **kwargs,
    ):
        super().__init__(beta=beta, free_bits=free_bits, dropout=dropout, **kwargs)
        check_whole("image_size", image_size, 4)
        check_whole("hidden_units", hidden_units, 1)
        check_whole("latent_dim", latent_dim, 1)
        if variant not in VARIANTS:
            raise ValueError(f"variant must be one of {', '.join(VARIANTS)}; got {variant!r}. Use 'dense'.")
        self.image_size, self.variant = image_size, variant
        self.hidden_units, self.latent_dim = hidden_units, latent_dim
        shape = {"image_size": image_size, "variant": variant, "hidden_units": hidden_units}
        shape |= {"latent_dim": latent_dim, "dropout": dropout}
        self.encoder, self.decoder = Encoder(**shape), Decoder(**shape)
        self.build()

    def build(self, input_shape=None):
        self.encoder.build()
        self.decoder.build()

    @property
    def item_shape(self):
        return (self.image_size, self.image_size)

    def as_items(self, images, *, name):
        return as_images(images, size=self.image_size, name=name)

    def latent_shape(self, *item_shape):
        return (self.latent_dim,)

    def call(self, inputs, training=False):
        shape = tuple(inputs["image"].shape)
        if shape[1:] != self.item_shape:
            raise ImageError(
                f"image must be (batch, {self.image_size}, {self.image_size}); got shape {shape}. Resize the "
                "images, or build the model with their image_size."
            )
        return super().call(inputs, training=training)

    def reconstruction_error(self, target, outputs):
        return bernoulli_negative_log_likelihood(target, outputs["output"])

    def item_of(self, output, item_shape):
        return expit(output)  # what is shown is the probability that a pixel is on

    def exported_output(self):
        return "image", Array(("batch", *self.item_shape), "probability that a pixel is on, 0..1")

    def exported_item(self, latent):
        return ops.sigmoid(self.decoder(latent))

    def elbo(self, images, *, seed=0):
        """Evidence lower bound of each image: at most the logarithm of its probability.

        The divergence is exact, the expectation over codes is estimated by one draw. For images of grey
        values it is a bound in name only: no pixel between 0 and 1 has a probability under the model.

        Args:
            images: as for ``encode``.
            seed: of the draw.

        Returns:
            float64 ``(batch,)``, nats; a number for a single image.

        Raises:
            ImageError: as ``encode``.
        """
        images, single = self.as_items(images, name="image")
        code = self.code_distribution(images)
        mean, log_variance = (code[key].astype("float64") for key in ("mean", "log_variance"))
        divergence = 0.5 * np.sum(mean**2 + np.exp(log_variance) - 1.0 - log_variance, axis=1)
        surprise = self.run_in_batches(self._surprise, {"image": images, "latent": drawn(code, seed)})
        bound = -surprise.astype("float64") - divergence
        return bound[0] if single else bound

    def _surprise(self, inputs):
        return self.reconstruction_error(inputs["image"], {"output": self.decoder(inputs["latent"])})


def as_images(images, *, size, name="image"):
    """Images as float32 ``(batch, size, size)``, and whether it was a single one.

    Raises:
        ImageError: another shape or type, none at all, or values outside of 0..1.
    """
    try:
        images = np.asarray(images)
    except ValueError as error:
        raise ImageError(
            f"{name} must be (batch, {size}, {size}); its images differ in size. Resize them."
        ) from error
    if not np.issubdtype(images.dtype, np.floating):
        raise ImageError(f"{name} must be float in 0..1; got {images.dtype}. Divide bytes by 255.")
    if images.ndim not in (2, 3) or images.shape[-2:] != (size, size):
        raise ImageError(
            f"{name} must be ({size}, {size}) or (batch, {size}, {size}); got shape {images.shape}. Resize "
            "the images, or build the model with their image_size."
        )
    if not images.size:
        raise ImageError(f"{name} must hold at least one image; it is empty.")
    if not (np.min(images) >= 0.0 and np.max(images) <= 1.0):  # false for NaN too
        raise ImageError(
            f"{name} must be in 0..1, the probability that a pixel is on; got {np.min(images):g} to "
            f"{np.max(images):g}. Divide bytes by 255."
        )
    images = images.astype("float32")
    return (images[None], True) if images.ndim == 2 else (images, False)
