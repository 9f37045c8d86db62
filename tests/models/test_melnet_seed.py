"""The published MelNet: its table of parameters, its arithmetic by PyTorch, and that it is what it says."""

import keras
import numpy as np
import pytest
from cases import ModelCase, gradient_of, numpy_of, on_one_backend
from keras import ops

import audiozoo
from audiozoo.data.pipelines import training_pairs
from audiozoo.models import MelNetSeed

FRAMES, BANDS, UNITS = 9, 8, 5
CONFIG = {
    "classes": ("a", "b"),
    "sample_rate": 8000,
    "num_mels": BANDS,
    "window_length": 256,
    "hop": 64,
    "clip_frames": FRAMES,
    "depths": (1, 1, 1),
    "units": UNITS,
    "components": 3,
    "extractor": "four_way",
}


def batch(count, seed=0):
    log_mel = np.random.default_rng(seed).uniform(4.0, 8.0, (count, FRAMES, BANDS)).astype("float32")
    return {"log_mel": log_mel, "known": log_mel, "label": (np.arange(count) % 2).astype("int32")}


def make(**changes):
    keras.utils.set_random_seed(0)
    model = MelNetSeed(**CONFIG | changes)
    model.adapt([batch(16)])
    return model


class TestMelNetSeed(ModelCase):
    model_class = MelNetSeed
    config = CONFIG

    def make(self):
        return make()

    def batch(self):
        return training_pairs(batch(2))[0]

    def target(self):
        return training_pairs(batch(2))[1]


# --- What was published ---

# By the project's code, layer by layer: tiers, extractors, class vectors.
TABLE = {
    "small": ((1_400_606, 702_494, 586_142, 469_790), (98_283, 390_963, 390_963), 192),
    "large": ((22_117_406, 11_067_422, 9_225_758, 7_384_094), (98_283, 390_963, 390_963), 768),
    # GRUs over 41, 41 and 83 frames more, two numbers each to weight them, and one number for a class.
    "slides": (
        (22_117_406, 11_067_422, 9_225_758, 7_384_094),
        (98_283 + 20_666, 390_963 + 20_666, 390_963 + 83_666),
        3,
    ),
}


@on_one_backend
@pytest.mark.parametrize(
    "preset, changes, table, total",
    [
        ("melnet_seed_small", {}, "small", 4_039_433),
        ("melnet_seed_large", {}, "large", 50_675_657),
        ("melnet_seed_large", {"extractor": "four_way"}, "slides", 50_799_890),
    ],
)
def test_it_has_the_published_parameters(preset, changes, table, total):
    model = audiozoo.load(preset, weights=False, **changes)
    tiers, extractors, vectors = TABLE[table]
    assert tuple(tier.count_params() for tier in model.tiers) == tiers
    assert tuple(extractor.count_params() for extractor in model.extractors) == extractors
    assert int(np.prod(model.class_vectors.shape)) == vectors
    assert model.count_params() == total
    layer = model.tiers[0].time_layers[0].count_params() + model.tiers[0].frequency_layers[0].count_params()
    assert layer == (116_352 if table == "small" else 1_841_664)


def test_a_tier_is_that_of_the_published_code():
    """By PyTorch, with its shifts and its order of layers."""
    torch = pytest.importorskip("torch")
    nn = torch.nn
    tier = make().tiers[0]
    spectrogram = np.random.default_rng(0).standard_normal((2, 4, 3)).astype("float32")
    condition = np.random.default_rng(1).standard_normal((2, 4, 3)).astype("float32")
    for weight in tier.weights:
        weight.assign(np.random.default_rng(2).uniform(-0.5, 0.5, weight.shape))

    def linear(layer):
        kernel, bias = (torch.tensor(weight) for weight in layer.get_weights())
        return lambda x: x @ kernel + bias

    def gru(layer):
        kernel, recurrent, biases = layer.get_weights()
        order = np.r_[UNITS : 2 * UNITS, :UNITS, 2 * UNITS : 3 * UNITS]
        theirs = nn.GRU(UNITS, UNITS, batch_first=True)
        with torch.no_grad():
            theirs.weight_ih_l0.copy_(torch.tensor(kernel[:, order].T))
            theirs.weight_hh_l0.copy_(torch.tensor(recurrent[:, order].T))
            theirs.bias_ih_l0.copy_(torch.tensor(biases[0, order]))
            theirs.bias_hh_l0.copy_(torch.tensor(biases[1, order]))
        return lambda x: theirs(x)[0]

    x, z = torch.tensor(spectrogram), torch.tensor(condition)[..., None]
    with torch.no_grad():
        later = nn.functional.pad(x, [0, 0, -1, 1, 0, 0]).unsqueeze(-1)
        other = nn.functional.pad(x, [0, 0, 0, 0, -1, 1]).unsqueeze(-1)
        in_time = linear(tier.time_input)(later) + linear(tier.time_condition)(z)
        in_frequency = linear(tier.frequency_input)(other) + linear(tier.frequency_condition)(z)
        for time_layer, frequency_layer in zip(tier.time_layers, tier.frequency_layers, strict=True):
            b, t, m, d = in_time.shape
            along = gru(time_layer.time)(in_time.transpose(1, 2).reshape(-1, t, d))
            rows = in_time.reshape(-1, m, d)
            down = gru(time_layer.down)(rows.flip(1)).flip(1)
            seen = [
                along.view(b, m, t, d).transpose(1, 2),
                gru(time_layer.up)(rows).view(b, t, m, d),
                down.view(b, t, m, d),
            ]
            in_time = in_time + linear(time_layer.mix)(torch.cat(seen, dim=-1))
            rows = gru(frequency_layer.up)((in_time + in_frequency).reshape(-1, m, d)).view(b, t, m, d)
            in_frequency = in_frequency + linear(frequency_layer.mix)(rows)
        expected = linear(tier.head)(torch.cat([in_time, in_frequency], dim=-1))
    found = numpy_of(tier(spectrogram, condition, training=True))
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


