"""Recurrent layers whose backward pass is written out: a GRU, and a minGRU that needs no loop.

What a framework derives by itself adds up the gradient of the recurrent weights at every step, which
costs more than the rest of the layer together. It is one matrix product over all steps at the end.
"""

import math

import keras
from keras import layers, ops

from audiozoo.dsp.oscillators import MOST_FRAMES


@keras.saving.register_keras_serializable("audiozoo")
class GRU(layers.GRU):
    """Gated recurrent unit: Keras's layer and weights, two to three times as fast to train on a CPU.

    Always returns the whole sequence and the final state. Where a GPU runs TensorFlow or PyTorch, the
    stock layer is left to itself, since there it calls cuDNN, and is not compiled by XLA. So it is where the
    number of frames is not known, in a program to be exported: what converts programs knows its loop. On a
    CPU under PyTorch it is PyTorch's own.

    Args:
        units: width of the state.

    Input:
        ``(batch, frames, channels)``; optional ``initial_state (batch, units)``.

    Output:
        ``(batch, frames, units)`` and ``(batch, units)``.

    Reference:
        Cho et al. (2014), arXiv:1406.1078, with the reset gate applied after the recurrent product,
        as in cuDNN: ``z, r = sigmoid(.)``, ``c = tanh(x_c + r * (h W_c + b_c))``,
        ``h' = z h + (1 - z) c``.
    """

    def __init__(self, units, **kwargs):
        super().__init__(units, return_sequences=True, return_state=True, **kwargs)
        self.stock = cudnn_is_faster()
        self.native = keras.backend.backend() == "torch" and not self.stock
        # Keras forbids XLA for its own layer on TensorFlow, even where there is no cuDNN.
        self.supports_jit = not self.stock

    def call(self, sequences, initial_state=None, mask=None, training=False):
        if self.stock or not isinstance(ops.shape(sequences)[1], int):
            return super().call(sequences, initial_state=initial_state, mask=mask, training=training)
        if self.native:
            states = natively(ops.swapaxes(sequences, 0, 1), [self], initial_state)
            return ops.swapaxes(states, 0, 1), states[-1]
        return self.recur(self.project(sequences), initial_state)

    def project(self, inputs):
        """What the inputs add to the three gates, all frames at once: ``(..., 3 * units)``."""
        return ops.matmul(ops.cast(inputs, self.compute_dtype), self.input_kernel) + self.input_bias

    @property
    def input_kernel(self):
        """``(channels, 3 * units)``."""
        return self._weight(self.cell.kernel)

    @property
    def input_bias(self):
        """``(3 * units,)``."""
        return self._weight(self.cell.bias)[0]

    def along(self, sequences):
        """States of sequences that lie time first, ``(frames, batch, channels)``, from 0."""
        if self.stock:
            states, _ = super().call(ops.swapaxes(sequences, 0, 1))
            return ops.swapaxes(states, 0, 1)
        return natively(sequences, [self]) if self.native else self.side_by_side([self], [sequences])

    @staticmethod
    def side_by_side(cells, sequences):
        """``along`` of several cells of equal width, in one loop.

        Args:
            cells: list of GRU.
            sequences: list of as many ``(frames, batch, channels)``, all of one shape.

        Returns:
            ``(frames, batch, len(cells) * units)``.
        """
        if cells[0].stock or cells[0].native:
            states = [cell.along(one) for cell, one in zip(cells, sequences, strict=True)]
            return ops.concatenate(states, axis=-1)
        projected = [cell.project(one) for cell, one in zip(cells, sequences, strict=True)]
        kernel = ops.stack([cell._weight(cell.cell.recurrent_kernel) for cell in cells])
        bias = ops.stack([cell._weight(cell.cell.bias)[1][None] for cell in cells])
        projected = ops.stack(projected, axis=1)
        states = gru_sequence(projected, ops.zeros_like(projected[0, :, :, : cells[0].units]), kernel, bias)
        return ops.concatenate([states[:, number] for number in range(len(cells))], axis=-1)

    def recur(self, projected, initial_state=None):
        """Sequence and final state from ``project``'s result ``(batch, frames, 3 * units)``."""
        projected = ops.transpose(projected, (1, 0, 2))
        if initial_state is None:
            initial_state = ops.zeros((ops.shape(projected)[1], self.units), dtype=projected.dtype)
        initial_state = ops.cast(initial_state, projected.dtype)
        kernel, bias = self._weight(self.cell.recurrent_kernel), self._weight(self.cell.bias)
        states = gru_sequence(projected, initial_state, kernel, bias[1])
        return ops.transpose(states, (1, 0, 2)), states[-1]

    def step(self, inputs, state):
        """The state ``(batch, units)`` after one frame ``(batch, channels)``."""
        kernel, bias = self._weight(self.cell.recurrent_kernel), self._weight(self.cell.bias)
        return gru_step(self.project(inputs), state, kernel, bias[1])[..., : self.units]

    def _weight(self, variable):
        return ops.cast(ops.convert_to_tensor(variable), self.compute_dtype)

    def get_config(self):
        return layers.Layer.get_config(self) | {"units": self.units}


