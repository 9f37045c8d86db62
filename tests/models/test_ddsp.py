"""The DDSP decoder: its size, its sound, and what it does with any recording."""

import keras
import numpy as np
import pytest
from cases import ModelCase, assert_close, numpy_of, with_policy

import audiozoo.models.ddsp
from audiozoo.dsp.spectra import LOUDNESS_FLOOR_DB
from audiozoo.errors import AudioError
from audiozoo.models import DDSPDecoder

RATE, HOP = 16000, 160
SMALL = {"num_units": 16, "num_harmonics": 8, "num_noise_bands": 9, "reverb_length": 400}


class TestDDSPDecoder(ModelCase):
    model_class = DDSPDecoder
    config = {
        "sample_rate": 8000,
        "hop": 80,
        "num_units": 16,
        "num_harmonics": 8,
        "num_noise_bands": 9,
        "reverb_length": 400,
        "envelope": "nearest",
        "noise_tails": "cut",
        "pitch_scale": 100.0,
        "loudness_mean_db": -35.0,
        "loudness_std_db": 8.0,
        "recurrence": "mingru",
        "table_rows": 64,
    }

    def batch(self):
        frame = np.arange(20)
        f0_hz = np.stack([300 + 5 * frame, np.where(frame < 15, 220, 0)])
        loudness_db = np.stack([-20.0 - frame, np.full(20, -40.0)])
        return {
            name: x[..., None].astype("float32")
            for name, x in [("f0_hz", f0_hz), ("loudness_db", loudness_db)]
        }

    def target(self):
        return np.random.default_rng(0).uniform(-1, 1, (2, 1600)).astype("float32")

    def test_training_draws_its_noise_anew(self):
        model = self.make()
        first, second = (numpy_of(model(self.batch(), training=True)) for _ in range(2))
        assert np.abs(first - second).max() > 0

    def test_entries_that_training_data_has_besides_are_ignored(self):
        model = self.make()
        more = self.batch() | {"audio": np.zeros((2, 1600), "float32")}
        np.testing.assert_array_equal(self.output(model, more), self.output(model))

    def test_half_precision_does_not_detune(self):
        # The 8 bits of bfloat16 would move 300 Hz by a hertz, and the phase by whole cycles. Pitch and the
        # signal path are none of the network's business: with its heads silenced nothing may change at all.
        def sounds():
            model = self.make()
            model.network.noise_head.set_weights([np.zeros((16, 9)), np.full(9, -1e3)])
            model.network.harmonic_head.set_weights([np.zeros((16, 8)), np.zeros(8)])
            model.network.amplitude_head.set_weights([np.zeros((16, 1)), np.zeros(1)])
            return [self.output(model), model.synthesize(**model.controls(**self.batch()))]

        assert_close(with_policy(sounds), sounds(), 1e-5)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    decoder = DDSPDecoder(**SMALL)
    head = decoder.network.harmonic_head  # the fundamental is always there, so that pitch can be measured
    head.kernel.assign(0.1 * head.kernel)
    head.bias.assign([2.0] + 7 * [0.0])
    return decoder


@pytest.mark.parametrize("recurrence", ["gru", "mingru"])
def test_a_table_says_what_the_networks_of_one_number_say(recurrence):
    keras.utils.set_random_seed(0)
    decoder = DDSPDecoder(**SMALL, recurrence=recurrence)
    network = decoder.network
    rng = np.random.default_rng(0)
    pitch = rng.uniform(0.3, 0.8, (2, 40, 1)).astype("float32")
    loudness = rng.uniform(-4, 4, (2, 40, 1)).astype("float32")
    exact, exact_state = numpy_of(network(pitch, loudness))
    read, read_state = numpy_of(network(pitch, loudness, None, network.tables(4096)))
    np.testing.assert_allclose(read_state, exact_state, atol=1e-3)
    for name, logits in exact.items():
        # The leaky rectifiers have corners, where the error falls with the rows only once, not twice.
        noise_db = 10 * np.log10(np.mean((read[name] - logits) ** 2) / np.mean(logits**2))
        assert noise_db < -80, name


