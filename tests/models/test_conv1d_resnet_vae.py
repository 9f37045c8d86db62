"""The convolutional VAE: it learns, with all of its weights and all of its code, from and to any length."""

import keras
import numpy as np
import pytest
from cases import ModelCase, assert_close, numpy_of, plucks
from keras import ops

from audiozoo.errors import AudioError
from audiozoo.layers.sampling import INITIAL_LOG_VARIANCE
from audiozoo.metrics import EncoderEmbedding, active_units, snr_db
from audiozoo.models import Conv1DResnetVAE

RATE = 4000
SMALL = {"sample_rate": RATE, "strides": (4, 4), "filters": (8, 12), "latent_dim": 6, "clip_seconds": 0.1}
HOP = 16
ONE_STAGE = SMALL | {"strides": (8,), "filters": (12,)}  # ready to train in half the time


class TestConv1DResnetVAE(ModelCase):
    model_class = Conv1DResnetVAE
    config = {
        "sample_rate": 4000,
        "strides": (6,),
        "filters": (8,),
        "latent_dim": 3,
        "latent_mode": "global",
        "dropout": 0.3,
        "beta": 0.01,
        "free_bits": 0.02,
        "clip_seconds": 0.05,
    }

    def batch(self):
        return {"audio": plucks(200)[:2]}

    def target(self):
        return self.batch()["audio"]

    def test_dropout_and_noise_are_active_in_training_only(self):
        model = self.make()
        trained = [numpy_of(model(self.batch(), training=True)) for _ in range(2)]
        # The posterior is not drawn, so between its two means only dropout makes a difference.
        assert np.abs(trained[0]["mean"] - trained[1]["mean"]).max() > 0
        calm = self.model_class(**(self.config | {"dropout": 0.0}))
        trained = [numpy_of(calm(self.batch(), training=True)) for _ in range(2)]
        np.testing.assert_array_equal(trained[0]["mean"], trained[1]["mean"])
        assert np.abs(trained[0]["output"] - trained[1]["output"]).max() > 0


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return Conv1DResnetVAE(**SMALL)


@pytest.fixture(scope="module")
def trained():
    """A model that has seen one batch for long, and the log of its training."""
    keras.utils.set_random_seed(0)
    model, audio = Conv1DResnetVAE(**ONE_STAGE, free_bits=0.0), plucks()
    model.compile(keras.optimizers.Adam(5e-3, beta_2=0.99, clipnorm=1.0))
    betas = [0.0] * 50 + [0.02] * 50

    def set_beta(epoch, logs=None):
        model.beta_now.assign(betas[epoch])

    callback = keras.callbacks.LambdaCallback(on_epoch_begin=set_beta)
    fitted = model.fit(
        {"audio": audio},
        audio,
        batch_size=4,
        epochs=len(betas),
        callbacks=[callback],
        validation_data=({"audio": audio}, audio),
        validation_freq=len(betas),
        verbose=0,
    )
    return model, fitted.history, betas


# --- Learning ---


def test_one_batch_is_learned_to_ten_decibels_and_more(trained):
    model, _, _ = trained
    assert np.all(snr_db(plucks(), model.reconstruct(plucks())) > 10.0)


def test_every_dimension_of_the_code_is_active(trained):
    model, history, _ = trained
    assert active_units(model.encode(plucks())).all()
    assert history["active_dimensions"][-1] == SMALL["latent_dim"]


def test_the_log_says_what_the_loss_consists_of_and_beta_may_change_at_any_step(trained):
    model, history, betas = trained
    names = {"loss", "reconstruction", "kl", "active_dimensions"}
    assert set(history) == names | {f"val_{name}" for name in names}
    loss, reconstruction, kl = (np.array(history[name]) for name in ("loss", "reconstruction", "kl"))
    np.testing.assert_allclose(loss, reconstruction + np.array(betas) * kl, rtol=1e-4)
    assert loss[0] < 1.01 * reconstruction[0]
    assert loss[-1] > 1.01 * reconstruction[-1]
    # What is held out is judged by the model's own beta, whatever training is at.
    expected = history["val_reconstruction"][0] + model.beta * history["val_kl"][0]
    assert history["val_loss"][0] == pytest.approx(expected, rel=1e-4)


