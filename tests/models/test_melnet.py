"""MelNet: what each number is drawn from, that drawing is what was learned, and what a run leaves behind."""

import keras
import numpy as np
import pytest
from cases import ModelCase, gradient_of, numpy_of, on_one_backend
from keras import ops

import audiozoo
from audiozoo import registry
from audiozoo.data.audio_io import write_audio
from audiozoo.data.pipelines import training_pairs
from audiozoo.errors import AudioError, IncompatiblePreset, StatisticsMissing, UnknownClass
from audiozoo.losses import mixture_negative_log_likelihood
from audiozoo.models import MelNet
from audiozoo.models.melnet import noise_of, value_of
from audiozoo.training import train

RATE, FRAMES, BANDS, UNITS = 8000, 8, 8, 6
CONFIG = {
    "classes": ("low", "high"),
    "sample_rate": RATE,
    "num_mels": BANDS,
    "window_length": 256,
    "hop": 64,
    "clip_frames": FRAMES,
    "depths": (2, 1),
    "units": UNITS,
    "components": 3,
    "cell": "mingru",
    "upsampler": "parallel",
    "extractor": "two_way",
    "learned_tiers": (1, 2),
    "remat": True,
}
# Two tiers of which the second lies between the frames of the first.
PLAIN = CONFIG | {
    "depths": (1, 1),
    "upsampler": "autoregressive",
    "extractor": "four_way",
    "learned_tiers": (),
    "remat": False,
}


