"""What noise filters and convolution must do, against numpy, scipy and the published formula."""

import numpy as np
import pytest
import scipy.signal
from cases import assert_gradient_matches_differences
from keras import ops

from audiozoo.dsp.filters import (
    LOOP_FRAMES,
    convolve,
    convolve_block,
    convolve_in_blocks,
    fft_convolve,
    filter_noise,
    fir_basis,
    looped_noise,
    partition_response,
    silent_convolution,
)

HOP, BANDS, FRAMES = 160, 65, 8


def filtered(noise, magnitudes, **settings):
    return ops.convert_to_numpy(filter_noise(noise, magnitudes, **settings))


def random_controls(frames=FRAMES, hop=HOP, bands=BANDS):
    rng = np.random.default_rng(0)
    noise = rng.uniform(-1, 1, (2, frames, hop)).astype("float32")
    return noise, rng.random((2, frames, bands)).astype("float32")


def designed_response(magnitudes, frequencies):
    """Gain at any frequency (cycles per sample): the magnitudes, interpolated by the window's spectrum.

    The window in time is a convolution in frequency: each band is a copy of the periodic Hann window's
    transform (three Dirichlet kernels), and negative frequencies mirror the positive ones.
    """
    taps = 2 * (len(magnitudes) - 1)
    mirrored = np.concatenate([magnitudes, magnitudes[-2:0:-1]])

    def dirichlet(x):  # of a rectangular window centred on time zero, x in cycles per sample
        sine = np.sin(np.pi * x)
        near = np.abs(sine) < 1e-12
        # For an even number of taps the outermost one stands at -taps / 2 alone.
        kernel = np.sin(np.pi * taps * x) / np.where(near, 1, sine) * np.cos(np.pi * x)
        return np.where(near, taps, kernel) / taps

    offsets = frequencies[:, None] - np.arange(taps) / taps
    kernel = 0.5 * dirichlet(offsets) + 0.25 * (dirichlet(offsets - 1 / taps) + dirichlet(offsets + 1 / taps))
    return kernel @ mirrored


def test_the_measured_response_is_the_designed_one():
    magnitudes = np.random.default_rng(0).random(BANDS)
    frames = np.tile(magnitudes, (1, FRAMES, 1)).astype("float32")
    click = np.zeros((1, FRAMES, HOP), "float32")
    position = 4 * HOP + 70
    click[0, 4, 70] = 1.0
    response = np.roll(filtered(click, frames)[0], -position)  # click at time zero
    measured = np.fft.fft(response.astype("float64"))
    frequencies = np.fft.fftfreq(len(response))
    np.testing.assert_allclose(measured.real, designed_response(magnitudes, frequencies), atol=1e-6)
    np.testing.assert_allclose(measured.imag, 0.0, atol=1e-6)  # zero phase


