"""From what a hand does to where a code goes.

A hand says 15 numbers a frame that lean on each other; a code has 16 or 64, and only part of their space is
sound. A ``MotionMap`` has seen what both do, and joins them. It works on coordinates of codes, most
informative first, see ``informative_basis``.

All methods begin with features in units of their standard deviation. The first four go on with their
principal components in units of theirs: numbers of variance 1 that do not lean on each other (whitening).
Components beyond ``fidelity`` of the variance, mostly jitter of the tracker, are left out. Of n features, the
r that remain drive the r most informative coordinates.

- ``"whiten_quantile"``: component i goes through its own distribution function and through the inverse of
  that of coordinate i, ``y_i = Q_i(F_i(w_i))``, the optimal transport in one dimension (Villani, 2003, Topics
  in Optimal Transportation, theorem 2.18). Each coordinate then is as often at each value as with the data
  set, and never beyond; and since neither components nor coordinates are correlated, so is the plane of any
  two nearly.
- ``"pca"``: component i in units of coordinate i, ``y_i = mean_i + deviation_i w_i``. Smooth, and linear.
- ``"knn"``: the point of ``"pca"``, and from there to the data: the mean of the nearest codes, each weighed
  by ``1 - (distance / that of the next one)^2``, so that none comes or goes with a jump. It says all
  coordinates.
- ``"learned"``: kernel ridge regression (Saunders et al., 1998) from components to all coordinates, on 600
  pairs at most. Of motion and sound that belong together, pairs are what was at the same time. Otherwise they
  are found: the assignment of codes to components that moves the points of ``"pca"`` the least in all
  (discrete optimal transport; Peyré and Cuturi, 2019, Computational Optimal Transport, section 2.2).
- ``"linear"``: the linear map that gives features the mean and covariance of the first n coordinates and
  moves them least (the same, eq. 2.40): feature i drives mostly coordinate i.
- ``"zscore"``: feature i is coordinate i. It is what is done where nothing is known of the codes but that
  their prior is the normal distribution, and is here to be compared with.
"""

import json
import pathlib

import numpy as np
from scipy.linalg import sqrtm
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from audiozoo.arguments import check_choice, check_range, check_whole
from audiozoo.atomic import replacing
from audiozoo.errors import MotionError
from audiozoo.foreign import npz_arrays, refused
from audiozoo.latent.motion import motion_features, resampled_columns
from audiozoo.latent.quality import walk_quality

METHODS = ("whiten_quantile", "pca", "linear", "knn", "learned", "zscore")
OTHER_COORDINATES = ("nearest", "mean", "prior")
LEAST_ROWS = 10
LEAST_KNOWN = 0.5  # share of the frames in which a feature must be known to be used
STILL = 1e-9  # a feature that deviates less, relative to its size, does not move
QUANTILES = 1001
MOST_CODES = 5000  # among which the nearest are looked for
MOST_PAIRS = 600
RIDGES = 10.0 ** np.arange(-6, 2)  # per pair, among which leaving one out chooses
WIDTHS = (0.5, 1.0, 2.0)  # of the kernel, in median distances
FILE_VERSION = 1
MOST_BYTES = 1 << 28  # of a map, unpacked


