"""Lowered convolutions are the stock ones: values, gradients, odd sizes."""

import keras
import numpy as np
import pytest
from cases import compiled, gradient_of
from keras import ops

from audiozoo.dsp import convolution


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def plain(signal, kernel, *, stride=1, dilation=1, groups=1):
    """A convolution by its definition, in float64."""
    *widths, per_group, filters = kernel.shape
    steps = signal.shape[1:-1]
    outputs = [
        1 + (size - dilation * (width - 1) - 1) // stride for size, width in zip(steps, widths, strict=True)
    ]
    result = np.zeros((len(signal), *outputs, filters))
    for tap in np.ndindex(*widths):
        starts = [dilation * place for place in tap]
        ends = [start + stride * (count - 1) + 1 for start, count in zip(starts, outputs, strict=True)]
        seen = signal[(slice(None), *(slice(a, b, stride) for a, b in zip(starts, ends, strict=True)))]
        for group in range(groups):
            channels = slice(group * per_group, (group + 1) * per_group)
            own = slice(group * filters // groups, (group + 1) * filters // groups)
            result[..., own] += seen[..., channels].astype("float64") @ kernel[tap][:, own].astype("float64")
    return result


def plain_transposed(signal, kernel, *, stride):
    """Every step adds a kernel from its own place on, in float64."""
    *widths, filters, _ = kernel.shape
    steps = signal.shape[1:-1]
    ends = [(size - 1) * stride + width for size, width in zip(steps, widths, strict=True)]
    result = np.zeros((len(signal), *ends, filters))
    for place in np.ndindex(*steps):
        window = tuple(slice(p * stride, p * stride + w) for p, w in zip(place, widths, strict=True))
        added = np.tensordot(
            signal[(slice(None), *place)].astype("float64"), kernel.astype("float64"), (1, -1)
        )
        result[(slice(None), *window)] += added
    return result


CASES = [
    # signal, kernel, settings; groups = 1, some, and as many as channels; lengths that strides do not divide
    ((2, 19, 6), (4, 6, 4), {"stride": 3}),
    ((2, 19, 6), (4, 3, 8), {"stride": 3, "groups": 2}),
    ((2, 20, 6), (5, 1, 6), {"stride": 4, "groups": 6}),
    ((2, 20, 6), (5, 1, 12), {"groups": 6}),
    ((2, 23, 4), (3, 2, 4), {"dilation": 9, "groups": 2}),
    ((2, 5, 4), (5, 2, 4), {"stride": 2, "groups": 2}),
    ((2, 20, 18), (5, 1, 576), {"stride": 2, "groups": 18}),  # on JAX as products of matrices
    ((1, 20, 18), (3, 1, 576), {"dilation": 3, "groups": 18}),
    ((1, 41, 4), (41, 2, 2), {"stride": 4, "groups": 2}),
    ((2, 9, 11, 4), (3, 4, 4, 2), {"stride": 2}),
    ((2, 9, 11, 4), (3, 4, 2, 6), {"stride": 2, "groups": 2}),
    ((2, 9, 11, 4), (3, 4, 1, 4), {"groups": 4}),
    ((2, 5, 4, 72), (3, 2, 2, 108), {"stride": 2, "groups": 36}),  # more than are split: joined in twos
]


@pytest.mark.parametrize("shape, kernel_shape, settings", CASES)
def test_a_convolution_is_what_its_definition_says(shape, kernel_shape, settings):
    signal, kernel = noise(*shape), noise(*kernel_shape, seed=1)
    expected = plain(signal, kernel, **settings)
    result = ops.convert_to_numpy(convolution.convolve(ops.convert_to_tensor(signal), kernel, **settings))
    np.testing.assert_allclose(result, expected, atol=1e-6 * np.abs(expected).max() * 3)


@pytest.mark.parametrize("shape, kernel_shape, settings", CASES[1:8] + CASES[10:])
def test_gradients_are_those_of_the_definition(shape, kernel_shape, settings):
    """It is linear in signal and kernel: a step of any size in any direction tells its derivative."""
    signal, kernel = noise(*shape), noise(*kernel_shape, seed=1)
    weights = noise(*plain(signal, kernel, **settings).shape, seed=2)

    def loss(signal, kernel):
        output = convolution.convolve(*map(ops.convert_to_tensor, (signal, kernel)), **settings)
        return ops.sum(output * ops.convert_to_tensor(weights))

    for_signal = gradient_of(lambda point: loss(point, kernel), signal)
    for_kernel = gradient_of(lambda point: loss(signal, point), kernel)
    other_signal, other_kernel = noise(*shape, seed=3), noise(*kernel_shape, seed=4)
    change = np.sum(plain(other_signal, kernel, **settings) * weights)
    np.testing.assert_allclose(np.sum(for_signal * other_signal), change, rtol=1e-4)
    change = np.sum(plain(signal, other_kernel, **settings) * weights)
    np.testing.assert_allclose(np.sum(for_kernel * other_kernel), change, rtol=1e-4)


@pytest.mark.parametrize(
    "shape, kernel_shape, stride",
    [
        ((2, 7, 4), (6, 5, 4), 3),
        ((2, 7, 4), (5, 5, 4), 3),  # not a whole number of strides
        ((1, 1, 2), (8, 3, 2), 4),
        ((2, 7, 4), (3, 5, 4), 1),
        ((2, 3, 4, 3), (4, 5, 2, 3), 2),
        ((2, 3, 2, 3), (8, 8, 2, 3), 4),
    ],
)
def test_a_transposed_convolution_adds_a_kernel_for_every_step(shape, kernel_shape, stride):
    signal, kernel = noise(*shape), noise(*kernel_shape, seed=1)
    expected = plain_transposed(signal, kernel, stride=stride)
    run = compiled(lambda x: convolution.convolve_transposed(x, kernel, stride=stride))
    result = ops.convert_to_numpy(run(ops.convert_to_tensor(signal)))
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, atol=3e-6 * np.abs(expected).max())


