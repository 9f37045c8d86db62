import keras
import numpy as np
import pytest
import torch
from cases import ModelCase, assert_close, assert_trains, numpy_of, on_one_backend, plucks
from keras import ops

import audiozoo
from audiozoo.errors import AudioError
from audiozoo.layers import AudioTransform
from audiozoo.models import MelGANVocoder
from audiozoo.models.melgan_vocoder import half_rate
from benchmarks.baselines import melgan_pytorch

SMALL = {
    "sample_rate": 8000,
    "num_mels": 20,
    "window_length": 256,
    "hop": 64,
    "lowest_hz": 50.0,
    "highest_hz": 3800.0,
    "channels": 16,
    "ratios": (8, 8),
    "dilations": (3,),
    "initial_deviation": None,
    "discriminator_scales": 2,
    "discriminator_channels": 4,
    "discriminator_most_channels": 16,
    "discriminator_strides": (4,),
    "spectral_weight": 0.5,
    "mel_weight": 2.0,
    "matching_weight": 5.0,
}
SPECTRAL = SMALL | {"ratios": (), "dilations": (1, 3)}
SAMPLES = 2048


class TestMelGANVocoder(ModelCase):
    model_class = MelGANVocoder
    config = SMALL
    half_precision = 2e-2
    learning_rate = 2e-3

    def batch(self):
        return {"audio": plucks(SAMPLES, 8000)[:2]}

    def target(self):
        return plucks(SAMPLES, 8000)[:2]

    def test_the_loss_falls_and_every_weight_moves(self):
        model = self.make()
        model.compile(keras.optimizers.Adam(self.learning_rate))
        for scale in model.discriminator.scales:
            # As long as all scores are undecided, real and made sounds pull a common bias to and fro alike.
            scale.score.bias.assign([2.0])
        assert_trains(
            model, lambda: model.train_on_batch(self.batch(), self.target(), return_dict=True)["loss"]
        )


def made(config):
    keras.utils.set_random_seed(0)
    return MelGANVocoder(**config)


@pytest.fixture(scope="module")
def small():
    return made(SMALL)


@pytest.fixture(scope="module", params=[SMALL, SPECTRAL], ids=["waveform", "spectrum"])
def either(request):
    return made(request.param)


@pytest.fixture(scope="module")
def published():
    return MelGANVocoder()


# --- The published networks, layer by layer ---


def parameters(layer):
    return layer.count_params()


def convolution(width, channels, filters, groups=1, normalized=None):
    """Parameters: kernel, bias, and the length of the kernel for each of what is normalised."""
    return width * channels * filters // groups + filters + (normalized or filters)


@on_one_backend
def test_the_generator_is_the_published_one_layer_by_layer(published):
    expected = [convolution(7, 80, 512)]
    channels = 512
    for ratio in (8, 8, 2, 2):
        own = channels // 2
        expected.append(convolution(2 * ratio, channels, own, normalized=channels))
        for _ in range(3):
            expected += [convolution(3, own, own), convolution(1, own, own), convolution(1, own, own)]
        channels = own
    expected.append(convolution(7, 32, 1))
    assert [layer.count_params() for layer in published.generator.convolutions()] == expected
    assert published.count_params() == sum(expected) == 4_266_050
    lengths = sum(layer.g.shape[0] for layer in published.generator.convolutions())
    assert published.count_params() - lengths == 4_260_257


@on_one_backend
def test_the_discriminator_is_the_published_one_layer_by_layer():
    model = MelGANVocoder(channels=16)
    model.compile("sgd")
    expected = [
        convolution(15, 1, 16),
        convolution(41, 16, 64, 4),
        convolution(41, 64, 256, 16),
        convolution(41, 256, 1024, 64),
        convolution(41, 1024, 1024, 256),
        convolution(5, 1024, 1024),
        convolution(3, 1024, 1),
    ]
    for scale in model.discriminator.scales:
        assert [layer.count_params() for layer in (*scale.convolutions, scale.score)] == expected
    assert model.discriminator.count_params() == 3 * sum(expected) == 16_924_086
    baseline = melgan_pytorch.MelGANDiscriminator()
    assert melgan_pytorch.parameters_of(baseline) == 16_924_086


def test_a_preset_counts_the_generator_alone(tmp_path, small):
    trained = MelGANVocoder(**SMALL)
    trained.compile("sgd")
    loaded = audiozoo.load(trained.save_to_preset(tmp_path / "mine", name="mine"))
    assert loaded.count_params() == small.count_params() == loaded.preset.card.parameters
    assert not loaded.discriminator.built


# --- Weights of PyTorch ---

