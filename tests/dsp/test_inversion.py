"""From magnitudes back to audio: what must be true of it, and librosa beside it."""

import builtins

import librosa
import numpy as np
import pytest
import scipy.optimize

from audiozoo.dsp import inversion
from audiozoo.dsp.inversion import (
    griffin_lim,
    istft,
    mel_to_magnitude,
    pghi,
    phase_by_integration,
    stft,
)
from audiozoo.dsp.mel import mel_filters
from audiozoo.dsp.spectra import analysis_window
from audiozoo.errors import AudioError

RATE = 16000
WINDOW, HOP = 512, 64


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def chirp(start_hz=300.0, end_hz=5000.0, samples=RATE):
    seconds = np.arange(samples) / RATE
    cycles = start_hz * seconds + 0.5 * (end_hz - start_hz) * seconds**2 * RATE / samples
    return np.sin(2 * np.pi * cycles).astype("float32")


def sines(samples=RATE):
    seconds = np.arange(samples) / RATE
    parts = ((437.0, 0.5), (1523.3, 0.2), (4011.1, 0.3))
    return sum(amplitude * np.sin(2 * np.pi * hz * seconds + hz) for hz, amplitude in parts)


def clicks(samples=RATE):
    audio = np.zeros(samples, "float32")
    audio[1000::2500] = 1.0
    return audio


def pluck(samples=RATE):
    """Harmonics that decay, over a little noise: loud and soft, sharp and blurred."""
    seconds = np.arange(samples) / RATE
    tone = sum(np.exp(-3 * k * seconds) * np.sin(2 * np.pi * 220 * k * seconds) / k for k in range(1, 20))
    return (tone + 1e-3 * noise(samples)).astype("float32")


def magnitude_of(audio, hop=HOP, window="hann"):
    return np.abs(stft(audio, window_length=WINDOW, hop=hop, window=window))


def convergence_db(magnitude, audio, hop=HOP, window="hann"):
    """How far the magnitudes of audio are from the wanted ones, relative to them."""
    found = magnitude_of(audio, hop, window)
    return 20 * np.log10(np.linalg.norm(found - magnitude) / np.linalg.norm(magnitude))


@pytest.mark.parametrize("hop", [64, 100, 128])
def test_the_transform_is_librosas(hop):
    audio = noise(2, 4001)
    theirs = librosa.stft(audio, n_fft=WINDOW, hop_length=hop, pad_mode="constant").transpose(0, 2, 1)
    np.testing.assert_allclose(stft(audio, window_length=WINDOW, hop=hop), theirs, atol=1e-4)


