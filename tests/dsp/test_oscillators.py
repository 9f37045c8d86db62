"""What an oscillator must do, whoever computes it. Rate 16 kHz, frames of 10 ms."""

import functools

import numpy as np
import pytest
from cases import assert_gradient_matches_differences, gradient_of
from keras import ops

from audiozoo.dsp import oscillators
from audiozoo.dsp.oscillators import (
    bank_ceiling,
    cycles_of_steps,
    fm_pluck,
    frame_phase,
    glide,
    harmonic_bank,
    nyquist_mask,
    phase_steps,
    running_sum_modulo,
    sine_series,
    sweep_cycles,
)

RATE, HOP = 16000, 160
bank = functools.partial(harmonic_bank, sample_rate=RATE, hop=HOP)


def frames_of(hz):
    return np.asarray(hz, "float32")[None, :, None]


def play(hz, amplitudes, **settings):
    """The bank on one sound: ``hz (frames,)``, ``amplitudes (frames, harmonics)`` or ``(harmonics,)``."""
    amplitudes = np.asarray(amplitudes, "float32")
    if amplitudes.ndim == 1:
        amplitudes = np.tile(amplitudes, (len(hz), 1))
    return ops.convert_to_numpy(bank(frames_of(hz), amplitudes[None], **settings))[0]


def spectrum(audio):
    """Amplitude of each sinusoid that has a whole number of periods in the audio."""
    return np.abs(np.fft.rfft(audio.astype("float64"))) * 2 / len(audio)


def reference(hz, amplitudes, envelope):
    """The bank in float64, harmonic by harmonic and sample by sample."""
    hz, amplitudes = hz.astype("float64"), amplitudes.astype("float64")
    w = np.arange(HOP) / HOP
    if envelope == "linear":
        after = np.append(hz[1:], hz[-1])
        start, end = np.where(hz > 0, hz, after), np.where(after > 0, after, hz)
        top = np.max([hz, after, np.append(hz[:1], hz[:-1])], axis=0)
    else:
        start, end, top = hz, hz, hz
    phase = np.cumsum((start + end) / 2 * HOP / RATE) - (start + end) / 2 * HOP / RATE
    cycles = phase[:, None] + (start[:, None] * w + (end - start)[:, None] * w**2 / 2) * HOP / RATE
    audio = np.zeros((len(hz), HOP))
    for k in range(1, amplitudes.shape[1] + 1):
        level = amplitudes[:, k - 1] * (k * top < RATE / 2) * (hz > 0)
        target = np.append(level[1:], level[-1]) if envelope == "linear" else level
        audio += (level[:, None] + (target - level)[:, None] * w) * np.sin(2 * np.pi * k * cycles)
    return audio.reshape(-1)


@pytest.mark.parametrize("envelope", ["linear", "nearest"])
def test_a_gliding_tone_with_a_pause_agrees_with_float64(envelope):
    rng = np.random.default_rng(0)
    hz = (700 + 400 * np.sin(np.arange(50) / 5) + rng.random(50)).astype("float32")
    hz[20:25] = 0
    amplitudes = (rng.random((50, 8)) / np.arange(1, 9)).astype("float32")
    expected = reference(hz, amplitudes, envelope)
    error = play(hz, amplitudes, envelope=envelope) - expected
    # 8 harmonics of a phase that float32 knows to about 1e-6 cycles: -90 dB; measured -115 dB.
    assert np.sum(error**2) < 1e-9 * np.sum(expected**2)


@pytest.mark.parametrize("envelope", ["linear", "nearest"])
def test_a_sine_lands_in_its_bin_and_only_there(envelope):
    found = spectrum(play([1234.0] * 100, [0.7], envelope=envelope))  # 1 s: bins of 1 Hz
    assert abs(found[1234] - 0.7) < 1e-5
    found[1234] = 0
    assert found.max() < 1e-6 * 0.7  # -120 dB


def test_each_harmonic_has_its_own_amplitude_at_its_own_multiple():
    amplitudes = np.array([0.5, 0.0, 0.25, 0.1])
    found = spectrum(play([1000.0] * 100, amplitudes))
    np.testing.assert_allclose(found[[1000, 2000, 3000, 4000]], amplitudes, atol=1e-5)
    found[[1000, 3000, 4000]] = 0
    assert found.max() < 1e-6


@pytest.mark.parametrize("hz, audible", [(3000.0, [3000, 6000]), (4000.0, [4000]), (3999.0, [3999, 7998])])
def test_harmonics_at_and_above_nyquist_are_silent_and_fold_nowhere(hz, audible):
    found = spectrum(play([hz] * 100, [0.4, 0.3, 0.2, 0.1]))
    np.testing.assert_allclose(found[audible], [0.4, 0.3][: len(audible)], atol=1e-5)
    found[audible] = 0
    assert found.max() < 2e-6


