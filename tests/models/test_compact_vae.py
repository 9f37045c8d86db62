"""A small code: what is kept is what was there, nothing is lost at full rank, and it has all verbs."""

import numpy as np
import pytest
from cases import ModelCase, assert_close, numpy_of, plucks

import audiozoo
from audiozoo.errors import AudioError, IncompatiblePreset, TrainingError
from audiozoo.latent import compact, informative_basis
from audiozoo.models import CompactVAE, Conv1DResnetVAE, MnistVAE

SOUND = {"sample_rate": 4000, "strides": [4, 4], "filters": [6, 8], "latent_dim": 5, "clip_seconds": 0.25}
IMAGE = {"image_size": 8, "hidden_units": 12, "latent_dim": 4}


def of_sound(rank=5, seed=3):
    """A model of sound with a rotation that is no identity, and the one it was made of."""
    model = Conv1DResnetVAE(**SOUND)
    means = np.random.default_rng(seed).standard_normal((100, 5)) * [3.0, 2.0, 1.0, 0.5, 0.2] + 0.3
    return model, model.compacted(
        informative_basis(means @ np.linalg.qr(np.ones((5, 5)) + np.eye(5))[0]), rank=rank
    )


class TestCompactVAE(ModelCase):
    model_class = CompactVAE
    config = {"architecture": "Conv1DResnetVAE", "config": SOUND, "rank": 3}

    def make(self):
        model, other = super().make(), of_sound(rank=3)[1]
        for name in ("centre", "directions", "deviations"):
            getattr(model, name).assign(getattr(other, name))
        return model

    def batch(self):
        return {"audio": plucks()}

    def test_the_loss_falls_and_every_weight_moves(self):
        model = self.make()
        model.compile("adam")
        with pytest.raises(TrainingError, match="Train the model that it was made from"):
            model.train_on_batch(self.batch(), plucks())


def test_at_full_rank_nothing_is_lost():
    model, small = of_sound(rank=5)
    audio = plucks()
    assert_close(small.reconstruct(audio), model.reconstruct(audio), 1e-5)
    rendered = [numpy_of(m({"audio": audio})["output"]) for m in (small, model)]
    assert_close(*rendered, 1e-5)


def test_a_saved_one_loses_nothing_either(tmp_path):
    _, small = of_sound(rank=5)
    loaded = audiozoo.load(small.save_to_preset(tmp_path / "small", name="small"))
    code = loaded.inner.encode(plucks())
    assert_close(loaded.basis.codes(loaded.encode(plucks())), code, 1e-5)
    assert loaded.basis.rank(1.0) == 5


def test_its_code_is_the_first_coordinates_of_the_whole_one():
    model, small = of_sound(rank=2)
    whole, code = model.code_distribution(plucks()), small.code_distribution(plucks())
    assert_close(code["mean"], small.basis.coordinates(whole["mean"])[..., :2], 1e-5)
    # Variance of the rotated draws, measured.
    draws = whole["mean"][0, 0] + np.exp(0.5 * whole["log_variance"][0, 0]) * np.random.default_rng(
        0
    ).standard_normal((200000, 5))
    measured = np.var(small.basis.coordinates(draws), axis=0)[:2]
    np.testing.assert_allclose(np.exp(code["log_variance"][0, 0]), measured, rtol=0.02)


def test_verbs_of_sound():
    model, small = of_sound(rank=2)
    audio = plucks()
    assert small.encode(audio).shape == (4, *small.latent_shape(1024)) == (4, 64, 2)
    assert small.code_rate == model.code_rate == 250.0
    assert small.decode(small.encode(audio[0]), samples=1020).shape == (1020,)
    assert small.sample(2, seed=1).shape == (2, 1000)
    assert small.sample(2, samples=800).shape == (2, 800)
    np.testing.assert_array_equal(small.sample(2, seed=1), small.sample(2, seed=1))
    between = small.interpolate(audio[0], audio[1], 3)
    assert_close(between[[0, 2]], small.reconstruct(audio[:2]), 1e-5)
    assert small.perform(audio[0], 4000).shape == (1024,)
    np.testing.assert_array_equal(small.decode(small.encode(audio)), small.decode(small.encode(audio)))
    assert np.any(small.decode(small.encode(audio), seed=1) != small.decode(small.encode(audio), seed=None))
    drawn = [small.encode(audio, sample=True, seed=seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert np.any(drawn[0] != drawn[2])


def test_images_have_small_codes_too(tmp_path):
    model = MnistVAE(**IMAGE)
    images = np.random.default_rng(0).uniform(size=(20, 8, 8))
    small = compact(model, model.encode(images), fidelity=0.6)
    assert 1 <= small.rank < 4
    assert small.code_rate is None
    assert not hasattr(small, "sample_rate")
    loaded = audiozoo.load(small.save_to_preset(tmp_path / "digits", name="digits"))
    assert loaded.reconstruct(images[0]).shape == (8, 8)
    assert loaded.sample(3).shape == (3, 8, 8)
    assert loaded.interpolate(images[0], images[1], 4, spherical=False).shape == (4, 8, 8)
    lossless = compact(model, model.encode(images), fidelity=1.0)
    assert_close(lossless.reconstruct(images), model.reconstruct(images), 1e-5)


def test_what_is_compact_already_is_not_compacted_again():
    _, small = of_sound(rank=2)
    with pytest.raises(IncompatiblePreset, match="whose code is whole; got a CompactVAE"):
        compact(small, small.encode(plucks()))


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="architecture must be one of .*MnistVAE.*; got 'DDSPDecoder'"):
        CompactVAE(architecture="DDSPDecoder", config={}, rank=2)
    with pytest.raises(ValueError, match="rank must be at most 4, the model's latent_dim; got 5"):
        CompactVAE(architecture="MnistVAE", config=IMAGE, rank=5)
    with pytest.raises(ValueError, match="rank must be a whole number of at least 1; got 0"):
        CompactVAE(architecture="MnistVAE", config=IMAGE, rank=0)
    model, small = of_sound(rank=2)
    with pytest.raises(ValueError, match="basis must be of codes of 5 numbers"):
        compact(model, np.random.default_rng(0).standard_normal((9, 4)))
    with pytest.raises(ValueError, match=r"latent must be \(..., 2\); got shape \(7, 5\)"):
        small.decode(np.zeros((7, 5)))
    with pytest.raises(ValueError, match="latent must be finite"):
        small.decode(np.full((7, 2), np.nan))
    with pytest.raises(AudioError, match="at least one frame long"):
        small.encode(np.zeros(3, "float32"))
