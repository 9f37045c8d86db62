"""A table read between its rows."""

import numpy as np
from cases import gradient_of
from keras import ops

from audiozoo.dsp.tables import read_table


def read(table, position):
    tensors = (ops.convert_to_tensor(np.asarray(x, "float32")) for x in (table, position))
    return ops.convert_to_numpy(read_table(*tensors))


def test_each_channel_is_numpys_linear_interpolation_held_at_the_ends():
    rng = np.random.default_rng(0)
    table, position = rng.standard_normal((9, 4)), rng.uniform(-2.0, 11.0, (2, 50, 1))
    found = read(table, position)
    for channel in range(4):
        expected = np.interp(position[..., 0], np.arange(9), table[:, channel])
        np.testing.assert_allclose(found[..., channel], expected, atol=1e-6)


def test_rows_themselves_are_exact():
    table = np.random.default_rng(0).standard_normal((5, 3)).astype("float32")
    np.testing.assert_array_equal(read(table, np.arange(5.0)[None, :, None])[0], table)


def test_a_curve_is_met_within_an_eighth_of_the_second_difference():
    rows = np.sin(np.linspace(0, 3, 65))[:, None]
    position = np.random.default_rng(0).uniform(0, 64, (1, 1000, 1))
    error = read(rows, position)[0, :, 0] - np.sin(position[0, :, 0] * 3 / 64)
    limit = np.abs(np.diff(rows[:, 0], n=2)).max() / 8
    assert 0.9 * limit < np.abs(error).max() < limit + 1e-6


def test_the_gradient_of_a_row_is_the_weight_with_which_it_was_read():
    position = np.array([0.25, 1.0, 1.5, 7.0], "float32")[None, :, None]  # 7: beyond the end

    def total(table):
        return ops.sum(read_table(table, ops.convert_to_tensor(position)))

    gradient = gradient_of(total, np.zeros((4, 2), "float32"))
    np.testing.assert_allclose(gradient, np.repeat([[0.75], [1.75], [0.5], [1.0]], 2, axis=1), atol=1e-6)
