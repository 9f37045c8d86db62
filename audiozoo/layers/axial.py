"""Recurrences along the axes of a spectrogram, of which each element sees what came before it.

A spectrogram is ``(batch, frames, bands, units)``. An axis that a recurrence does not run along is folded
into the batch, so a layer is a few loops over one axis for all of the other at once.

Paper: Vasquez and Lewis (2019), MelNet, arXiv:1906.01083, section 4 and figures 3 to 5.
"""

import keras
from keras import layers, ops

from audiozoo.arguments import check_choice, check_whole
from audiozoo.layers.recurrent import GRU, MinGRU

CELLS = {"gru": GRU, "mingru": MinGRU}
WAYS = ("four_way", "two_way")


class _AxialLayer(layers.Layer):
    """What the layers below share.

    Args:
        units: width of input, state and output.
        cell: ``"gru"``, or ``"mingru"``, which needs no matrix product at a step.
    """

    def __init__(self, units, *, cell="gru", **kwargs):
        super().__init__(**kwargs)
        check_whole("units", units, 1)
        check_choice("cell", cell, tuple(CELLS))
        self.units, self.cell = units, cell

    def new_cell(self):
        """A recurrent layer of this width."""
        return CELLS[self.cell](self.units)

    def build_parts(self, cells, mix):
        """Build recurrences over ``units`` channels, and the layer that mixes what they give."""
        for cell in cells:
            cell.build((None, None, self.units))
        mix.build((None, len(cells) * self.units))

    def compute_output_shape(self, input_shape, *others):
        return input_shape

    def get_config(self):
        return super().get_config() | {"units": self.units, "cell": self.cell}


@keras.saving.register_keras_serializable("audiozoo")
class TimeDelayedLayer(_AxialLayer):
    """``x + mix(recurrences)``: forward in time, and both ways along frequency.

    An element sees all of the frames up to its own. Of an input that lies a frame late, no output knows its
    own frame.

    Args:
        units, cell: see ``_AxialLayer``.

    Input:
        ``(batch, frames, bands, units)``.

    Output:
        The same shape.

    Reference:
        Vasquez and Lewis (2019), arXiv:1906.01083, eq. 5 and 6.
    """

    def __init__(self, units, **kwargs):
        super().__init__(units, **kwargs)
        self.time, self.up, self.down = self.new_cell(), self.new_cell(), self.new_cell()
        self.mix = layers.Dense(units)

    def build(self, input_shape, *others):
        self.build_parts([self.time, self.up, self.down], self.mix)

    def call(self, inputs):
        return self.mixed(inputs, from_columns(self.time.along(columns_of(inputs)), inputs.shape))

    def step(self, inputs, state):
        """One frame: output ``(batch, bands, units)`` and the state of the recurrence in time after it.

        Args:
            inputs: ``(batch, bands, units)``.
            state: of the same shape; 0 before the first frame.
        """
        state = self.time.step(inputs, state)
        return self.mixed(inputs[:, None], state[:, None])[:, 0], state

    def mixed(self, inputs, in_time):
        """The output, from what came of the recurrence in time."""
        in_frequency = from_rows(both_ways(self.up, self.down, rows_of(inputs)), inputs.shape)
        return inputs + self.mix(ops.concatenate([in_time, in_frequency], axis=-1))


@keras.saving.register_keras_serializable("audiozoo")
class FrequencyDelayedLayer(_AxialLayer):
    """``x + mix(recurrence)``, upward in frequency, of the input and what is known of the frames before.

    Args:
        units, cell: see ``_AxialLayer``.

    Input:
        ``(batch, frames, bands, units)``; ``context`` of the same shape, or one that spreads to it.

    Output:
        The same shape.

    Reference:
        Vasquez and Lewis (2019), arXiv:1906.01083, eq. 7 to 9.
    """

    def __init__(self, units, **kwargs):
        super().__init__(units, **kwargs)
        self.up = self.new_cell()
        self.mix = layers.Dense(units)

    def build(self, input_shape, *others):
        self.build_parts([self.up], self.mix)

    def call(self, inputs, context):
        states = self.up.along(rows_of(inputs + context))
        return inputs + self.mix(from_rows(states, inputs.shape))

    def step(self, inputs, context, state):
        """One band: output ``(batch, units)`` and the state after it, of the same shape; 0 at first."""
        state = self.up.step(inputs + context, state)
        return inputs + self.mix(state), state