@pytest.mark.parametrize(
    "shape, kernel_shape, settings, message",
    [
        ((1, 9, 6), (3, 2, 4), {"groups": 2}, "groups must divide channels and filters"),
        ((1, 9, 6), (3, 3, 5), {"groups": 2}, "groups must divide channels and filters"),
        ((1, 9, 6), (5, 6, 5), {"dilation": 3}, "signal must have at least 13 steps for this kernel; got 9"),
        (
            (1, 9, 9, 35),
            (3, 3, 1, 35),
            {"groups": 35},
            "groups must be at most 32 .*, or a multiple of 2; got 35",
        ),
    ],
)
def test_what_cannot_be_convolved_is_refused(shape, kernel_shape, settings, message):
    with pytest.raises(ValueError, match=message):
        convolution.convolve(noise(*shape), noise(*kernel_shape), **settings)


def test_mirrored_ends_are_those_of_numpy():
    signal = noise(2, 5, 4, 3)
    result = convolution.pad_sides(ops.convert_to_tensor(signal), [(2, 4), (0, 3)], padding="reflect")
    expected = np.pad(signal, ((0, 0), (2, 4), (0, 3), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(ops.convert_to_numpy(result), expected)
    with pytest.raises(ValueError, match="more than 5 steps to be mirrored at its ends; got 5"):
        convolution.pad_sides(signal, [(0, 5), (0, 0)], padding="reflect")


def test_one_axis_may_stay_as_it_is():
    padded = convolution.pad_sides(ops.ones((1, 3, 2, 1)), [(1, 0), (0, 0)], padding="zeros")
    assert padded.shape == (1, 4, 2, 1)
    assert keras.ops.convert_to_numpy(padded)[0, 0].sum() == 0.0
