"""Distances between two sounds: oracles, closed forms, and what they do when a sound gets worse."""

import librosa
import numpy as np
import pytest
import scipy.signal

from audiozoo.metrics import (
    log_spectral_distance,
    multi_scale_spectral_distance,
    nmse,
    relative_spectral_distance,
    si_sdr_db,
    snr_db,
    spectral_convergence,
)

RATE = 16000
DISTANCES = [
    multi_scale_spectral_distance,
    relative_spectral_distance,
    spectral_convergence,
    log_spectral_distance,
    nmse,
]
RATIOS = [snr_db, si_sdr_db]
RELATIVE = [relative_spectral_distance, spectral_convergence, log_spectral_distance, nmse, *RATIOS]


def music(seed=0, samples=8000):
    """Decaying partials in a little noise."""
    rng, seconds = np.random.default_rng(seed), np.arange(samples) / RATE
    tones = sum(np.sin(2 * np.pi * 220 * k * seconds) * np.exp(-k * seconds) / k for k in range(1, 20))
    return 0.3 * tones + 1e-3 * rng.standard_normal(samples)


def worse(kind, amount):
    if kind == "noise":
        return music() + amount * np.random.default_rng(9).standard_normal(8000)
    cutoff = RATE / 2 * (1.0 - amount)
    return scipy.signal.sosfiltfilt(scipy.signal.butter(6, cutoff, fs=RATE, output="sos"), music())


def test_the_multi_scale_distance_is_the_training_loss():
    from keras import ops

    from audiozoo.losses import MultiScaleSpectralLoss

    rng = np.random.default_rng(0)
    reference, estimate = rng.standard_normal((2, 3, 4096)).astype("float32")
    loss = ops.convert_to_numpy(MultiScaleSpectralLoss(reduction="none")(reference, estimate))
    np.testing.assert_allclose(multi_scale_spectral_distance(reference, estimate), loss, rtol=2e-5)


def test_spectral_convergence_is_its_formula_on_librosas_spectra():
    a, b = (np.abs(librosa.stft(sound, pad_mode="reflect")) for sound in (music(0), worse("noise", 0.01)))
    expected = np.linalg.norm(a - b) / np.linalg.norm(a)
    assert spectral_convergence(music(0), worse("noise", 0.01)) == pytest.approx(expected, rel=1e-9)


def test_log_spectral_distance_is_its_formula_on_librosas_spectra():
    a, b = (np.abs(librosa.stft(sound, pad_mode="reflect")) for sound in (music(0), worse("noise", 0.01)))
    floor = 1e-4 * a.max()
    decibels = 20 * np.log10(np.maximum(a, floor)) - 20 * np.log10(np.maximum(b, floor))
    expected = np.mean(np.sqrt(np.mean(decibels**2, axis=0)))
    assert log_spectral_distance(music(0), worse("noise", 0.01)) == pytest.approx(expected, rel=1e-9)


