"""Sets of codes as points of a plane: principal components, UMAP, clusters.

UMAP: McInnes, Healy and Melville (2018), arXiv:1802.03426; it keeps neighbourhoods, not distances. Clusters:
HDBSCAN (Campello, Moulavi and Sander, 2013), which leaves points that are in none.
"""

import warnings
from importlib.util import find_spec

import numpy as np

from audiozoo.arguments import check_whole
from audiozoo.errors import DataError, MissingDependency

NEIGHBOURS = 15


def clip_vectors(codes, basis):
    """What a clip's codes are like on average and how far they move, to compare clips by.

    Args:
        codes: list of ``(frames, dims)``.
        basis: ``InformativeBasis``.

    Returns:
        float64 ``(clips, 2 * dims)``: mean and standard deviation over frames of each coordinate; ``(clips,
        dims)`` where every clip has but one code.
    """
    coordinates = [basis.coordinates(frames) for frames in codes]
    means = np.stack([frames.mean(axis=0) for frames in coordinates])
    if all(len(frames) == 1 for frames in codes):
        return means
    return np.hstack([means, np.stack([frames.std(axis=0) for frames in coordinates])])


def pca_plane(codes, basis):
    """Mean of each clip's codes on the two most informative directions, ``(clips, 2)``."""
    plane = np.stack([basis.coordinates(frames).mean(axis=0)[:2] for frames in codes])
    return np.pad(plane, ((0, 0), (0, 2 - plane.shape[1])))


def check_installed():
    """Raise MissingDependency unless maps can be made: to be said before long work."""
    for module, package in (("umap", "umap-learn"), ("sklearn", "scikit-learn")):
        if find_spec(module) is None:
            raise MissingDependency(
                f"a map of codes needs {package}, which is not installed: pip install 'audiozoo[latent]'."
            )


def umap_plane(vectors, *, neighbours=NEIGHBOURS, seed=0):
    """Vectors as points of a plane in which neighbours stay neighbours.

    Args:
        vectors: ``(clips, dims)``.
        neighbours: of each point that are looked at: few show detail, many the whole.
        seed: one seed is one map, on one machine.

    Returns:
        float64 ``(clips, 2)``.

    Raises:
        MissingDependency: see ``check_installed``.
        DataError: fewer than 4 vectors.
        ValueError: ``neighbours`` below 2.
    """
    check_whole("neighbours", neighbours, 2)
    if len(vectors) < 4:
        raise DataError(f"vectors must be at least 4 to be mapped; got {len(vectors)}. Add recordings.")
    check_installed()
    import umap

    reducer = umap.UMAP(
        n_neighbors=min(neighbours, len(vectors) - 1),
        min_dist=0.0,  # for clusters to be dense, as its authors advise
        random_state=seed,
        n_jobs=1,
        init="spectral" if len(vectors) > NEIGHBOURS else "random",
    )
    with warnings.catch_warnings():  # of its own choices, and of numba's
        warnings.simplefilter("ignore")
        return reducer.fit_transform(np.asarray(vectors, "float32")).astype("float64")


def within_view(points, *, margin=0.25):
    """Points of a plane ``(points, 2)``, those far outside of the others moved to the edge of the picture.

    Args:
        points: of the plane.
        margin: how far the picture reaches beyond the middle 98 %, as a part of their range.
    """
    low, high = np.percentile(points, [1, 99], axis=0)
    return np.clip(points, low - margin * (high - low), high + margin * (high - low))


def clusters(points, *, smallest=None):
    """Number of each point's cluster, ``(points,)`` from 0; -1 for those in none.

    Args:
        points: ``(points, dims)``.
        smallest: points that make a cluster; by default 2 % of all, at least 5.

    Raises:
        MissingDependency: see ``check_installed``.
        ValueError: ``smallest`` below 2.
    """
    smallest = max(5, round(0.02 * len(points))) if smallest is None else smallest
    check_whole("smallest", smallest, 2)
    check_installed()
    from sklearn.cluster import HDBSCAN

    if len(points) < smallest:
        return np.full(len(points), -1)
    return HDBSCAN(min_cluster_size=smallest, copy=True).fit_predict(np.asarray(points, "float64"))