def test_tables_cover_every_pitch_and_loudness_there_can_be():
    decoder = DDSPDecoder(**SMALL)
    f0_hz = np.array([0.0, 8.2, 440.0, RATE / 2], "float32")
    pitch = numpy_of(decoder._scaled_pitch(f0_hz))
    loudness = decoder._scaled_loudness(np.array([LOUDNESS_FLOOR_DB, 0.0, 1.0]))
    for values, (lowest, highest) in [
        (pitch, decoder.network.pitch_range),
        (loudness, decoder.network.loudness_range),
    ]:
        assert lowest <= values.min() + 1e-6
        assert values.max() <= highest + 1e-6


def test_training_reads_the_table_and_everything_else_does_not(monkeypatch):
    decoder = DDSPDecoder(**SMALL, table_rows=8)
    asked, tables = [], decoder.network.tables
    monkeypatch.setattr(decoder.network, "tables", lambda rows: asked.append(rows) or tables(rows))
    batch = {"f0_hz": np.full((1, 5, 1), 440.0), "loudness_db": np.full((1, 5, 1), -30.0)}
    decoder(batch)
    decoder.controls(**batch)
    assert asked == []
    decoder(batch, training=True)
    assert asked == [8]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"recurrence": "lstm"}, "recurrence must be one of gru, mingru; got 'lstm'"),
        ({"table_rows": 1}, "table_rows must be 0, for no table, or at least 2; got 1"),
        ({"table_rows": -1}, "table_rows must be a whole number of at least 0; got -1"),
    ],
)
def test_an_unknown_recurrence_or_an_impossible_table_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        DDSPDecoder(**SMALL, **change)


def test_the_published_size_has_exactly_these_parameters_in_these_places():
    decoder = DDSPDecoder(num_units=512, num_harmonics=100, num_noise_bands=65, reverb_length=16000)
    network = decoder.network
    layer_norms = 3 * 2 * 512
    scalar = 512 + 512 + 2 * (512 * 512 + 512) + layer_norms
    places = {
        network.pitch_perceptron: scalar,
        network.loudness_perceptron: scalar,
        network.recurrence: 3 * 512 * (1024 + 512) + 2 * 3 * 512,
        network.joint_perceptron: 1536 * 512 + 512 + 2 * (512 * 512 + 512) + layer_norms,
        network.amplitude_head: 513,
        network.harmonic_head: 513 * 100,
        network.noise_head: 513 * 65,
        decoder.reverb: 16000,
    }
    for layer, count in places.items():
        assert layer.count_params() == count, layer.path
    assert sum(places.values()) == 4_837_670
    assert sum(int(np.prod(weight.shape)) for weight in decoder.trainable_weights) == 4_837_670
    # The seed generator of the noise is the only state besides, and no parameter.
    assert decoder.count_params() == 4_837_670


def test_256_units_have_their_own_size():
    decoder = DDSPDecoder(num_units=256)
    assert decoder.count_params() == 1_247_270


def test_both_inputs_reach_the_network(model):
    frames = np.ones((1, 20, 1), "float32")

    def logits(f0_hz, loudness_db):
        return model.controls(f0_hz * frames, loudness_db * frames)["amplitude"]

    reference = logits(220, -30)
    assert np.abs(logits(440, -30) - reference).max() > 1e-3
    assert np.abs(logits(220, -50) - reference).max() > 1e-3


# --- Editing ---


def lowest_partial(audio):
    """Frequency of the lowest partial that is at least a tenth as loud as the loudest one."""
    found = np.abs(np.fft.rfft(audio * np.hanning(len(audio))))
    first = np.argmax(found > 0.1 * found.max())
    peak = first + np.argmax(found[first : first + 20])
    return peak * RATE / len(audio)


@pytest.fixture(scope="module")
def controls(model):
    return model.controls(np.full(100, 300.0), np.full(100, -30.0))


def test_controls_are_named_bounded_and_one_a_frame(controls):
    shapes = {name: value.shape for name, value in controls.items()}
    assert shapes == {
        "f0_hz": (1, 100, 1),
        "amplitude": (1, 100, 1),
        "harmonic_distribution": (1, 100, 8),
        "noise_magnitudes": (1, 100, 9),
    }
    assert all(value.dtype == np.float32 for value in controls.values())
    assert all(
        0 <= controls[name].min() <= controls[name].max() <= 2 for name in ("amplitude", "noise_magnitudes")
    )
    np.testing.assert_allclose(controls["harmonic_distribution"].sum(axis=-1), 1.0, atol=1e-6)