TWIN = {"num_mels": 20, "channels": 32, "ratios": (4, 4, 2), "dilations": (1, 3)}
TWIN_SETTINGS = {"sample_rate": 8000, "window_length": 128, "hop": 32}


def torch_twin(seed=0, **config):
    """A generator in float64 whose lengths of kernels are not those of its directions, some negative."""
    torch.manual_seed(seed)
    module = melgan_pytorch.MelGANGenerator(**(TWIN | config)).double()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("original0"):
                parameter.mul_(torch.randn_like(parameter).mul(0.5).add(1.0))
    return module


def vocoder_output(model, mel):
    return numpy_of(model.generator(ops.convert_to_tensor(mel)))


def mel_noise(frames=16, bands=20):
    return np.random.default_rng(0).uniform(-4.0, 0.0, (2, frames, bands)).astype("float32")


def torch_output(module, mel):
    with torch.no_grad():
        return module(torch.tensor(mel, dtype=torch.float64).transpose(1, 2))[:, 0].numpy()


def as_old_names(state):
    """As weight normalisation was written before it was a parametrization."""
    renamed = {}
    for name, array in state.items():
        name = name.replace("parametrizations.weight.original0", "weight_g")
        renamed[name.replace("parametrizations.weight.original1", "weight_v")] = array
    return renamed


def as_park_names(state):
    """As the code by Seungwon Park has them: a stack of blocks is one layer, shortcuts stand apart."""
    renamed, stacks = {}, len(TWIN["dilations"])
    for name, array in as_old_names(state).items():
        _, layer, *rest = name.split(".")
        stage, within = divmod(int(layer) - 2, stacks + 2)
        if int(layer) < 2 or stage >= len(TWIN["ratios"]):
            number = int(layer) - (stacks - 1) * min(len(TWIN["ratios"]), max(0, stage))
            renamed[".".join(("generator", str(number), *rest))] = array
        elif within == 1:
            renamed[".".join(("generator", str(3 * stage + 3), *rest))] = array
        else:
            kind, *rest = rest
            renamed[".".join(("generator", str(3 * stage + 4), f"{kind}s", str(within - 2), *rest))] = array
    return renamed


@pytest.mark.parametrize("names", [dict, as_old_names, as_park_names])
def test_weights_of_pytorch_give_the_same_sound(names):
    module = torch_twin()
    model = MelGANVocoder.from_torch(names(module.state_dict()), dilations=(1, 3), **TWIN_SETTINGS)
    assert model.ratios == TWIN["ratios"]
    assert model.channels == 32
    mel = mel_noise()
    assert_close(vocoder_output(model, mel), torch_output(module, mel), 1e-4)


def test_weights_without_normalisation_and_from_a_file_give_the_same_sound(tmp_path):
    module = torch_twin()
    mel = mel_noise()
    expected = torch_output(module, mel)
    module.remove_weight_norm()
    state = {name: array.numpy() for name, array in module.state_dict().items()}
    np.savez(tmp_path / "generator.npz", **state)
    model = MelGANVocoder.from_torch(str(tmp_path / "generator.npz"), **TWIN_SETTINGS)
    assert_close(vocoder_output(model, mel), expected, 1e-4)


def test_another_scale_of_the_spectrogram_goes_into_the_first_convolution():
    module = torch_twin()
    model = MelGANVocoder.from_torch(
        module.state_dict(), input_scale=np.log(10.0) / 5.0, input_offset=1.0, **TWIN_SETTINGS
    )
    mel = mel_noise()
    theirs = (np.log(10.0**mel) + 5.0) / 5.0
    assert_close(vocoder_output(model, mel), torch_output(module, theirs), 1e-4)


def test_published_size_agrees_with_pytorch():
    module = melgan_pytorch.MelGANGenerator().double()
    assert melgan_pytorch.parameters_of(module) == 4_266_050
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1.0)
    model = MelGANVocoder.from_torch(module.state_dict())
    mel = mel_noise(frames=8, bands=80)
    expected = torch_output(module, mel)
    assert np.abs(vocoder_output(model, mel) - expected).max() <= 1e-3 * expected.std()


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda state: {"nonsense": np.zeros(3)}, "such as 'model.1.weight_g'; got 'nonsense'"),
        (lambda state: dict(list(state.items())[:3]), "transposed"),
        (lambda state: dict(list(state.items())[:-3]), "equal stages"),
        (lambda state: "generator.pt", r"torch\.load"),
        (lambda state: 3, "got int"),
    ],
)
def test_what_is_no_generator_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        MelGANVocoder.from_torch(change(torch_twin().state_dict()), **TWIN_SETTINGS)


