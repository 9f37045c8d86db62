"""Recurrent layers against Keras's own, PyTorch's, and a plain loop."""

import functools

import keras
import numpy as np
import pytest
from cases import LayerCase, assert_gradient_matches_differences, gradient_of, on_one_backend
from keras import ops

from audiozoo.layers import GRU, MinGRU
from audiozoo.layers.recurrent import both_ways, linear_recurrence, run_by_doubling, run_in_blocks


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def plain_gru(layer, inputs, state):
    """The layer in float64, frame by frame."""
    kernel, recurrent, (bias, recurrent_bias) = (w.astype("float64") for w in layer.get_weights())
    states = []
    for frame in range(inputs.shape[1]):
        x_z, x_r, x_c = np.split(inputs[:, frame] @ kernel + bias, 3, axis=1)
        h_z, h_r, h_c = np.split(state @ recurrent + recurrent_bias, 3, axis=1)
        z, candidate = sigmoid(x_z + h_z), np.tanh(x_c + sigmoid(x_r + h_r) * h_c)
        state = z * state + (1 - z) * candidate
        states.append(state)
    return np.stack(states, axis=1), state


def plain_mingru(layer, inputs, state):
    """Equations of section 3.1.1 of the paper, frame by frame, with a linear candidate."""
    kernel, bias = (w.astype("float64") for w in layer.get_weights())
    gate, candidate = np.split(inputs @ kernel + bias, 2, axis=-1)
    states = []
    for frame in range(inputs.shape[1]):
        z = sigmoid(gate[:, frame])
        state = (1 - z) * state + z * candidate[:, frame]
        states.append(state)
    return np.stack(states, axis=1), state


class RecurrentCase(LayerCase):
    config = {"units": 6}
    tolerance = 1e-5

    def inputs(self):
        return [np.random.default_rng(0).standard_normal((2, 7, 3)).astype("float32")]

    def output(self, layer, inputs=None):
        states, final = super().output(layer, inputs)
        np.testing.assert_array_equal(final, states[:, -1])
        return states

    def make_with_random_biases(self):
        layer = self.make()
        layer.build((None, None, 3))
        rng = np.random.default_rng(1)
        layer.set_weights([rng.uniform(-1, 1, weight.shape) for weight in layer.get_weights()])
        return layer

    def test_a_sequence_cut_anywhere_goes_on_from_the_state(self):
        layer, (inputs,) = self.make_with_random_biases(), self.inputs()
        whole, final = layer(inputs)
        for cut in (1, 4, 6):
            first, state = layer(inputs[:, :cut])
            second, end = layer(inputs[:, cut:], initial_state=state)
            found = ops.convert_to_numpy(ops.concatenate([first, second], axis=1))
            np.testing.assert_allclose(found, ops.convert_to_numpy(whole), atol=1e-6)
            np.testing.assert_allclose(ops.convert_to_numpy(end), ops.convert_to_numpy(final), atol=1e-6)

    @pytest.mark.parametrize("frames", [1, 2, 9, 10])
    def test_any_number_of_frames(self, frames):
        layer, rng = self.make_with_random_biases(), np.random.default_rng(2)
        inputs = rng.standard_normal((2, frames, 3)).astype("float32")
        state = rng.standard_normal((2, 6)).astype("float32")
        states, final = layer(inputs, initial_state=state)
        expected, last = self.plain(layer, inputs, state)
        np.testing.assert_allclose(ops.convert_to_numpy(states), expected, atol=1e-5)
        np.testing.assert_allclose(ops.convert_to_numpy(final), last, atol=1e-5)

    def test_gradient_of_the_inputs_and_the_state_against_differences(self):
        layer, (inputs,) = self.make_with_random_biases(), self.inputs()
        state = np.random.default_rng(3).standard_normal((2, 6)).astype("float32")
        # Curvature of order 1 times a step of 1e-2 squared; rounding 1e-7 / 1e-2.
        assert_gradient_matches_differences(
            lambda x: layer(x, initial_state=state)[0], inputs, step=1e-2, tolerance=2e-3
        )
        assert_gradient_matches_differences(
            lambda s: layer(inputs, initial_state=s)[0], state, step=1e-2, tolerance=2e-3
        )


