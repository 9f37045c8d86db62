"""Informative directions: a planted rank is found, and at fidelity 1 nothing is lost."""

import numpy as np
import pytest

from audiozoo.latent import informative_basis


def orthogonal(dims, seed):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((dims, dims)))[0]


def planted(deviations, *, rows=4000, dims=8, seed=0):
    """Codes that differ in known directions by known amounts, around a centre that is not 0."""
    hidden = np.random.default_rng(seed).standard_normal((rows, len(deviations))) * deviations
    return hidden @ orthogonal(dims, 1)[: len(deviations)] + np.arange(dims)


def test_a_planted_rank_is_found():
    basis = informative_basis(planted([3.0, 2.0, 1.0]))
    assert basis.rank(1.0) == basis.rank(1.0, "variance") == 3
    np.testing.assert_allclose(basis.deviations[:3], [3.0, 2.0, 1.0], rtol=0.05)
    np.testing.assert_allclose(basis.deviations[3:], 0.0, atol=1e-9)
    np.testing.assert_allclose(np.abs(basis.directions[:, 0] @ orthogonal(8, 1)[0]), 1.0, atol=1e-2)
    np.testing.assert_allclose(basis.directions.T @ basis.directions, np.eye(8), atol=1e-12)


def test_both_fidelities_follow_from_the_singular_values():
    # Shares of 3, 2, 1: 1/2, 5/6, 1; of their squares 9, 4, 1: 9/14, 13/14, 1.
    basis = informative_basis(planted([3.0, 2.0, 1.0], rows=200000))
    np.testing.assert_allclose(basis.fidelities()[:3], [1 / 2, 5 / 6, 1.0], atol=0.01)
    np.testing.assert_allclose(basis.fidelities("variance")[:3], [9 / 14, 13 / 14, 1.0], atol=0.01)
    assert [basis.rank(f) for f in (0.0, 0.45, 0.8, 0.9, 0.95)] == [1, 1, 2, 3, 3]
    assert [basis.rank(f, "variance") for f in (0.45, 0.8, 0.9, 0.95)] == [1, 2, 2, 3]


def test_agrees_with_the_svd_of_the_whole_matrix():
    codes = planted([3.0, 2.0, 1.0, 0.5, 0.1], dims=5, rows=300)
    values = np.linalg.svd(codes - codes.mean(axis=0), compute_uv=False)
    np.testing.assert_allclose(informative_basis(codes).singular_values, values, rtol=1e-10)


def test_coordinates_and_back_lose_nothing():
    codes = np.random.default_rng(0).standard_normal((3, 50, 6))
    basis = informative_basis(codes)
    np.testing.assert_allclose(basis.codes(basis.coordinates(codes)), codes, atol=1e-12)
    np.testing.assert_allclose(
        np.cov(basis.coordinates(codes).reshape(-1, 6).T),
        np.diag(np.var(basis.coordinates(codes).reshape(-1, 6), axis=0, ddof=1)),
        atol=1e-12,
    )


def test_what_is_missing_comes_from_the_prior_or_from_the_centre():
    basis = informative_basis(planted([3.0, 2.0, 1.0]))
    coordinates = np.random.default_rng(2).standard_normal((4, 3000, 3))
    filled = basis.coordinates(basis.codes(coordinates, seed=5))
    np.testing.assert_allclose(filled[..., :3], coordinates, atol=1e-9)
    np.testing.assert_allclose(filled[0, :, 3:].std(axis=0), 1.0, atol=0.05)
    np.testing.assert_allclose(filled[0, :, 3:], filled[1, :, 3:], atol=1e-9)  # one draw for all items
    np.testing.assert_array_equal(basis.codes(coordinates, seed=5), basis.codes(coordinates, seed=5))
    assert np.any(basis.codes(coordinates, seed=6) != basis.codes(coordinates, seed=5))
    central = basis.coordinates(basis.codes(coordinates, seed=None))
    np.testing.assert_allclose(central[..., 3:], 0.0, atol=1e-9)


def test_fewer_codes_than_dimensions_and_codes_that_are_all_equal():
    basis = informative_basis(np.eye(3, 8))
    assert basis.directions.shape == (8, 8)
    assert basis.rank(1.0) == 2
    assert informative_basis(np.ones((5, 4))).rank(0.95) == 1


def test_a_sequence_of_clips_is_all_their_frames():
    clips = [planted([1.0, 0.5], rows=rows, seed=rows) for rows in (10, 20)]
    apart, together = informative_basis(clips), informative_basis(np.concatenate(clips))
    np.testing.assert_array_equal(apart.directions, together.directions)
    assert apart.rows == 30


@pytest.mark.parametrize(
    "means, message",
    [
        (np.ones((1, 4)), "at least 2 codes; got 1"),
        (np.ones(4), r"means must be \(..., dims\), not empty; got shape \(4,\)"),
        (np.ones((0, 4)), "not empty"),
        ([np.ones((3, 4)), np.ones((3, 5))], "all of one size"),
        (np.full((3, 2), np.nan), "must be finite; 6 values"),
        ("codes", "means must be"),
    ],
)
def test_what_is_no_set_of_codes_is_refused(means, message):
    with pytest.raises(ValueError, match=message):
        informative_basis(means)


def test_wrong_arguments_are_refused():
    basis = informative_basis(planted([1.0]))
    with pytest.raises(ValueError, match="fidelity must be a number between 0.0 and 1.0; got 95"):
        basis.rank(95)
    with pytest.raises(ValueError, match="spectrum must be one of singular, variance; got 'power'"):
        basis.rank(0.9, "power")
    with pytest.raises(ValueError, match=r"codes must be \(..., 8\)"):
        basis.coordinates(np.ones((3, 4)))
    with pytest.raises(ValueError, match=r"coordinates must be \(..., 1 to 8\)"):
        basis.codes(np.ones((3, 9)))