def test_the_discriminator_says_what_pytorch_says():
    settings = {"channels": 4, "most_channels": 16, "strides": (4,)}
    module = melgan_pytorch.MelGANDiscriminator(scales=2, **settings)
    model = MelGANVocoder(**SMALL)
    model.build_discriminator()
    for scale, theirs in zip(model.discriminator.scales, module.scales, strict=True):
        for layer, other in zip((*scale.convolutions, scale.score), theirs.layers, strict=True):
            state = other.state_dict()
            values = {name.split(".")[-1]: array.numpy() for name, array in state.items()}
            layer.v.assign(values["original1"].transpose(2, 1, 0))
            layer.g.assign(values["original0"].ravel())
            layer.bias.assign(values["bias"])
    audio = np.random.default_rng(0).standard_normal((2, 1001)).astype("float32")
    with torch.no_grad():
        expected = [
            [hidden.numpy().transpose(0, 2, 1) for hidden in scale]
            for scale in module(torch.tensor(audio)[:, None])
        ]
    said = numpy_of(model.discriminator(ops.convert_to_tensor(audio)))
    assert_close(said["scores"], [scale[-1] for scale in expected], 1e-5)
    assert_close(said["features"], [hidden for scale in expected for hidden in scale[:-1]], 1e-5)


@pytest.mark.parametrize("samples", [16, 17])
def test_half_the_rate_takes_means_of_what_there_is(samples):
    result = numpy_of(half_rate(ops.ones((1, samples, 1))))
    np.testing.assert_allclose(result, 1.0, atol=1e-6)


# --- Sound ---


def test_pieces_sound_as_one_pass(either, monkeypatch):
    mel = np.random.default_rng(0).uniform(-3.0, 0.0, (100, 20)).astype("float32")
    whole = either.vocode(mel)
    assert whole.shape == (100 * 64,)
    monkeypatch.setattr("audiozoo.models.melgan_vocoder.PIECE_FRAMES", 16)
    assert_close(either.vocode(mel), whole, 1e-5)
    context = either.context_frames
    padded = np.pad(mel, ((context, context), (0, 0)), mode="symmetric")
    assert_close(vocoder_output(either, padded[None])[0, context * 64 : -context * 64], whole, 1e-5)


def test_context_is_as_far_as_a_frame_can_be_heard(either):
    """Exactly: what lies further changes nothing at all, and what lies nearer is not computed for nothing."""
    context = either.context_frames
    mel = np.random.default_rng(0).uniform(-3.0, 0.0, (4 * context, 20)).astype("float32")
    changed = mel.copy()
    changed[2 * context] = 0.0
    difference = np.abs(vocoder_output(either, changed[None]) - vocoder_output(either, mel[None]))[0]
    heard = np.flatnonzero(difference) // 64 - 2 * context
    assert np.abs(heard).max() <= context
    assert np.abs(heard).max() >= context - 4


@on_one_backend
def test_the_published_context_reaches_far_enough(published):
    assert 5 <= published.context_frames <= 12


def test_a_batch_is_vocoded_item_by_item_and_reconstruction_has_any_length(either):
    audio = plucks(SAMPLES, 8000)[:2]
    mel = either.mel(audio)
    assert mel.shape == (2, SAMPLES // 64, 20)
    assert_close(either.vocode(mel)[1], either.vocode(mel[1]), 1e-6)
    for samples in (1, 63, 64, 1000, SAMPLES):
        assert either.reconstruct(audio[:, :samples]).shape == (2, samples)
    assert either.reconstruct(audio[0]).shape == (SAMPLES,)
    stereo = np.stack([audio[0], audio[1]], axis=1)
    assert either.perform(stereo, 16000).shape == (SAMPLES // 2,)


def test_silence_is_no_error_and_finite(either):
    assert np.isfinite(either.reconstruct(np.zeros(1000, "float32"))).all()
    np.testing.assert_allclose(either.mel(np.zeros(1000, "float32")), -5.0, atol=1e-5)


@pytest.mark.parametrize(
    "audio, message",
    [
        (np.zeros(100, "float32"), "at least one window long, 256 samples; got 100"),
        (np.zeros(0, "float32"), "at least one sample"),
        (np.full(1000, np.nan, "float32"), "1000 samples are NaN"),
        (np.zeros(1000, "int16"), "float in -1..1; got int16"),
        ("music", "array of samples"),
    ],
)
def test_audio_that_has_no_spectrogram_is_refused(small, audio, message):
    with pytest.raises(AudioError, match=message):
        small.mel(audio)


@pytest.mark.parametrize(
    "mel, message",
    [
        (np.zeros((10, 80), "float32"), r"\(frames, 20\).*got shape \(10, 80\)"),
        (np.zeros((0, 20), "float32"), "not empty"),
        (np.full((10, 20), np.nan, "float32"), "200 values are NaN"),
        (np.full((10, 20), -11.5, "float32"), "natural logarithms"),
        (np.full((10, 20), 40.0, "float32"), "log10"),
        (np.zeros((10, 20), "int32"), "must be float; got int32"),
    ],
)
def test_what_is_no_spectrogram_of_this_model_is_refused(small, mel, message):
    with pytest.raises(AudioError, match=message):
        small.vocode(mel)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"hop": 100}, "product hop=100, or be none"),
        ({"ratios": (), "hop": 128}, "window_length must be an even multiple of hop=128"),
        ({"ratios": (5, 3), "hop": 15}, "ratios must be even"),
        ({"channels": 18}, "divisible by 4"),
        ({"mel_weight": -1.0}, "mel_weight must be a number"),
        ({"initial_deviation": 0.0}, "initial_deviation"),
        ({"num_mels": 200}, "num_mels=200 leaves"),
    ],
)
def test_impossible_arguments_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        MelGANVocoder(**(SMALL | change))