class MotionMap:
    """A map from features of motion to coordinates of codes.

    Args:
        method: see above.
        fidelity: share of the features' variance that the components keep, above 0 to 1.
        others: what becomes of the coordinates that are not driven: ``"nearest"``, the mean of what the
            nearest codes have there, as in ``"knn"``; ``"mean"``, that of the data set, which most codes are
            far from where many coordinates are left; ``"prior"``, left out, so that
            ``InformativeBasis.codes`` draws them from the prior. ``"knn"`` and ``"learned"`` say all.
        neighbours: how many codes are nearest.
        seed: of the choice of rows, where there are more than needed.

    Attributes:
        names: of the features that are used, after ``fit``.
        driven: how many coordinates these say.

    Raises:
        ValueError: an unknown method, or a number out of its range.
    """

    def __init__(self, method="whiten_quantile", *, fidelity=0.95, others="nearest", neighbours=5, seed=0):
        check_choice("method", method, METHODS)
        check_range("fidelity", fidelity, 1e-6, 1.0)
        check_choice("others", others, OTHER_COORDINATES)
        check_whole("neighbours", neighbours, 1)
        check_whole("seed", seed, 0)
        self.method, self.fidelity, self.others = method, fidelity, others
        self.neighbours, self.seed = neighbours, seed
        self.names, self._arrays = (), None

    @property
    def driven(self):
        return int(self._fitted()["driven"])

    def fit(self, features, coordinates, *, names=None, paired=False):
        """See what motion does, and where codes are.

        Features that stand still, or are not known in half of the frames, are not used.

        Args:
            features: ``(frames, features)``, NaN where unknown, as ``motion_features`` makes them.
            coordinates: of the data set's codes, ``(codes, dims)``, most informative first.
            names: of the features.
            paired: rows of both belong together; only ``"learned"`` makes use of it.

        Returns:
            Itself.

        Raises:
            MotionError: nothing moves, or hardly any frame is known.
            ValueError: arrays of other shapes, not finite coordinates, too few rows.
        """
        features, coordinates = checked_features(features), checked_coordinates(coordinates)
        names = self._checked_names(names, features.shape[1])
        if paired and len(features) != len(coordinates):
            raise ValueError(
                f"features and coordinates must be of the same moments to be paired; got {len(features)} and "
                f"{len(coordinates)} rows. Resample one of them."
            )
        used = moving_features(features)
        rows = np.isfinite(features[:, used]).all(axis=1)
        if rows.sum() < LEAST_ROWS:
            raise MotionError(
                f"features must be known together in at least {LEAST_ROWS} frames; they are in "
                f"{int(rows.sum())}. Record more, or leave features out."
            )
        known = features[rows][:, used]
        mean, deviation = known.mean(axis=0), known.std(axis=0)
        standard = (known - mean) / deviation
        arrays = {"used": used, "mean": mean, "deviation": deviation, "centre": coordinates.mean(axis=0)}
        arrays["spread"] = coordinates.std(axis=0)
        if self.method in ("zscore", "linear"):
            count = min(standard.shape[1], coordinates.shape[1])
            arrays["matrix"] = np.eye(standard.shape[1], count)
            if self.method == "linear":
                arrays["matrix"] = arrays["matrix"] @ monge_matrix(
                    standard[:, :count], coordinates[:, :count]
                )
        else:
            arrays["matrix"] = whitening(standard, self.fidelity)[:, : coordinates.shape[1]]
        arrays["driven"] = np.array(arrays["matrix"].shape[1])
        components = standard @ arrays["matrix"]
        if self.method == "whiten_quantile":
            arrays |= quantile_tables(components, coordinates)
        if self.method == "learned":
            pairs = coordinates[rows] if paired else None
            arrays |= self._learn(arrays, components, coordinates, pairs)
        if self.method == "knn" or self.others == "nearest":
            arrays["codes"] = some_rows(coordinates, MOST_CODES, np.random.default_rng(self.seed))
        self.names = tuple(np.array(names, object)[used])
        self._arrays = arrays
        return self

    def map(self, features):
        """Coordinates of codes for features of motion.

        Where a feature is unknown it is held at its last known value, before that at the first.

        Args:
            features: ``(frames, features)``, the same features as in ``fit``.

        Returns:
            float64 ``(frames, dims)``; ``(frames, driven)`` where the others come from the prior.

        Raises:
            MotionError: a feature that is used is not known in any frame; the map is not fitted.
            ValueError: features of another number.
        """
        arrays, features = self._fitted(), checked_features(features)
        if features.shape[1] != len(arrays["used"]):
            raise ValueError(
                f"features must be the {len(arrays['used'])} that the map was fitted on; got "
                f"{features.shape[1]}."
            )
        features = held(features[:, arrays["used"]], self.names)
        components = (features - arrays["mean"]) / arrays["deviation"] @ arrays["matrix"]
        if self.method == "learned":
            kernel = gaussian_kernel(components, arrays["anchors"], arrays["width"])
            return arrays["offset"] + kernel @ arrays["weights"]
        said = self._said(arrays, components)
        if self.method == "knn":
            return nearest_mean(said, arrays["codes"], self.neighbours)
        if self.others == "prior":
            return said
        if self.others == "nearest":
            full = nearest_mean(said, arrays["codes"], self.neighbours)
        else:
            full = np.tile(arrays["centre"], (len(said), 1))
        full[:, : said.shape[1]] = said
        return full

    def trajectory(self, motion, *, code_rate):
        """The way of a code that a motion plays.

        Args:
            motion: HandMotion.
            code_rate: codes a second, ``sample_rate / hop`` of a model. Features are resampled to it.

        Returns:
            As ``map``, one row a code, as long as the motion.

        Raises:
            MotionError: as ``map``; ``motion`` is none.
            ValueError: a rate out of range.
        """
        check_range("code_rate", code_rate, 0.1, 100_000.0)
        features, _ = motion_features(motion)
        return self.map(resampled_columns(features, motion.fps, code_rate))

    def save(self, path):
        """Write the fitted map as an ``.npz`` without any code in it; ``MotionMap.load`` reads it.

        Raises:
            MotionError: the map is not fitted.
            OutputError: the file cannot be written.
        """
        settings = {
            "version": FILE_VERSION,
            "method": self.method,
            "fidelity": self.fidelity,
            "others": self.others,
            "neighbours": self.neighbours,
            "seed": self.seed,
            "names": list(self.names),
        }
        with replacing(path) as draft, open(draft, "wb") as file:
            np.savez_compressed(file, settings=np.array(json.dumps(settings)), **self._fitted())

    @classmethod
    def load(cls, path):
        """The map that ``save`` wrote.

        Raises:
            MotionError: no such file, or none that ``save`` wrote.
        """
        path = pathlib.Path(path)
        with refused(
            MotionError,
            f"path {str(path)!r} holds no map of motion that can be read",
            "Fit one, and save it.",
        ):
            arrays = npz_arrays(path, most_bytes=MOST_BYTES)
            settings = json.loads(str(arrays.pop("settings")))
            if settings.pop("version") != FILE_VERSION:
                raise ValueError("it is of another version")
            names = tuple(settings.pop("names"))
            loaded = cls(**settings)
            loaded.names, loaded._arrays = names, arrays
            if not np.isfinite(loaded.map(np.zeros((2, len(arrays["used"]))))).all():  # tries all of them
                raise ValueError("it maps rest to NaN or infinity")
        return loaded

    def _said(self, arrays, components):
        """The driven coordinates, ``(frames, driven)``."""
        if self.method == "zscore":
            return components
        if self.method == "whiten_quantile":
            ranks = [
                np.interp(values, *distinct(table))
                for values, table in zip(components.T, arrays["component_quantiles"], strict=True)
            ]
            shares = np.linspace(0.0, 1.0, QUANTILES)
            said = [
                np.interp(rank, shares, table)
                for rank, table in zip(ranks, arrays["coordinate_quantiles"], strict=True)
            ]
            return np.stack(said, axis=1)
        driven = components.shape[1]
        if self.method == "linear":
            return arrays["centre"][:driven] + components
        return arrays["centre"][:driven] + arrays["spread"][:driven] * components

    def _learn(self, arrays, components, coordinates, pairs):
        """Anchors, weights, width and offset of the regression."""
        rng = np.random.default_rng(self.seed)
        if pairs is None:
            count = min(MOST_PAIRS, len(components), len(coordinates))
            components, pairs = some_rows(components, count, rng), some_rows(coordinates, count, rng)
            driven = components.shape[1]
            points = arrays["centre"][:driven] + arrays["spread"][:driven] * components
            cost = np.sum((points[:, None] - pairs[None, :, :driven]) ** 2, axis=-1)
            pairs = pairs[linear_sum_assignment(cost)[1]]
        else:
            both = some_rows(np.concatenate([components, pairs], axis=1), MOST_PAIRS, rng)
            components, pairs = np.split(both, [components.shape[1]], axis=1)
        return kernel_ridge(components, pairs)

    def _checked_names(self, names, count):
        names = tuple(f"feature_{i + 1}" for i in range(count)) if names is None else tuple(names)
        if len(names) != count:
            raise ValueError(f"names must be one for each of the {count} features; got {len(names)}.")
        return names

    def _fitted(self):
        if self._arrays is None:
            raise MotionError("the map must be fitted first: MotionMap(...).fit(features, coordinates).")
        return self._arrays


