"""The conditional MelGAN: what a class, a seed and a length do, what it learns, what a run leaves behind."""

import json

import keras
import numpy as np
import pytest
from cases import ModelCase, assert_trains, numpy_of, on_one_backend, with_policy

import audiozoo
from audiozoo import registry
from audiozoo.data.audio_io import read_audio, write_audio
from audiozoo.data.pipelines import training_pairs
from audiozoo.errors import AudioError, StatisticsMissing, TrainingError, UnknownClass
from audiozoo.models import CMelGAN
from audiozoo.models.cmelgan import REACH
from audiozoo.training import train
from audiozoo.training.averaging import averaged_weights

RATE, FRAMES, BANDS = 8000, 16, 16
CONFIG = {
    "classes": ("low", "high"),
    "sample_rate": RATE,
    "num_mels": BANDS,
    "window_length": 256,
    "hop": 64,
    "clip_frames": FRAMES,
    "latent_dim": 6,
    "channels": (8, 6),
    "discriminator_channels": (4, 8),
    "matching_weight": 0.5,
}


def log_mels(count, seed=0):
    """Spectrograms that are loud in the lower half for class 0, in the upper one for class 1."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    level = np.where((np.arange(BANDS) < BANDS // 2) == (labels[:, None] == 0), 3.0, 0.5)[:, None]
    return (level + 0.3 * random.standard_normal((count, FRAMES, BANDS))).clip(0.0).astype("float32")


def batch(count, seed=0):
    noise = np.random.default_rng((seed, 1)).standard_normal((count, 6), dtype="float32")
    return {"noise": noise, "label": (np.arange(count) % 2).astype("int32"), "log_mel": log_mels(count, seed)}


def make(**changes):
    keras.utils.set_random_seed(0)
    model = CMelGAN(**CONFIG | changes)
    model.adapt([batch(64)])
    return model


class TestCMelGAN(ModelCase):
    model_class = CMelGAN
    config = CONFIG

    def make(self):
        return make()

    def batch(self):
        return training_pairs(batch(2))[0]

    def target(self):
        return training_pairs(batch(2))[1]

    def test_the_loss_falls_and_every_weight_moves(self):
        """That of a discriminator which learns faster than what it judges."""
        model = self.make()
        model.compile(keras.optimizers.Adam(1e-4), discriminator_optimizer=keras.optimizers.Adam(1e-2))

        def step():
            model.reset_metrics()
            logs = model.train_on_batch(self.batch(), self.target(), return_dict=True)
            return logs["discriminator_loss"]

        assert_trains(model, step)


@pytest.fixture(scope="module")
def model():
    return make()


@pytest.fixture(scope="module")
def trained():
    """Two hundred steps on two classes that differ in which half is loud."""
    model = make(channels=(24, 16), discriminator_channels=(16, 32))
    one, other = (keras.optimizers.Adam(5e-3, beta_1=0.0, beta_2=0.9) for _ in range(2))
    model.compile(one, discriminator_optimizer=other)
    for step in range(200):
        model.train_on_batch(*training_pairs(batch(32, seed=step)))
    return model


# --- What is learned ---


def test_a_class_sounds_like_its_class(trained):
    """Half of the bands are loud in the one class, and the other half in the other."""
    for name, loud in (("low", slice(0, BANDS // 2)), ("high", slice(BANDS // 2, BANDS))):
        made = trained.log_mel(trained.sample(name, 8))
        quiet = slice(BANDS // 2, BANDS) if loud.start == 0 else slice(0, BANDS // 2)
        assert made[:, :, loud].mean() > made[:, :, quiet].mean() + 1.0


def test_what_is_compared_is_clipped_at_three_deviations(model):
    outputs = numpy_of(
        model.as_output(np.linspace(-50.0, 50.0, BANDS * 11, dtype="float32").reshape(11, BANDS))
    )
    assert (outputs.min(), outputs.max()) == (-1.0, 1.0)
    log_mel = log_mels(4)
    inside = np.abs(model.standardised(log_mel)) < REACH
    back = model.log_mel(model.as_spectrogram(numpy_of(model.as_output(log_mel))))
    np.testing.assert_allclose(back[inside], log_mel[inside], atol=1e-4)


def test_statistics_are_those_of_what_is_trained_on(model):
    log_mel = log_mels(64)
    spectrogram = model.standardised(log_mel)
    np.testing.assert_allclose(spectrogram.mean(axis=(0, 1)), 0.0, atol=1e-4)
    assert spectrogram.var(axis=(0, 1)).mean() == pytest.approx(1.0, abs=1e-3)


def test_the_losses_are_the_hinge_and_the_means_of_features():
    model = make()
    model.compile(keras.optimizers.SGD(0.0))
    inputs, target = training_pairs(batch(4))
    logs = model.test_on_batch(inputs, target, return_dict=True)
    items = {"real": numpy_of(model.as_output(target)), "fake": numpy_of(model(inputs))}
    said = {
        name: numpy_of(model.discriminator({"spectrogram": item, "label": inputs["label"]}))
        for name, item in items.items()
    }
    real, fake = (said[name]["scores"][0].astype("float64") for name in ("real", "fake"))
    hinge = np.maximum(0.0, 1.0 - real).mean() + np.maximum(0.0, 1.0 + fake).mean()
    assert logs["discriminator_loss"] == pytest.approx(hinge, rel=1e-4)
    pairs = list(zip(said["real"]["features"], said["fake"]["features"], strict=True))
    matching = np.mean([np.abs(a.mean(axis=0) - b.mean(axis=0)).mean() for a, b in pairs])
    assert logs["generator_loss"] == pytest.approx(-fake.mean() + 0.5 * matching, rel=1e-3)


def test_the_discriminator_knows_the_class_and_the_band():
    model = make()
    model.compile()
    spectrogram = numpy_of(model.as_output(log_mels(2)))
    upside_down = np.ascontiguousarray(spectrogram[:, :, ::-1])

    def score(item, label):
        inputs = {"spectrogram": item, "label": np.full(2, label, "int32")}
        return numpy_of(model.discriminator(inputs)["scores"][0])

    assert np.abs(score(spectrogram, 0) - score(spectrogram, 1)).min() > 1e-4
    assert np.abs(score(spectrogram, 0) - score(upside_down, 0)).min() > 1e-4


def test_settled_statistics_are_those_of_what_the_weights_make():
    """Whatever was measured before, with other weights; a layer's input is then normal over many draws."""
    model = make()
    kernel = model.generator.dense.kernel
    kernel.assign(10.0 * kernel)
    model.settle()
    first = model.generator.norms[0]
    random = np.random.default_rng(5)
    noise = random.standard_normal((4000, 6)).astype("float32")
    label = random.integers(0, 2, 4000)
    maps = np.concatenate([noise, np.eye(2)[label]], axis=1) @ numpy_of(kernel)
    maps = maps.reshape(-1, CONFIG["channels"][0])
    np.testing.assert_allclose(numpy_of(first.mean), maps.mean(axis=0), atol=0.1 * maps.std())
    np.testing.assert_allclose(numpy_of(first.variance), maps.var(axis=0), rtol=0.15)
    once = [numpy_of(variable) for variable in model.generator.non_trainable_variables]
    model.settle()
    for one, variable in zip(once, model.generator.non_trainable_variables, strict=True):
        np.testing.assert_allclose(numpy_of(variable), one, rtol=1e-5, atol=1e-6)