def test_at_its_own_frequency_a_band_is_a_hann_mean_of_itself_and_its_neighbours():
    magnitudes = np.random.default_rng(1).random(BANDS)
    taps = 2 * (BANDS - 1)
    response = np.roll(magnitudes @ fir_basis(BANDS), -taps // 2)
    mirrored = np.pad(magnitudes, 1, mode="reflect")
    expected = 0.25 * mirrored[:-2] + 0.5 * mirrored[1:-1] + 0.25 * mirrored[2:]
    np.testing.assert_allclose(np.fft.rfft(response).real, expected, atol=1e-6)


@pytest.mark.parametrize("tails", ["overlap", "cut"])
def test_equal_magnitudes_leave_the_noise_as_it_is(tails):
    noise, magnitudes = random_controls()
    untouched = filtered(noise, np.ones_like(magnitudes), tails=tails)
    np.testing.assert_allclose(untouched, noise.reshape(2, -1), atol=1e-6)
    assert np.abs(filtered(noise, np.zeros_like(magnitudes), tails=tails)).max() == 0.0


def test_the_spectrum_of_filtered_white_noise_is_the_designed_one():
    rng = np.random.default_rng(2)
    magnitudes = (0.2 + np.sin(np.pi * np.arange(BANDS) / (BANDS - 1))).astype("float32")
    noise = rng.uniform(-1, 1, (1, 1000, HOP)).astype("float32")
    audio = filtered(noise, np.tile(magnitudes, (1, 1000, 1)))[0]
    frequencies, power = scipy.signal.welch(audio, fs=1.0, nperseg=512, detrend=False)
    expected = designed_response(magnitudes, frequencies) ** 2 * 2 / 3  # uniform noise, one-sided
    # 624 half-overlapping segments: each estimate scatters by 4 to 5 %; five deviations.
    np.testing.assert_allclose(power[1:-1], expected[1:-1], rtol=0.25)
    assert abs(power.sum() / expected.sum() - 1) < 0.02


@pytest.mark.parametrize("hop, bands", [(160, 65), (16, 65)])
def test_each_frame_rings_on_into_its_neighbours(hop, bands):
    noise, magnitudes = random_controls(hop=hop, bands=bands)
    taps = 2 * (bands - 1)
    for item in range(2):
        expected = np.zeros(FRAMES * hop + 2 * taps)
        for frame in range(FRAMES):
            ringing = np.convolve(noise[item, frame], magnitudes[item, frame] @ fir_basis(bands))
            expected[frame * hop : frame * hop + len(ringing)] += ringing
        expected = expected[taps // 2 : taps // 2 + FRAMES * hop]
        np.testing.assert_allclose(filtered(noise, magnitudes)[item], expected, atol=2e-6)


def published_noise(noise, magnitudes):
    """amp_to_impulse_response and fft_convolve of acids-ircam/ddsp_pytorch, line by line in numpy."""
    hop = noise.shape[-1]
    response = np.fft.irfft(magnitudes)
    filter_size = response.shape[-1]
    response = np.roll(response, filter_size // 2, -1)
    response = response * scipy.signal.get_window("hann", filter_size)
    response = np.pad(response, ((0, 0), (0, 0), (0, hop - filter_size)))
    response = np.roll(response, -filter_size // 2, -1)
    signal = np.pad(noise, ((0, 0), (0, 0), (0, hop)))
    kernel = np.pad(response, ((0, 0), (0, 0), (hop, 0)))
    output = np.fft.irfft(np.fft.rfft(signal) * np.fft.rfft(kernel))
    return output[..., output.shape[-1] // 2 :].reshape(noise.shape[0], -1)


def test_cut_tails_are_the_published_formula():
    noise, magnitudes = random_controls()
    np.testing.assert_allclose(
        filtered(noise, magnitudes, tails="cut"), published_noise(noise, magnitudes), atol=2e-6
    )


@pytest.mark.parametrize("tails", ["overlap", "cut"])
def test_gradient_of_magnitudes_against_differences(tails):
    noise, magnitudes = random_controls(frames=3, hop=32, bands=9)
    # Linear in the magnitudes: any step is exact but for rounding.
    assert_gradient_matches_differences(
        lambda m: filter_noise(noise, m, tails=tails), magnitudes, step=0.5, tolerance=1e-4
    )


def test_a_response_longer_than_the_frame_cannot_be_cut_and_is_refused_with_a_way_out():
    noise, magnitudes = random_controls(hop=100)
    with pytest.raises(
        ValueError, match="got 128 taps and hop=100. Use tails='overlap', or at most 51 bands"
    ):
        filter_noise(noise, magnitudes, tails="cut")


def test_unknown_tails_are_refused_with_a_way_out():
    with pytest.raises(
        ValueError, match=r"tails must be one of \('overlap', 'cut'\); got 'wrap'. Use 'overlap'"
    ):
        filter_noise(*random_controls(), tails="wrap")


@pytest.mark.parametrize("taps", [1, 100, 3000])
def test_convolution_is_scipys(taps):
    rng = np.random.default_rng(0)
    audio, response = rng.standard_normal((2, 1234)), rng.standard_normal(taps)
    ours = ops.convert_to_numpy(fft_convolve(audio.astype("float32"), response.astype("float32")))
    expected = scipy.signal.fftconvolve(audio, response[None], axes=1)[:, :1234]
    np.testing.assert_allclose(ours, expected, atol=2e-6 * np.abs(expected).max())


def test_convolution_is_cut_to_the_length_asked_for():
    signal, response = np.arange(1.0, 5.0, dtype="float32"), np.array([1.0, -1.0, 2.0], "float32")
    ours = ops.convert_to_numpy(convolve(signal, response, 6))
    np.testing.assert_allclose(ours, np.convolve(signal, response), atol=1e-5)


@pytest.mark.parametrize("tails", ["overlap", "cut"])
def test_noise_is_filtered_alike_without_an_fft(tails):
    noise, magnitudes = random_controls()
    expected = filtered(noise, magnitudes, tails=tails)
    ours = filtered(noise, magnitudes, tails=tails, transforms="matrices")
    np.testing.assert_allclose(ours, expected, atol=2e-6 * np.abs(expected).max())


def test_looped_noise_is_white_and_does_not_repeat_with_its_loops():
    frames, hop = 1000, 16
    noise = ops.convert_to_numpy(looped_noise(frames, hop))[0].astype("float64")
    assert noise.shape == (frames, hop)
    assert np.abs(noise).max() <= 1.0
    assert abs(noise.mean()) < 4.0 / np.sqrt(3.0 * noise.size)  # of uniform numbers, four deviations
    assert noise.var() == pytest.approx(1.0 / 3.0, rel=0.02)
    signal = noise.ravel()
    for lag in (1, 2, hop, *(hop * length for length in LOOP_FRAMES), hop * sum(LOOP_FRAMES)):
        correlation = np.mean(signal[lag:] * signal[:-lag]) * 3.0
        assert abs(correlation) < 4.0 / np.sqrt(len(signal) - lag), f"at a lag of {lag} samples"
    np.testing.assert_array_equal(ops.convert_to_numpy(looped_noise(7, hop))[0], noise[:7].astype("float32"))


def test_gradient_of_the_impulse_response_against_differences():
    rng = np.random.default_rng(3)
    audio, response = (
        rng.standard_normal((2, 300)).astype("float32"),
        rng.standard_normal(40).astype("float32"),
    )
    # Linear in the response: any step is exact but for rounding.
    assert_gradient_matches_differences(lambda r: fft_convolve(audio, r), response, step=0.5, tolerance=1e-4)


def in_blocks(audio, response, block_size):
    """``convolve_block`` over all of ``audio (batch, samples)``."""
    partitions = partition_response(response, block_size)
    state = silent_convolution(partitions.shape[1], block_size, batch=len(audio))
    blocks = []
    for start in range(0, audio.shape[1], block_size):
        block, state = convolve_block(audio[:, start : start + block_size], partitions, state)
        blocks.append(ops.convert_to_numpy(block))
    return np.concatenate(blocks, axis=1)


@pytest.mark.parametrize("block_size", [1, 7, 64, 147, 160])
@pytest.mark.parametrize("taps", [1, 100, 160, 1001])
def test_convolution_by_blocks_is_scipys_without_delay(block_size, taps):
    rng = np.random.default_rng(0)
    samples = max(1, 700 // block_size) * block_size
    audio, response = rng.standard_normal((2, samples)).astype("float32"), rng.standard_normal(taps)
    expected = scipy.signal.convolve(audio.astype("float64"), response[None])[:, :samples]
    np.testing.assert_allclose(
        in_blocks(audio, response, block_size), expected, atol=2e-6 * np.abs(expected).max()
    )


def test_the_state_of_a_convolution_keeps_its_shape():
    state = silent_convolution(5, 160, batch=3)
    _, later = convolve_block(np.ones((3, 160), "float32"), partition_response(np.ones(799), 160), state)
    assert {name: tuple(value.shape) for name, value in later.items()} == {
        name: value.shape for name, value in state.items()
    }


@pytest.mark.parametrize("block_size, taps", [(1, 3), (7, 1), (64, 64), (64, 65), (160, 1001)])
def test_convolution_as_one_over_blocks_is_scipys(block_size, taps):
    rng = np.random.default_rng(0)
    audio, response = rng.standard_normal((2, 5 * block_size)), rng.standard_normal(taps)
    ours = convolve_in_blocks(audio.astype("float32"), response.astype("float32"), block_size)
    expected = scipy.signal.convolve(audio, response[None])[:, : audio.shape[1]]
    np.testing.assert_allclose(ops.convert_to_numpy(ours), expected, atol=2e-6 * np.abs(expected).max())
