"""The VAE of loops: it learns spectrograms, its code stays beside the sound, any length comes back."""

import keras
import numpy as np
import pytest
from cases import ModelCase, numpy_of, plucks

from audiozoo.errors import AudioError, StatisticsMissing
from audiozoo.metrics import EncoderEmbedding, spectral_convergence
from audiozoo.models import SpectralVAE

RATE, HOP = 4000, 64
SMALL = {"sample_rate": RATE, "num_mels": 20, "window_length": 256, "hop": HOP}
SMALL |= {"filters": 16, "dilations": (1, 2), "latent_dim": 8, "clip_seconds": 0.256}


def adapted(model):
    model.adapt([{"audio": plucks()}])
    return model


class TestSpectralVAE(ModelCase):
    model_class = SpectralVAE
    config = {
        "sample_rate": RATE,
        "num_mels": 12,
        "window_length": 128,
        "hop": 32,
        "filters": 8,
        "dilations": (2,),
        "normalize": True,
        "latent_dim": 3,
        "latent_mode": "global",
        "dropout": 0.3,
        "beta": 0.01,
        "free_bits": 0.02,
        "clip_seconds": 0.05,
        "inversion": "griffin_lim",
        "inversion_iterations": 3,
    }

    def make(self):
        return adapted(super().make())

    def batch(self):
        return {"audio": plucks(200)[:2]}

    def target(self):
        return self.batch()["audio"]


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return adapted(SpectralVAE(**SMALL))


@pytest.fixture(scope="module")
def trained():
    """A model that has seen one batch for long."""
    keras.utils.set_random_seed(0)
    model, audio = adapted(SpectralVAE(**SMALL, beta=1e-4)), plucks()
    model.compile(keras.optimizers.Adam(1e-2))
    for _ in range(150):
        model.train_on_batch({"audio": audio}, audio)
    return model


def test_it_learns_spectrograms_and_sound_comes_out(trained):
    audio = plucks()
    spectrogram = trained.spectrogram(audio)
    said = trained.decode_spectrogram(trained.encode(audio), samples=1024)
    assert np.mean((said - spectrogram) ** 2) < 0.05 * np.mean(spectrogram**2)
    heard = trained.reconstruct(audio)
    assert heard.shape == audio.shape
    # 20 bands and lost phase cost much in themselves; the model adds little to that.
    without_model = trained.item_of(spectrogram, (1024,))
    errors = [np.mean(spectral_convergence(audio, y, window_length=256)) for y in (heard, without_model)]
    assert errors[0] < 1.1 * errors[1]


def test_the_error_of_the_mean_spectrum_alone_is_as_documented(model):
    outputs = numpy_of(model({"audio": plucks()}))
    mean_alone = outputs | {"output": np.zeros_like(outputs["output"])}
    error = numpy_of(model.reconstruction_error(None, mean_alone))
    spectrogram = outputs["spectrogram"]
    plain = np.mean(np.abs(spectrogram) + spectrogram**2, axis=(1, 2))
    mean, deviation = numpy_of(model.transform.mean), numpy_of(model.transform.deviation)
    mel, mean_mel = (np.expm1(log_mel) / 1000.0 for log_mel in (spectrogram * deviation + mean, mean))
    convergence = np.linalg.norm(mel - mean_mel, axis=(1, 2)) / np.linalg.norm(mel, axis=(1, 2))
    np.testing.assert_allclose(error, plain + convergence, rtol=1e-2)
    assert 2.0 < error.mean() < 3.2


def test_it_begins_with_the_principal_components_of_its_training_set(model):
    spectra = model.spectrogram(plucks()).reshape(-1, 20).astype("float64")
    _, singular, axes = np.linalg.svd(spectra, full_matrices=False)
    code = model.encode(plucks()).reshape(-1, 8)
    np.testing.assert_allclose(code.T @ code / len(code), np.eye(8), atol=1e-3)
    said = model.decode_spectrogram(model.encode(plucks()), samples=1024).reshape(-1, 20)
    np.testing.assert_allclose(said, spectra @ axes[:8].T @ axes[:8], atol=1e-3)
    assert np.mean((said - spectra) ** 2) == pytest.approx(np.sum(singular[8:] ** 2) / spectra.size, rel=1e-2)


def test_a_code_may_be_larger_than_the_spectrum():
    model = adapted(SpectralVAE(**SMALL | {"latent_dim": 30}))
    spectrogram = model.spectrogram(plucks())
    said = model.decode_spectrogram(model.encode(plucks()), samples=1024)
    np.testing.assert_allclose(said, spectrogram, atol=1e-3)


def test_a_silent_sound_has_a_finite_error_and_gradient(model):
    silence = np.zeros((2, 1024), "float32")
    model.compile(keras.optimizers.SGD(0.0))
    assert np.isfinite(model.train_on_batch({"audio": silence}, silence, return_dict=True)["loss"])
    assert np.isfinite(model.encoder.get_weights()[0]).all()


