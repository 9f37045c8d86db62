"""Maps: blobs stay blobs, clusters are found, what is missing is named."""

import numpy as np
import pytest

from audiozoo.errors import DataError, MissingDependency
from audiozoo.latent import informative_basis, maps
from audiozoo.latent.maps import clip_vectors, clusters, pca_plane, umap_plane, within_view


def blobs(seed=0, *, each=40, dims=10):
    rng = np.random.default_rng(seed)
    kind = np.repeat(np.arange(3), each)
    return 10.0 * np.eye(3, dims)[kind] + 0.3 * rng.standard_normal((3 * each, dims)), kind


@pytest.mark.long  # numba compiles UMAP, which takes half a minute
def test_umap_keeps_blobs_apart_and_clusters_find_them():
    pytest.importorskip("umap")
    vectors, kind = blobs()
    plane = umap_plane(vectors, seed=1)
    assert plane.shape == (120, 2)
    found = clusters(plane)
    assert np.mean(found >= 0) > 0.9
    pairs = set(zip(found[found >= 0], kind[found >= 0], strict=True))
    assert len(pairs) == len(set(kind)) == 3
    np.testing.assert_array_equal(plane, umap_plane(vectors, seed=1))


def test_points_everywhere_are_no_clusters():
    assert clusters(np.ones((3, 2))).tolist() == [-1, -1, -1]


def test_the_plane_of_components_shows_the_most():
    codes = [np.full((5, 4), value) * [0.0, 1.0, 0.0, 0.1] for value in np.linspace(-1, 1, 9)]
    basis = informative_basis(codes)
    plane = pca_plane(codes, basis)
    np.testing.assert_allclose(np.abs(np.diff(plane[:, 0])), 0.25 * np.hypot(1.0, 0.1))
    np.testing.assert_allclose(plane[:, 1], 0.0, atol=1e-12)
    assert pca_plane([np.ones((2, 1)), np.zeros((2, 1))], informative_basis(np.eye(2, 1))).shape == (2, 2)


def test_clip_vectors_are_mean_and_deviation():
    codes = [np.array([[0.0, 0.0], [2.0, 0.0]]), np.array([[5.0, 0.0], [5.0, 0.0]])]
    vectors = clip_vectors(codes, informative_basis(codes))
    np.testing.assert_allclose(vectors, [[-2, 0, 1, 0], [2, 0, 0, 0]], atol=1e-12)
    assert clip_vectors([np.ones((1, 2)), np.zeros((1, 2))], informative_basis(np.eye(2))).shape == (2, 2)


def test_outliers_stand_at_the_edge_and_all_else_where_it_was():
    points = np.concatenate([np.random.default_rng(0).uniform(0, 1, (998, 2)), [[900, 0.5], [0.5, -900]]])
    seen = within_view(points)
    np.testing.assert_array_equal(seen[:998], points[:998])
    assert np.abs(seen).max() < 1.5


def test_what_cannot_be_mapped_is_refused(monkeypatch):
    with pytest.raises(DataError, match="vectors must be at least 4 to be mapped; got 2"):
        umap_plane(np.ones((2, 3)))
    with pytest.raises(ValueError, match="neighbours must be a whole number of at least 2; got 1"):
        umap_plane(np.ones((9, 3)), neighbours=1)
    monkeypatch.setattr(maps, "find_spec", lambda module: None)
    for needs in (umap_plane, clusters):
        with pytest.raises(MissingDependency, match=r"umap-learn, .* pip install 'audiozoo\[latent\]'"):
            needs(np.ones((9, 3)))