@pytest.mark.parametrize("envelope", ["linear", "nearest"])
@pytest.mark.parametrize("first, last", [(3500.0, 4500.0), (4500.0, 3500.0)])
def test_a_harmonic_that_glides_across_nyquist_is_silent_beyond_it(envelope, first, last):
    hz = np.linspace(first, last, 100)
    audio = play(hz, [0.0, 1.0], envelope=envelope).reshape(100, HOP)
    after = np.append(hz[1:], hz[-1]) if envelope == "linear" else hz
    beyond = 2 * np.maximum(hz, after) >= RATE / 2  # somewhere within the frame
    assert 30 < beyond.sum() < 70
    assert np.all(audio[beyond] == 0.0)
    well_below = 2 * np.maximum(hz, after) < RATE / 2 - 2 * 2 * 1000 / 99 - 1e-3
    assert np.all(np.abs(audio[well_below]).max(axis=1) > 0.9)


@pytest.mark.parametrize("envelope", ["linear", "nearest"])
def test_unvoiced_frames_are_silent(envelope):
    hz = np.array([500.0] * 10 + [0.0] * 10 + [800.0] * 10)
    audio = play(hz, [1.0, 1.0], envelope=envelope).reshape(30, HOP)
    # With linear envelopes the next note fades in during the frame before it.
    assert np.all(audio[10:19] == 0.0)
    assert np.any(audio[19]) == (envelope == "linear")
    assert np.all(np.abs(audio[:9]).max(axis=1) > 0.9)
    assert np.all(np.abs(audio[20:]).max(axis=1) > 0.9)


def test_a_silence_at_zero_hertz_is_exact_and_has_no_nan():
    assert np.all(play(np.zeros(50), np.ones((50, 8))) == 0.0)


def test_a_note_begins_and_ends_on_its_own_pitch_and_not_at_zero_hertz():
    start, end = glide(ops.convert_to_tensor(frames_of([0, 0, 500, 600, 0, 0])), "linear")
    np.testing.assert_array_equal(ops.convert_to_numpy(start)[0, :, 0], [0, 500, 500, 600, 0, 0])
    np.testing.assert_array_equal(ops.convert_to_numpy(end)[0, :, 0], [0, 500, 600, 600, 0, 0])
    held = ops.convert_to_tensor(frames_of([0, 500, 0]))
    assert all(
        np.array_equal(ops.convert_to_numpy(x), frames_of([0, 500, 0])) for x in glide(held, "nearest")
    )
    # The onset, heard: one frame of fade-in at 2 kHz, and nothing that swept up to it.
    audio = play([0.0] * 10 + [2000.0] * 10, [1.0])[9 * HOP : 11 * HOP]
    expected = np.minimum(np.arange(2 * HOP) / HOP, 1) * np.sin(2 * np.pi * 2000 / RATE * np.arange(2 * HOP))
    np.testing.assert_allclose(audio, expected, atol=1e-5)


