"""Recurrences along axes: against loops over single rows and columns, and by what a gradient reaches."""

import numpy as np
import pytest
from cases import LayerCase, gradient_of, numpy_of
from keras import ops

from audiozoo.layers import CentralizedLayer, FrequencyDelayedLayer, SurroundingLayer, TimeDelayedLayer

FRAMES, BANDS, UNITS = 4, 5, 6
CELLS = ["gru", "mingru"]


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def dense(layer, values):
    kernel, bias = layer.get_weights()
    return values @ kernel + bias


def states_of(cell, sequence):
    """States ``(steps, units)`` of a cell along one sequence ``(steps, units)``."""
    return numpy_of(cell(sequence[None])[0])[0]


def reach(layer_output, inputs, place):
    """Which input elements have a part in the output at one place, ``inputs.shape[:-1]`` as booleans."""
    gradient = gradient_of(lambda x: ops.sum(layer_output(x)[place]), inputs)
    return np.abs(gradient).sum(axis=-1) > 0.0


def assert_frame_by_frame_is_the_whole(layer, x):
    whole, state, frames = numpy_of(layer(x)), ops.zeros_like(x[:, 0]), []
    for frame in range(FRAMES):
        output, state = layer.step(ops.convert_to_tensor(x[:, frame]), state)
        frames.append(numpy_of(output))
    np.testing.assert_allclose(np.stack(frames, axis=1), whole, atol=1e-5)


class TestTimeDelayedLayer(LayerCase):
    layer_class = TimeDelayedLayer
    config = {"units": UNITS, "cell": "mingru"}
    tolerance = 1e-5

    def inputs(self):
        return [noise(2, FRAMES, BANDS, UNITS)]

    def oracle(self, layer, x):
        def along_time(item, band):
            return states_of(layer.time, x[item, :, band])

        def along_frequency(item, frame):
            down = states_of(layer.down, x[item, frame, ::-1])[::-1]
            return np.concatenate([states_of(layer.up, x[item, frame]), down], axis=-1)

        in_time = np.stack(
            [np.stack([along_time(item, band) for band in range(BANDS)], 1) for item in range(2)]
        )
        both = np.stack([[along_frequency(item, frame) for frame in range(FRAMES)] for item in range(2)])
        return x + dense(layer.mix, np.concatenate([in_time, both], axis=-1))

    @pytest.mark.parametrize("cell", CELLS)
    def test_a_frame_hears_itself_and_what_came_before(self, cell):
        layer, (x,) = self.make(cell=cell), self.inputs()
        layer(x)
        reached = reach(layer, x, (0, 1, 2))
        assert reached[0, 1].all()
        assert reached[0, 0, 2]
        assert not reached[0, 2:].any()
        assert not reached[1].any()

    @pytest.mark.parametrize("cell", CELLS)
    def test_frame_by_frame_is_the_whole(self, cell):
        assert_frame_by_frame_is_the_whole(self.make(cell=cell), *self.inputs())


class TestFrequencyDelayedLayer(LayerCase):
    layer_class = FrequencyDelayedLayer
    config = {"units": UNITS, "cell": "mingru"}
    tolerance = 1e-5

    def inputs(self):
        return [noise(2, FRAMES, BANDS, UNITS), noise(2, FRAMES, BANDS, UNITS, seed=1)]

    def oracle(self, layer, x, context):
        states = [[states_of(layer.up, frame) for frame in item] for item in x + context]
        return x + dense(layer.mix, np.stack(states))

    @pytest.mark.parametrize("cell", CELLS)
    def test_a_band_hears_itself_and_what_lies_below(self, cell):
        layer, (x, context) = self.make(cell=cell), self.inputs()
        layer(x, context)
        for output, given in (
            (lambda value: layer(value, context), x),
            (lambda value: layer(x, value), context),
        ):
            expected = np.zeros((2, FRAMES, BANDS), bool)
            expected[0, 1, :3] = True
            np.testing.assert_array_equal(reach(output, given, (0, 1, 2)), expected)

    @pytest.mark.parametrize("cell", CELLS)
    def test_band_by_band_is_the_whole(self, cell):
        layer, inputs = self.make(cell=cell), self.inputs()
        x, context = (ops.convert_to_tensor(value) for value in inputs)
        whole = numpy_of(layer(x, context))[:, 0]
        state, bands = ops.zeros((2, UNITS)), []
        for band in range(BANDS):
            output, state = layer.step(x[:, 0, band], context[:, 0, band], state)
            bands.append(numpy_of(output))
        np.testing.assert_allclose(np.stack(bands, axis=1), whole, atol=1e-5)

    def test_one_vector_a_frame_spreads_over_its_bands(self):
        layer, (x, context) = self.make(), self.inputs()
        vector = context[:, :, :1]
        spread = np.repeat(vector, BANDS, axis=2)
        np.testing.assert_allclose(numpy_of(layer(x, vector)), numpy_of(layer(x, spread)), atol=1e-6)