def test_averaged_weights_come_with_statistics_of_their_own():
    model = make()
    model.compile(keras.optimizers.Adam(0.1, use_ema=True, ema_momentum=0.9))
    for seed in range(3):
        model.train_on_batch(*training_pairs(batch(4, seed)))
    before, own = (
        [numpy_of(variable) for variable in model.variables],
        numpy_of(model.generator.norms[1].variance),
    )
    with averaged_weights(model):
        assert np.abs(numpy_of(model.generator.norms[1].variance) / own - 1.0).max() > 0.1
        found = [numpy_of(variable) for variable in model.generator.non_trainable_variables]
        model.settle()
        for one, variable in zip(found, model.generator.non_trainable_variables, strict=True):
            np.testing.assert_allclose(numpy_of(variable), one, rtol=1e-4, atol=1e-6)
    for one, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(numpy_of(variable), one)


# --- Sampling ---


def test_a_seed_repeats_and_classes_differ(model):
    one = model.sample("low", 3, seed=7)
    assert one.shape == (3, FRAMES, BANDS)
    np.testing.assert_array_equal(one, model.sample("low", 3, seed=7))
    assert np.abs(one[0] - one[1]).max() > 1e-3
    assert np.abs(one - model.sample("low", 3, seed=8)).max() > 1e-3
    assert np.abs(one - model.sample("high", 3, seed=7)).max() > 1e-3
    np.testing.assert_allclose(model.sample("low", 1, seed=7), one[:1], atol=1e-5)
    assert np.abs(model.sample("low", 3)).max() <= REACH


def test_many_are_made_a_few_at_a_time(model):
    many = model.sample("high", 19)
    assert many.shape == (19, FRAMES, BANDS)
    np.testing.assert_allclose(many[:2], model.sample("high", 2), atol=1e-5)


