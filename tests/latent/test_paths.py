"""Paths between codes: where they begin and end, and what they keep on the way."""

import numpy as np
import pytest

from audiozoo.latent import linear_path, spherical_path

POSITIONS = np.linspace(0.0, 1.0, 5)


def codes(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal((2, *shape))


@pytest.mark.parametrize("path", [linear_path, spherical_path])
def test_paths_begin_and_end_where_they_should(path):
    start, end = codes(7, 16)
    walked = path(start, end, POSITIONS)
    assert walked.shape == (5, 7, 16)
    np.testing.assert_allclose(walked[[0, -1]], [start, end], atol=1e-12)


def test_the_straight_line_is_straight():
    start, end = codes(4)
    np.testing.assert_allclose(np.diff(linear_path(start, end, POSITIONS), 2, axis=0), 0.0, atol=1e-12)


def test_the_arc_turns_evenly_and_keeps_its_length_where_the_line_sags():
    start, end = codes(16)
    start, end = start / np.linalg.norm(start), end / np.linalg.norm(end)
    arc, line = spherical_path(start, end, POSITIONS), linear_path(start, end, POSITIONS)
    np.testing.assert_allclose(np.linalg.norm(arc, axis=1), 1.0, atol=1e-12)
    assert np.linalg.norm(line[2]) < 0.9
    angles = np.arccos(np.sum(arc[1:] * arc[:-1], axis=1))
    np.testing.assert_allclose(angles, angles[0], rtol=1e-6)
    lengths = np.linalg.norm(spherical_path(2.0 * start, end, POSITIONS), axis=1)
    np.testing.assert_allclose(lengths, [2.0, 1.75, 1.5, 1.25, 1.0])


@pytest.mark.parametrize("factor", [0.0, 1.0, 2.0, -1.0])
def test_the_arc_is_the_line_where_there_is_no_angle(factor):
    start, _ = codes(3, 8)
    end = factor * start
    np.testing.assert_allclose(
        spherical_path(start, end, POSITIONS), linear_path(start, end, POSITIONS), atol=1e-6
    )


def test_each_frame_has_an_arc_of_its_own():
    start, end = codes(6, 5)
    whole = spherical_path(start, end, POSITIONS)
    for frame in range(6):
        np.testing.assert_allclose(whole[:, frame], spherical_path(start[frame], end[frame], POSITIONS))