def play_motion(motion, encoded, *, method="whiten_quantile", seed=0):
    """A motion as a way among the codes of a data set.

    Args:
        motion: HandMotion, on which the map is fitted, too.
        encoded: ``EncodedSet`` of sound.
        method: see ``MotionMap``.
        seed: of all draws.

    Returns:
        ``(codes, found)``: codes ``(frames, dims)``; and a dict of the ``features`` that are used, how many
        coordinates are ``driven``, and scores of these against the data's, see ``walk_quality``.

    Raises:
        MotionError: nothing moves.
        ValueError: an unknown method.
    """
    features, names = motion_features(motion)
    basis, codes = encoded.basis, np.concatenate(encoded.codes)
    coordinates = basis.coordinates(codes)
    mapping = MotionMap(method, seed=seed).fit(features, coordinates, names=names)
    walk = mapping.trajectory(motion, code_rate=encoded.code_rate)
    driven = slice(0, mapping.driven)
    scores = walk_quality(coordinates[:, driven], walk[:, driven], num_resamples=2, seed=seed)
    found = {"features": list(mapping.names), "driven": mapping.driven}
    found |= {name: float(getattr(score, "value", score)) for name, score in scores.items()}
    return basis.codes(walk), found


def checked_features(features):
    """Features as float64 ``(frames, features)``. Raises ValueError."""
    features = np.asarray(features, "float64")
    if features.ndim != 2 or not features.size:
        raise ValueError(f"features must be (frames, features), not empty; got shape {features.shape}.")
    if np.isinf(features).any():
        raise ValueError(
            f"features must be finite, or NaN where unknown; {np.isinf(features).sum()} are not."
        )
    return features


