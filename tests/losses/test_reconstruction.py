"""The error of reconstructed waveforms: relative, always pointing to the sound, and fair to silence."""

import numpy as np
import pytest
from cases import assert_gradient_matches_differences, compiled, gradient_of, numpy_of
from keras import ops

from audiozoo.losses import (
    MultiScaleSpectralLoss,
    reconstruction_error,
    relative_spectral_error,
    relative_squared_error,
)
from audiozoo.losses.reconstruction import SPECTRUM_WEIGHT, WAVEFORM_WEIGHT


def tone(samples=2048):
    t = np.arange(samples) / 8000
    return np.stack([0.3 * np.sin(2 * np.pi * hz * t) for hz in (220.0, 997.0)]).astype("float32")


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def test_agrees_with_a_transcription_on_torch():
    torch = pytest.importorskip("torch")
    original, estimate = 0.2 * noise(2, 2048), 0.2 * noise(2, 2048, seed=1)
    expected = np.zeros(2)
    for window in (1024, 512, 256, 128, 64):
        a, b = (
            torch.stft(
                torch.tensor(x), window, window // 4, window=torch.hann_window(window), return_complex=True
            )
            .abs()
            .numpy()
            for x in (original, estimate)
        )
        m = a.mean(axis=(1, 2), keepdims=True) + 0.01 * np.sqrt(0.375 * window)
        expected += (np.abs(a - b) / m + np.abs(np.log((a + 0.3 * m) / (b + 0.3 * m)))).mean(axis=(1, 2)) / 5
    np.testing.assert_allclose(
        numpy_of(compiled(relative_spectral_error)(original, estimate)), expected, rtol=1e-4
    )


def test_silence_in_place_of_a_sound_is_one_and_the_sound_itself_zero():
    original = tone()
    np.testing.assert_allclose(numpy_of(relative_squared_error(original, 0 * original)), 1.0, atol=3e-3)
    np.testing.assert_allclose(numpy_of(reconstruction_error(original, original)), 0.0, atol=1e-6)


def test_a_gain_on_both_changes_nothing_for_what_is_not_quiet():
    original, estimate = noise(2, 2048), noise(2, 2048, seed=1)
    loud, soft = (numpy_of(reconstruction_error(g * original, g * estimate)) for g in (1.0, 0.25))
    np.testing.assert_allclose(loud, soft, rtol=0.02)


def test_silence_has_an_error_and_a_gradient_that_are_finite():
    silent, error = np.zeros((2, 2048), "float32"), compiled(reconstruction_error)
    assert numpy_of(error(silent, silent)).max() == 0.0
    for estimate in (silent, 1e-3 * noise(2, 2048)):
        gradient = gradient_of(lambda x: ops.sum(reconstruction_error(silent, x)), estimate)
        assert np.all(np.isfinite(gradient))
        assert np.all(np.isfinite(numpy_of(error(silent, estimate))))
    gradient = gradient_of(lambda x: ops.sum(reconstruction_error(tone(), x)), silent)
    assert np.all(np.isfinite(gradient))


def test_the_logarithm_does_not_shout_where_nothing_sounds():
    # From nearly silent estimates, the plain spectral loss pulls a thousand times as hard as from loud ones.
    original, faint = tone(), 1e-5 * noise(2, 2048)

    def pull(error, estimate):
        return np.linalg.norm(gradient_of(lambda x: ops.sum(error(original, x)), estimate))

    def plain(x, y):
        return MultiScaleSpectralLoss(window_lengths=(512, 64)).call(x, y)

    def ours(x, y):
        return relative_spectral_error(x, y, window_lengths=(512, 64))

    sounding = original + 0.1 * noise(2, 2048)
    assert pull(plain, faint) > 1000 * pull(plain, sounding)
    assert pull(ours, faint) < 10 * pull(ours, sounding)


@pytest.mark.parametrize("seed", range(3))
def test_silence_is_no_minimum_the_error_points_to_the_sound_from_there(seed):
    original, faint = tone(), 1e-3 * noise(2, 2048, seed=seed)
    gradient = gradient_of(lambda x: ops.sum(reconstruction_error(original, x)), faint)
    towards = -np.sum(gradient * original, axis=1)
    waveform = gradient_of(lambda x: ops.sum(relative_squared_error(original, x)), faint)
    # At least half of what the squared error alone would pull: the spectra do not cancel it.
    assert np.all(towards > 0.5 * WAVEFORM_WEIGHT * -np.sum(waveform * original, axis=1))
    # And a step that way makes the error smaller.
    before, after = (numpy_of(reconstruction_error(original, y)) for y in (faint, faint + 0.1 * original))
    assert np.all(after < before)
    assert WAVEFORM_WEIGHT > SPECTRUM_WEIGHT


def test_an_item_is_measured_as_if_alone():
    original, estimate = 0.2 * noise(2, 1024), 0.2 * noise(2, 1024, seed=1)
    error = compiled(reconstruction_error)
    together = numpy_of(error(original, estimate))
    for item in range(2):
        alone = numpy_of(error(original[item : item + 1], estimate[item : item + 1]))
        assert alone[0] == pytest.approx(together[item], rel=1e-5)


def test_short_audio_leaves_long_windows_out_and_shorter_audio_is_refused():
    original, estimate = 0.2 * noise(1, 100), 0.2 * noise(1, 100, seed=1)
    assert float(relative_spectral_error(original, estimate)[0]) == pytest.approx(
        float(relative_spectral_error(original, estimate, window_lengths=(128, 64))[0])
    )
    with pytest.raises(ValueError, match="original must be longer than 32 samples; got 32. Train on longer"):
        relative_spectral_error(original[:, :32], estimate[:, :32])


def test_gradient_against_differences():
    original, estimate = 0.3 * noise(2, 300), 0.3 * noise(2, 300, seed=1)
    assert_gradient_matches_differences(
        lambda x: reconstruction_error(original, x), estimate, step=1e-4, tolerance=5e-2
    )