def batch(count, seed=0):
    """Spectrograms that are loud in the lower half for class 0, in the upper one for class 1."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    level = np.where((np.arange(BANDS) < BANDS // 2) == (labels[:, None] == 0), 3.0, 0.5)[:, None]
    log_mel = (level + 0.3 * random.standard_normal((count, FRAMES, BANDS))).clip(0.0).astype("float32")
    return {"log_mel": log_mel, "label": labels.astype("int32"), "known": log_mel}


def make(**changes):
    keras.utils.set_random_seed(0)
    model = MelNet(**PLAIN | changes)
    model.adapt([batch(64)])
    return model


def with_spread_weights(model):
    """Every weight drawn anew, so that nothing is nearly 0 as it is before training."""
    random = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(random.uniform(-0.4, 0.4, weight.shape))
    return model


class TestMelNet(ModelCase):
    model_class = MelNet
    config = CONFIG

    def make(self):
        model = super().make()
        model.adapt([batch(64)])
        return model

    def batch(self):
        return training_pairs(batch(2))[0]

    def target(self):
        return training_pairs(batch(2))[1]


@pytest.fixture(scope="module", params=["gru", "mingru"])
def model(request):
    return with_spread_weights(make(cell=request.param))


# --- What a number is drawn from ---


def order_of(model):
    """The place of each number of a clip in the order in which they are drawn, ``(frames, bands)``."""
    numbers = np.arange(FRAMES * BANDS).reshape(1, FRAMES, BANDS)
    drawn = np.concatenate([own.ravel() for _, own in model.tiers_of(numbers)])
    order = np.empty(FRAMES * BANDS, int)
    order[drawn] = np.arange(FRAMES * BANDS)
    return order


def reach(model):
    """Which numbers have a part in which mixture: row by mixture, both in the order of drawing."""
    places = FRAMES * BANDS
    label, which = np.zeros(places, "int32"), ops.convert_to_tensor(np.eye(places, dtype="float32"))
    known = np.repeat(batch(1)["log_mel"], places, axis=0)

    def each_at_its_place(known):
        mixtures = model({"known": known, "label": label})
        return ops.sum(ops.reshape(ops.sum(mixtures, axis=-1), (places, places)) * which)

    gradient = gradient_of(each_at_its_place, known).reshape(places, places)
    drawn = np.argsort(order_of(model))
    return gradient[drawn][:, drawn] != 0.0


def test_no_number_depends_on_itself_or_a_later_one(model):
    reached = reach(model)
    assert not np.triu(reached).any()
    first = FRAMES * BANDS // 2  # numbers of the first tier, each of which hears all that came before
    np.testing.assert_array_equal(reached[:first, :first], np.tri(first, k=-1, dtype=bool))
    # One layer of the second tier hears of the first tier and of its own band and frame at least.
    assert reached[first:, :first].any(axis=1).all()
    assert reached[first + 1 :, first:].any(axis=1).all()


@pytest.mark.parametrize("cell", ["gru", "mingru"])
def test_three_tiers_split_time_and_frequency_in_turns(cell):
    model = with_spread_weights(make(cell=cell, depths=(1, 1, 1)))
    assert model.grids() == [(4, 4), (4, 4), (4, 8)]
    assert model.grids(clips=3) == [(12, 4), (12, 4), (12, 8)]
    grid = np.arange(FRAMES * BANDS).reshape(1, FRAMES, BANDS)
    (_, first), (below, second), (whole, third) = model.tiers_of(grid)
    np.testing.assert_array_equal(below, first)
    np.testing.assert_array_equal(first[0], grid[0, ::2, ::2])
    np.testing.assert_array_equal(second[0], grid[0, ::2, 1::2])
    np.testing.assert_array_equal(whole[0], grid[0, ::2])
    np.testing.assert_array_equal(third[0], grid[0, 1::2])
    assert not np.triu(reach(model)).any()


def test_numbers_of_a_parallel_tier_depend_on_lower_tiers_alone():
    reached = reach(with_spread_weights(make(upsampler="parallel")))
    first = FRAMES * BANDS // 2
    assert not reached[:, first:].any()
    assert reached[first:, :first].any(axis=1).all()


def test_every_tier_knows_the_class():
    model = with_spread_weights(make())
    known = np.repeat(batch(1)["log_mel"], 2, axis=0)
    one, other = numpy_of(model({"known": known, "label": np.arange(2, dtype="int32")}))
    for (_, a), (_, b) in zip(model.tiers_of(one[None]), model.tiers_of(other[None]), strict=True):
        assert np.abs(a - b).max(axis=-1).min() > 1e-6


# --- What is learned ---


def test_the_loss_is_the_negative_log_likelihood_of_a_number():
    inputs, target = training_pairs(batch(4))
    model = with_spread_weights(make())
    expected = mixture_negative_log_likelihood(model.standardised(target), model(inputs))
    parts = [float(np.mean(own)) for _, own in model.tiers_of(numpy_of(expected))]
    for learned, loss in (((), np.mean(parts)), ((2,), parts[1])):
        model = with_spread_weights(make())
        model = MelNet(**model.get_config() | {"learned_tiers": learned})
        model.set_weights(with_spread_weights(make()).get_weights())
        model.compile(keras.optimizers.SGD(0.0))
        logs = model.test_on_batch(inputs, target, return_dict=True)
        assert logs["loss"] == pytest.approx(loss, rel=1e-4)
        assert logs["loss_of_tier_2"] == pytest.approx(parts[1], rel=1e-4)


@pytest.mark.parametrize(
    "cell, upsampler, counts",
    [
        # By hand, of 6 units, 3 components, 2 classes, and 8 bands in each of the tiers.
        ("mingru", "autoregressive", (867, 1311)),
        ("gru", "autoregressive", (1707, 2655)),
        ("mingru", "parallel", (867, 615)),
    ],
)
def test_parameters_are_counted_layer_by_layer(cell, upsampler, counts):
    d, bands, k, classes = 6, 8, 3, 2
    of_cell = 2 * (d * d + d) if cell == "mingru" else 3 * (2 * d * d + 2 * d)
    entrance = d + bands * d + classes * d

    def layer(cells):
        return cells * of_cell + cells * d * d + d

    head = d * 3 * k + 3 * k
    stacks = layer(3) + layer(1)
    first = 2 * entrance + stacks + head + (bands * d + d) + layer(1)
    extractor = entrance + layer(4)
    further = extractor + head
    if upsampler == "autoregressive":
        further += 2 * (entrance + d * d) + stacks
    model = make(cell=cell, upsampler=upsampler)
    assert tuple(tier.count_params() for tier in model.tiers) == (first, further) == counts
    assert model.count_params() == sum(counts) + bands + 1  # and the statistics


def test_layers_computed_twice_learn_the_same():
    """With SGD the change of a weight is its gradient."""
    found = {}
    for remat in (False, True):
        model = make(cell="gru", remat=remat, depths=(2,))
        model.compile(keras.optimizers.SGD(1.0))
        model.train_on_batch(*training_pairs(batch(4)))
        found[remat] = [numpy_of(weight) for weight in model.trainable_weights]
    for one, other in zip(*found.values(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_tiers_are_trained_apart_and_put_together():
    whole = make(upsampler="parallel")
    for number in (1, 2):
        part = make(upsampler="parallel", learned_tiers=(number,))
        before = [tier.get_weights() for tier in part.tiers]
        part.compile(keras.optimizers.Adam(1e-2))
        part.train_on_batch(*training_pairs(batch(4)))
        for position, tier in enumerate(part.tiers, start=1):
            moved = [np.any(a != b) for a, b in zip(tier.get_weights(), before[position - 1], strict=True)]
            assert all(moved) if position == number else not any(moved)
        whole.take_tier(number, part)
        for ours, theirs in zip(
            whole.tiers[number - 1].get_weights(), part.tiers[number - 1].get_weights(), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


def test_a_class_sounds_like_its_class():
    """Sixty steps on two classes that differ in which half is loud."""
    model = make(upsampler="parallel", units=12)
    model.compile(keras.optimizers.Adam(1e-2))
    losses = [
        model.train_on_batch(*training_pairs(batch(16, seed)), return_dict=True)["loss"] for seed in range(60)
    ]
    # Numbers around one of two levels: once the class is known, what is left is that of a Gaussian.
    entropy = 0.5 * np.log(2.0 * np.pi * np.e) + np.log(0.3 / float(numpy_of(model.transform.deviation)))
    assert losses[0] > entropy + 1.0
    assert np.mean(losses[-5:]) < entropy + 0.1
    for name, loud in (("low", slice(0, BANDS // 2)), ("high", slice(BANDS // 2, BANDS))):
        made = model.log_mel(model.sample(name, 8))
        quiet = slice(BANDS // 2, BANDS) if loud.start == 0 else slice(0, BANDS // 2)
        assert made[:, :, loud].mean() > made[:, :, quiet].mean() + 1.0


# --- Sampling ---

TWO_CLIPS = (2 * FRAMES - 1) * 64 / RATE  # seconds


def assert_drawn_from_what_is_learned(model, spectrogram, seed, fixed_frames=0):
    """Fed back, all mixtures at once give the numbers that were drawn from them one after the other."""
    items = len(spectrogram)
    inputs = {"known": model.log_mel(spectrogram), "label": np.zeros(items, "int32")}
    mixtures = model.run_compiled(model.call, inputs)
    for number, ((_, drawn), (_, mixture)) in enumerate(
        zip(model.tiers_of(spectrogram), model.tiers_of(mixtures), strict=True)
    ):
        noise = noise_of(seed, number, items, drawn.shape[1:])
        again = numpy_of(value_of(mixture, noise["choice"], noise["normal"], np.ones((1, 1, 1), "float32")))
        first = fixed_frames * drawn.shape[1] // spectrogram.shape[1]
        np.testing.assert_allclose(again[:, first:], drawn[:, first:], atol=1e-5)
        assert np.abs(drawn).max() < 9.9  # of the bounds nothing was needed


def test_what_is_drawn_is_what_was_learned_over_two_clips(model):
    made = model.sample("low", 2, seed=3, seconds=TWO_CLIPS)
    assert made.shape == (2, 2 * FRAMES, BANDS)
    assert np.abs(made[0] - made[1]).max() > 0.1
    assert_drawn_from_what_is_learned(model, made, seed=3)


def test_a_recording_is_gone_on_from(model):
    prime = model.standardised(batch(1, seed=5)["log_mel"])[0, :5]
    made = model.sample("low", 2, seed=3, seconds=TWO_CLIPS, prime=prime)
    # Frames are drawn in pairs: of five the first is left out.
    np.testing.assert_allclose(made[:, :4], np.stack([prime[1:]] * 2), atol=1e-6)
    assert_drawn_from_what_is_learned(model, made, seed=3, fixed_frames=4)
    assert np.abs(made - model.sample("low", 2, seed=3, seconds=TWO_CLIPS)).max() > 1e-3


def test_a_parallel_tier_is_drawn_from_what_was_learned():
    model = with_spread_weights(make(upsampler="parallel"))
    assert_drawn_from_what_is_learned(model, model.sample("low", 2, seed=1), seed=1)


def test_a_seed_repeats_and_classes_differ(model):
    one = model.sample("low", 2, seed=7, seconds=TWO_CLIPS)
    np.testing.assert_array_equal(one, model.sample("low", 2, seed=7, seconds=TWO_CLIPS))
    for other in (
        model.sample("low", 2, seed=8, seconds=TWO_CLIPS),
        model.sample("high", 2, seed=7, seconds=TWO_CLIPS),
        model.sample("low", 2, seed=7, seconds=TWO_CLIPS, temperature=0.5),
    ):
        assert np.abs(one - other).max() > 1e-3
    # A shorter one begins with the same coarse picture.
    clip = model.sample("low", 2, seed=7)
    assert clip.shape == (2, FRAMES, BANDS)
    np.testing.assert_allclose(clip[:, ::2], one[:, :FRAMES:2], atol=1e-5)


def test_cold_samples_are_all_alike():
    model = with_spread_weights(make(upsampler="parallel", components=1))
    cold = [model.sample("low", 1, seed=seed, temperature=0.01)[0] for seed in range(4)]
    warm = [model.sample("low", 1, seed=seed)[0] for seed in range(4)]
    assert np.std(cold, axis=0).max() < 0.05 * np.std(warm, axis=0).max()


@on_one_backend
def test_a_recording_of_any_rate_is_gone_on_from():
    model = make(upsampler="parallel")
    audio = np.sin(np.arange(4 * 64 * 2) / 5.0)
    made = model.continue_recording(audio, 2 * RATE, "low", seconds=0.1, seed=2, progress=True)
    assert made.shape == (1, 13, BANDS)
    heard = model.transform.spectrogram(audio[::2].astype("float32"))
    assert np.abs(made[0, :4] - heard[1:]).max() < 0.3  # but for the filter of resampling


# --- Refusals ---


@pytest.mark.parametrize(
    "change, message",
    [
        ({"classes": ()}, r"classes must be names, at least one; got \(\)"),
        ({"clip_frames": 7}, "clip_frames must be a multiple of 2, since 2 tiers halve it 1 times; got 7"),
        ({"num_mels": 9, "depths": (1, 1, 1)}, "num_mels must be a multiple of 2, .*; got 9"),
        ({"clip_frames": 10, "depths": (1, 1, 1, 1)}, "clip_frames must be a multiple of 4, .*; got 10"),
        ({"depths": ()}, r"depths must be at least one number; got \(\)"),
        ({"depths": (2, 0)}, "depths must be a whole number of at least 1; got 0"),
        ({"units": 0}, "units must be a whole number of at least 1; got 0"),
        ({"components": 0}, "components must be a whole number of at least 1; got 0"),
        ({"cell": "lstm"}, "cell must be one of gru, mingru; got 'lstm'"),
        ({"upsampler": "linear"}, "upsampler must be one of autoregressive, parallel; got 'linear'"),
        ({"extractor": "one_way"}, "extractor must be one of four_way, two_way; got 'one_way'"),
        ({"learned_tiers": (3,)}, r"learned_tiers must be numbers of tiers, 1 to 2; got \(3,\)"),
    ],
)
def test_impossible_arguments_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        MelNet(**PLAIN | change)


def test_impossible_wishes_are_refused():
    model = make()
    with pytest.raises(UnknownClass, match=r"class_name must be one of low, high; got 'hig'"):
        model.sample("hig")
    for n, seed in ((0, 0), (1, -1)):
        with pytest.raises(ValueError, match="must be a whole number of at least"):
            model.sample("low", n, seed)
    for temperature in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="temperature must be a number between"):
            model.sample("low", temperature=temperature)
    with pytest.raises(ValueError, match="seconds must be a number between"):
        model.sample("low", seconds=0.0)
    for length in (1, 8):
        with pytest.raises(
            AudioError, match=f"prime must have 2 to 7 frames, 8 being the whole; got {length}"
        ):
            model.sample("low", prime=np.zeros((length, BANDS)))
    with pytest.raises(AudioError, match=r"prime must be numbers \(frames, 8\); got .* shape \(4, 7\)"):
        model.sample("low", prime=np.zeros((4, 7)))
    with pytest.raises(AudioError, match="prime must be numbers"):
        model.sample("low", prime="a")
    for wrong in (np.nan, 1e6):
        with pytest.raises(AudioError, match="prime must be finite and standardised, within 10 deviations"):
            model.sample("low", prime=np.full((4, BANDS), wrong))
    for samples in (63, 1000):
        with pytest.raises(AudioError, match="audio must be shorter than seconds, 8 frames of 64 samples"):
            model.continue_recording(np.zeros(samples), RATE, "low", seconds=0.06)
    with pytest.raises(ValueError, match="sample_weight must be None"):
        model.compute_loss(sample_weight=np.ones(2))
    with pytest.raises(ValueError, match="other must have the arguments and statistics of this model"):
        model.take_tier(1, make(units=5))
    with pytest.raises(ValueError, match="other must be a MelNet; got str"):
        model.take_tier(1, "melnet_small")
    with pytest.raises(ValueError, match="number must be a number between 1 and 2; got 3"):
        model.take_tier(3, make())
    with pytest.raises(StatisticsMissing):
        MelNet(**PLAIN).sound(np.zeros((FRAMES, BANDS)))


@on_one_backend
def test_weights_of_other_bands_are_refused(tmp_path):
    make().save_to_preset(tmp_path / "mine", name="mine")
    with pytest.raises(IncompatiblePreset, match="num_mels"):
        audiozoo.load(tmp_path / "mine", num_mels=16)


# --- Runs ---


@on_one_backend
def test_a_run_that_was_interrupted_ends_as_one_that_was_not(tmp_path, monkeypatch):
    monkeypatch.setattr(MelNet, "gains_from_xla", False)  # nor would it gain from so few steps
    seconds = np.arange(RATE) / RATE
    for name, hz in (("low", 300.0), ("high", 3000.0)):
        for number in range(3):
            audio = 0.3 * np.sin(2.0 * np.pi * hz * (1.0 + 0.1 * number) * seconds)
            write_audio(tmp_path / "data" / name / f"{number}.wav", audio.astype("float32"), RATE)
    config = {name: list(value) if isinstance(value, tuple) else value for name, value in PLAIN.items()}
    preset = registry.Preset(
        name="tiny",
        version=1,
        architecture="MelNet",
        config=config | {"depths": [1]},
        card=registry.Card(summary="Tiny.", weights_license="CC0-1.0"),
        train=registry.Train(
            batch_size=4, steps_per_epoch=2, epochs=2, gradient_norm=1.0, average_momentum=0.5
        ),
    )
    contents = {}
    for out, stops in (("whole", (2,)), ("parts", (1, 2))):
        for epochs in stops:
            keras.utils.clear_session()
            train(
                preset,
                tmp_path / "data",
                out=tmp_path / out,
                epochs=epochs,
                examples=False,
                progress=False,
            )
        with np.load(tmp_path / out / "checkpoint.npz") as saved:
            contents[out] = {name: saved[name] for name in saved.files if name != "progress"}
    for name, value in contents["whole"].items():
        np.testing.assert_array_equal(contents["parts"][name], value, err_msg=name)
    assert audiozoo.load(tmp_path / "whole" / "preset").classes == ("high", "low")