def test_a_beta_of_training_stays_behind_when_the_model_is_saved(trained, tmp_path):
    model, _, _ = trained
    model.save_weights(tmp_path / "it.weights.h5")
    fresh = Conv1DResnetVAE(**ONE_STAGE, beta=0.5)
    fresh.load_weights(tmp_path / "it.weights.h5")
    assert float(fresh.beta_now) == 0.5
    np.testing.assert_array_equal(fresh.reconstruct(plucks()), model.reconstruct(plucks()))


@pytest.mark.parametrize("mode", ["frames", "global"])
def test_every_weight_of_every_block_receives_gradient(mode):
    keras.utils.set_random_seed(0)
    model, audio = Conv1DResnetVAE(**SMALL, latent_mode=mode), plucks()
    found = gradients(model, audio)
    assert sum("block" in path for path in found) == 8 * 6  # 4 blocks in the encoder, 4 in the decoder
    for path, gradient in found.items():
        assert np.all(np.isfinite(gradient)), path
        # Of a weight, whatever single elements do: a leaky rectifier passes everything on.
        assert np.linalg.norm(gradient) > 1e-6, path


def gradients(model, audio):
    """Gradient of the training loss by each trainable weight."""
    inputs, weights = {"audio": ops.convert_to_tensor(audio)}, model.trainable_variables

    def loss_of():
        return model.compute_loss(x=inputs, y=inputs["audio"], y_pred=model(inputs, training=True))

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = loss_of()
        values = tape.gradient(loss, [weight.value for weight in weights])
    elif keras.backend.backend() == "torch":
        import torch

        values = torch.autograd.grad(loss_of(), [weight.value for weight in weights])
    else:
        import jax

        def stateless(values):
            with keras.StatelessScope(state_mapping=list(zip(weights, values, strict=True))):
                return loss_of()

        values = jax.jit(jax.grad(stateless))([weight.value for weight in weights])
    return {w.path + f"/{i}": numpy_of(v) for i, (w, v) in enumerate(zip(weights, values, strict=True))}


def test_at_the_start_the_code_is_heard_above_its_noise():
    # With a log-variance of 0 the draw would be noise alone. Trap of the third kind: nothing would come
    # through.
    keras.utils.set_random_seed(0)
    posterior = numpy_of(Conv1DResnetVAE(**SMALL)({"audio": plucks()}))
    np.testing.assert_allclose(posterior["log_variance"], INITIAL_LOG_VARIANCE, atol=0.5)
    signal, noise = posterior["mean"].var(), np.exp(posterior["log_variance"]).mean()
    assert signal > noise


def test_training_on_silence_stays_finite():
    model, silent = Conv1DResnetVAE(**SMALL), np.zeros((2, 128), "float32")
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients(model, silent).values())


# --- Any length ---