@keras.saving.register_keras_serializable("audiozoo")
class CentralizedLayer(_AxialLayer):
    """``x + mix(recurrence)``, forward in time, of one vector for each frame.

    Args:
        units, cell: see ``_AxialLayer``.

    Input:
        ``(batch, frames, units)``.

    Output:
        The same shape.

    Reference:
        Vasquez and Lewis (2019), arXiv:1906.01083, eq. 10 and 11.
    """

    def __init__(self, units, **kwargs):
        super().__init__(units, **kwargs)
        self.time = self.new_cell()
        self.mix = layers.Dense(units)

    def build(self, input_shape, *others):
        self.build_parts([self.time], self.mix)

    def call(self, inputs):
        return inputs + self.mix(ops.swapaxes(self.time.along(ops.swapaxes(inputs, 0, 1)), 0, 1))

    def step(self, inputs, state):
        """One frame: output ``(batch, units)`` and the state after it, of the same shape; 0 at first."""
        state = self.time.step(inputs, state)
        return inputs + self.mix(state), state


@keras.saving.register_keras_serializable("audiozoo")
class SurroundingLayer(_AxialLayer):
    """``x + mix(recurrences)``, both ways in time and, of four ways, both ways along frequency.

    An element sees all of what surrounds it: its frame and its band, and through a second layer everything.

    Args:
        units, cell: see ``_AxialLayer``.
        ways: ``"four_way"``, or ``"two_way"``, along time alone.

    Input:
        ``(batch, frames, bands, units)``.

    Output:
        The same shape.

    Reference:
        Vasquez and Lewis (2019), arXiv:1906.01083, section 6.1: the feature extraction network.
    """

    def __init__(self, units, *, ways="four_way", **kwargs):
        super().__init__(units, **kwargs)
        check_choice("ways", ways, WAYS)
        self.ways = ways
        self.forward_time, self.backward_time = self.new_cell(), self.new_cell()
        self.along_frequency = [self.new_cell(), self.new_cell()] if ways == "four_way" else []
        self.mix = layers.Dense(units)

    def build(self, input_shape, *others):
        self.build_parts([self.forward_time, self.backward_time, *self.along_frequency], self.mix)

    def call(self, inputs):
        in_time = both_ways(self.forward_time, self.backward_time, columns_of(inputs))
        seen = [from_columns(in_time, inputs.shape)]
        if self.along_frequency:
            seen.append(from_rows(both_ways(*self.along_frequency, rows_of(inputs)), inputs.shape))
        return inputs + self.mix(ops.concatenate(seen, axis=-1))

    def get_config(self):
        return super().get_config() | {"ways": self.ways}


def both_ways(forward, backward, sequences):
    """States of one cell beside those of another that begins at the end, in one loop.

    Args:
        forward, backward: cells.
        sequences: ``(steps, batch, units)``.

    Returns:
        ``(steps, batch, 2 * units)``.
    """
    both = type(forward).side_by_side([forward, backward], [sequences, ops.flip(sequences, axis=0)])
    there, back = ops.split(both, 2, axis=-1)
    return ops.concatenate([there, ops.flip(back, axis=0)], axis=-1)


def rows_of(grid):
    """``(batch, frames, bands, units)`` as sequences along frequency, ``(bands, batch * frames, units)``."""
    return ops.transpose(ops.reshape(grid, (-1, *grid.shape[2:])), (1, 0, 2))


def from_rows(rows, shape):
    """The reverse, for a grid of that shape but for its units."""
    return ops.reshape(ops.transpose(rows, (1, 0, 2)), (-1, *shape[1:3], rows.shape[-1]))


def columns_of(grid):
    """``(batch, frames, bands, units)`` as sequences along time, ``(frames, batch * bands, units)``."""
    by_frame = ops.swapaxes(grid, 0, 1)
    return ops.reshape(by_frame, (grid.shape[1], -1, grid.shape[3]))


def from_columns(columns, shape):
    """The reverse, for a grid of that shape but for its units."""
    _, frames, bands = shape[:3]
    return ops.swapaxes(ops.reshape(columns, (frames, -1, bands, columns.shape[-1])), 0, 1)
