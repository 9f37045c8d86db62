"""What all variational autoencoders of the zoo share: how they are trained, and what can be done with a code.

Paper: Kingma and Welling (2013), Auto-Encoding Variational Bayes, arXiv:1312.6114; beta as in Higgins et al.
(2017), beta-VAE, ICLR. What is particular to sound is in ``audio_vae``.
"""

import keras
import numpy as np
from keras import ops

from audiozoo.arguments import check_range, check_whole
from audiozoo.latent.paths import linear_path, spherical_path
from audiozoo.layers import Sampling
from audiozoo.losses import beta_vae_loss, kl_per_dimension
from audiozoo.models.base import AudioModel
from audiozoo.models.exported import Array, Exported

ACTIVE_VARIANCE = 0.01  # of a dimension's posterior mean over the data (Burda et al., 2015, arXiv:1509.00519)


class VAE(AudioModel, abstract=True):
    """An encoder to a Gaussian code, a decoder from it, and the loss that ties them.

    What is encoded is an item: a sound, an image. A subclass sets ``encoder``, to mean and log-variance, and
    ``decoder``, from a code to the parameters of the output, and says ``encodes``, ``item_shape``,
    ``as_items``, ``latent_shape`` and ``reconstruction_error``. It passes on the arguments below, which every
    VAE has:

    Args:
        beta: weight of the KL divergence, in nats, against the reconstruction. In training it is the variable
            ``beta_now`` that counts: a warm-up may ``assign`` to it at any step, on every backend.
        free_bits: nats that each dimension may say at no cost.
        dropout: share of values that are dropped in training, wherever the architecture has dropout.

    Attributes:
        encodes: name of the input that is encoded, and of the target that it is compared with.
        item_shape: of an item that is made from nothing.
        beta_now: non-trainable variable, ``beta`` at first. It belongs to a run of training, not to the
            model, and is neither counted nor saved with the weights.
    """

    encodes: str

    # Convolutions are as fast without it, and ready in a quarter of the time.
    gains_from_xla = False

    def __init__(self, *, beta, free_bits, dropout, **kwargs):
        super().__init__(**kwargs)
        check_range("beta", beta, 0.0, 1e6)
        check_range("free_bits", free_bits, 0.0, 1e3)
        check_range("dropout", dropout, 0.0, 0.95)
        self.beta, self.free_bits, self.dropout = beta, free_bits, dropout
        self.sampling = Sampling()
        self.beta_now = self.add_weight(
            name="beta_now",
            shape=(),
            dtype="float32",
            initializer=keras.initializers.Constant(beta),
            trainable=False,
        )
        self.reconstruction_metric = keras.metrics.Mean("reconstruction")
        self.kl_metric = keras.metrics.Mean("kl")
        self.active_metric = keras.metrics.Mean("active_dimensions")

    # --- Of the subclass ---

    code_rate = None  # Hz: how many codes a second has; None where an item has one code

    @property
    def item_shape(self):
        raise NotImplementedError

    def as_items(self, items, *, name):
        """Items as float32 with a batch axis, and whether it was a single one; what is none is refused.

        Args:
            items: with or without batch.
            name: of the argument, for the message.
        """
        raise NotImplementedError

    def latent_shape(self, *item_shape):
        """Shape of the code of an item of that shape: ``(dims,)`` or ``(frames, dims)``."""
        raise NotImplementedError

    def posterior(self, items, training=False):
        """Mean and log-variance of the codes of items, as tensors."""
        return self.encoder(items, training=training)

    def decoder_output(self, latent, item_shape, training=False):
        """What the decoder makes of codes, for items of that shape, as tensors."""
        return self.decoder(latent, training=training)

    def reconstruction_error(self, target, outputs):
        """Error of each item, ``(batch,)``, from the target and the dict that ``call`` returned."""
        raise NotImplementedError

    def item_of(self, output, item_shape):
        """Items that a decoder's output stands for: ``(batch, *item_shape)``.

        Numpy to numpy, outside of the compiled program, so that it may be an algorithm of any kind.
        """
        return output

    def exported_output(self):
        """Name of what is exported of an item, and its ``exported.Array``."""
        raise NotImplementedError

    def exported_item(self, latent):
        """What is exported of the items of codes, tensor to tensor."""
        raise NotImplementedError

    def played_item(self, latent):
        """The same by the ways in which the model is played, array to array."""
        return self.decode(latent)

    def example_codes(self, audio):
        """Two real codes. ``audio (2, samples)`` is there for models that encode it."""
        return np.random.default_rng(0).standard_normal((2, *self.latent_shape(*self.item_shape)), "float32")

    def check_ends(self, a, b):
        """Raise ValueError unless there is a way from ``a`` to ``b``, both with a batch axis."""
        if a.shape != b.shape or len(a) != 1:
            raise ValueError(
                f"a and b must be single and of equal shape; got shapes {a.shape} and {b.shape}. "
                "Pass one of each batch."
            )

    # --- Export ---

    def exported(self):
        *frames, dims = self.latent_shape(*self.item_shape)
        shape = ("batch", "frames", dims) if frames else ("batch", dims)
        name, output = self.exported_output()
        return Exported(
            inputs={"latent": Array(shape, "code; what is drawn from nothing is standard normal")},
            outputs={name: output},
            function=lambda inputs: {name: self.exported_item(inputs["latent"])},
            reference=lambda inputs: {name: self.played_item(inputs["latent"])},
            example=lambda audio: {"latent": self.example_codes(audio)},
        )

    # --- Training ---

    def render(self, inputs):
        return self.reconstruct(inputs[self.encodes])

    def call(self, inputs, training=False):
        items = ops.cast(inputs[self.encodes], "float32")
        mean, log_variance = self.posterior(items, training=training)
        latent = self.sampling(mean, log_variance, training=training)
        output = self.decoder_output(latent, items.shape[1:], training=training)
        return {"output": output, "mean": mean, "log_variance": log_variance}

    def batch_loss(self, x, y, y_pred, *, training):
        """``reconstruction + beta_now * KL`` with free bits; what it consists of goes to the log."""
        reconstruction = self.reconstruction_error(ops.cast(y, "float32"), y_pred)
        kl = self.whole_batch_mean(kl_per_dimension(y_pred["mean"], y_pred["log_variance"]))
        means = ops.reshape(y_pred["mean"], (-1, y_pred["mean"].shape[-1]))
        distances = ops.square(means - self.whole_batch_mean(ops.mean(means, axis=0)))
        variances = self.whole_batch_mean(ops.mean(distances, axis=0))
        active = ops.cast(variances > ACTIVE_VARIANCE, "float32")
        self.reconstruction_metric.update_state(reconstruction)
        self.kl_metric.update_state(ops.sum(kl))
        self.active_metric.update_state(ops.sum(active))
        # Held-out items are judged by the whole beta: else the early epochs of a warm-up would seem the best.
        beta = ops.convert_to_tensor(self.beta_now) if training else self.beta
        return beta_vae_loss(reconstruction, kl, beta=beta, free_bits=self.free_bits)

    def count_params(self):
        """Parameters of encoder and decoder; ``beta_now`` is none."""
        return self.encoder.count_params() + self.decoder.count_params()

    def save_own_variables(self, store):
        """Save nothing: the model's only own variable is ``beta_now``."""

    def load_own_variables(self, store):
        """Load nothing, so that a loaded model begins with its own ``beta``."""

    # --- Codes and items ---

    def encode(self, items, *, sample=False, seed=0):
        """What an item says to the model: the mean of its posterior, or a draw from it.

        Args:
            items: ``(batch, *shape)`` or one of them.
            sample: draw instead.
            seed: of the draw.

        Returns:
            float32 ``(batch, frames, dims)`` or ``(batch, dims)``; without ``batch`` for a single item.

        Raises:
            ValueError: what is no item of this model, or no batch of them. For sounds an AudioError: they are
                of unequal lengths, too short, not finite, of another type or shape.
        """
        code = self.code_distribution(items)
        return drawn(code, seed) if sample else code["mean"]

    def code_distribution(self, items):
        """The posterior of an item's code: a Gaussian of which every dimension is independent.

        Args:
            items: as for ``encode``.

        Returns:
            Dict: ``mean`` and ``log_variance``, each as ``encode`` returns a code.

        Raises:
            ValueError: as ``encode``.
        """
        items, single = self.as_items(items, name=self.encodes)
        code = self.run_in_batches(self._posterior, {"items": items})
        return {name: value[0] if single else value for name, value in code.items()}

    def decode(self, latent):
        """The item of a code.

        Args:
            latent: as ``encode`` returns it.

        Returns:
            float32 ``(batch, *item_shape)``, without ``batch`` for a single code.

        Raises:
            ValueError: a code of the wrong size or not finite.
        """
        latent, single = self._checked_latent(latent)
        items = self._decoded(latent, self.item_shape)
        return items[0] if single else items

    def reconstruct(self, items):
        """An item as the model remembers it: encoded to the posterior's mean, and decoded.

        Args:
            items: as for ``encode``.

        Returns:
            float32 of the same shape.

        Raises:
            ValueError: as ``encode``.
        """
        items, single = self.as_items(items, name=self.encodes)
        rebuilt = self._decoded(self.encode(items), items.shape[1:])
        return rebuilt[0] if single else rebuilt

    def sample(self, n=1, seed=0):
        """Items from nothing: decoded draws from the prior.

        Args:
            n: how many.
            seed: of the draws. One seed gives the same codes on every backend.

        Returns:
            float32 ``(n, *item_shape)``.

        Raises:
            ValueError: ``n`` out of range.
        """
        return self._sampled(n, seed, self.item_shape)

    def interpolate(self, a, b, n, *, spherical=True):
        """Items between two items, on the straight line or the arc between their codes.

        Args:
            a, b: single items of equal shape.
            n: how many, both ends included.
            spherical: along the arc, on which codes keep their distance from 0, as draws from the prior have
                it; False: along the straight line.

        Returns:
            float32 ``(n, *shape)``; the first is ``reconstruct(a)``, the last ``reconstruct(b)``.

        Raises:
            ValueError: as ``encode``; one of them is a batch, or they differ in shape; ``n`` below 2.
        """
        check_whole("n", n, 2)
        a, b = (self.as_items(item, name=name)[0] for name, item in (("a", a), ("b", b)))
        self.check_ends(a, b)
        start, end = self.encode(np.concatenate([a, b]))
        path = spherical_path if spherical else linear_path
        return self._decoded(path(start, end, np.linspace(0.0, 1.0, n)), a.shape[1:])

    def compacted(self, basis, *, rank):
        """This model with a small code, of the most informative directions of its own; see ``CompactVAE``.

        Args:
            basis: ``latent.InformativeBasis`` of this model's codes.
            rank: numbers to keep.

        Returns:
            ``CompactVAE``, with weights of its own.

        Raises:
            ValueError: a basis of another number of dimensions, or ``rank`` out of range.
        """
        from audiozoo.models.compact_vae import CompactVAE

        return CompactVAE.of(self, basis, rank=rank)

    def _posterior(self, inputs):
        mean, log_variance = self.posterior(inputs["items"])
        return {"mean": mean, "log_variance": log_variance}

    def _sampled(self, n, seed, item_shape):
        check_whole("n", n, 1)
        check_whole("seed", seed, 0)
        shape = (n, *self.latent_shape(*item_shape))
        latent = np.random.default_rng(seed).standard_normal(shape, dtype="float32")
        return self._decoded(latent, item_shape)

    def _decoded(self, latent, item_shape):
        return self.item_of(self._decoder_outputs(latent, item_shape), item_shape)

    def _decoder_outputs(self, latent, item_shape):
        # The grid carries no numbers: compiled functions know lengths by the shapes of their inputs.
        grid = np.zeros((len(latent), *item_shape), "float32")
        return self.run_in_batches(self._output, {"latent": latent.astype("float32"), "grid": grid})

    def _output(self, inputs):
        return self.decoder_output(inputs["latent"], inputs["grid"].shape[1:])

    def _checked_latent(self, latent):
        latent = np.asarray(latent, "float32")
        shape = self.latent_shape(*self.item_shape)
        expected = "(batch, frames, dims)" if len(shape) == 2 else "(batch, dims)"
        if (
            latent.ndim not in (len(shape), len(shape) + 1)
            or latent.shape[-1] != shape[-1]
            or not latent.size
        ):
            raise ValueError(
                f"latent must be {expected} with dims={shape[-1]}, with or without batch; got shape "
                f"{latent.shape}. Make it with encode."
            )
        if not np.isfinite(latent).all():
            raise ValueError(f"latent must be finite; {int((~np.isfinite(latent)).sum())} values are not.")
        single = latent.ndim == len(shape)
        return (latent[None] if single else latent), single


def drawn(code, seed):
    """A draw from the posterior that ``code_distribution`` gives, the same on every backend."""
    noise = np.random.default_rng(seed).standard_normal(code["mean"].shape, dtype="float32")
    return code["mean"] + np.exp(0.5 * code["log_variance"]) * noise
