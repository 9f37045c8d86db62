"""Adversarial losses: known values, and what their gradients push."""

import numpy as np
import pytest
from cases import gradient_of, numpy_of
from keras import ops

from audiozoo import losses


def scores(*values):
    return [ops.convert_to_tensor(np.array(value, "float32")) for value in values]


def test_hinge_forgives_what_is_beyond_the_margin():
    real, fake = scores([[2.0, 0.5]], [1.0]), scores([[-3.0, 0.0]], [0.25])
    assert float(losses.hinge_discriminator(real, fake)) == pytest.approx(0.25 + 0.5 + 0.0 + 1.25)
    assert float(losses.hinge_generator(fake)) == pytest.approx(1.5 - 0.25)


def test_least_squares_is_least_at_1_and_0():
    real, fake = scores([1.0, 1.0]), scores([0.0, 0.0])
    assert float(losses.least_squares_discriminator(real, fake)) == 0.0
    assert float(losses.least_squares_discriminator(fake, real)) == 2.0
    assert float(losses.least_squares_generator(fake)) == 1.0


def test_paired_features_are_compared_item_by_item():
    real, fake = scores([[0.0, 1.0]], [[2.0], [4.0]]), scores([[1.0, 1.0]], [[4.0], [2.0]])
    assert float(losses.paired_feature_matching(real, fake)) == pytest.approx((0.5 + 2.0) / 2)


def test_mean_features_are_compared_batch_by_batch():
    """The same items in another order are no difference, and batches may differ in size."""
    real, fake = scores([[2.0], [4.0]]), scores([[4.0], [2.0]])
    assert float(losses.mean_feature_matching(real, fake)) == 0.0
    assert float(losses.paired_feature_matching(real, fake)) == 2.0
    assert float(losses.mean_feature_matching(scores([[1.0], [2.0], [6.0]]), real)) == 0.0


def test_generators_are_pushed_up_and_discriminators_apart():
    point = np.array([0.5, -0.5], "float32")
    for generator in (losses.hinge_generator, losses.least_squares_generator):
        assert (gradient_of(lambda x, loss=generator: loss([x]), point) < 0.0).all()
    other = ops.zeros(2)
    for discriminator in (losses.hinge_discriminator, losses.least_squares_discriminator):
        assert (gradient_of(lambda x, loss=discriminator: loss([x], [other]), point) < 0.0).all()
    pushed = gradient_of(lambda x: losses.hinge_discriminator([other], [x]), point)
    assert (numpy_of(pushed) > 0.0).all()


def test_lists_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="zip"):
        losses.paired_feature_matching(scores([1.0]), scores([1.0], [2.0]))