def test_twice_the_f0_is_an_octave_higher(model, controls):
    edited = controls | {"f0_hz": 2 * controls["f0_hz"]}
    assert lowest_partial(model.synthesize(**controls, reverb=None)[0]) == pytest.approx(300, abs=2)
    assert lowest_partial(model.synthesize(**edited, reverb=None)[0]) == pytest.approx(600, abs=2)


def test_controls_are_what_is_heard(model, controls):
    silent = np.zeros_like(controls["noise_magnitudes"])
    pure = np.zeros_like(controls["harmonic_distribution"])
    pure[..., 2] = 1.0
    level = np.full_like(controls["amplitude"], 0.5)
    settings = {"harmonic_distribution": pure, "noise_magnitudes": silent, "amplitude": level}
    audio = model.synthesize(**(controls | settings), reverb=None)[0]
    expected = 0.5 * np.sin(2 * np.pi * 900 / RATE * np.arange(100 * HOP))
    np.testing.assert_allclose(audio, expected, atol=1e-3)
    hiss = controls | {"amplitude": 0 * level, "noise_magnitudes": silent + 1.0}
    noise = model.synthesize(**hiss, reverb=None)[0]
    assert noise.std() == pytest.approx(np.sqrt(1 / 3), rel=0.02)
    np.testing.assert_array_equal(model.synthesize(**hiss, reverb=None)[0], noise)
    assert np.abs(model.synthesize(**hiss, reverb=None, seed=1)[0] - noise).max() > 0.5


def test_unvoiced_frames_have_no_harmonics(model):
    f0_hz = np.where(np.arange(100) < 50, 300.0, 0.0)
    controls = model.controls(f0_hz, np.full(100, -30.0))
    assert not np.any(controls["harmonic_distribution"][:, 50:])
    audio = model.synthesize(
        **(controls | {"noise_magnitudes": 0 * controls["noise_magnitudes"]}), reverb=None
    )[0]
    assert not np.any(audio[50 * HOP :])
    assert np.abs(audio[: 49 * HOP]).max() > 0.01


def test_the_room_is_the_learned_one_none_or_any_other(model, controls):
    dry, learned = model.synthesize(**controls, reverb=None), model.synthesize(**controls)
    response = model.impulse_response()
    assert response.shape == (400,)
    assert response.dtype == np.float32
    expected = np.convolve(dry[0], response)[: 100 * HOP]
    np.testing.assert_allclose(learned[0], expected, atol=1e-5)
    np.testing.assert_allclose(model.synthesize(**controls, reverb=response)[0], learned[0], atol=1e-6)
    echo = np.zeros(1001)
    echo[[0, 1000]] = 1.0, 0.5
    heard = model.synthesize(**controls, reverb=echo)[0]
    np.testing.assert_allclose(heard[1000:], dry[0, 1000:] + 0.5 * dry[0, :-1000], atol=1e-5)
    np.testing.assert_allclose(model.synthesize(**controls, reverb=[1.0])[0], dry[0], atol=1e-6)


def test_an_edited_call_is_the_models_own_forward_pass(model):
    # The two draw their noise differently; without it they must agree.
    keras.utils.set_random_seed(2)
    quiet = DDSPDecoder(**SMALL)
    quiet.network.noise_head.bias.assign(np.full(9, -1e3))
    frame = np.arange(100)
    f0_hz = (300 + 100 * np.sin(frame / 9)).astype("float32")[None, :, None]
    loudness_db = (-60.0 + 0.5 * frame).astype("float32")[None, :, None]
    whole = numpy_of(quiet({"f0_hz": f0_hz, "loudness_db": loudness_db}))
    assert_close(quiet.synthesize(**quiet.controls(f0_hz, loudness_db)), whole, 1e-4)