def checked_coordinates(coordinates):
    """Coordinates as float64 ``(codes, dims)``. Raises ValueError."""
    coordinates = np.asarray(coordinates, "float64")
    if coordinates.ndim != 2 or len(coordinates) < LEAST_ROWS or not coordinates.size:
        raise ValueError(
            f"coordinates must be (codes, dims) of at least {LEAST_ROWS} codes; got shape "
            f"{coordinates.shape}. Encode more of the data set."
        )
    if not np.isfinite(coordinates).all():
        raise ValueError(f"coordinates must be finite; {(~np.isfinite(coordinates)).sum()} are not.")
    return coordinates


def moving_features(features):
    """Which features are known in half of the frames, and move: bool ``(features,)``. Raises MotionError."""
    known = np.isfinite(features)
    seen = known.mean(axis=0) >= LEAST_KNOWN
    counts = np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, features, 0.0)
    mean = filled.sum(axis=0) / counts
    deviation = np.sqrt(np.sum(np.where(known, features - mean, 0.0) ** 2, axis=0) / counts)
    used = seen & (deviation > STILL * np.maximum(1.0, np.abs(mean)))
    if not used.any():
        raise MotionError(
            "features must hold one that moves and is known in half of the frames; none does. Is a hand in "
            "the picture?"
        )
    return used


def whitening(standard, fidelity):
    """Matrix ``(features, components)`` that makes standardised features components of variance 1."""
    variances, axes = np.linalg.eigh(standard.T @ standard / len(standard))
    variances, axes = np.maximum(variances[::-1], 0.0), axes[:, ::-1]
    enough = np.cumsum(variances) >= fidelity * variances.sum() - 1e-12
    count = 1 + int(np.argmax(enough))
    variances, axes = variances[:count], axes[:, :count]
    # Axes have no sign of their own: of the feature that weighs most, the first of equals, it is positive.
    weights = np.abs(axes)
    largest = axes[np.argmax(weights >= weights.max(axis=0) - 1e-9, axis=0), np.arange(count)]
    return axes * np.sign(largest) / np.sqrt(variances)


def monge_matrix(x, y):
    """The symmetric matrix ``(dims, dims)`` of the optimal transport between Gaussians like x and like y.

    ``A = Sx^-1/2 (Sx^1/2 Sy Sx^1/2)^1/2 Sx^-1/2`` with covariances Sx and Sy.
    """
    covariance_x, covariance_y = (np.cov(rows, rowvar=False).reshape(rows.shape[1], -1) for rows in (x, y))
    root = np.real(sqrtm(covariance_x))
    inverse = np.linalg.pinv(root, rcond=1e-3, hermitian=True)
    return inverse @ np.real(sqrtm(root @ covariance_y @ root)) @ inverse