# --- By a spectrum ---


def test_untrained_it_has_the_level_of_every_band():
    """The envelope alone, with a phase that is as good as random."""
    model = made(SPECTRAL)
    g = model.generator.head.convolution.g
    g.assign(np.where(np.arange(g.shape[0]) < 129, 0.0, 100.0))
    slope = np.linspace(-4.0, -1.0, 20)
    mel = slope + np.random.default_rng(0).uniform(-0.05, 0.05, (200, 20))
    found = model.mel(model.vocode(mel.astype("float32")))[5:-5].mean(axis=0)
    assert np.corrcoef(found, slope)[0, 1] > 0.99
    assert np.abs(found - slope - np.mean(found - slope)).max() < 0.3


def test_by_a_spectrum_it_is_saved_trained_and_folded(tmp_path):
    model = made(SPECTRAL)
    loaded = audiozoo.load(model.save_to_preset(tmp_path / "mine", name="mine"))
    audio = plucks(SAMPLES, 8000)[:2]
    assert_close(loaded.reconstruct(audio), model.reconstruct(audio), 2e-2)
    before = model.reconstruct(audio)
    model.fold_weight_norm()
    assert_close(model.reconstruct(audio), before, 1e-5)
    loaded.compile(keras.optimizers.Adam(2e-3))
    for scale in loaded.discriminator.scales:
        scale.score.bias.assign([2.0])  # see above
    assert_trains(loaded, lambda: loaded.train_on_batch({"audio": audio}, audio, return_dict=True)["loss"])


# --- Folding and training ---


def test_folded_sounds_the_same_and_can_be_trained_on():
    module = torch_twin()  # with negative lengths
    model = MelGANVocoder.from_torch(
        module.state_dict(),
        **TWIN_SETTINGS,
        discriminator_scales=1,
        discriminator_channels=4,
        discriminator_most_channels=8,
    )
    other = MelGANVocoder(**{name: getattr(model, name) for name in model.argument_names()})
    other.set_weights(model.get_weights())
    mel = mel_noise()
    before = vocoder_output(model, mel)
    model.fold_weight_norm()
    assert_close(vocoder_output(model, mel), before, 1e-6)
    assert_close(model.vocode(mel), other.vocode(mel), 1e-5)
    # What is saved while folded is loaded by a model that is not.
    other.set_weights(model.get_weights())
    assert_close(vocoder_output(other, mel), before, 1e-6)
    audio = plucks(SAMPLES, 8000)[:2]
    for each in (model, other):
        each.compile(keras.optimizers.SGD(1e-3))
        each.set_adversarial(False)
        each.train_on_batch({"audio": audio}, audio)
    assert not model.generator.stem.folded
    assert_close(vocoder_output(model, mel), vocoder_output(other, mel), 1e-4)
    assert np.abs(vocoder_output(model, mel) - before).max() > 1e-4


