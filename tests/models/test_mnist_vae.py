"""The VAE of digits: its bound is one, it learns in every variant, and what is no image is refused."""

import keras
import numpy as np
import pytest
from cases import ModelCase, assert_close, assert_trains, numpy_of
from keras import ops
from scipy.special import expit
from scipy.stats import bernoulli, norm

import audiozoo
from audiozoo.errors import ImageError
from audiozoo.models import MnistVAE
from audiozoo.models.mnist_vae import VARIANTS

SIZE = 8
SMALL = {"image_size": SIZE, "hidden_units": 16, "latent_dim": 3}


def bars(count=2, size=SIZE):
    """Images of one white column each, ``(count, size, size)``."""
    images = np.zeros((count, size, size), "float32")
    images[np.arange(count), :, np.arange(count) % size] = 1.0
    return images


class TestMnistVAE(ModelCase):
    model_class = MnistVAE
    config = {
        "image_size": SIZE,
        "variant": "convolutional",
        "hidden_units": 12,
        "latent_dim": 3,
        "beta": 0.5,
        "free_bits": 0.01,
        "dropout": 0.2,
    }

    def batch(self):
        return {"image": bars()}

    def target(self):
        return bars()


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return MnistVAE(**SMALL)


def silent_encoder(**changes):
    """A model whose posterior is the prior, whatever it sees."""
    keras.utils.set_random_seed(0)
    model = MnistVAE(**(SMALL | changes))
    for head in (model.encoder.mean, model.encoder.log_variance):
        head.set_weights([np.zeros(weight.shape) for weight in head.get_weights()])
    return model


# --- The bound ---


def test_the_bound_is_the_likelihood_itself_where_the_code_says_nothing():
    """With a constant decoder every pixel is a coin of known bias, and there is nothing to infer."""
    model = silent_encoder()
    logits = np.random.default_rng(0).normal(0.0, 3.0, SIZE * SIZE)
    last = model.decoder.expand
    last.set_weights([np.zeros(last.kernel.shape), logits])
    images = np.random.default_rng(1).integers(0, 2, (5, SIZE, SIZE)).astype("float32")
    exact = bernoulli.logpmf(images.reshape(5, -1), expit(logits)).sum(axis=1)
    np.testing.assert_allclose(model.elbo(images), exact, rtol=1e-5)
    np.testing.assert_allclose(model.elbo(images, seed=7), exact, rtol=1e-5)
    assert model.elbo(images[0]) == pytest.approx(exact[0], rel=1e-5)


def test_the_bound_lies_below_the_likelihood_by_how_wrong_the_posterior_is():
    """``log p(x) = bound + KL(q || true posterior)``, all of it by quadrature over a code of one number."""
    keras.utils.set_random_seed(0)
    model = MnistVAE(**(SMALL | {"latent_dim": 1}))
    model.encoder.mean.bias.assign([1.5])
    model.encoder.log_variance.bias.assign([-1.0])
    model.decoder.hidden.dense.kernel.assign(3.0 * model.decoder.hidden.dense.kernel)
    image = bars(1)[0]
    grid = np.linspace(-8.0, 8.0, 2001)
    step = grid[1] - grid[0]
    probabilities = model.decode(grid[:, None]).reshape(len(grid), -1)
    log_joint = bernoulli.logpmf(image.reshape(-1), probabilities).sum(axis=1) + norm.logpdf(grid)
    log_evidence = np.log(np.sum(np.exp(log_joint)) * step)
    code = model.code_distribution(image)
    log_q = norm.logpdf(grid, code["mean"][0], np.exp(0.5 * code["log_variance"][0]))
    divergence = np.sum(np.exp(log_q) * (log_q - (log_joint - log_evidence))) * step
    draws = model.elbo(np.tile(image, (800, 1, 1)))
    error = draws.std() / np.sqrt(len(draws))
    assert draws.mean() == pytest.approx(log_evidence - divergence, abs=4.0 * error)
    assert 4.0 * error < divergence