@pytest.mark.parametrize("window", ["hann", "gaussian"])
@pytest.mark.parametrize(
    "hop, samples", [(64, 4000), (64, 1), (100, 4099), (128, 300), (200, 4000), (256, 4096)]
)
def test_the_inverse_of_the_transform_is_the_audio_to_its_last_sample(window, hop, samples):
    audio = noise(2, samples)
    spectrum = stft(audio, window_length=WINDOW, hop=hop, window=window)
    assert spectrum.shape == (2, 1 + samples // hop, WINDOW // 2 + 1)
    back = istft(spectrum, hop=hop, samples=samples, window=window)
    np.testing.assert_allclose(back, audio, atol=1e-5)


def test_the_inverse_of_an_impossible_spectrum_is_librosas_least_squares():
    spectrum = noise(33, 257, seed=1) + 1j * noise(33, 257, seed=2)
    theirs = librosa.istft(spectrum.T, hop_length=128, n_fft=WINDOW, length=32 * 128)
    np.testing.assert_allclose(istft(spectrum, hop=128), theirs, atol=1e-4 * np.abs(theirs).max())


def test_griffin_lim_without_and_with_momentum_is_as_good_as_librosas():
    audio, hop = pluck(), 128
    magnitude = magnitude_of(audio, hop)
    for momentum in (0.0, 0.99):
        ours = griffin_lim(magnitude, hop=hop, samples=len(audio), momentum=momentum)
        settings = {"hop_length": hop, "n_fft": WINDOW, "length": len(audio), "pad_mode": "constant"}
        theirs = librosa.griffinlim(magnitude.T, n_iter=32, momentum=momentum, random_state=0, **settings)
        difference = convergence_db(magnitude, ours, hop) - convergence_db(magnitude, theirs, hop)
        assert abs(difference) < 1.5, f"{difference} dB from librosa at momentum {momentum}"


def test_griffin_lim_takes_librosas_steps_from_the_same_phase():
    audio, hop = pluck(4000), 128
    magnitude = magnitude_of(audio, hop)
    zero = np.zeros(magnitude.shape)
    settings = {"hop_length": hop, "n_fft": WINDOW, "length": len(audio), "pad_mode": "constant"}
    theirs = librosa.griffinlim(magnitude.T, n_iter=4, momentum=0.5, init=None, **settings)
    ours = griffin_lim(magnitude, hop=hop, samples=len(audio), momentum=0.5, iterations=4, phase=zero)
    np.testing.assert_allclose(ours, theirs, atol=1e-3 * np.abs(theirs).max())


def test_momentum_and_iterations_help():
    audio, hop = pluck(), 128
    magnitude = magnitude_of(audio, hop)

    def found(**settings):
        return convergence_db(magnitude, griffin_lim(magnitude, hop=hop, samples=len(audio), **settings), hop)

    assert found(iterations=32) < found(iterations=8) - 2
    assert found(iterations=32) < found(iterations=32, momentum=0.0) - 2


@pytest.mark.parametrize(
    "sound, hann_db, gaussian_db",
    [(chirp, -40, -37), (sines, -38, -45), (clicks, -28, -100), (pluck, -28, -24)],
)
def test_integrated_phase_makes_the_sound_again(sound, hann_db, gaussian_db):
    audio = sound()
    for window, limit in (("hann", hann_db), ("gaussian", gaussian_db)):
        magnitude = magnitude_of(audio, window=window)
        back = pghi(magnitude, hop=HOP, samples=len(audio), window=window)
        assert convergence_db(magnitude, back, window=window) < limit


@pytest.mark.parametrize("sound", [chirp, pluck])
def test_the_phase_of_a_sound_is_found_up_to_one_turn_of_all(sound):
    spectrum = stft(sound(), window_length=WINDOW, hop=HOP, window="gaussian")
    found = phase_by_integration(np.abs(spectrum), hop=HOP, window="gaussian")
    loud = np.abs(spectrum) > 0.5 * np.abs(spectrum).max()  # one connected ridge
    turned = np.exp(1j * (np.angle(spectrum) - found))[loud]
    offset = np.angle(np.mean(turned))
    assert np.mean(np.abs(np.angle(turned * np.exp(-1j * offset)))) < 0.01


def test_integration_at_an_eighth_of_the_window_beats_as_many_seconds_of_griffin_lim():
    audio = pluck()
    magnitude = magnitude_of(audio)
    integrated = pghi(magnitude, hop=HOP, samples=len(audio))
    iterated = griffin_lim(magnitude, hop=HOP, samples=len(audio), iterations=8)
    assert convergence_db(magnitude, integrated) < convergence_db(magnitude, iterated)


def test_griffin_lim_goes_on_from_an_integrated_phase():
    audio = pluck()
    magnitude = magnitude_of(audio)
    phase = phase_by_integration(magnitude, hop=HOP)
    none, five = (
        griffin_lim(magnitude, hop=HOP, samples=len(audio), phase=phase, iterations=count) for count in (0, 5)
    )
    np.testing.assert_array_equal(none, pghi(magnitude, hop=HOP, samples=len(audio)))
    assert convergence_db(magnitude, five) < convergence_db(magnitude, none) - 3


def test_a_sound_keeps_what_it_has_at_0_hz_and_at_nyquist():
    lowest, highest = np.full(RATE, 0.1), 0.2 * np.cos(np.pi * np.arange(RATE))
    for more in (lowest, highest):
        magnitude = magnitude_of(chirp() + more)
        assert convergence_db(magnitude, pghi(magnitude, hop=HOP, samples=RATE)) < -30


def test_the_widths_are_those_of_the_windows():
    position = np.arange(4096) / 4096 - 0.5

    def distance(width):
        return np.linalg.norm(np.exp(-np.pi * position**2 / width) - analysis_window("hann", 4096))

    nearest = scipy.optimize.minimize_scalar(distance, bounds=(0.1, 0.5), method="bounded").x
    assert inversion.WIDTHS["hann"] == pytest.approx(nearest, rel=1e-3)
    gaussian = np.exp(-np.pi * position**2 / inversion.WIDTHS["gaussian"])
    np.testing.assert_allclose(analysis_window("gaussian", 4096), gaussian, atol=1e-6)
    assert gaussian[0] == pytest.approx(0.01)


def test_compiled_and_plain_walks_add_up_the_same(monkeypatch):
    pytest.importorskip("numba")
    magnitude = magnitude_of(pluck(4000))
    compiled = phase_by_integration(magnitude, hop=HOP)
    imports = builtins.__import__

    def without_numba(name, *arguments, **keywords):
        if name == "numba":
            raise ImportError(name)
        return imports(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_numba)
    inversion.walk.cache_clear()
    try:
        assert inversion.walk() is inversion.walk_over_lists
        plain = phase_by_integration(magnitude, hop=HOP)
    finally:
        inversion.walk.cache_clear()
    np.testing.assert_allclose(plain, compiled, rtol=0, atol=1e-6)


METHODS = {"griffin_lim": griffin_lim, "pghi": pghi}


@pytest.mark.parametrize("method", METHODS)
class TestBothMethods:
    @pytest.mark.parametrize("samples", [1, 63, 64, 100, 511, 1000])
    def test_audio_has_the_length_asked_for(self, method, samples):
        magnitude = magnitude_of(noise(samples))
        audio = METHODS[method](magnitude, hop=HOP, samples=samples)
        assert audio.shape == (samples,)
        assert audio.dtype == np.float32
        assert np.all(np.isfinite(audio))

    def test_the_default_length_is_the_shortest(self, method):
        assert METHODS[method](magnitude_of(noise(1000)), hop=HOP).shape == (15 * HOP,)

    def test_silence_stays_silent(self, method):
        assert not np.any(METHODS[method](np.zeros((10, 257)), hop=HOP))

    def test_a_seed_repeats_and_another_one_does_not(self, method):
        # Below the tolerance, where pghi has nothing but random phase, but not below what float32 can add.
        magnitude = np.maximum(magnitude_of(noise(2000)) * (np.arange(257) < 10), 2e-5)
        first, again, other = (METHODS[method](magnitude, hop=HOP, seed=seed) for seed in (3, 3, 4))
        np.testing.assert_array_equal(first, again)
        assert np.any(first != other)

    def test_a_louder_sound_is_the_same_sound(self, method):
        magnitude = magnitude_of(pluck(4000))
        np.testing.assert_allclose(
            METHODS[method](8.0 * magnitude, hop=HOP), 8.0 * METHODS[method](magnitude, hop=HOP), atol=1e-3
        )

    @pytest.mark.parametrize("wrong", [np.nan, np.inf, -1.0])
    def test_what_no_magnitude_can_be_is_refused(self, method, wrong):
        magnitude = magnitude_of(noise(1000))
        magnitude[3, 5] = wrong
        with pytest.raises(AudioError, match="magnitude must be finite and not negative; 1 of 4112 values"):
            METHODS[method](magnitude, hop=HOP)

    def test_a_length_of_other_frames_is_refused_with_the_range(self, method):
        with pytest.raises(ValueError, match="between 960 and 1023, .* 16 frames .*; got 1024"):
            METHODS[method](magnitude_of(noise(1000)), hop=HOP, samples=1024)

    def test_a_hop_with_gaps_is_refused(self, method):
        with pytest.raises(ValueError, match="hop must lie between 1 and half a window, 256 .*; got 300"):
            METHODS[method](magnitude_of(noise(1000)), hop=300)

    def test_an_unknown_window_is_refused(self, method):
        with pytest.raises(ValueError, match="window must be one of .* got 'kaiser'. Use 'hann'"):
            METHODS[method](magnitude_of(noise(1000)), hop=HOP, window="kaiser")

    def test_an_empty_or_flat_array_is_refused(self, method):
        with pytest.raises(AudioError, match=r"must be \(..., frames, bins\), not empty; got shape"):
            METHODS[method](np.zeros((0, 257)), hop=HOP)


@pytest.mark.parametrize("tolerance", [0.0, 1.0, -1e-6])
def test_a_tolerance_that_leaves_nothing_or_noise_is_refused(tolerance):
    with pytest.raises(ValueError, match="tolerance must lie between 0 and 1, without them; got"):
        phase_by_integration(magnitude_of(noise(1000)), hop=HOP, tolerance=tolerance)


def test_an_item_of_a_batch_is_integrated_as_if_alone():
    audio = np.stack([pluck(2000), 0.01 * chirp(samples=2000)])
    together = phase_by_integration(magnitude_of(audio), hop=HOP)
    alone = phase_by_integration(magnitude_of(audio[1]), hop=HOP)
    np.testing.assert_array_equal(together[1], alone)


class TestMelToMagnitude:
    filters = mel_filters(RATE, WINDOW, 40)

    @pytest.mark.parametrize("method, tolerance", [("nnls", 0.03), ("pinv", 0.15)])
    def test_magnitudes_have_the_bands_they_were_made_of(self, method, tolerance):
        mel = magnitude_of(pluck()) @ self.filters
        magnitude = mel_to_magnitude(mel, self.filters, method=method)
        assert magnitude.min() >= 0.0
        error = np.linalg.norm(magnitude @ self.filters - mel) / np.linalg.norm(mel)
        assert error < tolerance

    def test_more_iterations_come_nearer_to_scipys_least_squares(self):
        rng = np.random.default_rng(0)
        mel = rng.uniform(0.0, 1.0, (3, 40)).astype("float32")
        best = np.array([scipy.optimize.nnls(self.filters.T.astype("float64"), row)[1] for row in mel])

        def error(iterations):
            magnitude = mel_to_magnitude(mel, self.filters, iterations=iterations)
            return np.linalg.norm(magnitude @ self.filters - mel, axis=1)

        errors = [error(iterations) for iterations in (0, 1, 10, 100, 3000)]
        assert np.all(np.diff(errors, axis=0) <= 1e-6)
        np.testing.assert_allclose(errors[-1], best, atol=0.01 * np.linalg.norm(mel, axis=1).max())

    def test_setting_out_from_the_truth_it_stays_there(self):
        rng = np.random.default_rng(0)
        truth = rng.uniform(0.0, 1.0, (3, WINDOW // 2 + 1)).astype("float32")
        truth[:, self.filters.sum(axis=1) == 0.0] = 1e-6  # what no band hears is lost
        found = mel_to_magnitude(truth @ self.filters, self.filters, initial=truth)
        np.testing.assert_allclose(found, truth, atol=1e-4)
        assert np.abs(mel_to_magnitude(truth @ self.filters, self.filters) - truth).max() > 0.1

    @pytest.mark.parametrize("method", ["nnls", "pinv"])
    def test_silence_stays_silent(self, method):
        assert not np.any(mel_to_magnitude(np.zeros((4, 40)), self.filters, method=method))

    def test_refusals(self):
        with pytest.raises(ValueError, match="method must be one of .* got 'lstsq'. Use 'nnls'"):
            mel_to_magnitude(np.zeros((4, 40)), self.filters, method="lstsq")
        with pytest.raises(ValueError, match=r"must have the 40 bands of the filters; got .*\(4, 41\)"):
            mel_to_magnitude(np.zeros((4, 41)), self.filters)
        with pytest.raises(AudioError, match="mel must be finite and not negative; 1 of 160"):
            mel_to_magnitude(np.where(np.arange(160).reshape(4, 40) == 7, np.nan, 0.0), self.filters)
