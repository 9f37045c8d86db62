"""A trained VAE whose code has been rotated and cut short: few numbers, each of which says something.

Paper: Caillon and Esling (2021), RAVE, arXiv:2111.05011, section 3.2. ``audiozoo.latent.compact`` makes it.
Differences: any VAE of the zoo can be inside; the rest of the code may be put at its centre instead of drawn.
"""

import dataclasses

import numpy as np
from keras import ops

from audiozoo.arguments import check_whole
from audiozoo.data.audio_io import mono_at_rate
from audiozoo.errors import TrainingError
from audiozoo.latent.analysis import InformativeBasis
from audiozoo.latent.paths import linear_path, spherical_path
from audiozoo.models.base import AudioModel
from audiozoo.models.exported import Array
from audiozoo.models.vae import VAE, drawn


class CompactVAE(AudioModel):
    """A VAE of the zoo with a code of the ``rank`` most informative directions of its own.

    The code is centred and rotated, and its first numbers are kept; a whole one is filled up and rotated
    back before it is decoded. With ``rank`` equal to the model's ``latent_dim`` nothing is lost. It has the
    verbs of the model inside, and is not trained.

    Args:
        architecture: name of the class of the model inside.
        config: its arguments.
        rank: numbers in the small code.

    Input:
        That of the model inside.

    Output:
        Dict: ``output`` as of the model inside, with the rest of the code at its centre; ``mean`` and
        ``log_variance`` of the small code, ``(batch, frames, rank)`` or ``(batch, rank)``.

    Reference:
        Caillon and Esling (2021), RAVE, arXiv:2111.05011, section 3.2.
    """

    gains_from_xla = False

    def __init__(self, *, architecture, config, rank, **kwargs):
        super().__init__(**kwargs)
        self.inner = architecture_named(architecture)(**config)
        dims = self.inner.latent_shape(*self.inner.item_shape)[-1]
        check_whole("rank", rank, 1)
        if rank > dims:
            raise ValueError(f"rank must be at most {dims}, the model's latent_dim; got {rank}.")
        self.architecture, self.rank = architecture, rank
        # Past Keras's attribute tracking, which would wrap it; lists, which YAML can hold.
        self.__dict__["config"] = {
            name: list(value) if isinstance(value, tuple) else value for name, value in config.items()
        }
        shared = {"dtype": "float32", "trainable": False, "autocast": False}
        self.centre = self.add_weight(name="centre", shape=(dims,), initializer="zeros", **shared)
        self.directions = self.add_weight(
            name="directions", shape=(dims, dims), initializer="identity", **shared
        )
        self.deviations = self.add_weight(name="deviations", shape=(dims,), initializer="ones", **shared)
        self.built = True

    @classmethod
    def of(cls, model, basis, *, rank):
        """A model's small version; see ``VAE.compacted``."""
        dims = model.latent_shape(*model.item_shape)[-1]
        if len(basis.centre) != dims:
            raise ValueError(
                f"basis must be of codes of {dims} numbers, as this model's are; got {len(basis.centre)}. "
                "Analyse codes that this model made."
            )
        config = {name: value for name, value in model.get_config().items() if name != "name"}
        compact = cls(architecture=type(model).__name__, config=config, rank=rank)
        compact.inner.set_weights(model.get_weights())
        compact.centre.assign(basis.centre)
        compact.directions.assign(basis.directions)
        compact.deviations.assign(basis.deviations)
        return compact

    # --- What it says of itself is what the model inside says ---

    @property
    def trains_on(self):
        return self.inner.trains_on

    @property
    def encodes(self):
        return self.inner.encodes

    @property
    def item_shape(self):
        return self.inner.item_shape

    @property
    def sample_rate(self):
        return self.inner.sample_rate  # AttributeError where the model inside has none

    @property
    def code_rate(self):
        return self.inner.code_rate

    @property
    def basis(self):
        """``latent.InformativeBasis``, from the weights; the deviations stand for the singular values."""
        centre, directions, deviations = (
            ops.convert_to_numpy(weight).astype("float64")
            for weight in (self.centre, self.directions, self.deviations)
        )
        return InformativeBasis(centre=centre, directions=directions, singular_values=deviations, rows=1)

    def latent_shape(self, *item_shape):
        """Shape of the code of an item of that shape: ``(rank,)`` or ``(frames, rank)``."""
        return (*self.inner.latent_shape(*item_shape)[:-1], self.rank)

    def as_items(self, items, *, name):
        """As of the model inside; see ``VAE.as_items``."""
        return self.inner.as_items(items, name=name)

    def count_params(self):
        """Parameters of the model inside, and of the rotation."""
        dims = self.centre.shape[0]
        return self.inner.count_params() + dims * dims + 2 * dims

    def call(self, inputs, training=False):
        items = ops.cast(inputs[self.encodes], "float32")
        mean, log_variance = self.inner.posterior(items)
        kept = ops.convert_to_tensor(self.directions)[:, : self.rank]
        small = ops.matmul(mean - self.centre, kept)
        variance = ops.matmul(ops.exp(log_variance), ops.square(kept))
        latent = ops.matmul(small, ops.inv(self.directions)[: self.rank]) + self.centre
        output = self.inner.decoder_output(latent, items.shape[1:])
        return {"output": output, "mean": small, "log_variance": ops.log(variance)}

    def batch_loss(self, x, y, y_pred, *, training):
        raise TrainingError(
            "a compact model is not trained. Train the model that it was made from, and compact it anew."
        )

    # --- Codes and items ---

    def encode(self, items, *, sample=False, seed=0):
        """The small code of an item: the mean of its posterior, or a draw from it.

        Args, Returns, Raises: as ``VAE.encode``, with ``rank`` numbers in the code.
        """
        code = self.code_distribution(items)
        return drawn(code, seed) if sample else code["mean"]

    def code_distribution(self, items):
        """The posterior of the small code: mean, and log-variance of each of its numbers alone.

        Rotated, the numbers are no longer independent; that is left out: the covariance has the diagonal of
        ``V^T S V``.

        Args, Returns, Raises: as ``VAE.code_distribution``.
        """
        code, basis = self.inner.code_distribution(items), self.basis
        kept = basis.directions[:, : self.rank]
        variance = np.exp(code["log_variance"].astype("float64")) @ kept**2
        small = {"mean": basis.coordinates(code["mean"])[..., : self.rank], "log_variance": np.log(variance)}
        return {name: value.astype("float32") for name, value in small.items()}

    def decode(self, latent, *, seed=0, **length):
        """The item of a small code.

        Args:
            latent: as ``encode`` returns it.
            seed: of the rest of the code, which is drawn from the prior, for all items of a batch alike;
                None puts it at its centre. See ``latent.InformativeBasis.codes``.
            length: ``samples``, where the item is a sound; see ``AudioVAE.decode``.

        Returns:
            As of the model inside.

        Raises:
            ValueError: as of the model inside.
        """
        latent = np.asarray(latent)
        if latent.ndim < 1 or latent.shape[-1] != self.rank:
            raise ValueError(f"latent must be (..., {self.rank}); got shape {latent.shape}. Use encode.")
        if self.code_rate is None:  # the draw is for frames, of which such a code has one
            latent = latent[..., None, :]
        whole = self.basis.codes(latent, seed)
        return self.inner.decode(whole if self.code_rate else whole[..., 0, :], **length)

    def exported(self):
        """As of the model inside, but for the code, of which the rest is put at its centre."""
        inner, basis = self.inner.exported(), self.basis
        shape = (*inner.inputs["latent"].shape[:-1], self.rank)
        back = np.linalg.inv(basis.directions)[: self.rank].astype("float32")
        centre = basis.centre.astype("float32")

        def example(audio):
            small = basis.coordinates(inner.example(audio)["latent"])[..., : self.rank]
            return {"latent": small.astype("float32")}

        return dataclasses.replace(
            inner,
            inputs={"latent": Array(shape, "the most informative numbers of a code, the first most of all")},
            function=lambda inputs: inner.function({"latent": ops.matmul(inputs["latent"], back) + centre}),
            reference=lambda inputs: inner.reference(
                {"latent": basis.codes(inputs["latent"], None).astype("float32")}
            ),
            example=example,
        )

    def reconstruct(self, items, *, seed=0):
        """An item as its small code remembers it.

        Args, Returns, Raises: as ``VAE.reconstruct``, and ``seed`` as for ``decode``.
        """
        return self.decode(self.encode(items), seed=seed, **self._length_of(items))

    def sample(self, n=1, seed=0, **length):
        """Items from nothing: draws of the small code and of the rest of it from the prior.

        Args, Returns, Raises: as ``VAE.sample``; ``length`` as for ``decode``.
        """
        check_whole("n", n, 1)
        check_whole("seed", seed, 0)
        if hasattr(self, "sample_rate"):
            length = {"samples": self.item_shape[0]} | length
            check_whole("samples", length["samples"], 1)
            self.inner.check_samples(length["samples"])
        shape = (n, *self.latent_shape(*(length.values() or self.item_shape)))
        latent = np.random.default_rng((seed, 1)).standard_normal(shape)  # another stream than the rest's
        return self.decode(latent, seed=seed, **length)

    def interpolate(self, a, b, n, *, spherical=True, seed=0):
        """Items between two items, on the straight line or the arc between their small codes.

        Args, Returns, Raises: as ``VAE.interpolate``, and ``seed`` as for ``decode``.
        """
        check_whole("n", n, 2)
        length = self._length_of(a)
        a, b = (self.as_items(item, name=name)[0] for name, item in (("a", a), ("b", b)))
        self.inner.check_ends(a, b)
        path = spherical_path if spherical else linear_path
        start, end = self.encode(np.concatenate([a, b]))
        return self.decode(path(start, end, np.linspace(0.0, 1.0, n)), seed=seed, **length)

    def perform(self, audio, sample_rate):
        return self.reconstruct(mono_at_rate(audio, sample_rate, self.sample_rate))

    def render(self, inputs):
        return self.reconstruct(inputs[self.encodes])

    def _length_of(self, items):
        return {"samples": np.shape(items)[-1]} if hasattr(self, "sample_rate") else {}


def architecture_named(name):
    """The class of that name, if it is a VAE. Raises ValueError for any other."""
    known = {key: value for key, value in AudioModel.architectures.items() if issubclass(value, VAE)}
    if name not in known:
        raise ValueError(f"architecture must be one of {', '.join(sorted(known))}; got {name!r}.")
    return known[name]
