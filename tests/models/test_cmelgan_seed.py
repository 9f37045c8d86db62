"""The published conditional MelGAN: its table of parameters, its arithmetic, and that it is what it says."""

import keras
import numpy as np
import pytest
from cases import ModelCase, numpy_of, on_one_backend

import audiozoo
from audiozoo.data.pipelines import training_pairs
from audiozoo.models import CMelGANSeed

CONFIG = {
    "classes": ("a", "b"),
    "sample_rate": 8000,
    "num_mels": 32,
    "window_length": 512,
    "hop": 128,
    "clip_frames": 32,
    "latent_dim": 5,
    "first_filters": 6,
    "filters": (4, 1),
    "kernel_sizes": (8, 4),
    "strides": (4, 2),
    "time_stages": "none",
    "batch_norm": True,
    "dropout": 0.25,
    "discriminator_filters": (4, 8, 8),
    "discriminator_kernel_sizes": (5, 6, 4),
    "discriminator_strides": (1, 4, 4),
    "discriminator_groups": (1, 4, 2),
    "discriminator_factors": (1, 1, 4),
}


def batch(count, seed=0):
    random = np.random.default_rng(seed)
    return {
        "noise": random.standard_normal((count, 5), dtype="float32"),
        "label": (np.arange(count) % 2).astype("int32"),
        "log_mel": random.uniform(4.0, 8.0, (count, 32, 32)).astype("float32"),
    }


def make(**changes):
    keras.utils.set_random_seed(0)
    model = CMelGANSeed(**CONFIG | changes)
    model.adapt([batch(16)])
    return model


class TestCMelGANSeed(ModelCase):
    model_class = CMelGANSeed
    config = CONFIG

    def make(self):
        return make()

    def batch(self):
        return training_pairs(batch(2))[0]

    def target(self):
        return training_pairs(batch(2))[1]

    def test_the_loss_falls_and_every_weight_moves(self):
        """But for the directions of single numbers, in the last stage: normalised they are 1 or -1."""
        model = self.make()
        model.compile(keras.optimizers.Adam(1e-3), discriminator_optimizer=keras.optimizers.Adam(1e-2))
        learned = [
            weight for weight in model.trainable_weights if weight.name != "v" or np.prod(weight.shape) > 1
        ]
        before, losses = [numpy_of(weight) for weight in learned], []
        for _ in range(8):
            model.reset_metrics()
            logs = model.train_on_batch(self.batch(), self.target(), return_dict=True)
            losses.append(float(logs["discriminator_loss"]))
        assert losses[-1] < 0.9 * losses[0]
        for weight, old in zip(learned, before, strict=True):
            assert np.any(numpy_of(weight) != old), weight.path


@pytest.fixture(scope="module")
def published():
    """Both presets with their discriminators; weights are drawn, and nothing is computed with them."""
    models = {}
    for size in ("medium", "large"):
        models[size] = audiozoo.load(f"cmelgan_seed_{size}", weights=False)
        models[size].build_discriminator()
    return models


# Of the published code, by printing its modules; "stages" are those over time and frequency.
TABLE = {
    "medium": {
        "generator": 12_663_712,
        "class vectors": 300,
        "dense": 413_696,
        "stages": 1_410_676,
        "along time": 10_839_040,
        "discriminator": 8_487_937,
    },
    "large": {
        "generator": 24_016_692,
        "class vectors": 384,
        "dense": 528_384,
        "stages": 10_757_888 + 1_592_192 + 296_672 + 2_132,
        "along time": 10_839_040,
        "discriminator": 1_201_345,
    },
}


@on_one_backend
@pytest.mark.parametrize("size", TABLE)
def test_it_has_the_published_parameters(published, size):
    generator, discriminator = published[size].generator, published[size].discriminator
    assert {
        "generator": generator.count_params(),
        "class vectors": int(np.prod(generator.class_vectors.shape)),
        "dense": generator.dense.count_params(),
        "stages": sum(stage.count_params() for stage in generator.stages),
        "along time": sum(stage.count_params() for stage in generator.along_time),
        "discriminator": discriminator.count_params(),
    } == TABLE[size]


@on_one_backend
def test_each_stage_has_the_published_parameters(published):
    large = published["large"]
    assert [stage.count_params() for stage in large.generator.stages] == [
        10_757_888,
        1_592_192,
        296_672,
        2_132,
    ]
    assert [stage.count_params() for stage in large.discriminator.stages] == [
        14_144,
        62_016,
        62_080,
        248_064,
        496_128,
        121_472,
    ]
    assert int(np.prod(large.discriminator.class_maps.shape)) == 196_608
    live = large.generator.count_params() - sum(stage.count_params() for stage in large.generator.along_time)
    assert live == 13_177_652


@on_one_backend
def test_the_discriminator_s_maps_have_the_published_sizes(published):
    """256, 256, 64, 16, 4, 1, by zeros around: 393 of them on each side of the second."""
    shape, sizes = (None, 256, 256, 2), []
    for stage in published["large"].discriminator.stages:
        sizes.append((stage.around(shape[1]), stage.compute_output_shape(shape)[1]))
        shape = stage.compute_output_shape(shape)
    assert sizes == [((10, 10), 256), ((393, 393), 256), ((9, 9), 64), ((9, 9), 16), ((9, 9), 4), ((1, 1), 1)]