def test_the_loss_is_cross_entropy_and_divergence_in_nats_an_image(model):
    images = np.random.default_rng(0).random((4, SIZE, SIZE), dtype="float32")
    outputs = numpy_of(model({"image": images}))
    probabilities = expit(outputs["output"].astype("float64"))
    crossed = -(images * np.log(probabilities) + (1.0 - images) * np.log1p(-probabilities))
    mean, log_variance = (outputs[name].astype("float64") for name in ("mean", "log_variance"))
    divergence = 0.5 * np.sum(mean**2 + np.exp(log_variance) - 1.0 - log_variance, axis=1)
    model.compile()
    found = model.evaluate({"image": images}, images, batch_size=4, verbose=0, return_dict=True)
    assert found["reconstruction"] == pytest.approx(crossed.sum(axis=(1, 2)).mean(), rel=1e-5)
    assert found["kl"] == pytest.approx(divergence.mean(), rel=1e-4)
    assert found["loss"] == pytest.approx(found["reconstruction"] + found["kl"], rel=1e-5)


def test_grey_is_learned_as_a_probability_not_as_a_level():
    """The cross-entropy of a grey pixel is least at its own value: that is why images may be grey at all."""
    grey = np.full((1, SIZE, SIZE), 0.3, "float32")
    logits = np.linspace(-4.0, 4.0, 801)
    at = [
        float(numpy_of(MnistVAE.reconstruction_error(None, grey, {"output": np.full_like(grey, logit)}))[0])
        for logit in logits
    ]
    assert expit(logits[np.argmin(at)]) == pytest.approx(0.3, abs=0.01)


# --- Variants ---


@pytest.mark.parametrize("variant", ["dense", "batch_norm"])
def test_every_variant_learns_with_all_of_its_weights(variant):
    keras.utils.set_random_seed(0)
    model = MnistVAE(**SMALL, variant=variant)
    model.compile(keras.optimizers.Adam(3e-2))
    images = bars(8)
    assert_trains(model, lambda: model.train_on_batch({"image": images}, images, return_dict=True)["loss"])


def test_a_batch_is_normalised_in_training_and_an_image_is_itself_afterwards():
    keras.utils.set_random_seed(0)
    model, images = MnistVAE(**SMALL, variant="batch_norm"), bars(8)
    before = numpy_of(model.encoder.hidden.norm.moving_variance)
    model.compile(keras.optimizers.Adam(1e-3))
    model.fit({"image": images}, images, batch_size=8, epochs=3, verbose=0)
    assert np.any(numpy_of(model.encoder.hidden.norm.moving_variance) != before)
    together = numpy_of(model({"image": images}))
    assert_close(numpy_of(model({"image": images[:1]})), {k: v[:1] for k, v in together.items()}, 1e-5)
    # The share of the mean is in the normalisation: a shift before it would be lost.
    assert model.encoder.hidden.dense.bias is None


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size", [4, 7])
def test_images_of_any_size_come_back_in_that_size(variant, size):
    model = MnistVAE(image_size=size, variant=variant, hidden_units=4, latent_dim=2)
    assert numpy_of(model({"image": bars(2, size)}))["output"].shape == (2, size, size)


def test_the_paper_s_model_has_the_paper_s_size():
    pixels, units, dims = 28 * 28, 500, 20
    expected = pixels * units + units + 2 * (units * dims + dims) + dims * units + units
    assert MnistVAE(latent_dim=dims).count_params() == expected + units * pixels + pixels


# --- Verbs ---


def test_verbs_speak_of_probabilities_and_codes(model):
    images = bars(3)
    codes = model.encode(images)
    assert codes.shape == (3, 3)
    assert model.encode(images[0]).shape == (3,)
    np.testing.assert_allclose(model.decode(codes), model.reconstruct(images), atol=1e-6)
    np.testing.assert_allclose(
        model.reconstruct(images), expit(numpy_of(model({"image": images})["output"])), atol=1e-5
    )
    assert model.decode(codes[0]).shape == (SIZE, SIZE)
    drawn = model.sample(5, seed=3)
    assert drawn.shape == (5, SIZE, SIZE)
    assert 0.0 < drawn.min() <= drawn.max() < 1.0
    np.testing.assert_array_equal(drawn, model.sample(5, seed=3))
    for spherical in (False, True):
        way = model.interpolate(images[0], images[1], 4, spherical=spherical)
        np.testing.assert_allclose(way[[0, -1]], model.reconstruct(images[:2]), atol=1e-5)