@pytest.mark.parametrize("rate, hop", [(16000, 160), (44100, 441), (48000, 100), (22050, 256)])
def test_phase_after_ten_minutes_is_that_of_float64(rate, hop):
    # A vibrato at 440 Hz and a glissando to 3 kHz; what is left is the rounding of the result itself,
    # and at 22,050 Hz, where a step is coarser than float32 below 256 Hz, 4e-3 Hz over ten minutes.
    frame = np.arange(600 * rate // hop)
    seconds = frame * hop / rate
    hz = np.stack([440 + 30 * np.sin(2 * seconds), 50 + 5 * seconds]).astype("float32")[..., None]
    ours = frame_phase(*glide(ops.convert_to_tensor(hz), "linear"), sample_rate=rate, hop=hop)
    exact = hz[..., 0].astype("float64")
    after = np.concatenate([exact[:, 1:], exact[:, -1:]], axis=1)
    advance = (exact + after) / 2 * hop / rate
    error = ops.convert_to_numpy(ours)[..., 0] - (np.cumsum(advance, axis=1) - advance)
    assert np.abs(error - np.round(error)).max() < (2e-7 if rate != 22050 else 2e-5)
    assert ops.convert_to_numpy(ours).min() >= 0.0
    assert ops.convert_to_numpy(ours).max() <= 1.0


@pytest.mark.parametrize("rate, hop", [(16000, 160), (48000, 480), (44100, 441)])
def test_phase_inside_a_frame_is_that_of_float64_at_any_pitch(rate, hop):
    rng = np.random.default_rng(0)
    start = rng.uniform(50, 0.45 * rate, (1, 500, 1)).astype("float32")
    end = start + rng.uniform(-50, 50, start.shape).astype("float32")
    tensors = (ops.convert_to_tensor(hz) for hz in (start, end))
    ours = ops.convert_to_numpy(sweep_cycles(*tensors, sample_rate=rate, hop=hop))
    n = np.arange(hop)
    glided = 0.5 * (end.astype("float64") - start) * n / hop
    error = ours - (start.astype("float64") + glided) * n / rate
    assert np.abs(error - np.round(error)).max() < 3e-7


def test_a_given_phase_turns_a_sine_into_a_cosine():
    phase = frames_of(0.25 + 500 * HOP / RATE * np.arange(10))
    audio = play([500.0] * 10, [1.0], phase=phase)
    np.testing.assert_allclose(audio, np.cos(2 * np.pi * 500 / RATE * np.arange(10 * HOP)), atol=2e-5)


@pytest.mark.parametrize("cut", [1, 7, 19])
def test_a_sound_cut_in_two_continues_exactly_where_it_stopped(cut):
    grid = {"sample_rate": RATE, "hop": HOP}
    hz = np.random.default_rng(0).uniform(200, 400, 20).astype("float32")
    start = ops.convert_to_tensor(frames_of(hz))
    whole = ops.convert_to_numpy(phase_steps(start, start, **grid))
    first = phase_steps(start[:, :cut], start[:, :cut], **grid)
    second = phase_steps(start[:, cut:], start[:, cut:], **grid, initial_steps=first[:, -1:])
    np.testing.assert_array_equal(ops.convert_to_numpy(first), whole[:, : cut + 1])
    np.testing.assert_array_equal(ops.convert_to_numpy(second), whole[:, cut:])
    amplitudes = np.ones((20, 4), "float32")
    heard = play(
        hz[cut:], amplitudes[cut:], envelope="nearest", phase=cycles_of_steps(second[:, :-1], **grid)
    )
    np.testing.assert_allclose(heard, play(hz, amplitudes, envelope="nearest")[cut * HOP :], atol=1e-6)


def test_running_sum_of_whole_numbers_is_exact():
    steps = np.random.default_rng(0).integers(0, 1 << 30, (2, 1000, 1))
    ours = ops.convert_to_numpy(running_sum_modulo(ops.convert_to_tensor(steps.astype("int32")), 1 << 30))
    np.testing.assert_array_equal(ours, np.cumsum(steps, axis=1) % (1 << 30))


@pytest.mark.parametrize("harmonics", [1, 19, 20, 45])
@pytest.mark.parametrize("moving", [False, True])
def test_sine_series_and_its_gradients_are_those_of_the_sum_of_sines(harmonics, moving):
    rng = np.random.default_rng(0)
    angle = rng.uniform(-np.pi, np.pi, (2, 7, 10))
    parts = rng.standard_normal((2 if moving else 1, 2, 7, harmonics))
    k, ramp = np.arange(1, harmonics + 1), np.arange(10) / 10
    levels = parts[0][:, :, None] + (parts[1][:, :, None] * ramp[:, None] if moving else 0.0)
    sines, cosines = np.sin(angle[..., None] * k), np.cos(angle[..., None] * k)
    upstream = rng.standard_normal(angle.shape)
    expected = {
        "value": (levels * sines).sum(-1),
        "start": (upstream[..., None] * sines).sum(2),
        "change": ((upstream * ramp)[..., None] * sines).sum(2),
        "angle": upstream * (levels * k * cosines).sum(-1),
    }

    def through(name):
        """The series as a function of one of its arguments, weighted by ``upstream``."""

        def value(point):
            arguments = {"start": parts[0], "change": parts[-1], "angle": angle} | {name: point}
            tensors = {n: ops.convert_to_tensor(v, "float32") for n, v in arguments.items()}
            series = (tensors["start"], tensors["change"]) if moving else (tensors["start"],)
            return ops.sum(sine_series(series, tensors["angle"]) * ops.convert_to_tensor(upstream, "float32"))

        return value

    arguments = [ops.convert_to_tensor(part, "float32") for part in parts]
    found = {"value": ops.convert_to_numpy(sine_series(arguments, ops.convert_to_tensor(angle, "float32")))}
    points = {"start": parts[0], "angle": angle} | ({"change": parts[1]} if moving else {})
    for name, point in points.items():
        found[name] = gradient_of(through(name), point.astype("float32"))
    for name, array in found.items():
        limit = 3e-5 * np.abs(expected[name]).max()  # 45 terms of a recurrence in float32
        np.testing.assert_allclose(array, expected[name], rtol=0, atol=limit, err_msg=name)


def test_tiles_of_any_number_make_the_same_sound(monkeypatch):
    rng = np.random.default_rng(3)
    hz, amplitudes = rng.uniform(200, 400, 23), rng.random((23, 5))
    whole = play(hz, amplitudes)
    for frames in (1, 4, 22):
        monkeypatch.setattr(oscillators, "TILE_SAMPLES", frames * HOP)
        np.testing.assert_allclose(play(hz, amplitudes), whole, atol=1e-6)


def test_nyquist_mask_leaves_out_the_limit_itself_and_the_unvoiced():
    hz = ops.convert_to_tensor(frames_of([0.0, 1000.0, 2000.0, 2000.1, 8000.0]))
    mask = ops.convert_to_numpy(nyquist_mask(hz, 4, sample_rate=RATE))
    np.testing.assert_array_equal(
        mask[0], [[0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]]
    )


def test_ceiling_is_the_highest_of_a_frame_and_its_neighbours():
    hz = ops.convert_to_tensor(frames_of([100.0, 300.0, 200.0, 0.0, 500.0]))
    np.testing.assert_array_equal(
        ops.convert_to_numpy(bank_ceiling(hz, "linear"))[0, :, 0], [300, 300, 300, 0, 500]
    )
    np.testing.assert_array_equal(ops.convert_to_numpy(bank_ceiling(hz, "nearest")), ops.convert_to_numpy(hz))


@pytest.mark.parametrize("envelope", ["linear", "nearest"])
def test_gradient_of_amplitudes_against_differences(envelope):
    rng = np.random.default_rng(1)
    hz, amplitudes = frames_of(rng.uniform(200, 400, 10)), rng.random((1, 10, 4)).astype("float32")
    # Linear in the amplitudes: any step is exact but for rounding.
    assert_gradient_matches_differences(
        lambda a: bank(hz, a, envelope=envelope), amplitudes, step=0.5, tolerance=1e-4
    )


@pytest.mark.parametrize("envelope", ["linear", "nearest"])
def test_gradient_of_f0_against_differences(envelope):
    rng = np.random.default_rng(2)
    amplitudes = rng.random((1, 10, 4)).astype("float32")
    hz = frames_of(np.round(rng.uniform(200, 400, 10)))  # whole Hz: the step crosses the split of the phase
    # 0.02 Hz for 0.1 s turn harmonic 4 by at most 0.05 rad: curvature 0.05^2 / 6 = 4e-4. Rounding:
    # 1600 samples off by 1e-5 of phase each, against a change of some 1e-2: 1e-3 and a few.
    assert_gradient_matches_differences(
        lambda f: bank(f, amplitudes, envelope=envelope), hz, step=0.02, tolerance=1e-2
    )


def test_an_unknown_envelope_is_refused_with_a_way_out():
    with pytest.raises(ValueError, match=r"envelope must be one of .*; got 'cubic'. Use 'linear'"):
        play([440.0] * 5, [1.0], envelope="cubic")


def test_a_pluck_is_chownings_formula():
    seconds = np.arange(4000) / RATE
    ours = ops.convert_to_numpy(
        fm_pluck([440.0, 220.0], sample_rate=RATE, duration_seconds=0.25, decay_seconds=0.1)
    )
    assert ours.shape == (2, 4000)
    for audio, hz in zip(ours, [440.0, 220.0], strict=True):
        envelope = np.exp(-seconds / 0.1)
        modulator = 4.0 * envelope * np.sin(2 * np.pi * 2.0 * hz * seconds)
        expected = envelope * np.sin(2 * np.pi * hz * seconds + modulator)
        np.testing.assert_allclose(audio, expected, atol=1e-3)  # 220 cycles in float32, times an index of 4
    assert np.abs(ours).max() <= 1.0


def test_a_pluck_has_its_partials_where_carrier_and_modulator_put_them():
    # No decay to speak of, 1 s: lines at f0 + 2 n f0, which for a ratio of 2 are the odd harmonics.
    audio = ops.convert_to_numpy(
        fm_pluck([200.0], sample_rate=RATE, duration_seconds=1.0, decay_seconds=1e9, modulation_index=1.0)
    )[0]
    found = spectrum(audio)
    assert set(np.flatnonzero(found > 1e-2)) == {200, 600, 1000, 1400}
