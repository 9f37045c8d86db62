"""A sound that is played block by block is the sound that is computed at once."""

import types

import keras
import numpy as np
import pytest
from cases import assert_sections, compiled, numpy_of
from keras import ops

from audiozoo.data.feature_stream import FeatureStream
from audiozoo.dsp.spectra import LOUDNESS_FLOOR_DB
from audiozoo.errors import AudioError
from audiozoo.models import DDSPDecoder
from audiozoo.models.ddsp_stream import DDSPStream, initial_state, stream_step

RATE, HOP = 16000, 160
SMALL = {"num_units": 16, "num_harmonics": 8, "num_noise_bands": 9, "reverb_length": 401}
CONFIGURATIONS = [
    {},
    {"envelope": "nearest", "noise_tails": "cut"},
    {"envelope": "nearest", "hop": 16, "num_noise_bands": 65},  # noise rings on over four frames
    {"hop": 441, "sample_rate": 44100, "recurrence": "mingru"},
]


def decoder(**changes):
    keras.utils.set_random_seed(0)
    model = DDSPDecoder(**(SMALL | changes))
    model.network.noise_head.bias.assign(np.full(model.num_noise_bands, 5.0))  # noise is heard, too
    return model


@pytest.fixture(scope="module")
def model():
    return decoder()


@pytest.fixture(scope="module")
def stream(model):
    """A stream of one frame at a time; each test begins its own sound."""
    return model.stream()


@pytest.fixture(autouse=True)
def begin_anew(stream):
    stream.reset()


def features(frames):
    """A melody with pauses; harmonic 8 crosses Nyquist again and again."""
    frame = np.arange(frames)
    f0_hz = 900 + 400 * np.sin(frame / 7)
    f0_hz[(frame % 60 > 30) & (frame % 60 < 34)] = 0
    return f0_hz, -40 + 20 * np.sin(frame / 5)


def streamed(stream, f0_hz, loudness_db):
    """All that comes out, as many whole blocks as the features fill, and the rest."""
    frames = stream.block_size // stream.model.hop
    blocks = [slice(start, start + frames) for start in range(0, len(f0_hz) - frames + 1, frames)]
    audio = [stream.process(f0_hz[block], loudness_db[block]) for block in blocks]
    return np.concatenate([*audio, stream.finish()])


