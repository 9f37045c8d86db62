"""Bands of equal width: what is split comes back, and a tone is where it belongs."""

import numpy as np
import pytest
from keras import ops

from audiozoo.dsp.filterbank import band_filters, join_bands, split_into_bands


def decibels(power):
    return 10.0 * np.log10(np.maximum(power, 1e-30))


@pytest.mark.parametrize("bands", [2, 4, 8])
def test_what_is_split_comes_back_without_delay(bands):
    noise = np.random.default_rng(0).standard_normal((2, 4096)).astype("float32")
    signals = split_into_bands(noise, bands)
    assert tuple(signals.shape) == (2, 4096 // bands, bands)
    back = ops.convert_to_numpy(join_bands(signals, bands))
    assert back.shape == noise.shape
    inner = slice(200, -200)
    assert decibels(np.mean((back - noise)[:, inner] ** 2)) < -60.0


@pytest.mark.parametrize("band", [0, 1, 2, 3])
def test_a_tone_is_in_its_band_as_loud_as_it_is(band):
    cycles = (band + 0.4) / 8.0  # a sample; each of four bands is an eighth wide
    tone = np.sin(2.0 * np.pi * cycles * np.arange(4096)).astype("float32")
    power = np.mean(ops.convert_to_numpy(split_into_bands(tone[None], 4))[0, 50:-50] ** 2, axis=0)
    assert abs(decibels(power[band]) - decibels(0.5)) < 0.1
    assert decibels(np.delete(power, band)).max() < -40.0


@pytest.mark.parametrize("samples", [4095, 4093])
def test_lengths_that_bands_do_not_divide_end_in_a_whole_step(samples):
    noise = np.random.default_rng(0).standard_normal((1, samples)).astype("float32")
    assert split_into_bands(noise, 4).shape[1] == 1024


def test_filters_are_each_others_mirror():
    analysis, synthesis = band_filters(4)
    np.testing.assert_allclose(4.0 * analysis[::-1], synthesis, atol=1e-6)
