"""The multi-scale spectral loss against a transcription on torch.stft."""

import functools

import keras
import numpy as np
import pytest
from cases import assert_gradient_matches_differences, assert_sections, compiled, gradient_of
from keras import ops

from audiozoo.losses import MultiScaleSpectralLoss, multi_resolution_stft_loss

torch = pytest.importorskip("torch")


@functools.lru_cache
def loss_of(**settings):
    return compiled(MultiScaleSpectralLoss(**settings))


def pair(samples=4096):
    return np.random.default_rng(0).standard_normal((2, 2, samples)).astype("float32")


def oracle(reference, estimate):
    """mean |A - B| + mean |log(A + 1e-7) - log(B + 1e-7)|, Hann windows 64 to 2048, a quarter hop."""
    total = 0.0
    for length in (2048, 1024, 512, 256, 128, 64):
        a, b = (
            torch.stft(
                torch.tensor(audio),
                length,
                length // 4,
                window=torch.hann_window(length),
                return_complex=True,
            ).abs()
            for audio in (reference, estimate)
        )
        total += (a - b).abs().mean() + ((a + 1e-7).log() - (b + 1e-7).log()).abs().mean()
    return float(total)


def test_agrees_with_torch_to_one_in_ten_thousand():
    reference, estimate = pair()
    assert float(loss_of()(reference, estimate)) == pytest.approx(oracle(reference, estimate), rel=1e-4)


def test_agrees_with_torch_on_tones_in_the_noise_of_a_16_bit_recording():
    # In perfect silence between partials the logarithm compares one FFT's rounding with another's: there
    # torch in float32 is itself 0.9 % off torch in float64, and agreement would mean nothing.
    rng, seconds = np.random.default_rng(0), np.arange(4096) / 16000
    reference = np.stack([np.sin(2 * np.pi * hz * seconds) for hz in (220, 880)])
    estimate = np.stack([0.5 * np.sin(2 * np.pi * hz * seconds) for hz in (233, 880)])
    reference, estimate = (
        (tones + 2.0**-16 * rng.standard_normal(tones.shape)).astype("float32")
        for tones in (reference, estimate)
    )
    loss = float(loss_of()(reference, estimate))
    assert loss == pytest.approx(oracle(reference, estimate), rel=1e-4)


def test_a_sound_compared_with_itself_and_two_silences_are_zero():
    audio, _ = pair()
    assert float(loss_of()(audio, audio)) == 0.0
    assert float(loss_of()(0 * audio, 0 * audio)) == 0.0


def test_a_batch_is_the_mean_of_its_items():
    reference, estimate = pair()
    loss = loss_of(window_lengths=(256, 64))
    alone = [float(loss(reference[i : i + 1], estimate[i : i + 1])) for i in range(2)]
    assert float(loss(reference, estimate)) == pytest.approx(np.mean(alone), rel=1e-5)
    assert alone[0] != alone[1]


def test_turning_the_estimate_over_changes_nothing_since_phase_is_ignored():
    reference, estimate = pair()
    loss = loss_of(window_lengths=(256, 64))
    assert float(loss(reference, -estimate)) == pytest.approx(float(loss(reference, estimate)), rel=1e-6)


def test_gradient_of_the_estimate_against_differences():
    reference, estimate = pair(600)
    loss = MultiScaleSpectralLoss(window_lengths=(256, 64))
    # Values near 5 are known to 5e-7; a step of 3e-4 changes them by some 1e-2. Kinks of |a - b| and
    # logarithms of small magnitudes bend the way there.
    assert_gradient_matches_differences(
        lambda audio: loss.call(reference, audio), estimate, step=3e-4, tolerance=2e-2
    )


def test_the_gradient_is_finite_where_the_estimate_is_silent():
    reference, _ = pair()
    gradient = gradient_of(lambda audio: MultiScaleSpectralLoss()(reference, audio), np.zeros_like(reference))
    assert np.all(np.isfinite(gradient))


