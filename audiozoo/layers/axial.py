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


class _AxialLayer(layers.Layer):
    """What the layers below share.

    Args:
        units: width of input, state and output.
        cell: ``"gru"``, or ``"mingru"``, whose loops are about ``2 sqrt(steps)`` long instead of ``steps``.
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
        ``(batch, frames, bands, units)``; optional ``state (batch * bands, units)``.

    Output:
        The same shape; ``with_state`` returns the state of the recurrence in time too, to go on with.

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
        return self.with_state(inputs)[0]

    def with_state(self, inputs, state=None):
        """Output, and the state ``(batch * bands, units)`` after the last frame."""
        _, frames, bands, units = inputs.shape
        along_time = ops.reshape(ops.transpose(inputs, (0, 2, 1, 3)), (-1, frames, units))
        in_time, state = self.time(along_time, initial_state=state)
        in_time = ops.transpose(ops.reshape(in_time, (-1, bands, frames, units)), (0, 2, 1, 3))
        upward = ops.reshape(inputs, (-1, bands, units))
        both = type(self.up).side_by_side(
            [self.up, self.down], [self.up.project(upward), self.down.project(ops.flip(upward, axis=1))]
        )
        both = ops.concatenate([both[..., :units], ops.flip(both[..., units:], axis=1)], axis=-1)
        both = ops.reshape(both, (-1, frames, bands, 2 * units))
        return inputs + self.mix(ops.concatenate([in_time, both], axis=-1)), state


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
        _, frames, bands, units = inputs.shape
        states, _ = self.up(ops.reshape(inputs + context, (-1, bands, units)))
        return inputs + self.mix(ops.reshape(states, (-1, frames, bands, units)))

    def step(self, inputs, context, state):
        """One band: output ``(batch, units)`` and the state after it, from those before."""
        states, state = self.up((inputs + context)[:, None], initial_state=state)
        return inputs + self.mix(states[:, 0]), state


@keras.saving.register_keras_serializable("audiozoo")
class CentralizedLayer(_AxialLayer):
    """``x + mix(recurrence)``, forward in time, of one vector for each frame.

    Args:
        units, cell: see ``_AxialLayer``.

    Input:
        ``(batch, frames, units)``; optional ``state (batch, units)``.

    Output:
        The same shape; ``with_state`` returns the state too.

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
        return self.with_state(inputs)[0]

    def with_state(self, inputs, state=None):
        """Output, and the state after the last frame."""
        states, state = self.time(inputs, initial_state=state)
        return inputs + self.mix(states), state
