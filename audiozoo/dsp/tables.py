"""Functions of one number, read from a table of their values."""

from keras import ops


def read_table(table, position):
    """Rows of a table at fractional positions, by linear interpolation; held beyond both ends.

    The error is at most an eighth of the largest second difference of neighbouring rows.
    Differentiable with respect to the table only.

    Args:
        table: ``(rows, channels)``, two rows or more.
        position: ``(batch, frames, 1)``, float32, in rows from 0.

    Returns:
        ``(batch, frames, channels)``.
    """
    position = ops.stop_gradient(ops.clip(position, 0.0, table.shape[0] - 1.0))
    below = ops.minimum(ops.floor(position), table.shape[0] - 2.0)
    fraction = ops.cast(position - below, table.dtype)
    index = ops.cast(below[..., 0], "int32")
    return ops.take(table, index, axis=0) * (1.0 - fraction) + ops.take(table, index + 1, axis=0) * fraction