class TestGRU(RecurrentCase):
    layer_class = GRU
    plain = staticmethod(plain_gru)

    def oracle(self, layer, inputs):
        return plain_gru(layer, inputs, np.zeros((2, 6)))[0]

    def test_gradients_of_all_weights_are_those_of_the_stock_layer(self):
        ours, (inputs,) = self.make_with_random_biases(), self.inputs()
        stock = keras.layers.GRU(6, return_sequences=True, return_state=True)
        stock.build((None, None, 3))
        stock.set_weights(ours.get_weights())
        upstream = np.random.default_rng(4).standard_normal((2, 7, 6)).astype("float32")

        def value(layer, index):
            """The weighted output as a function of one weight, the others fixed."""

            def of(point):
                variables = layer.trainable_variables
                with keras.StatelessScope(state_mapping=[(variables[index], ops.convert_to_tensor(point))]):
                    states, final = layer(inputs)
                return ops.sum(states * ops.convert_to_tensor(upstream)) + ops.sum(final**2)

            return of

        for index, weight in enumerate(ours.get_weights()):
            found, expected = (
                gradient_of(value(ours, index), weight),
                gradient_of(value(stock, index), weight),
            )
            np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())

    def test_output_is_that_of_pytorch(self):
        torch = pytest.importorskip("torch")
        layer, (inputs,) = self.make_with_random_biases(), self.inputs()
        kernel, recurrent, (bias, recurrent_bias) = layer.get_weights()
        # PyTorch keeps its gates in the order r, z, n, and its matrices the other way round.
        order = np.r_[6:12, 0:6, 12:18]
        theirs = torch.nn.GRU(3, 6, batch_first=True)
        with torch.no_grad():
            theirs.weight_ih_l0.copy_(torch.tensor(kernel[:, order].T))
            theirs.weight_hh_l0.copy_(torch.tensor(recurrent[:, order].T))
            theirs.bias_ih_l0.copy_(torch.tensor(bias[order]))
            theirs.bias_hh_l0.copy_(torch.tensor(recurrent_bias[order]))
            expected, _ = theirs(torch.tensor(inputs))
        found, _ = layer(inputs)
        np.testing.assert_allclose(ops.convert_to_numpy(found), expected.numpy(), atol=1e-6)


class TestMinGRU(RecurrentCase):
    layer_class = MinGRU
    plain = staticmethod(plain_mingru)

    def oracle(self, layer, inputs):
        return plain_mingru(layer, inputs, np.zeros((2, 6)))[0]


@on_one_backend  # only TensorFlow traces programs of unknown length
@pytest.mark.parametrize("frames", [1, 2, 37])
def test_the_linear_recurrence_by_doubling_is_that_in_blocks(frames):
    rng = np.random.default_rng(0)
    decay = rng.uniform(0.0, 1.0, (2, frames, 3)).astype("float32")
    drive, state = (rng.standard_normal(shape).astype("float32") for shape in ((2, frames, 3), (2, 3)))
    tensors = [ops.convert_to_tensor(array) for array in (decay, drive, state)]
    expected, ours = (ops.convert_to_numpy(run(*tensors)) for run in (run_in_blocks, run_by_doubling))
    np.testing.assert_allclose(ours, expected, atol=1e-5)


@pytest.mark.parametrize("frames", [1, 4, 13])
def test_all_gradients_of_the_linear_recurrence_against_differences(frames):
    rng = np.random.default_rng(0)
    decay = rng.uniform(0.2, 0.99, (2, frames, 3)).astype("float32")
    drive, state = rng.standard_normal((2, frames, 3)), rng.standard_normal((2, 3))
    arguments = {"decay": decay, "drive": drive.astype("float32"), "state": state.astype("float32")}
    for name, point in arguments.items():

        def value(x, name=name):
            tensors = {n: ops.convert_to_tensor(v) for n, v in (arguments | {name: x}).items()}
            return linear_recurrence(tensors["decay"], tensors["drive"], tensors["state"])

        # Linear in drive and state; a product of 13 decays moves by 1e-3 relative at a step of 1e-3.
        assert_gradient_matches_differences(value, point, step=1e-2, tolerance=2e-3)