def test_relative_distance_is_its_formula_on_librosas_spectra():
    sounds, total = (music(0), worse("noise", 0.01)), 0.0
    for length in (512, 128):
        a, b = (
            np.abs(librosa.stft(sound, n_fft=length, hop_length=length // 4, pad_mode="reflect"))
            for sound in sounds
        )
        logarithms = (np.log(np.maximum(magnitude, 1e-4 * a.max())) for magnitude in (a, b))
        total += np.linalg.norm(a - b) / np.linalg.norm(a) + np.mean(np.abs(np.subtract(*logarithms)))
    found = relative_spectral_distance(*sounds, window_lengths=(512, 128))
    assert found == pytest.approx(total / 2, rel=1e-9)


def test_noise_20_db_down_reads_20_db():
    reference, noise = music(), np.random.default_rng(1).standard_normal(8000)
    noise *= 0.1 * np.linalg.norm(reference) / np.linalg.norm(noise)
    assert snr_db(reference, reference + noise) == pytest.approx(20.0, abs=1e-9)
    assert nmse(reference, reference + noise) == pytest.approx(0.01, rel=1e-9)
    noise -= reference * (noise @ reference) / (reference @ reference)  # nothing of the reference in it
    expected = 10 * np.log10(np.sum(reference**2) / np.sum(noise**2))
    assert si_sdr_db(reference, 7.0 * (reference + noise)) == pytest.approx(expected, abs=1e-9)


def test_a_gain_of_the_estimate_moves_snr_but_not_si_sdr():
    reference, estimate = music(), worse("noise", 0.01)
    assert si_sdr_db(reference, 0.1 * estimate) == pytest.approx(si_sdr_db(reference, estimate), abs=1e-9)
    assert snr_db(reference, 0.1 * reference) == pytest.approx(-20 * np.log10(0.9), abs=1e-9)


def test_equal_sounds_and_silent_estimates():
    sound, silence = music(), np.zeros(8000)
    assert [distance(sound, sound) for distance in DISTANCES] == [0.0] * 5
    assert [ratio(sound, sound) for ratio in RATIOS] == [np.inf, pytest.approx(np.inf)]
    assert nmse(sound, silence) == 1.0
    assert spectral_convergence(sound, silence) == pytest.approx(1.0, abs=1e-6)
    assert snr_db(sound, silence) == 0.0


@pytest.mark.parametrize("kind", ["noise", "low-pass"])
@pytest.mark.parametrize("distance", DISTANCES)
def test_a_distance_grows_with_added_noise_and_with_a_low_pass(distance, kind):
    amounts = [0.001, 0.01, 0.1] if kind == "noise" else [0.3, 0.6, 0.9]
    values = [0.0] + [distance(music(), worse(kind, amount)) for amount in amounts]
    assert values == sorted(set(values))


@pytest.mark.parametrize("score", RATIOS)
def test_a_ratio_falls_with_added_noise_and_with_a_low_pass(score):
    for kind, amounts in (("noise", [0.001, 0.01, 0.1]), ("low-pass", [0.3, 0.6, 0.9])):
        values = [score(music(), worse(kind, amount)) for amount in amounts]
        assert values == sorted(set(values), reverse=True)


@pytest.mark.parametrize("score", RELATIVE)
def test_a_gain_on_both_sounds_changes_nothing(score):
    reference, estimate = music(), worse("noise", 0.01)
    assert score(100.0 * reference, 100.0 * estimate) == pytest.approx(score(reference, estimate), rel=1e-6)


def test_the_multi_scale_distance_does_depend_on_gain():
    reference, estimate = music(), worse("noise", 0.01)
    louder = multi_scale_spectral_distance(10 * reference, 10 * estimate)
    assert louder > 1.5 * multi_scale_spectral_distance(reference, estimate)


@pytest.mark.parametrize("score", [*DISTANCES, *RATIOS])
def test_a_batch_is_its_items_and_a_sound_a_float(score):
    reference = np.stack([music(), music(1)])
    estimate = np.stack([worse("noise", 0.01), worse("noise", 0.1)])
    alone = [score(a, b) for a, b in zip(reference, estimate, strict=True)]
    assert all(type(value) is float for value in alone)
    np.testing.assert_allclose(score(reference, estimate), alone, rtol=1e-12)


@pytest.mark.parametrize("score", [*DISTANCES, *RATIOS])
def test_bad_audio_is_refused(score):
    sound = music()
    with pytest.raises(ValueError, match=r"got shapes \(8000,\) and \(7999,\). Cut the longer one"):
        score(sound, sound[1:])
    with pytest.raises(ValueError, match="estimate must be finite; 1 samples"):
        score(sound, np.where(np.arange(8000) == 5, np.nan, sound))
    with pytest.raises(ValueError, match="reference must be longer than .* samples; got 0"):
        score(sound[:0], sound[:0])


@pytest.mark.parametrize("score", RELATIVE)
def test_a_silent_reference_is_refused_where_the_score_is_relative_to_it(score):
    with pytest.raises(ValueError, match="reference must not be silent"):
        score(np.zeros(8000), music())


def test_audio_shorter_than_half_a_window_is_refused():
    with pytest.raises(ValueError, match="longer than 1024 samples; got 1024"):
        multi_scale_spectral_distance(music()[:1024], music()[:1024])


def test_silence_holds_nothing_of_a_reference():
    sine = np.sin(np.arange(1000))
    assert si_sdr_db(sine, 0.0 * sine) == -np.inf
    both = si_sdr_db(np.stack([sine, sine]), np.stack([0.0 * sine, sine]))
    assert both[0] == -np.inf
    assert both[1] > 200.0