@pytest.mark.parametrize("samples", [64, 65, 127, 128, 1000])
def test_any_length_comes_back(model, samples):
    audio = plucks(samples)
    code = model.encode(audio)
    assert code.shape == (4, 1 + samples // HOP, 8)
    assert model.decode(code, samples=samples).shape == audio.shape
    assert model.reconstruct(audio[0]).shape == (samples,)


def test_a_code_knows_its_neighbourhood_only(model):
    # Two blocks of 3 taps, 1 and 2 frames apart, a stem of 3, and windows of 4 frames: 6 frames either side.
    audio = plucks(64 * 64)
    changed = audio.copy()
    changed[:, 32 * HOP : 33 * HOP] += 0.1
    difference = np.abs(model.encode(audio) - model.encode(changed)).max(axis=(0, 2))
    assert difference[26:40].max() > 1e-3
    np.testing.assert_allclose(np.delete(difference, np.s_[24:42]), 0.0, atol=1e-5)


def test_a_clip_without_frames_of_its_own_is_one_vector():
    keras.utils.set_random_seed(0)
    model = adapted(SpectralVAE(**SMALL | {"latent_mode": "global"}))
    assert model.encode(plucks(700)).shape == (4, 8)
    assert model.decode(np.zeros(8)).shape == (1024,)
    assert model.decode(np.zeros((2, 8)), samples=333).shape == (2, 333)


def test_sounds_from_nothing_and_between_sounds(model):
    drawn = model.sample(3, seed=1)
    assert drawn.shape == (3, 1024)
    np.testing.assert_array_equal(drawn, model.sample(3, seed=1))
    a, b = plucks()[:2]
    between = model.interpolate(a, b, 4)
    ends = np.stack([model.reconstruct(a), model.reconstruct(b)])
    # Their spectra: rounding decides which of two equally loud bins has its phase integrated first.
    assert np.max(spectral_convergence(ends, between[[0, -1]], window_length=256)) < 0.1


def test_silence_is_reconstructed_without_numbers_that_are_none(model):
    assert np.isfinite(model.reconstruct(np.zeros((1, 640), "float32"))).all()


def test_the_other_way_back_from_spectrograms(model):
    audio = plucks()
    found = [
        model.transform.invert(model.spectrogram(audio), method=method, samples=1024)
        for method in ("griffin_lim", "pghi")
    ]
    errors = [np.mean(spectral_convergence(audio, y, window_length=256)) for y in found]
    assert np.abs(found[0] - found[1]).max() > 0.01
    assert errors[1] < 1.2 * errors[0]


def test_its_codes_embed_sound(model):
    rows = EncoderEmbedding(model, window_seconds=0.256).embed(plucks(2048)[0], RATE)
    assert rows.shape == (2 * 17, 8)


def test_it_refuses_to_work_before_its_statistics_are_known():
    model = SpectralVAE(**SMALL)
    for call in (model.encode, model.reconstruct, model.spectrogram):
        with pytest.raises(StatisticsMissing, match="Call adapt"):
            call(plucks())
    with pytest.raises(StatisticsMissing, match="Call adapt"):
        model.sample()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"beta": -1.0}, "beta must be"),
        ({"dropout": 1.0}, "dropout must be"),
        ({"filters": 0}, "filters must be a whole number of at least 1; got 0"),
        ({"dilations": (1, 0)}, "dilations must be a whole number of at least 1; got 0"),
        ({"latent_mode": "frame"}, "latent_mode must be one of frames, global; got 'frame'"),
        ({"inversion": "magic"}, "inversion must be one of griffin_lim, pghi; got 'magic'"),
        ({"num_mels": 0}, "num_mels must be a whole number of at least 1; got 0"),
        ({"dilations": 3}, "dilations must be a sequence of whole numbers"),
        ({"hop": 200}, "hop"),
        ({"sample_rate": 0}, "sample_rate"),
    ],
)
def test_impossible_configurations_are_refused(changes, message):
    with pytest.raises((ValueError, AudioError), match=message):
        SpectralVAE(**SMALL | changes)


def test_far_beyond_full_scale_the_sound_of_a_code_is_finite(model):
    assert np.isfinite(model.decode(np.full((4, 8), 1e3))).all()


def test_impossible_sounds_and_codes_are_refused(model):
    with pytest.raises(AudioError, match="at least one frame long, hop=64 samples; got 63"):
        model.encode(plucks(63))
    with pytest.raises(AudioError, match="differ in length"):
        model.encode([np.zeros(64), np.zeros(65)])
    with pytest.raises(ValueError, match="seed must be a whole number of at least 0; got -1"):
        model.sample(seed=-1)
    with pytest.raises(ValueError, match=r"latent must be \(batch, frames, dims\) with dims=8"):
        model.decode(np.zeros((1, 4, 5)))
    with pytest.raises(ValueError, match="samples must be 192 to 255, what 4 frames, 64 samples apart"):
        model.decode(np.zeros((4, 8)), samples=256)