@pytest.mark.parametrize("changes", [{}, {"envelope": "nearest", "hop": 16, "num_noise_bands": 65}])
def test_a_long_sound_in_pieces_equals_the_whole(changes, monkeypatch):
    keras.utils.set_random_seed(3)
    decoder = DDSPDecoder(**(SMALL | changes))
    decoder.network.noise_head.bias.assign(np.full(decoder.num_noise_bands, 5.0))  # noise is heard, too
    frame = np.arange(100)
    f0_hz = 900 + 400 * np.sin(frame / 7)  # harmonic 8 crosses Nyquist again and again
    f0_hz[30:33] = f0_hz[60:70] = 0  # across the seams at 32 and 64
    loudness_db = -40 + 20 * np.sin(frame / 5)
    whole_controls = decoder.controls(f0_hz, loudness_db)
    whole = decoder.synthesize(**whole_controls)
    monkeypatch.setattr(audiozoo.models.ddsp, "CHUNK_FRAMES", 32)
    assert_close(decoder.controls(f0_hz, loudness_db), whole_controls, 1e-5)
    assert_close(decoder.synthesize(**whole_controls), whole, 1e-4)  # measured: 2e-5


@pytest.mark.parametrize(
    "f0_hz, loudness_db, message",
    [
        (
            np.ones(5),
            np.ones(6),
            r"f0_hz and loudness_db must have the same shape; got \(1, 5, 1\) and \(1, 6, 1\)",
        ),
        (
            np.ones((2, 5)),
            np.ones((2, 5)),
            r"f0_hz must be \(frames,\) or \(batch, frames, .*got shape \(2, 5\)",
        ),
        (np.ones(0), np.ones(0), r"f0_hz must be .* not empty; got shape \(1, 0, 1\)"),
        (np.full(5, np.nan), np.ones(5), "f0_hz must be finite; got NaN or infinity. Use 0 Hz for unvoiced"),
        (np.ones(5), np.full(5, -np.inf), "loudness_db must be finite"),
    ],
)
def test_features_that_are_none_are_refused_by_name(model, f0_hz, loudness_db, message):
    with pytest.raises(ValueError, match=message):
        model.controls(f0_hz, loudness_db)


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"amplitude": np.ones((1, 99, 1))},
            r"controls must agree in batch and frames; got .*amplitude \(1, 99, 1\)",
        ),
        (
            {"noise_magnitudes": np.ones((1, 100, 8))},
            r"noise_magnitudes must be .* \(batch, frames, 9\).*100, 8\)",
        ),
        ({"f0_hz": np.full((1, 100, 1), np.inf)}, "f0_hz must be finite"),
        ({"f0_hz": np.full((1, 100, 1), -30.0)}, "f0_hz must be at least 0 Hz; got -30.*loudness in dB"),
        (
            {"reverb": "hall"},
            "reverb must be 'learned', None or an impulse response; got 'hall'. Use 'learned'",
        ),
        ({"reverb": np.ones((400, 2))}, r"impulse response of shape \(taps,\); got shape \(400, 2\). Mix"),
        ({"reverb": np.zeros(0)}, "reverb must be .* at least one sample"),
        ({"reverb": np.array([1.0, np.nan])}, "reverb must be .* must be finite; 1 samples are NaN"),
    ],
)
def test_controls_that_are_none_are_refused_by_name(model, controls, changes, message):
    with pytest.raises(ValueError, match=message):
        model.synthesize(**(controls | changes))


# --- Any recording ---