class TestCentralizedLayer(LayerCase):
    layer_class = CentralizedLayer
    config = {"units": UNITS, "cell": "mingru"}
    tolerance = 1e-5

    def inputs(self):
        return [noise(2, FRAMES, UNITS)]

    def oracle(self, layer, x):
        return x + dense(layer.mix, np.stack([states_of(layer.time, item) for item in x]))

    @pytest.mark.parametrize("cell", CELLS)
    def test_frame_by_frame_is_the_whole(self, cell):
        assert_frame_by_frame_is_the_whole(self.make(cell=cell), *self.inputs())


class TestSurroundingLayer(LayerCase):
    layer_class = SurroundingLayer
    config = {"units": UNITS, "cell": "mingru", "ways": "two_way"}
    tolerance = 1e-5

    def inputs(self):
        return [noise(2, FRAMES, BANDS, UNITS)]

    def oracle(self, layer, x):
        def along_time(item, band):
            back = states_of(layer.backward_time, x[item, ::-1, band])[::-1]
            return np.concatenate([states_of(layer.forward_time, x[item, :, band]), back], axis=-1)

        in_time = [np.stack([along_time(item, band) for band in range(BANDS)], axis=1) for item in range(2)]
        return x + dense(layer.mix, np.stack(in_time))

    @pytest.mark.parametrize("cell", CELLS)
    def test_an_element_sees_its_row_and_its_column(self, cell):
        (x,) = self.inputs()
        for ways in ("two_way", "four_way"):
            layer = self.make(cell=cell, ways=ways)
            layer(x)
            expected = np.zeros((2, FRAMES, BANDS), bool)
            expected[0, :, 2] = True
            expected[0, 1] |= ways == "four_way"
            np.testing.assert_array_equal(reach(layer, x, (0, 1, 2)), expected)

    def test_four_ways_are_two_along_either_axis(self):
        """Turned by a quarter, with the cells exchanged, it is the same."""
        layer, (x,) = self.make(ways="four_way"), self.inputs()
        found = numpy_of(layer(x))
        turned, y = self.make(ways="four_way"), np.ascontiguousarray(x.swapaxes(1, 2))
        turned(y)
        for ours, theirs in zip(
            (layer.forward_time, layer.backward_time, *layer.along_frequency),
            (*turned.along_frequency, turned.forward_time, turned.backward_time),
            strict=True,
        ):
            theirs.set_weights(ours.get_weights())
        kernel, bias = layer.mix.get_weights()
        turned.mix.set_weights([np.concatenate([kernel[2 * UNITS :], kernel[: 2 * UNITS]]), bias])
        np.testing.assert_allclose(numpy_of(turned(y)).swapaxes(1, 2), found, atol=1e-5)


@pytest.mark.parametrize(
    "layer", [TimeDelayedLayer, FrequencyDelayedLayer, CentralizedLayer, SurroundingLayer]
)
def test_bad_arguments_are_refused(layer):
    with pytest.raises(ValueError, match="cell must be one of gru, mingru; got 'lstm'"):
        layer(4, cell="lstm")
    with pytest.raises(ValueError, match="units must be a whole number"):
        layer(0)