def assert_is_offline(stream, f0_hz, loudness_db, **settings):
    """The stream gives silence for its latency and then what ``synthesize`` gives, to 1e-5 of full scale."""
    model, frames = stream.model, stream.block_size // stream.model.hop
    played = streamed(stream, f0_hz, loudness_db)
    whole = len(f0_hz) // frames * frames
    expected = model.synthesize(**model.controls(f0_hz[:whole], loudness_db[:whole]), **settings)[0]
    assert np.abs(expected).max() > 0.1
    assert np.abs(played[: stream.latency_samples]).max(initial=0.0) < 1e-6
    np.testing.assert_allclose(played[stream.latency_samples :], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("changes", CONFIGURATIONS)
def test_streamed_is_offline_for_any_block_size(changes):
    model = decoder(**changes)
    for frames in (1, np.random.default_rng(model.hop).integers(2, 30)):
        assert_is_offline(model.stream(int(frames) * model.hop), *features(100))


@pytest.mark.parametrize("settings", [{"reverb": None}, {"reverb": np.r_[np.zeros(700), 0.5]}, {"seed": 3}])
def test_streamed_is_offline_in_any_room_and_with_any_noise(model, settings):
    assert_is_offline(model.stream(3 * HOP, **settings), *features(60), **settings)


@pytest.mark.long
def test_streamed_is_offline_for_ten_minutes(model):
    assert_is_offline(model.stream(50 * HOP), *features(60_000))


@pytest.mark.parametrize("changes, frames", list(zip(CONFIGURATIONS, [2, 0, 4, 2], strict=True)))
def test_the_latency_is_documented_and_none_smaller_would_do(changes, frames):
    model = decoder(**changes)
    assert model.stream().latency_samples == frames * model.hop
    # A frame that differs (most harmonics beyond Nyquist, louder noise) is heard so many frames before.
    f0_hz, loudness_db = np.full(40, 300.0), np.full(40, -30.0)
    sounds = []
    for changed in (False, True):
        controls = model.controls(np.where(changed & (np.arange(40) == 20), 5000.0, f0_hz), loudness_db)
        controls["noise_magnitudes"][0, 20, 3] += changed
        sounds.append(model.synthesize(**controls, reverb=None)[0])
    first = np.argmax(np.abs(sounds[1] - sounds[0]) > 1e-9)
    assert 20 - frames <= first / model.hop < 21 - frames


def test_the_latencies_of_the_usual_model_are_20_and_30_ms(stream):
    assert (stream.latency_samples, stream.audio_latency_samples) == (320, 480)


def test_a_stream_begins_again_after_its_end_and_after_a_reset(stream):
    first = streamed(stream, *features(20))
    np.testing.assert_array_equal(streamed(stream, *features(20)), first)
    stream.process([300.0], [-20.0])
    stream.reset()
    np.testing.assert_array_equal(streamed(stream, *features(20)), first)


def test_the_state_is_all_that_is_remembered(model, stream):
    # Moved to another stream in the middle of a sound, it goes on there; noise is drawn anew.
    f0_hz, loudness_db = features(20)
    whole = streamed(stream, f0_hz, loudness_db)
    first, second = model.stream(), model.stream()
    begun = [first.process(f0_hz[t : t + 1], loudness_db[t : t + 1]) for t in range(10)]
    second.state, second._generator = first.state, first._generator
    ended = [second.process(f0_hz[t : t + 1], loudness_db[t : t + 1]) for t in range(10, 20)]
    np.testing.assert_array_equal(np.concatenate([*begun, *ended, second.finish()]), whole)


def test_a_step_is_a_pure_function_compiled_or_not(model):
    rng = np.random.default_rng(0)
    state = initial_state(model, HOP)
    inputs = {"f0_hz": np.full((1, 1, 1), 300.0), "loudness_db": np.full((1, 1, 1), -20.0)}
    inputs["noise"] = rng.uniform(-1, 1, (1, 1, HOP))
    inputs = {name: ops.convert_to_tensor(value, "float32") for name, value in inputs.items()}
    inputs["over"] = ops.convert_to_tensor(np.zeros((1, 1, 1), bool))
    program = model.compile_function(types.MethodType(stream_step, model), inputs | {"state": state})
    sounds = []
    for step in (program, compiled(lambda inputs: stream_step(model, inputs))):
        now = keras.tree.map_structure(ops.convert_to_tensor, state)
        for _ in range(4):
            audio, now = step(inputs | {"state": now})
        assert describe(now) == describe(state)
        sounds.append(numpy_of(audio))
    assert np.abs(sounds[0]).max() > 0.01
    np.testing.assert_allclose(*sounds, atol=1e-5)


def describe(state):
    return {
        path: (np.shape(value), np.asarray(value).dtype)
        for path, value in keras.tree.flatten_with_path(numpy_of(state))
    }


def test_tables_change_the_sound_hardly(model, stream):
    exact = streamed(stream, *features(60))
    tabled = streamed(model.stream(table_rows=1024), *features(60))
    assert 0 < np.std(tabled - exact) < 1e-3 * np.std(exact)


# --- A voice ---


def sung(hz=220.0, seconds=1.0):
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * hz * time + 0.3 * np.sin(2 * np.pi * 5 * time)
    return (0.1 * sum(np.sin(k * phase) / k for k in range(1, 13))).astype("float32")


@pytest.mark.parametrize("frames", [1, 4])
def test_a_voice_is_played_as_its_features_are(model, frames):
    voice = np.concatenate([sung(220.0, 0.4), np.zeros(3200, "float32"), sung(330.0, 0.36)])
    stream = model.stream(frames * HOP, semitones=12.0, loudness_db=-6.0)
    blocks = voice.reshape(-1, frames * HOP)
    heard = np.concatenate([*(stream.process_audio(block) for block in blocks), stream.finish()])
    assert len(heard) == len(voice) + stream.audio_latency_samples

    after = np.zeros(stream.audio_latency_samples, "float32")
    f0_hz, loudness_db = FeatureStream(sample_rate=RATE, hop=HOP).process(np.concatenate([voice, after]))
    told = np.where(loudness_db > LOUDNESS_FLOOR_DB, np.maximum(loudness_db - 6.0, -99.8), LOUDNESS_FLOOR_DB)
    expected = model.synthesize(**model.controls(2.0 * f0_hz, told))[0]
    np.testing.assert_allclose(
        heard[stream.latency_samples :], expected[: -stream.latency_samples], rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("lengths", [[16000], [1] * 5 + [1000, 7, 0, 14988], [100], [0], []])
def test_what_is_played_is_as_long_as_the_voice_whatever_its_pieces(stream, lengths):
    voice = sung()[: sum(lengths)]
    pieces = np.split(voice, np.cumsum(lengths)[:-1]) if lengths else []
    played = np.concatenate([np.zeros(0), *stream.play(pieces)])
    assert played.shape == voice.shape
    whole = np.concatenate([np.zeros(0), *stream.play([voice])])
    np.testing.assert_array_equal(played, whole)


def test_what_is_played_comes_when_it_was_sung(model):
    # The attack, seen through a short window, is where it was; without the room and the latency.
    voice = np.concatenate([np.zeros(8000, "float32"), sung()])
    played = np.concatenate(list(model.stream(reverb=None).play([voice])))
    assert not played[: 8000 - 3 * HOP].any()
    assert np.abs(played[8000 : 8000 + HOP]).max() > 0.01


def test_silence_gives_silence(stream):
    assert not np.concatenate(list(stream.play([np.zeros(4000, "int16")]))).any()


# --- Refusals ---


@pytest.mark.parametrize(
    "settings, message",
    [
        (
            {"block_size": 100},
            "block_size must be a whole multiple of the hop of 160 samples; got 100. Use 160",
        ),
        ({"block_size": 500}, "got 500. Use 480"),
        ({"block_size": 0}, "block_size must be a whole number of at least 1; got 0"),
        ({"block_size": 160.0}, "block_size must be a whole number"),
        ({"semitones": 61}, "semitones must be a number between"),
        ({"loudness_db": float("nan")}, "loudness_db must be a number between"),
        ({"reverb": "hall"}, "reverb must be 'learned', None or an impulse response; got 'hall'"),
        ({"table_rows": 1}, "table_rows must be a whole number of at least 2; got 1"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(model, settings, message):
    with pytest.raises(ValueError, match=message):
        model.stream(**settings)


@pytest.mark.parametrize(
    "f0_hz, loudness_db, message",
    [
        (
            [300.0, 300.0],
            [-20.0],
            r"f0_hz must be 1 numbers, shape \(1,\), one for each 160 .*got float64 of shape \(2,\)",
        ),
        ([300.0], -20.0, r"loudness_db must be 1 numbers.*of shape \(\)"),
        (["a"], [-20.0], "f0_hz must be 1 numbers.*got <U1"),
        ([np.nan], [-20.0], "f0_hz must be finite"),
        ([300.0], [-np.inf], "loudness_db must be finite"),
        ([-300.0], [-20.0], "f0_hz must be at least 0 Hz; got -300"),
    ],
)
def test_features_that_are_none_are_refused_by_name(stream, f0_hz, loudness_db, message):
    before = streamed(stream, *features(5))
    with pytest.raises(ValueError, match=message):
        stream.process(f0_hz, loudness_db)
    stream.reset()
    np.testing.assert_array_equal(streamed(stream, *features(5)), before)


@pytest.mark.parametrize(
    "audio, message",
    [
        (np.zeros(100), r"audio must be one block of shape \(160,\); got \(100,\). Gather .*'play'"),
        (np.zeros((160, 2)), r"audio must be one block of shape \(160,\); got \(160, 2\)"),
        (np.full(160, np.nan), "audio must be finite"),
        (np.zeros(160, complex), "audio must be float in -1..1, int16, int32 or uint8; got complex128"),
        (np.zeros(0), "audio must hold at least one sample"),
    ],
)
def test_audio_that_is_none_is_refused_by_name(stream, audio, message):
    with pytest.raises(AudioError, match=message):
        stream.process_audio(audio)


def test_one_sound_is_fed_in_one_way(stream):
    stream.process([300.0], [-20.0])
    with pytest.raises(
        ValueError, match=r"begun with process; call finish\(\) or reset\(\) before process_audio"
    ):
        stream.process_audio(np.zeros(HOP))
    stream.finish()
    stream.process_audio(np.zeros(HOP))
    with pytest.raises(ValueError, match="begun with process_audio"):
        stream.process([300.0], [-20.0])


def test_docstrings_say_what_goes_in_and_out():
    assert_sections(DDSPDecoder.stream, ("Args:", "Returns:", "Raises:"))
    for function in (DDSPStream.process, DDSPStream.process_audio):
        assert_sections(function, ("Args:", "Returns:", "Raises:"))