def natively(sequences, cells, initial_state=None):
    """States of one GRU, or of two that go both ways, by PyTorch's own kernel; time first."""
    from audiozoo.layers.native_gru import native_gru

    dtype, (_, batch, _) = cells[0].compute_dtype, sequences.shape
    if initial_state is None:
        initial_state = ops.zeros((batch, cells[0].units), dtype=dtype)
    weights = [
        [cell._weight(each) for each in (cell.cell.kernel, cell.cell.recurrent_kernel, cell.cell.bias)]
        for cell in cells
    ]
    initial_states = ops.stack([ops.cast(initial_state, dtype)] * len(cells))
    return native_gru(ops.cast(sequences, dtype), initial_states, *weights)


def both_ways(forward, backward, sequences):
    """States of one cell beside those of another that begins at the end, in one loop.

    Args:
        forward, backward: GRU or MinGRU.
        sequences: ``(frames, batch, channels)``.

    Returns:
        ``(frames, batch, 2 * units)``.
    """
    if isinstance(forward, GRU) and forward.native:
        return natively(sequences, [forward, backward])
    both = type(forward).side_by_side([forward, backward], [sequences, ops.flip(sequences, axis=0)])
    there, back = ops.split(both, 2, axis=-1)
    return ops.concatenate([there, ops.flip(back, axis=0)], axis=-1)


def cudnn_is_faster():
    """Whether Keras's own GRU would run on cuDNN: on a GPU, under TensorFlow or PyTorch."""
    device = str(getattr(ops.zeros(()), "device", "")).lower()
    return keras.backend.backend() != "jax" and ("cuda" in device or "gpu" in device)


@ops.custom_gradient
def gru_sequence(projected, initial_state, kernel, bias):
    """States of a GRU, time first.

    Backward: with dh the gradient of a state, those of its gates are dh times factors that are known
    for all steps at once. The loop going back is one product,
    ``dh[t-1] += z dh[t] + (dh[t] * factors) W'``, and the gradients of weights and inputs follow
    from all dh together.

    Args:
        projected: ``(frames, batch, 3 * units)``, what the inputs add to the gates z, r, c; or ``(frames,
            cells, batch, 3 * units)`` for several cells side by side.
        initial_state: ``(batch, units)``, or ``(cells, batch, units)``.
        kernel: ``(units, 3 * units)``, or ``(cells, units, 3 * units)``.
        bias: ``(3 * units,)``, added to ``state @ kernel``; or ``(cells, 1, 3 * units)``.

    Returns:
        ``(frames, batch, units)``, or ``(frames, cells, batch, units)``.
    """
    units = kernel.shape[-2]

    def step(record, x):
        record = gru_step(x, record[..., :units], kernel, bias)
        return record, record

    # The record is carried along only because TensorFlow's scan wants outputs shaped like the state.
    first = ops.concatenate([initial_state, *[ops.zeros_like(initial_state)] * 4], axis=-1)
    _, records = ops.scan(step, first, projected)
    states = records[..., :units]

    def gradient(*unused, upstream=None):  # PyTorch passes it by name, and the inputs by place
        upstream = unused[0] if upstream is None else upstream
        z, r, c, gate_c = ops.split(records[..., units:], 4, axis=-1)
        previous = ops.concatenate([initial_state[None], states[:-1]], axis=0)
        to_z = (previous - c) * z * (1.0 - z)
        to_c = (1.0 - z) * (1.0 - c * c)
        to_r = to_c * gate_c * r * (1.0 - r)
        to_gates = ops.concatenate([to_z, to_r, to_c * r], axis=-1)
        transposed = ops.swapaxes(kernel, -1, -2)

        def step_back(later, now):
            upstream, z, to_gates = now
            dh = upstream + later[1]
            return_ = dh * z + ops.matmul(three_times(dh) * to_gates, transposed)
            pair = ops.stack([dh, return_])
            return pair, pair

        last = ops.zeros_like(ops.stack([initial_state, initial_state]))
        final, pairs = ops.scan(step_back, last, (upstream, z, to_gates), reverse=True)
        dh = pairs[:, 0]
        d_gates = three_times(dh) * to_gates
        d_projected = ops.concatenate([d_gates[..., : 2 * units], dh * to_c], axis=-1)
        if len(kernel.shape) == 2:
            flat = ops.reshape(d_gates, (-1, 3 * units))
            d_kernel = ops.matmul(ops.transpose(ops.reshape(previous, (-1, units))), flat)
            return d_projected, final[1], d_kernel, ops.sum(flat, axis=0)
        d_kernel = ops.einsum("tgbu,tgbv->guv", previous, d_gates)
        return d_projected, final[1], d_kernel, ops.sum(d_gates, axis=(0, 2))[:, None]

    return states, gradient