def test_padding_to_any_length_is_that_of_the_stock_convolution():
    """By PyTorch: a stride of 4 over 32 steps that stay 32."""
    torch = pytest.importorskip("torch")
    model = make()
    model.build_discriminator()
    stage = model.discriminator.stages[1]
    signal = np.random.default_rng(0).standard_normal((2, 32, 32, 4)).astype("float32")
    found = numpy_of(stage(signal))
    kernel = numpy_of(stage.kernel_now()).astype("float64").transpose(3, 2, 0, 1)
    padding = ((32 - 1) * 4 + 6 - 32) // 2
    expected = torch.nn.functional.conv2d(
        torch.from_numpy(signal.astype("float64").transpose(0, 3, 1, 2)),
        torch.from_numpy(kernel),
        stride=4,
        padding=padding,
        groups=4,
    )
    np.testing.assert_allclose(found, expected.numpy().transpose(0, 2, 3, 1), atol=1e-4)
    # Most of it sees zeros alone: 15 of 16 parts, but for the edge of what there is.
    assert np.mean(found == 0.0) > 0.8


def test_without_waste_the_weights_are_the_same():
    shapes = []
    for factors in ((1, 1, 4), (1, 4, 1)):
        model = make(discriminator_factors=factors)
        model.build_discriminator()
        shapes.append([tuple(weight.shape) for weight in model.discriminator.weights])
        score = model.discriminator(
            {"spectrogram": np.zeros((2, 32, 32), "float32"), "label": np.zeros(2, int)}
        )
        assert numpy_of(score["scores"][0]).shape == (2, 1)
    assert shapes[0] == shapes[1]


def test_a_stage_that_is_not_used_learns_nothing():
    moved = {}
    for time_stages in ("used", "unused"):
        model = make(time_stages=time_stages, batch_norm=False, dropout=0.0)
        model.compile(keras.optimizers.SGD(1.0))
        weights = model.generator.along_time[-1].convolution.weights
        before = [numpy_of(weight) for weight in weights]
        model.train_on_batch(*training_pairs(batch(2)))
        moved[time_stages] = [np.abs(numpy_of(a) - b).max() for a, b in zip(weights, before, strict=True)]
    assert min(moved["used"]) > 0.0
    assert moved["unused"] == [0.0, 0.0, 0.0]
    assert make(time_stages="none").generator.along_time == []


def test_it_is_about_power_and_says_it_in_the_spectrograms_of_all():
    model = make()
    log_mel = batch(3)["log_mel"]
    power = numpy_of(model.as_output(log_mel))
    np.testing.assert_allclose(power, (np.expm1(log_mel.astype("float64")) / 1000.0) ** 2, rtol=1e-5)
    np.testing.assert_allclose(model.as_spectrogram(power), model.standardised(log_mel), atol=1e-3)
    silence = model.log_mel(model.as_spectrogram(-power))  # a power below 0 is none
    np.testing.assert_allclose(silence, 0.0, atol=1e-5)


def test_the_losses_are_least_squares_of_a_sigmoid():
    model = make(dropout=0.0, batch_norm=False)
    model.compile(keras.optimizers.SGD(0.0))
    inputs, target = training_pairs(batch(4))
    logs = model.test_on_batch(inputs, target, return_dict=True)

    def score(items):
        return numpy_of(model.discriminator({"spectrogram": items, "label": inputs["label"]})["scores"][0])

    real, fake = score(numpy_of(model.as_output(target))), score(numpy_of(model(inputs)))
    assert 0.0 < fake.min() <= fake.max() < 1.0
    assert logs["discriminator_loss"] == pytest.approx(
        np.mean((real - 1.0) ** 2) + np.mean(fake**2), rel=1e-4
    )
    assert logs["generator_loss"] == pytest.approx(np.mean((fake - 1.0) ** 2), rel=1e-4)


def test_a_layer_that_skips_part_of_its_input_is_refused():
    model = make(discriminator_factors=(1, 1, 8))
    with pytest.raises(ValueError, match="factor must be at most 4 .* 32 steps would not be seen; got 8"):
        model.build_discriminator()


def test_a_sample_is_one_clip_at_most():
    model = make()
    assert model.sample("a", 2).shape == (2, 32, 32)
    assert model.sample("a", seconds=0.1).shape == (1, 7, 32)
    with pytest.raises(
        ValueError, match="seconds must be at most 0.512, one clip, for a CMelGANSeed; got 0.6"
    ):
        model.sample("a", seconds=0.6)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"filters": (4, 2)}, r"filters must end in 1, the spectrogram; got \(4, 2\)"),
        ({"filters": ()}, "filters must end in 1"),
        ({"strides": (2,)}, r"strides must be 2 numbers, one for each of filters; got \(2,\)"),
        ({"strides": (3, 4)}, r"strides must multiply to a divisor of clip_frames, 32, and num_mels, 32"),
        (
            {"strides": (2, 4)},
            "strides must make of clip_frames and num_mels more than 9 steps at once; got 8",
        ),
        ({"kernel_sizes": (8, 1)}, "kernel_size must be at least stride, 2"),
        ({"time_stages": "some"}, "time_stages must be one of used, unused, none; got 'some'"),
        ({"dropout": 1.0}, "dropout must be a number between"),
        ({"discriminator_factors": (1, 1)}, "discriminator_factors must be 3 numbers"),
        ({"first_filters": 0}, "first_filters must be a whole number"),
    ],
)
def test_impossible_arguments_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        CMelGANSeed(**CONFIG | change)