def sung(hz=220.0, seconds=1.0, sample_rate=RATE):
    """A vowel of sorts: twelve partials with vibrato, as loud as a voice."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    phase = 2 * np.pi * hz * time + 0.3 * np.sin(2 * np.pi * 5 * time)
    return (0.1 * sum(np.sin(k * phase) / k for k in range(1, 13))).astype("float32")


@pytest.fixture(scope="module")
def played(model):
    return model.transfer(sung(), RATE)


def test_what_is_sung_is_played_at_its_pitch_and_length(played):
    assert played.shape == (RATE,)
    assert played.dtype == np.float32
    assert np.all(np.isfinite(played))
    assert lowest_partial(played[4000:12000]) == pytest.approx(220, abs=5)


def test_an_octave_is_twelve_semitones(model):
    higher = model.transfer(sung(), RATE, semitones=12)
    assert lowest_partial(higher[4000:12000]) == pytest.approx(440, abs=5)


def test_the_same_recording_gives_the_same_sound(model, played):
    np.testing.assert_array_equal(model.transfer(sung(), RATE), played)


@pytest.mark.parametrize("channels", [1, 2, 8])
def test_channels_are_mixed(model, played, channels):
    # float32 means over channels round; the pitch tracker, a network, passes it on.
    assert_close(model.transfer(np.tile(sung()[:, None], (1, channels)), RATE), played, 1e-3)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float64"])
def test_integers_are_read_at_full_scale(model, dtype):
    if dtype == "float64":
        audio = exact = sung().astype("float64")
    else:
        full_scale = 2.0 ** (8 * np.dtype(dtype).itemsize - 1)
        middle = full_scale if dtype == "uint8" else 0.0
        audio = np.round(sung().astype("float64") * full_scale + middle).astype(dtype)
        exact = (audio - middle) / full_scale
    expected = model.transfer(exact.astype("float32"), RATE)
    np.testing.assert_array_equal(model.transfer(audio, RATE), expected)


@pytest.mark.parametrize("sample_rate", [8000, 44100, 48000, 192000])
def test_any_rate_gives_the_same_tune_at_the_models_own_rate(model, played, sample_rate):
    other = model.transfer(sung(sample_rate=sample_rate), sample_rate)
    assert other.shape == (RATE,)
    assert lowest_partial(other[4000:12000]) == pytest.approx(220, abs=5)
    assert np.std(other) == pytest.approx(np.std(played), rel=0.1)


@pytest.mark.parametrize("samples", [1, 1600])
def test_a_short_sound_stays_as_short_as_it_was(model, samples):
    audio = model.transfer(sung()[:samples], RATE)
    assert audio.shape == (samples,)
    assert np.all(np.isfinite(audio))


@pytest.mark.parametrize("seconds", [0.1, 1.0])
def test_silence_gives_silence(model, seconds):
    samples = round(48000 * seconds)
    for silence in (np.zeros(samples), np.zeros((samples, 2), "int16")):
        audio = model.transfer(silence, 48000)
        assert audio.shape == (round(RATE * seconds),)
        assert not np.any(audio)


@pytest.fixture
def told(model, monkeypatch):
    """What the network is told of the loudness, one entry for each transfer."""
    told, controls = [], model.controls

    def listen(f0_hz, loudness_db, **settings):
        told.append(loudness_db)
        return controls(f0_hz, loudness_db, **settings)

    monkeypatch.setattr(model, "controls", listen)
    return told


def test_a_quiet_recording_is_played_like_a_loud_one_unless_told_otherwise(model, told):
    for audio, match in [(sung(), True), (0.05 * sung(), True), (sung(), False), (0.05 * sung(), False)]:
        model.transfer(audio, RATE, match_loudness=match)
    np.testing.assert_allclose(told[1], told[0], atol=0.01)
    assert np.mean(told[0]) == pytest.approx(model.loudness_mean_db, abs=0.1)
    np.testing.assert_allclose(told[3] - told[2], 20 * np.log10(0.05), atol=0.01)


def test_loudness_db_is_added_to_what_the_network_is_told(model, told):
    model.transfer(sung(), RATE)
    model.transfer(sung(), RATE, loudness_db=6.0)
    np.testing.assert_allclose(told[1] - told[0], 6.0, atol=1e-4)


def test_the_room_can_be_left_out_of_a_transfer(model, played):
    dry = model.transfer(sung(), RATE, reverb=None)
    np.testing.assert_allclose(np.convolve(dry, model.impulse_response())[:RATE], played, atol=1e-4)
    np.testing.assert_allclose(model.transfer(sung(), RATE, reverb=np.array([1.0])), dry, atol=1e-5)


def test_progress_changes_nothing_but_what_is_seen(model, played):
    np.testing.assert_array_equal(model.transfer(sung(), RATE, progress=True), played)


@pytest.mark.parametrize(
    "audio, sample_rate, message",
    [
        (np.zeros(0), RATE, "audio must hold at least one sample; it is empty"),
        (np.zeros((0, 2)), RATE, "audio must hold at least one sample; it is empty"),
        (
            np.array([0.0, np.nan, np.inf]),
            RATE,
            "audio must be finite; 2 samples .* the first at index 1. Repair",
        ),
        (
            np.zeros((2, RATE)),
            RATE,
            r"got shape \(2, 16000\), which looks like \(channels, samples\). Pass audio.T",
        ),
        (
            np.zeros((4, 4, 4)),
            RATE,
            r"audio must be \(samples,\) or \(samples, channels\); got shape \(4, 4, 4\)",
        ),
        (np.zeros(9, complex), RATE, "audio must be float in -1..1, int16, int32 or uint8; got complex128"),
        (["a", "b"], RATE, "audio must be float in -1..1, int16, int32 or uint8; got <U1"),
        (np.zeros(9), 0, "sample_rate must be a whole number of Hz between 1000 and 768000; got 0"),
        (np.zeros(9), "16k", "sample_rate must be a whole number of Hz .*; got '16k'"),
        (np.zeros(9), None, "sample_rate must be a whole number of Hz .*; got None"),
    ],
)
def test_audio_that_is_none_is_refused_by_name(model, audio, sample_rate, message):
    with pytest.raises(AudioError, match=message):
        model.transfer(audio, sample_rate)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"semitones": 61}, "semitones must be a number between -60.0 and 60.0; got 61"),
        ({"semitones": float("nan")}, "semitones must be a number between"),
        ({"semitones": "12"}, "semitones must be a number .*; got '12'"),
        ({"loudness_db": -99}, "loudness_db must be a number between -60.0 and 60.0; got -99"),
        ({"reverb": "hall"}, "reverb must be 'learned', None or an impulse response; got 'hall'"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(model, settings, message):
    with pytest.raises(ValueError, match=message):
        model.transfer(sung(), RATE, **settings)


def test_digital_silence_is_not_left_to_the_network(model):
    rng = np.random.default_rng(0)
    loudness_db = np.full(40, -30.0)
    loudness_db[10:30] = LOUDNESS_FLOOR_DB
    controls = model.controls(rng.uniform(200, 400, 40), loudness_db)
    for name in ("amplitude", "noise_magnitudes"):
        assert not controls[name][0, 10:30].any()
        assert controls[name][0, :10].all()
    dry = model.synthesize(**controls, reverb=None)[0]
    assert not dry[11 * model.hop : 29 * model.hop].any()  # one frame fades, filters ring half a frame


def test_a_pause_in_a_recording_is_silent_once_the_room_has_died_away(model):
    tone = 0.3 * np.sin(2 * np.pi * 330 * np.arange(8000) / 16000)
    played = model.transfer(np.concatenate([tone, np.zeros(8000), tone]), 16000, loudness_db=6.0)
    loudest = np.abs(played).max()
    assert loudest > 0
    assert np.abs(played[8000 + 1600 : 16000 - 800]).max() < 1e-5 * loudest  # the room is 400 samples long


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"hop": None}, "hop must be a whole number of at least 1; got None"),
        ({"hop": 0}, "hop must be a whole number of at least 1; got 0"),
        ({"reverb_length": 0}, "reverb_length must be a whole number"),
        ({"num_units": "64"}, "num_units must be a whole number of at least 1; got '64'"),
        ({"num_noise_bands": 1}, "num_noise_bands must be a whole number of at least 2; got 1"),
        ({"loudness_std_db": 0.0}, "loudness_std_db must be a number between"),
    ],
)
def test_arguments_that_cannot_work_are_refused_by_name(changes, message):
    with pytest.raises(ValueError, match=message):
        DDSPDecoder(**(TestDDSPDecoder.config | changes))


def test_a_tenth_of_a_second_is_heard(model):
    assert np.abs(model.transfer(sung(440.0, 0.1), RATE)).max() > 0


def test_sound_without_pitch_is_silence_and_says_so(model):
    click = np.zeros(RATE, "float32")
    click[RATE // 2] = 1.0
    with pytest.warns(UserWarning, match="no pitch was heard"):
        assert not model.transfer(click, RATE).any()


def test_an_integer_room_is_the_same_room(model, controls):
    room = np.array([1.0, 0.0, 0.5], "float32")
    as_integers = np.round(room * 2.0**14).astype("int16")
    loud = model.synthesize(**controls, reverb=room)
    np.testing.assert_allclose(model.synthesize(**controls, reverb=as_integers), loud / 2.0, atol=1e-6)