def gru_step(projected, state, kernel, bias):
    """New state of a GRU, gates z and r, candidate c and what of it is gated, ``(..., 5 * units)``."""
    units = state.shape[-1]
    gates = ops.matmul(state, kernel) + bias
    z = ops.sigmoid(projected[..., :units] + gates[..., :units])
    r = ops.sigmoid(projected[..., units : 2 * units] + gates[..., units : 2 * units])
    c = ops.tanh(projected[..., 2 * units :] + r * gates[..., 2 * units :])
    return ops.concatenate([c + z * (state - c), z, r, c, gates[..., 2 * units :]], axis=-1)


def three_times(array):
    """An array beside itself, for each of the gates."""
    return ops.concatenate([array, array, array], axis=-1)


@keras.saving.register_keras_serializable("audiozoo")
class MinGRU(layers.Layer):
    """GRU whose gate and candidate do not see the state: ``h' = (1 - z) h + z c``.

    With z and c known for all frames beforehand the states are a linear recurrence, which needs no
    loop over single frames.

    Args:
        units: width of the state.

    Input:
        ``(batch, frames, channels)``; optional ``initial_state (batch, units)``.

    Output:
        ``(batch, frames, units)`` and ``(batch, units)``.

    Reference:
        Feng et al. (2024), Were RNNs all we needed?, arXiv:2410.01201, section 3.1.
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.gates = layers.Dense(2 * units)

    def build(self, input_shape):
        self.gates.build(input_shape)

    def call(self, sequences, initial_state=None):
        return self.recur(self.project(sequences), initial_state)

    def project(self, inputs):
        """Logits of gate and candidate, ``(..., 2 * units)``."""
        return ops.matmul(ops.cast(inputs, self.compute_dtype), self.input_kernel) + self.input_bias

    @property
    def input_kernel(self):
        """``(channels, 2 * units)``."""
        return ops.cast(ops.convert_to_tensor(self.gates.kernel), self.compute_dtype)

    @property
    def input_bias(self):
        """``(2 * units,)``."""
        return ops.cast(ops.convert_to_tensor(self.gates.bias), self.compute_dtype)

    def along(self, sequences):
        """As ``GRU.along``."""
        return self.side_by_side([self], [sequences])

    @staticmethod
    def side_by_side(cells, sequences):
        """As ``GRU.side_by_side``. One frame after the other: worth it where there are many sequences."""
        projected = [cell.project(one) for cell, one in zip(cells, sequences, strict=True)]
        projected = ops.stack(projected, axis=1)
        states = mingru_sequence(projected, ops.zeros_like(projected[0, ..., : cells[0].units]))
        return ops.concatenate([states[:, number] for number in range(len(cells))], axis=-1)

    def recur(self, projected, initial_state=None):
        """Sequence and final state from ``project``'s result ``(batch, frames, 2 * units)``."""
        gate, candidate = ops.split(projected, 2, axis=-1)
        z = ops.sigmoid(gate)
        if initial_state is None:
            initial_state = ops.zeros_like(z[:, 0])
        states = linear_recurrence(1.0 - z, z * candidate, ops.cast(initial_state, z.dtype))
        return states, states[:, -1]

    def step(self, inputs, state):
        """As ``GRU.step``."""
        gate, candidate = ops.split(self.project(inputs), 2, axis=-1)
        return state + ops.sigmoid(gate) * (candidate - state)

    def get_config(self):
        return super().get_config() | {"units": self.units}