# --- Its faults ---


def test_what_is_to_be_predicted_is_among_what_it_is_predicted_from():
    model, given = make(), batch(1)
    label = given["label"]

    def of_one(known):
        return ops.sum(model({"known": known, "label": label})[0, 3, 2])  # the target is frame 4, band 2

    gradient = gradient_of(of_one, given["known"])[0]
    assert gradient[4, 2] != 0.0
    assert np.any(gradient[5:-1])
    assert not np.any(gradient[-1])  # of the last frame alone nothing is known


@pytest.mark.parametrize("scale", [0.1, 100.0])
def test_deviations_are_about_one_whatever_is_learned(scale):
    model = make(components=10)
    numbers = scale * np.random.default_rng(0).standard_normal((50, 30)).astype("float32")
    _, deviations, _ = (numpy_of(part) for part in model.mixtures(numbers))
    assert deviations.min() > 0.90
    assert deviations.max() < 1.11


def test_the_loss_is_the_published_one():
    model, (inputs, target) = make(), training_pairs(batch(3))
    model.compile(keras.optimizers.SGD(0.0))
    power = (np.expm1(target.astype("float64")) / 1000.0) ** 2
    numbers = numpy_of(model(inputs)).astype("float64")
    mean, raw, logits = np.split(numbers, 3, axis=-1)
    variance = np.exp(raw / (3 * np.linalg.norm(raw, axis=-1, keepdims=True)))
    weight = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    density = np.exp(-((power[:, 1:, :, None] - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
    expected = -np.log(((weight + 1e-5) * (density + 1e-5)).sum(axis=-1)).mean()
    assert model.test_on_batch(inputs, target) == pytest.approx(expected, rel=1e-4)


def test_backward_features_lie_the_wrong_way_round():
    extraction = make().extractors[-1]
    extraction.weighting.set_weights([np.array([[0.0], [1.0], [0.0], [0.0]]), np.zeros(1)])
    picture = np.random.default_rng(0).standard_normal((1, 8, BANDS)).astype("float32")
    found = numpy_of(extraction(picture))[0]
    alone = numpy_of(extraction.time_backward(np.ascontiguousarray(picture[:, ::-1]))[0])[0]
    np.testing.assert_allclose(found, alone, atol=1e-6)


# --- Sampling and refusals ---


def test_a_seed_repeats_and_a_length_is_what_was_asked_for():
    model = make()
    made = model.sample("a", 2, seed=1, seconds=0.03)
    assert made.shape == (2, 4, BANDS)
    np.testing.assert_array_equal(made, model.sample("a", 2, seed=1, seconds=0.03))
    assert np.abs(made - model.sample("b", 2, seed=1, seconds=0.03)).max() > 0.0
    assert numpy_of(model.log_mel(made)).min() >= -1e-4


@pytest.mark.parametrize(
    "change, message",
    [
        ({"clip_frames": 8}, "clip_frames must be one more than a multiple of 2, .*; got 8"),
        ({"num_mels": 7, "depths": (1, 1, 1, 1)}, "num_mels must be a multiple of 2; got 7"),
        ({"depths": (1,)}, r"depths must be at least two numbers; got \(1,\)"),
        ({"components": 0}, "components must be a whole number of at least 1; got 0"),
        ({"extractor": "one_way"}, "extractor must be one of two_way, four_way; got 'one_way'"),
    ],
)
def test_impossible_arguments_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        MelNetSeed(**CONFIG | change)