@pytest.mark.parametrize("seconds, frames", [(0.008, 2), (0.05, 7), (0.5, 63), (2.0, 251)])
def test_a_sound_has_the_length_that_was_asked_for(model, seconds, frames):
    spectrogram = model.sample("low", seconds=seconds)
    assert spectrogram.shape == (1, frames, BANDS)
    assert model.sound(spectrogram, iterations=1).shape == (1, (frames - 1) * 64)


def test_a_longer_sound_begins_as_the_clip_and_goes_on_as_something_else(model):
    clip, longer = (
        model.sample("low", seed=3)[0],
        model.sample("low", seed=3, seconds=4 * FRAMES * 64 / RATE)[0],
    )
    # But for the seam, to which convolutions reach over from what comes next.
    np.testing.assert_allclose(longer[: FRAMES // 2], clip[: FRAMES // 2], atol=1e-4)
    assert np.abs(longer[FRAMES : 2 * FRAMES] - longer[:FRAMES]).max() > 1e-3
    # A seam is no step: it is as smooth as all the rest.
    steps = np.abs(np.diff(longer, axis=0)).mean(axis=1)
    assert steps[FRAMES - 1 :: FRAMES].max() < 2.0 * steps.max()


def test_sound_comes_back_with_the_spectrogram_that_it_was_made_of(trained):
    spectrogram = trained.sample("low", 2)
    for method in ("griffin_lim", "pghi"):
        audio = trained.sound(spectrogram, method=method)
        assert audio.shape == (2, (FRAMES - 1) * 64)
        again = trained.transform.spectrogram(audio)
        error = np.sqrt(np.mean((again - spectrogram) ** 2))
        assert error < 1.0  # of a standard deviation; noise alone cannot do better with so few frames


def test_what_a_batch_becomes_is_rendered(model):
    inputs = training_pairs(batch(3))[0]
    np.testing.assert_allclose(model.render(inputs), REACH * numpy_of(model(inputs)), atol=1e-4)


def test_half_precision_trains_to_finite_numbers():
    def check():
        model = make()
        model.compile(keras.optimizers.Adam(1e-3))
        return [model.train_on_batch(*training_pairs(batch(4)), return_dict=True) for _ in range(3)]

    for logs in with_policy(check):
        assert np.all(np.isfinite(list(logs.values())))


# --- Refusals ---


@pytest.mark.parametrize(
    "change, message",
    [
        ({"classes": "piano"}, r"classes must be a sequence of names, such as .*; got 'piano'"),
        ({"classes": ()}, r"classes must be names, at least one; got \(\)"),
        ({"classes": ("a", 3)}, r"classes must be names, at least one; got \('a', 3\)"),
        ({"classes": ("a", "a")}, r"classes must differ from each other; got \('a', 'a'\)"),
        ({"num_mels": 18}, "num_mels must be a multiple of 4, since 2 channels double .*; got 18"),
        ({"clip_frames": 0}, "clip_frames must be a whole number of at least 1; got 0"),
        ({"clip_frames": 15}, "clip_frames must be a multiple of 4"),
        ({"latent_dim": 0}, "latent_dim must be a whole number of at least 1; got 0"),
        ({"channels": 8}, "channels must be a sequence of whole numbers"),
        ({"channels": ()}, "channels must be at least one number"),
        ({"discriminator_channels": ()}, "discriminator_channels must be at least one number"),
        (
            {"discriminator_channels": (4, 0)},
            "discriminator_channels must be a whole number of at least 1; got 0",
        ),
        ({"matching_weight": -1.0}, "matching_weight must be a number between"),
        ({"hop": 200}, "hop"),
    ],
)
def test_impossible_arguments_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        CMelGAN(**CONFIG | change)


def test_impossible_wishes_are_refused(model):
    with pytest.raises(
        UnknownClass, match=r"class_name must be one of low, high; got 'hig'\. Did you mean high\?"
    ):
        model.sample("hig")
    with pytest.raises(UnknownClass, match="got None"):
        model.sample(None)
    with pytest.raises(ValueError, match="n must be a whole number of at least 1; got 0"):
        model.sample("low", 0)
    with pytest.raises(ValueError, match="seed must be a whole number of at least 0; got -1"):
        model.sample("low", seed=-1)
    for seconds in (0.0, -1.0, 1e9, float("nan")):
        with pytest.raises(ValueError, match="seconds must be a number between"):
            model.sample("low", seconds=seconds)
    with pytest.raises(AudioError, match=r"spectrogram must be numbers \(frames, 16\)"):
        model.sound(np.zeros((FRAMES, 5)))
    with pytest.raises(ValueError, match="vocoder must be a model that makes sound .*; got 'melgan"):
        model.sound(np.zeros((9, 16)), method="vocoder", vocoder="melgan_vocoder_small")
    with pytest.raises(AudioError, match="spectrogram must be finite"):
        model.sound(np.full((FRAMES, BANDS), np.nan))
    with pytest.raises(StatisticsMissing):
        CMelGAN(**CONFIG).sound(np.zeros((FRAMES, BANDS)))


# --- Runs ---


SETTINGS = {
    "learning_rate": 1e-3,
    "warmup_steps": 0,
    "adam_beta_1": 0.0,
    "discriminator_rate": 2.0,
    "batch_size": 4,
    "steps_per_epoch": 2,
    "epochs": 3,
    "average_momentum": 0.5,
}


def tiny(config=CONFIG, **changes):
    config = {name: list(value) if isinstance(value, tuple) else value for name, value in config.items()}
    card = registry.Card(summary="Tiny.", weights_license="CC0-1.0")
    settings = registry.Train(**SETTINGS | changes)
    return registry.Preset(
        name="tiny", version=1, architecture="CMelGAN", config=config, card=card, train=settings
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three folders, the last name one that no file could have; low tones, high ones and silence."""
    folder = tmp_path_factory.mktemp("classes")
    seconds = np.arange(RATE) / RATE
    for name, hz in (("bass drum & bell", 3000.0), ("tone", 300.0), ("silence", 0.0)):
        for number in range(3):
            audio = 0.3 * np.sin(2.0 * np.pi * hz * (1.0 + 0.1 * number) * seconds)
            write_audio(folder / name / f"{number}.wav", audio.astype("float32"), RATE)
    return folder


def contents(checkpoint):
    with np.load(checkpoint) as saved:
        return {name: saved[name] for name in saved.files if name != "progress"}


@on_one_backend
def test_a_run_that_was_interrupted_ends_as_one_that_was_not(data, tmp_path):
    for out, stops in (("whole", (3,)), ("parts", (1, 3))):
        for epochs in stops:
            keras.utils.clear_session()
            train(tiny(), data, out=tmp_path / out, epochs=epochs, examples=False, progress=False)
    whole, parts = (contents(tmp_path / out / "checkpoint.npz") for out in ("whole", "parts"))
    assert list(whole) == list(parts)
    for name, value in whole.items():
        np.testing.assert_array_equal(parts[name], value, err_msg=name)
    loaded = audiozoo.load(tmp_path / "whole" / "preset")
    assert loaded.classes == ("bass drum & bell", "silence", "tone")
    assert not [weight for weight in loaded.weights if "discriminator" in weight.path]
    sound = loaded.sound(loaded.sample("tone", seconds=0.2))
    assert np.all(np.isfinite(sound))


@on_one_backend
def test_each_epoch_shows_every_class_and_lets_it_be_heard(data, tmp_path):
    train(tiny(), data, out=tmp_path, epochs=1, progress=False)
    found = sorted(path.name for path in (tmp_path / "examples").iterdir())
    assert found == [
        "epoch_0001_1_bass_drum_bell.wav",
        "epoch_0001_2_silence.wav",
        "epoch_0001_3_tone.wav",
        "epoch_0001_classes.png",
    ]
    audio, rate = read_audio(tmp_path / "examples" / "epoch_0001_3_tone.wav")
    assert (len(audio), rate) == ((FRAMES - 1) * 64, RATE)
    (entry,) = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert {"discriminator_loss", "generator_loss", "val_loss"} <= set(entry)


@on_one_backend
def test_one_class_is_trained_too(data, tmp_path):
    train(tiny(test_share=0.0), data / "tone", out=tmp_path, epochs=1, progress=False)
    assert audiozoo.load(tmp_path / "preset").classes == ("tone",)
    assert (tmp_path / "examples" / "epoch_0001_1_tone.wav").exists()


@on_one_backend
def test_a_run_that_diverges_ends_with_the_remedy(data, tmp_path):
    with pytest.raises(TrainingError, match="became .* in epoch 1. .*lower train.learning_rate"):
        # A generator of numbers that no float holds: its loss is none.
        train(
            tiny(config=CONFIG | {"matching_weight": 1e3}, learning_rate=1.0, discriminator_rate=1e36),
            data,
            out=tmp_path,
            epochs=1,
            examples=False,
            progress=False,
        )
    assert not (tmp_path / "preset").exists()


@on_one_backend
def test_there_is_no_recording_to_be_performed(data, tmp_path):
    with pytest.raises(
        TrainingError, match="monitor must be left out: CMelGAN makes sound from noise; got 'a.wav'"
    ):
        train(tiny(), data, out=tmp_path, monitor=["a.wav"])