def test_a_drawn_code_has_the_distribution_that_is_stated(model):
    image = bars(1)[0]
    code = model.code_distribution(image)
    assert code["mean"].shape == code["log_variance"].shape == (3,)
    draws = np.stack([model.encode(image, sample=True, seed=seed) for seed in range(400)])
    deviation = np.exp(0.5 * code["log_variance"])
    np.testing.assert_allclose(draws.mean(axis=0), code["mean"], atol=0.2 * deviation.max())
    np.testing.assert_allclose(draws.std(axis=0), deviation, rtol=0.15)


# --- Refusals ---


@pytest.mark.parametrize(
    "change, message",
    [
        ({"image_size": 3}, "image_size must be a whole number of at least 4; got 3"),
        ({"variant": "deep"}, "variant must be one of dense, convolutional, batch_norm; got 'deep'"),
        ({"hidden_units": 0}, "hidden_units must be a whole number of at least 1; got 0"),
        ({"latent_dim": 2.0}, r"latent_dim must be a whole number of at least 1; got 2\.0"),
        ({"beta": -1.0}, r"beta must be a number between 0\.0 and .*; got -1\.0"),
        ({"dropout": 1.0}, r"dropout must be a number between 0\.0 and 0\.95; got 1\.0"),
        ({"dropout": -0.1}, r"dropout must be a number between 0\.0 and 0\.95; got -0\.1"),
        ({"free_bits": -1.0}, "free_bits must be a number"),
    ],
)
def test_impossible_arguments_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        MnistVAE(**(SMALL | change))


@pytest.mark.parametrize("verb", ["encode", "reconstruct", "elbo", "code_distribution"])
@pytest.mark.parametrize(
    "images, message",
    [
        (np.zeros((2, 8, 9)), r"image must be \(8, 8\) or \(batch, 8, 8\); got shape \(2, 8, 9\). Resize"),
        (np.zeros((2, 8, 8, 1)), r"got shape \(2, 8, 8, 1\)"),
        (np.zeros(64), r"got shape \(64,\)"),
        ([np.zeros((8, 8)), np.zeros((9, 9))], "its images differ in size. Resize them"),
        (np.zeros((2, 8, 8), "uint8"), r"image must be float in 0\.\.1; got uint8. Divide bytes by 255"),
        (np.zeros((0, 8, 8)), "image must hold at least one image; it is empty"),
        (np.full((8, 8), 255.0), r"image must be in 0\.\.1, .*; got 255 to 255. Divide bytes by 255"),
        (np.full((8, 8), -0.1), r"got -0\.1 to -0\.1"),
        (np.full((8, 8), np.nan), "got nan to nan"),
    ],
)
def test_what_is_no_image_is_refused(model, verb, images, message):
    with pytest.raises(ImageError, match=message):
        getattr(model, verb)(images)


def test_other_impossible_wishes_are_refused(model):
    with pytest.raises(ValueError, match=r"latent must be \(batch, dims\) with dims=3.*got shape \(2, 4\)"):
        model.decode(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="n must be a whole number of at least 1; got 0"):
        model.sample(0)
    with pytest.raises(ImageError, match=r"^b must be float"):
        model.interpolate(np.zeros((8, 8)), np.zeros((8, 8), int), 3)
    with pytest.raises(ValueError, match=r"a and b must be single .*got shapes \(2, 8, 8\) and \(1, 8, 8\)"):
        model.interpolate(bars(2), bars(1), 3)
    with pytest.raises(ImageError, match=r"image must be \(batch, 8, 8\); got shape \(2, 7, 7\)"):
        model({"image": ops.zeros((2, 7, 7))})
    with pytest.raises(audiozoo.errors.IncompatiblePreset, match="variant must be one of"):
        audiozoo.load("mnist_vae", weights=False, variant="deep")
