"""Which directions of a code say something: the post-training analysis of RAVE.

Paper: Caillon and Esling (2021), RAVE, arXiv:2111.05011, section 3.2: centred posterior means, their singular
value decomposition, and the smallest rank whose singular values sum to a share, the fidelity, of all of them
(eq. 11). The authors' code takes shares of explained variance instead, ``spectrum="variance"``, which asks
for fewer directions; its count is one too small and not taken over.
"""

import dataclasses

import numpy as np

from audiozoo.arguments import check_choice, check_range
from audiozoo.errors import DataError, IncompatiblePreset

SPECTRA = ("singular", "variance")
ROUNDING = 1e-12  # of a share: what rounding may take from a sum that should be 1


@dataclasses.dataclass(frozen=True, eq=False)
class InformativeBasis:
    """A rotation of a code, after which its numbers are sorted by how much they change from sound to sound.

    Attributes:
        centre: mean code, ``(dims,)``.
        directions: columns of length 1, the most informative one first, ``(dims, dims)``.
        singular_values: of the centred codes, falling, ``(dims,)``.
        rows: number of codes that were analysed.
    """

    centre: np.ndarray
    directions: np.ndarray
    singular_values: np.ndarray
    rows: int

    @property
    def deviations(self):
        """Standard deviation of each coordinate over what was analysed, ``(dims,)``."""
        return self.singular_values / np.sqrt(self.rows)

    def fidelities(self, spectrum="singular"):
        """Share of the spectrum that the first 1, 2, ... directions hold, ``(dims,)``, rising to 1.

        Args:
            spectrum: ``"singular"``, the singular values, or ``"variance"``, their squares.
        """
        check_choice("spectrum", spectrum, SPECTRA)
        held = np.cumsum(self.singular_values if spectrum == "singular" else self.singular_values**2)
        return held / held[-1] if held[-1] > 0.0 else np.ones(len(held))

    def rank(self, fidelity, spectrum="singular"):
        """Fewest directions that hold this share of the spectrum, at least 1.

        Args:
            fidelity: 0 to 1; 1 is all directions in which codes differ at all.
            spectrum: see ``fidelities``.

        Raises:
            ValueError: fidelity out of range, unknown spectrum.
        """
        check_range("fidelity", fidelity, 0.0, 1.0)
        return 1 + int(np.argmax(self.fidelities(spectrum) >= fidelity - ROUNDING))

    def coordinates(self, codes):
        """Codes ``(..., dims)`` in this basis, the most informative number first.

        Raises:
            ValueError: codes of another number of dimensions.
        """
        codes, dims = np.asarray(codes, "float64"), len(self.centre)
        if codes.ndim < 1 or codes.shape[-1] != dims:
            raise ValueError(f"codes must be (..., {dims}), as were analysed; got shape {codes.shape}.")
        return (codes - self.centre) @ self.directions

    def codes(self, coordinates, seed=0):
        """Codes of coordinates, of which the last ones may be missing.

        What is missing is drawn from the prior, as in RAVE: where a model ignores a direction, that is what
        its decoder knows there. Items of a batch share the draw, and are decoded as if alone.

        Args:
            coordinates: ``(..., rank)``, 1 to ``dims`` of them.
            seed: of the draw; None puts what is missing at the centre instead, for models that ignore no
                direction whole.

        Returns:
            float64 ``(..., dims)``.

        Raises:
            ValueError: no coordinates, or more than there are dimensions.
        """
        coordinates, dims = np.asarray(coordinates, "float64"), len(self.centre)
        if coordinates.ndim < 1 or not 1 <= coordinates.shape[-1] <= dims:
            raise ValueError(f"coordinates must be (..., 1 to {dims}); got shape {coordinates.shape}.")
        *batch, rank = coordinates.shape
        shape = (*batch[-1:], dims - rank)
        missing = np.zeros(shape) if seed is None else np.random.default_rng(seed).standard_normal(shape)
        whole = np.concatenate([coordinates, np.broadcast_to(missing, (*batch, dims - rank))], axis=-1)
        # Not the transpose: from half precision, as presets store them, directions are not quite orthogonal.
        return whole @ np.linalg.inv(self.directions) + self.centre


def informative_basis(means):
    """Rotate codes so that the directions in which they differ most come first.

    Args:
        means: posterior means ``(..., dims)``, or a sequence of arrays ``(frames, dims)``.

    Returns:
        InformativeBasis. A direction's sign is that which makes its largest entry positive.

    Raises:
        DataError: fewer than 2 codes.
        ValueError: codes of unequal sizes, or not finite.
    """
    rows = code_rows(means)
    if len(rows) < 2:
        raise DataError(f"means must hold at least 2 codes; got {len(rows)}. Encode more sound.")
    centre = rows.mean(axis=0)
    # The triangle of a QR decomposition has the same singular values and directions, and is small.
    triangle = np.linalg.qr(rows - centre, mode="r")
    missing = max(0, rows.shape[1] - len(triangle))
    _, values, directions = np.linalg.svd(np.pad(triangle, ((0, missing), (0, 0))))
    largest = np.argmax(np.abs(directions), axis=1)
    directions *= np.sign(directions[np.arange(len(directions)), largest])[:, None]
    return InformativeBasis(centre=centre, directions=directions.T, singular_values=values, rows=len(rows))


def code_rows(means, name="means"):
    """Codes as float64 ``(rows, dims)``. Raises ValueError, see ``informative_basis``."""
    try:
        if isinstance(means, list | tuple):
            means = np.concatenate([np.atleast_2d(np.asarray(codes, "float64")) for codes in means])
        means = np.asarray(means, "float64")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be codes (..., dims), or a sequence of (frames, dims), all of one size ({error}). "
            "Make them with encode."
        ) from error
    if means.ndim < 2 or not means.size:
        raise ValueError(f"{name} must be (..., dims), not empty; got shape {means.shape}.")
    finite = np.isfinite(means)
    if not finite.all():
        raise ValueError(f"{name} must be finite; {int((~finite).sum())} values are NaN or infinite.")
    return means.reshape(-1, means.shape[-1])


def compact(model, means, *, fidelity=0.95, spectrum="singular"):
    """A model with a small code, of the directions that hold a share of what its code says.

    Args:
        model: a ``VAE`` of the zoo.
        means: its posterior means, see ``informative_basis``.
        fidelity, spectrum: see ``InformativeBasis.rank``.

    Returns:
        ``models.CompactVAE``; ``save_to_preset`` writes it, ``audiozoo.load`` opens it.

    Raises:
        IncompatiblePreset: the model is no VAE, or compact already.
        ValueError: as ``informative_basis`` and ``InformativeBasis.rank``; means of another size than the
            model's codes.
    """
    if not hasattr(model, "compacted"):
        raise IncompatiblePreset(
            f"model must be a VAE whose code is whole; got a {type(model).__name__}. Compact the model that "
            "it was made from."
        )
    basis = informative_basis(means)
    return model.compacted(basis, rank=basis.rank(fidelity, spectrum))