def test_the_warm_start_learns_spectra_and_leaves_the_discriminator_alone():
    keras.utils.set_random_seed(0)
    model = MelGANVocoder(**SMALL)
    model.compile(keras.optimizers.Adam(2e-3))
    model.set_adversarial(False)
    audio = plucks(SAMPLES, 8000)
    before = numpy_of(model.discriminator.trainable_variables)
    losses = [model.train_on_batch({"audio": audio}, audio, return_dict=True)["loss"] for _ in range(15)]
    assert losses[-1] < 0.8 * losses[0]
    for a, b in zip(numpy_of(model.discriminator.trainable_variables), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_kernels_as_small_as_published_are_not_too_quiet_to_learn():
    keras.utils.set_random_seed(0)
    model = MelGANVocoder(**(SMALL | {"initial_deviation": 0.02}))
    model.compile(keras.optimizers.Adam(1e-3))
    model.set_adversarial(False)
    audio = plucks(SAMPLES, 8000)
    before = numpy_of(model.generator.trainable_variables)
    model.train_on_batch({"audio": audio}, audio)
    moved = [
        np.any(a != b) for a, b in zip(numpy_of(model.generator.trainable_variables), before, strict=True)
    ]
    assert all(moved)


def test_no_loss_of_the_generator_reaches_the_discriminator():
    def discriminator_after(**weights):
        keras.utils.set_random_seed(0)
        model = MelGANVocoder(**(SMALL | weights))
        model.compile(keras.optimizers.SGD(1e-3))
        audio = plucks(SAMPLES, 8000)[:2]
        model.train_on_batch({"audio": audio}, audio)
        return numpy_of(model.discriminator.trainable_variables)

    one = discriminator_after()
    for a, b in zip(one, discriminator_after(matching_weight=500.0, mel_weight=200.0), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)


# --- Spectrograms of other models ---

TRANSFORM = {"sample_rate": 8000, "num_mels": 20, "window_length": 256, "hop": 64, "lowest_hz": 50.0}


def transform(**changes):
    layer = AudioTransform(**(TRANSFORM | {"highest_hz": 3800.0} | changes))
    layer.adapt([plucks(SAMPLES, layer.sample_rate)])
    return layer


class Listener:
    """A vocoder that keeps what it is given, and makes a pulse in the middle of each frame's samples."""

    def __init__(self, model):
        self.spectrogram, self.hop = model.spectrogram, model.hop

    def vocode(self, mel):
        self.mel = mel
        audio = np.zeros((*mel.shape[:-1], self.hop), "float32")
        audio[..., self.hop // 2] = 10.0 ** mel.max(axis=-1)
        return audio.reshape(*mel.shape[:-2], -1)


def test_both_spectrograms_of_a_sound_are_the_same_numbers(small):
    """A frame of the transform at t * hop is one of the vocoder on the audio half a hop earlier."""
    audio = plucks(SAMPLES, 8000)[0]
    listener, own = Listener(small), transform()
    own.invert(own.spectrogram(audio), method="vocoder", vocoder=listener, iterations=0)
    shifted = np.pad(audio, (32, 32))
    expected = small.mel(shifted)
    inner = slice(3, -4)
    np.testing.assert_allclose(listener.mel[:-1][inner], expected[inner], atol=2e-3)


@pytest.mark.parametrize("samples", [None, 1984, 2047])
def test_a_click_stays_where_it_is(small, samples):
    audio = np.zeros(1984, "float32")
    audio[960] = 1.0  # 15 hops
    own = transform()
    heard = {"method": "vocoder", "vocoder": Listener(small), "samples": samples}
    for iterations in (0, 8):
        made = own.invert(own.spectrogram(audio), **heard, iterations=iterations)
        assert len(made) == (samples or 1984)
        assert np.argmax(np.abs(made)) == 960


def test_refined_it_has_the_bands_that_the_network_missed(small):
    own = transform()
    spectrograms = own.spectrogram(plucks(SAMPLES, 8000)[:2])
    errors = []
    for iterations in (0, 8):
        audio = own.invert(spectrograms, method="vocoder", vocoder=small, iterations=iterations)
        assert audio.shape == (2, SAMPLES)
        errors.append(np.mean(np.abs(own.spectrogram(audio) - spectrograms)))
    assert errors[1] < 0.3 * errors[0]


def test_a_vocoder_of_other_settings_is_refused_with_all_that_differs(small):
    own = transform(sample_rate=16000, highest_hz=None, mel_scale="htk")
    message = "sample_rate=8000, not 16000; highest_hz=3800.0, not 8000.0; mel_scale='slaney', not 'htk'"
    with pytest.raises(ValueError, match=message):
        own.invert(np.zeros((4, 20), "float32"), method="vocoder", vocoder=small)
    with pytest.raises(ValueError, match="belong together"):
        transform().invert(np.zeros((4, 20), "float32"), method="vocoder")
    with pytest.raises(ValueError, match="belong together"):
        transform().invert(np.zeros((4, 20), "float32"), vocoder=small)
