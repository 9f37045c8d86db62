"""From frames to samples."""

import numpy as np
import pytest
import scipy.special
from keras import ops

from audiozoo.dsp.envelopes import frame_ramp, modified_sigmoid, upsample_frames

FRAMES = np.random.default_rng(0).standard_normal((2, 7, 3)).astype("float32")


def test_modified_sigmoid_is_the_published_formula():
    x = np.linspace(-12, 12, 49)
    expected = 2.0 * scipy.special.expit(x) ** np.log(10.0) + 1e-7
    np.testing.assert_allclose(
        ops.convert_to_numpy(modified_sigmoid(x.astype("float32"))), expected, rtol=1e-5
    )


def test_modified_sigmoid_stays_in_its_range_where_float32_ends():
    values = ops.convert_to_numpy(modified_sigmoid(np.array([-1e4, -100.0, 100.0, 1e4], "float32")))
    np.testing.assert_allclose(values, [1e-7, 1e-7, 2.0, 2.0], rtol=1e-6)


def test_nearest_holds_each_frame():
    samples = ops.convert_to_numpy(upsample_frames(FRAMES, 5, "nearest"))
    np.testing.assert_array_equal(samples, np.repeat(FRAMES, 5, axis=1))


def test_linear_goes_straight_to_the_next_frame_and_holds_the_last():
    samples = ops.convert_to_numpy(upsample_frames(FRAMES, 5))
    positions = np.arange(35) / 5
    for item in range(2):
        for channel in range(3):
            expected = np.interp(positions, np.arange(7), FRAMES[item, :, channel])
            np.testing.assert_allclose(samples[item, :, channel], expected, atol=1e-6)


def test_the_ramp_begins_at_zero_and_never_reaches_one():
    np.testing.assert_allclose(ops.convert_to_numpy(frame_ramp(4)), [0.0, 0.25, 0.5, 0.75])


def test_an_unknown_envelope_is_refused_with_a_way_out():
    with pytest.raises(
        ValueError, match=r"envelope must be one of \('nearest', 'linear'\); got 'cubic'.*Use"
    ):
        upsample_frames(FRAMES, 5, "cubic")