@pytest.mark.parametrize("samples", [HOP, HOP + 1, 333])
def test_any_length_comes_back_as_long_with_a_code_for_every_begun_frame(model, samples):
    audio = plucks(samples)
    latent = model.encode(audio)
    assert latent.shape == (4, -(-samples // HOP), 6)
    assert latent.dtype == np.float32
    assert model.decode(latent).shape == (4, latent.shape[1] * HOP)
    rebuilt = model.reconstruct(audio)
    assert rebuilt.shape == audio.shape
    np.testing.assert_allclose(rebuilt, model.decode(latent, samples=samples), atol=1e-6)


def test_a_single_sound_is_a_batch_of_one_without_the_batch(model):
    audio = plucks(333)
    assert_close(model.reconstruct(audio[0]), model.reconstruct(audio)[0], 1e-4)
    assert model.encode(audio[0]).shape == (21, 6)
    assert model.decode(model.encode(audio[0]), samples=333).shape == (333,)


def test_many_sounds_are_those_of_one_at_a_time(model):
    audio = np.tile(plucks(64), (5, 1))
    np.testing.assert_allclose(model.reconstruct(audio)[16:], model.reconstruct(audio[:4]), atol=1e-5)


def test_verbs_are_the_models_own_forward_pass(model):
    forward = numpy_of(model({"audio": plucks(333)}))
    assert_close(model.encode(plucks(333)), forward["mean"], 1e-4)
    assert_close(model.reconstruct(plucks(333)), forward["output"], 1e-4)


def test_the_network_moves_with_the_sound():
    # Nothing but statistics over time and the edges tells one frame from another: a shift by whole frames
    # shifts the code. The published model knows no time at all.
    keras.utils.set_random_seed(0)
    model = Conv1DResnetVAE(**SMALL)
    audio = np.zeros((1, 100 * HOP), "float32")
    audio[0, 40 * HOP : 60 * HOP] = plucks(20 * HOP)[0]
    shifted = np.roll(audio, 5 * HOP, axis=1)
    first, second = model.encode(np.concatenate([audio, shifted]))
    np.testing.assert_allclose(second[40:70], first[35:65], atol=1e-4)


# --- Codes and sounds ---


def test_a_draw_from_the_posterior_repeats_with_its_seed(model):
    audio = plucks(64)
    mean, one, same, other = (
        model.encode(audio),
        model.encode(audio, sample=True, seed=1),
        model.encode(audio, sample=True, seed=1),
        model.encode(audio, sample=True, seed=2),
    )
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.01
    deviation = np.exp(0.5 * INITIAL_LOG_VARIANCE)
    assert np.std(one - mean) == pytest.approx(deviation, rel=0.3)


@pytest.mark.parametrize("mode", ["frames", "global"])
def test_sounds_from_nothing_repeat_with_their_seed(mode):
    keras.utils.set_random_seed(0)
    model = Conv1DResnetVAE(**SMALL, latent_mode=mode)
    audio = model.sample(2, 1)
    assert audio.shape == (2, 400)
    assert audio.dtype == np.float32
    assert np.abs(audio).max() <= 1.0
    np.testing.assert_array_equal(audio, model.sample(2, seed=1))
    assert np.abs(audio - model.sample(2, seed=2)).max() > 0.01
    assert np.abs(audio[0] - audio[1]).max() > 0.01
    if mode == "frames":
        assert model.sample(1, samples=50).shape == (1, 50)


@pytest.mark.parametrize("spherical", [True, False])
def test_a_path_between_sounds_begins_and_ends_with_them(model, spherical):
    a, b = plucks(64)[:2]
    path = model.interpolate(a, b, 5, spherical=spherical)
    assert path.shape == (5, 64)
    np.testing.assert_allclose(path[0], model.reconstruct(a), atol=1e-5)
    np.testing.assert_allclose(path[-1], model.reconstruct(b), atol=1e-5)
    assert np.abs(path[2] - path[0]).max() > 1e-3


def test_a_global_code_is_one_vector_for_clips_of_any_length():
    keras.utils.set_random_seed(0)
    model = Conv1DResnetVAE(**SMALL, latent_mode="global")
    latent = model.encode(plucks(333))
    assert latent.shape == (4, 6)
    assert model.encode(plucks(64)[0]).shape == (6,)
    assert model.decode(latent).shape == (4, 400)
    assert model.reconstruct(plucks(333)).shape == (4, 333)
    # It knows the time: frames are not all the same.
    frames = model.decode(latent)[0, HOP * 5 : HOP * 15].reshape(10, HOP)
    assert np.std(frames, axis=0).max() > 0.1 * np.std(frames)


def test_silence_is_a_sound_like_any_other(model):
    silent = np.zeros((1, 100), "float32")
    assert np.all(np.isfinite(model.encode(silent)))
    assert np.all(np.isfinite(model.reconstruct(silent)))


def test_an_encoder_can_be_a_metric(model):
    rows = EncoderEmbedding(model, window_seconds=0.05).embed(plucks(450)[0], RATE)
    assert rows.shape[1] == 6
    assert np.all(np.isfinite(rows))


def test_the_small_size_of_the_zoo_has_the_parameters_that_its_layers_have():
    model = Conv1DResnetVAE(sample_rate=8000, strides=(4, 4, 4), filters=(32, 64, 96), latent_dim=16)

    def blocks(f):  # two of: kernel of 3, scale and shift, 1x1 with bias, gain
        return 2 * (3 * f * f + 2 * f + f * f + f + 1)

    stages = blocks(32) + blocks(64) + blocks(96)
    down = 7 * 32 + 32 + (8 * 32 * 32 + 32) + (8 * 32 * 64 + 64) + (8 * 64 * 96 + 96)
    up = (3 * 16 * 96 + 96) + (8 * 96 * 64 + 64) + (8 * 64 * 32 + 32) + (8 * 32 * 32 + 32) + 7 * 32 + 1
    assert model.encoder.count_params() == down + stages + 2 * (96 * 16 + 16)
    assert model.decoder.count_params() == up + stages
    assert model.count_params() == 387_757


# --- Refusals ---


@pytest.mark.parametrize(
    "change, message",
    [
        ({"beta": -0.1}, "beta must be a number between 0.0 and 1000000.0; got -0.1"),
        ({"beta": float("nan")}, "beta must be a number"),
        ({"dropout": -0.1}, "dropout must be a number between 0.0 and 0.95; got -0.1"),
        ({"dropout": 1.1}, "dropout must be a number between 0.0 and 0.95; got 1.1"),
        ({"free_bits": -1.0}, "free_bits must be a number"),
        ({"strides": (4,)}, "strides and filters must have one entry for each stage"),
        ({"strides": (), "filters": ()}, "strides and filters must have one entry"),
        ({"strides": (4, 0)}, "strides must be a whole number of at least 1; got 0"),
        ({"filters": (8, 2.5)}, "filters must be a whole number of at least 1; got 2.5"),
        ({"latent_dim": 0}, "latent_dim must be a whole number of at least 1; got 0"),
        ({"latent_mode": "both"}, "latent_mode must be one of frames, global; got 'both'. Use 'frames'"),
        ({"sample_rate": 0}, "sample_rate must be a whole number of Hz"),
        ({"clip_seconds": 0.0}, "clip_seconds must be a number"),
        ({"clip_seconds": 0.001}, "clip_seconds must be at least one frame, 0.004 s; got 0.001"),
    ],
)
def test_impossible_arguments_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Conv1DResnetVAE(**(SMALL | change))


@pytest.mark.parametrize("verb", ["encode", "reconstruct"])
@pytest.mark.parametrize(
    "audio, message",
    [
        (
            np.zeros((2, HOP - 1), "float32"),
            f"audio must be at least one frame long, hop={HOP} samples; got 15",
        ),
        ([np.zeros(50), np.zeros(60)], "its sounds differ in length"),
        (np.full((1, 50), np.nan), "audio must be finite"),
        (np.zeros((1, 50), "int16"), "audio must be float"),
    ],
)
def test_audio_that_cannot_be_encoded_is_refused(model, verb, audio, message):
    with pytest.raises(AudioError, match=message):
        getattr(model, verb)(audio)


@pytest.mark.parametrize(
    "latent, samples, message",
    [
        (
            np.zeros((1, 4, 5)),
            None,
            r"latent must be \(batch, frames, dims\) with dims=6.*got shape \(1, 4, 5\)",
        ),
        (np.zeros(6), None, r"got shape \(6,\). Make it with encode"),
        (np.zeros((1, 0, 6)), None, r"got shape \(1, 0, 6\)"),
        (np.full((1, 4, 6), np.inf), None, "latent must be finite; 24 values are not"),
        (np.zeros((1, 4, 6)), 65, "samples must be 49 to 64, what 4 frames of 16 describe; got 65"),
        (np.zeros((1, 4, 6)), 48, "samples must be 49 to 64"),
        (np.zeros((1, 4, 6)), 1.5, "samples must be a whole number"),
    ],
)
def test_codes_that_cannot_be_decoded_are_refused(model, latent, samples, message):
    with pytest.raises(ValueError, match=message):
        model.decode(latent, samples=samples)


def test_other_impossible_wishes_are_refused(model):
    with pytest.raises(ValueError, match="n must be a whole number of at least 1; got 0"):
        model.sample(0)
    with pytest.raises(AudioError, match="at least one frame long"):
        model.sample(1, samples=3)
    with pytest.raises(ValueError, match="n must be a whole number of at least 2; got 1"):
        model.interpolate(np.zeros(64), np.zeros(64), 1)
    with pytest.raises(AudioError, match=r"a and b must be single sounds of equal length; got shapes"):
        model.interpolate(np.zeros(64), np.zeros(65), 3)
    with pytest.raises(AudioError, match="b must be finite"):
        model.interpolate(np.zeros(64), np.full(64, np.nan), 3)
    with pytest.raises(ValueError, match="sample_weight must be None"):
        model.compute_loss(sample_weight=np.ones(2))