@pytest.mark.parametrize("kind", [GRU, MinGRU])
def test_side_by_side_is_one_after_the_other_with_its_gradients(kind):
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((2, 7, 3)).astype("float32")
    cells = [kind(5), kind(5)]
    for cell in cells:
        cell.build((None, None, 3))
        cell.set_weights([rng.uniform(-1, 1, weight.shape) for weight in cell.get_weights()])
    upstream = rng.standard_normal((2, 7, 10)).astype("float32")

    def both(x):
        by_frame = ops.swapaxes(x, 0, 1)
        return ops.swapaxes(kind.side_by_side(cells, [by_frame, ops.flip(by_frame, axis=0)]), 0, 1)

    def each(x):
        pairs = zip(cells, (x, ops.flip(x, axis=1)), strict=True)
        return ops.concatenate([cell(way)[0] for cell, way in pairs], axis=-1)

    x = ops.convert_to_tensor(inputs)
    np.testing.assert_allclose(ops.convert_to_numpy(both(x)), ops.convert_to_numpy(each(x)), atol=1e-6)
    alone = ops.convert_to_numpy(cells[0].along(ops.swapaxes(x, 0, 1)))
    np.testing.assert_allclose(alone.swapaxes(0, 1), ops.convert_to_numpy(cells[0](x)[0]), atol=1e-6)
    for variable in cells[1].trainable_variables:

        def loss(point, of, variable=variable):
            with keras.StatelessScope(state_mapping=[(variable, ops.convert_to_tensor(point))]):
                return ops.sum(of(ops.convert_to_tensor(inputs)) * ops.convert_to_tensor(upstream))

        value = ops.convert_to_numpy(variable)
        one, other = (gradient_of(functools.partial(loss, of=of), value) for of in (both, each))
        np.testing.assert_allclose(one, other, atol=2e-5 * np.abs(other).max())


@pytest.mark.parametrize("kind", [GRU, MinGRU])
def test_both_ways_are_one_there_and_one_back(kind):
    rng = np.random.default_rng(0)
    inputs, cells = rng.standard_normal((7, 2, 3)).astype("float32"), [kind(5), kind(5)]
    for cell in cells:
        cell.build((None, None, 3))
        cell.set_weights([rng.uniform(-1, 1, weight.shape) for weight in cell.get_weights()])
    found = ops.convert_to_numpy(both_ways(*cells, ops.convert_to_tensor(inputs)))
    there, back = (
        cell.along(ops.convert_to_tensor(way))
        for cell, way in zip(cells, (inputs, inputs[::-1].copy()), strict=True)
    )
    expected = [ops.convert_to_numpy(there), ops.convert_to_numpy(back)[::-1]]
    np.testing.assert_allclose(found, np.concatenate(expected, axis=-1), atol=1e-6)


def test_the_loop_over_what_was_projected_is_the_layer():
    """Also where PyTorch's own kernel stands for the layer; with the gradient of the inputs."""
    layer = GRU(5)
    layer.build((None, None, 3))
    rng = np.random.default_rng(0)
    layer.set_weights([rng.uniform(-1, 1, weight.shape) for weight in layer.get_weights()])
    inputs = rng.standard_normal((2, 7, 3)).astype("float32")
    upstream = ops.convert_to_tensor(rng.standard_normal((2, 7, 5)).astype("float32"))
    one, other = (
        gradient_of(lambda x, states=states: ops.sum(states(x)[0] * upstream), inputs)
        for states in (layer, lambda x: layer.recur(layer.project(x)))
    )
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("kind", [GRU, MinGRU])
def test_a_step_is_a_sequence_of_one(kind):
    rng = np.random.default_rng(0)
    cell, inputs = kind(5), rng.standard_normal((4, 3)).astype("float32")
    cell.build((None, None, 3))
    cell.set_weights([rng.uniform(-1, 1, weight.shape) for weight in cell.get_weights()])
    state = rng.standard_normal((4, 5)).astype("float32")
    expected, _ = cell(inputs[:, None], initial_state=state)
    found = cell.step(ops.convert_to_tensor(inputs), ops.convert_to_tensor(state))
    np.testing.assert_allclose(ops.convert_to_numpy(found), ops.convert_to_numpy(expected)[:, 0], atol=1e-6)