def some_rows(rows, most, rng):
    """At most that many rows, drawn without replacement, in order."""
    return rows[np.sort(rng.choice(len(rows), min(most, len(rows)), replace=False))]


def quantile_tables(components, coordinates):
    """Quantiles of each component and of the coordinate that it drives, ``(driven, QUANTILES)``."""
    shares = np.linspace(0.0, 1.0, QUANTILES)
    return {
        "component_quantiles": np.quantile(components, shares, axis=0).T,
        "coordinate_quantiles": np.quantile(coordinates[:, : components.shape[1]], shares, axis=0).T,
    }


def distinct(quantiles):
    """Rising values and their ranks, 0 to 1, where a value that is taken often has its middle rank."""
    values, place, counts = np.unique(quantiles, return_index=True, return_counts=True)
    return values, (place + 0.5 * (counts - 1)) / (len(quantiles) - 1)


def nearest_mean(points, codes, neighbours):
    """Weighted mean of the codes ``(codes, dims)`` nearest to points ``(rows, driven)``: ``(rows, dims)``.

    Nearness is in the driven coordinates. Weights fall to 0 at the next code beyond those that count, hence
    the mean has no jumps.
    """
    neighbours = min(neighbours, len(codes) - 1)
    distances, rows = cKDTree(codes[:, : points.shape[1]]).query(points, k=neighbours + 1)
    reach = np.maximum(distances[:, -1:], 1e-12)
    weights = np.maximum(1.0 - (distances[:, :-1] / reach) ** 2, 1e-12)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.einsum("rk,rkd->rd", weights, codes[rows[:, :-1]])


def kernel_ridge(inputs, targets):
    """Regression with a Gaussian kernel; its width and ridge err least when each pair is left out in turn.

    With the hat matrix H the error of a pair left out is its residual over ``1 - H_ii`` (Rasmussen and
    Williams, 2006, section 5.3).
    """
    offset = targets.mean(axis=0)
    median = np.median(
        np.linalg.norm(inputs[:, None] - inputs[None], axis=-1)[np.triu_indices(len(inputs), 1)]
    )
    best = (np.inf,)
    for width in WIDTHS:
        width = width * max(median, 1e-12)
        values, vectors = np.linalg.eigh(gaussian_kernel(inputs, inputs, width))
        projected = vectors.T @ (targets - offset)
        for ridge in RIDGES * len(inputs):
            shrunk = values / (values + ridge)
            residual = (targets - offset) - vectors @ (shrunk[:, None] * projected)
            leverage = np.sum(vectors**2 * shrunk, axis=1)
            error = np.mean((residual / np.maximum(1.0 - leverage, 1e-9)[:, None]) ** 2)
            if error < best[0]:
                best = (error, width, vectors @ (projected / (values + ridge)[:, None]))
    return {"anchors": inputs, "weights": best[2], "width": np.array(best[1]), "offset": offset}


def gaussian_kernel(x, y, width):
    """``exp(-distance^2 / (2 width^2))``, ``(rows of x, rows of y)``."""
    squared = np.sum(x**2, axis=1)[:, None] - 2.0 * x @ y.T + np.sum(y**2, axis=1)
    return np.exp(-np.maximum(squared, 0.0) / (2.0 * width**2))


def held(features, names):
    """Features with each unknown value replaced by the last known one, or before all by the first."""
    known = np.isfinite(features)
    if not known.any(axis=0).all():
        missing = [name for name, any_known in zip(names, known.any(axis=0), strict=True) if not any_known]
        raise MotionError(
            f"features must be known in at least one frame; {', '.join(missing)} never are. Fit a map on "
            "motion of the same kind."
        )
    last = np.maximum.accumulate(np.where(known, np.arange(len(features))[:, None], -1), axis=0)
    last = np.where(last < 0, np.argmax(known, axis=0), last)
    return np.take_along_axis(features, last, axis=0)