def test_the_reference_receives_no_gradient():
    reference, estimate = pair(600)
    loss = MultiScaleSpectralLoss(window_lengths=(64,))
    both = gradient_of(lambda audio: loss(audio, audio * 0.5), estimate)
    only_estimate = gradient_of(lambda audio: loss(estimate, audio * 0.5), estimate)
    np.testing.assert_allclose(both, only_estimate, rtol=1e-5)
    assert reference.shape == estimate.shape


def test_config_rebuilds_the_same_loss():
    loss = MultiScaleSpectralLoss(window_lengths=(512, 32), epsilon=1e-5, name="mine")
    rebuilt = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert type(rebuilt) is MultiScaleSpectralLoss
    assert rebuilt.get_config() == loss.get_config()
    assert (rebuilt.window_lengths, rebuilt.epsilon, rebuilt.name) == ((512, 32), 1e-5, "mine")
    reference, estimate = pair()
    value = float(loss(reference, estimate))
    assert float(rebuilt(reference, estimate)) == value
    assert abs(value - float(loss_of()(reference, estimate))) > 0.1


def test_linear_and_logarithmic_parts_add_up_to_the_whole():
    reference, estimate = pair()
    loss = MultiScaleSpectralLoss(window_lengths=(256,))
    linear, logarithmic = (ops.convert_to_numpy(part) for part in loss.parts(reference, estimate, 256))
    np.testing.assert_allclose(
        ops.convert_to_numpy(loss.call(reference, estimate)), linear + logarithmic, rtol=1e-6
    )


def test_docstring_says_what_goes_in_and_out():
    assert_sections(MultiScaleSpectralLoss, ("Args:", "Input:", "Output:"))


# --- Several resolutions: convergence and logarithms ---


def resolutions(reference, estimate):
    """The same on torch.stft, in float64, with thresholds as stated."""
    total = 0.0
    for length in (2048, 1024, 512, 256):
        a, b = (
            torch.stft(
                torch.tensor(audio, dtype=torch.float64),
                length,
                length // 4,
                window=torch.hann_window(length, dtype=torch.float64),
                return_complex=True,
            ).abs()
            for audio in (reference, estimate)
        )
        a, b = ((magnitude**2 + 3e-4**2).sqrt() for magnitude in (a, b))
        faint = 1e-2 * np.sqrt(a.shape[1] * a.shape[2])
        convergence = (a - b).norm(dim=(1, 2)) / (a.norm(dim=(1, 2)) + faint)
        total += float(convergence.mean() + (a.log() - b.log()).abs().mean()) / 4
    return total


@pytest.mark.parametrize("level", [1.0, 1e-3])
def test_resolutions_agree_with_a_transcription_on_torch(level):
    reference, estimate = pair()
    actual = multi_resolution_stft_loss(reference, level * estimate)
    np.testing.assert_allclose(float(actual), resolutions(reference, level * estimate), rtol=1e-4)


def test_resolutions_are_nothing_for_the_same_sound_with_a_gradient_even_there():
    reference, _ = pair()
    loss = compiled(lambda estimate: multi_resolution_stft_loss(reference, estimate))
    assert float(loss(reference)) < 1e-7
    assert np.all(np.isfinite(gradient_of(loss, reference)))


@pytest.mark.parametrize("level", [0.0, 1e-7])
def test_what_cannot_be_heard_yet_learns_to_be(level):
    """The gradient from near silence leads to more sound; from digital silence it is finite."""
    reference, estimate = pair()
    loss = compiled(lambda x: multi_resolution_stft_loss(reference, x))
    gradient = gradient_of(loss, (level * estimate).astype("float32"))
    assert np.all(np.isfinite(gradient))
    if level:
        assert np.sum(gradient * estimate) < 0.0


def test_a_silent_reference_costs_no_more_than_a_loud_one_might():
    _, estimate = pair()
    assert float(multi_resolution_stft_loss(np.zeros_like(estimate), 1e-5 * estimate)) < 5.0