@ops.custom_gradient
def mingru_sequence(projected, initial_state):
    """States of a minGRU, time first, in a loop over frames that reads every number once.

    For a CPU and many sequences: a frame of all of them stays in its cache. Backward: with dh the gradient of
    a state, ``z dh`` is that of its candidate, and ``(1 - z) dh`` goes to the state before.

    Args:
        projected: ``(frames, ..., 2 * units)``, logits of gate and candidate.
        initial_state: ``(..., units)``.

    Returns:
        ``(frames, ..., units)``.
    """
    units = initial_state.shape[-1]

    def step(state, now):
        state = state + ops.sigmoid(now[..., :units]) * (now[..., units:] - state)
        return state, state

    _, states = ops.scan(step, initial_state, projected)

    def gradient(*unused, upstream=None):
        upstream = unused[0] if upstream is None else upstream
        previous = ops.concatenate([initial_state[None], states[:-1]], axis=0)

        def step_back(later, now):
            upstream, now, previous = now
            z = ops.sigmoid(now[..., :units])
            dh = upstream + later[0]
            d_candidate = z * dh
            d_gate = d_candidate * (1.0 - z) * (now[..., units:] - previous)
            back = (dh - d_candidate, ops.concatenate([d_gate, d_candidate], axis=-1))
            return back, back

        last = (ops.zeros_like(initial_state), ops.zeros_like(projected[0]))
        final, (_, d_projected) = ops.scan(step_back, last, (upstream, projected, previous), reverse=True)
        return d_projected, final[0]

    return states, gradient


@ops.custom_gradient
def linear_recurrence(decay, drive, initial_state):
    """``h[t] = decay[t] h[t-1] + drive[t]``, in about ``2 sqrt(frames)`` steps instead of ``frames``.

    The frames are cut into blocks. First all blocks run side by side from a state of 0, each keeping
    the product of its decays; then the blocks' last states are chained; what came in is added to every
    frame of a block at last. Backward is the same recurrence from the end:
    ``D[t] = g[t] + decay[t+1] D[t+1]`` is the gradient of ``drive``.

    Args:
        decay, drive: ``(batch, frames, channels)``.
        initial_state: ``(batch, channels)``.

    Returns:
        ``(batch, frames, channels)``.
    """
    known = isinstance(ops.shape(decay)[1], int)
    states = (run_in_blocks if known else run_by_doubling)(decay, drive, initial_state)

    def gradient(*unused, upstream=None):
        upstream = unused[0] if upstream is None else upstream
        following = ops.concatenate([decay[:, 1:], ops.zeros_like(decay[:, :1])], axis=1)
        backward = run_in_blocks(
            ops.flip(following, axis=1), ops.flip(upstream, axis=1), ops.zeros_like(initial_state)
        )
        d_drive = ops.flip(backward, axis=1)
        previous = ops.concatenate([initial_state[:, None], states[:, :-1]], axis=1)
        return d_drive * previous, d_drive, d_drive[:, 0] * decay[:, 0]

    return states, gradient


def run_by_doubling(decay, drive, initial_state):
    """The states of ``linear_recurrence`` where the number of frames is not known, without any loop.

    After step i each element holds what the last ``2^i`` frames make of a state of 0, and the product of
    their decays: more arithmetic than blocks, and shifts and products alone.
    """
    frames, reach = ops.shape(decay)[1], 1
    first = drive[:, :1] + decay[:, :1] * initial_state[:, None]
    states = ops.concatenate([first, drive[:, 1:]], axis=1)
    while reach < MOST_FRAMES:
        shift = ops.minimum(reach, frames)
        earlier, product = (
            ops.pad(array[:, : frames - shift], ((0, 0), (shift, 0), (0, 0))) for array in (states, decay)
        )
        states, decay, reach = states + decay * earlier, decay * product, 2 * reach
    return states


def run_in_blocks(decay, drive, initial_state):
    """The states of ``linear_recurrence``."""
    frames, channels = decay.shape[1], decay.shape[2]
    length = math.isqrt(frames - 1) + 1
    blocks = -(-frames // length)
    missing = ((0, 0), (0, blocks * length - frames), (0, 0))

    def cut(array):  # to (length, batch, blocks, channels)
        array = ops.reshape(ops.pad(array, missing), (-1, blocks, length, channels))
        return ops.transpose(array, (2, 0, 1, 3))

    def within(pair, now):
        decay, drive = now
        pair = ops.stack([pair[0] * decay + drive, pair[1] * decay])
        return pair, pair

    def across(state, block):
        total, product = block
        return total + product * state, state

    decay, drive = cut(decay), cut(drive)
    start = ops.stack([ops.zeros_like(drive[0]), ops.ones_like(drive[0])])
    ends, local = ops.scan(within, start, (decay, drive))
    by_block = tuple(ops.transpose(ends[i], (1, 0, 2)) for i in range(2))
    _, incoming = ops.scan(across, initial_state, by_block)
    states = local[:, 0] + local[:, 1] * ops.transpose(incoming, (1, 0, 2))
    return ops.reshape(ops.transpose(states, (1, 2, 0, 3)), (-1, blocks * length, channels))[:, :frames]
