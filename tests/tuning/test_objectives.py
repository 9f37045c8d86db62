"""What trials are compared by does not depend on how they were weighed in training."""

import json

import numpy as np
import pytest

from audiozoo import registry
from audiozoo.errors import SearchError
from audiozoo.metrics import MelStatistics, frechet_distance_from_moments, multi_scale_spectral_distance
from audiozoo.tuning import objectives


def preset_of(architecture, tune=("beta",), **config):
    return registry.Preset.model_validate(
        {
            "name": "tiny",
            "version": 1,
            "architecture": architecture,
            "config": config,
            "card": {"summary": "Tiny.", "weights_license": "CC0-1.0"},
            "train": {},
            "tune": {name: {"type": "float", "min": 0.1, "max": 1.0} for name in tune},
        }
    )


def test_the_divergence_is_weighed_alike_whatever_it_was_trained_with():
    logs = {"val_loss": 1.0, "val_reconstruction": 3.0, "val_kl": 10.0}
    assert objectives.fixed_beta_loss(logs, 0.5) == 8.0
    assert objectives.fixed_beta_loss(logs, None) == 1.0


def test_the_weight_is_the_beta_of_the_preset_and_none_where_there_is_none():
    assert objectives.weight_of_divergence(preset_of("MnistVAE", beta=0.25)) == 0.25
    assert objectives.weight_of_divergence(preset_of("DDSPDecoder", tune=("learning_rate",))) is None


def test_a_preset_that_does_not_say_its_beta_has_the_default_of_its_architecture():
    assert objectives.weight_of_divergence(preset_of("MnistVAE")) == 1.0


def test_the_epoch_that_was_kept_is_the_one_that_counts(tmp_path):
    entries = [{"val_loss": loss, "epoch": epoch} for epoch, loss in enumerate((3.0, 1.0, 2.0))]
    (tmp_path / "history.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    assert objectives.best_epoch(tmp_path)["epoch"] == 1


@pytest.mark.parametrize(
    "objective, preset, message",
    [
        ("loss", preset_of("MnistVAE"), "objective must be one of val_loss, frechet, kad, mss; got 'loss'"),
        ("kad", preset_of("MnistVAE"), "objective 'kad' is of sounds; MnistVAE makes images. Use 'val_loss'"),
        (
            "val_loss",
            preset_of("MnistVAE", beta=0.0),
            "the preset's own beta, which is 0, so the smallest beta",
        ),
        ("val_loss", preset_of("MnistVAE", ("config.beta",), beta=0.0), "the smallest beta would win"),
    ],
)
def test_an_objective_that_means_nothing_is_refused(objective, preset, message):
    with pytest.raises(SearchError, match=message):
        objectives.check_objective(objective, preset)


class Crops:
    """Six held-out clips of noise at 4 kHz, half a second each."""

    batch_size = 4
    audio = 0.1 * np.random.default_rng(0).standard_normal((6, 4000)).astype("float32")

    def validation_places(self):
        return [(index, 0) for index in range(6)]

    def collate(self, which, starts):
        return {"audio": self.audio[list(which)]}


class Model:
    """Reconstructs at half the level; draws noise of its own."""

    sample_rate = 4000

    def render(self, inputs):
        return 0.5 * inputs["audio"]

    def sample(self, n, seed, samples):
        return 0.3 * np.random.default_rng(seed).standard_normal((n, samples)).astype("float32")


class Renderer:
    """Has no prior to draw from."""

    sample_rate, render = 4000, Model.render


@pytest.fixture
def judge(monkeypatch, tmp_path):
    def of(objective, model, crops=None):
        monkeypatch.setattr(objectives, "load", lambda folder: model)
        preset = preset_of("Conv1DResnetVAE", beta=0.1)
        return objectives.score(objective, tmp_path, preset, crops or Crops())

    return of


def test_mss_is_of_reconstructions(judge):
    expected = np.mean(multi_scale_spectral_distance(Crops.audio, 0.5 * Crops.audio))
    assert judge("mss", Model()) == pytest.approx(float(expected))


def test_frechet_is_between_what_is_held_out_and_as_much_from_the_prior(judge):
    drawn = Model().sample(6, seed=0, samples=4000)
    moments = []
    for clips in (Crops.audio, drawn):
        rows = np.concatenate([MelStatistics().embed(clip, 4000) for clip in clips])
        moments += [rows.mean(axis=0), np.cov(rows, rowvar=False)]
    assert judge("frechet", Model()) == pytest.approx(frechet_distance_from_moments(*moments))


def test_a_model_without_prior_is_judged_by_what_it_makes_of_held_out_clips(judge):
    class Perfect(Renderer):
        def render(self, inputs):
            return inputs["audio"]

    assert judge("frechet", Perfect()) == pytest.approx(0.0, abs=1e-6)
    assert judge("frechet", Renderer()) > 1.0
    assert judge("kad", Perfect()) < judge("kad", Renderer())


def test_a_model_that_plays_features_is_given_these_and_not_the_sound(judge):
    class Player(Renderer):
        def render(self, inputs):
            assert set(inputs) == {"loudness_db"}
            return Crops.audio[: len(inputs["loudness_db"])]

    class Features(Crops):
        def collate(self, which, starts):
            return super().collate(which, starts) | {"loudness_db": np.zeros((len(which), 9, 1), "float32")}

    first = multi_scale_spectral_distance(Crops.audio, Crops.audio[[0, 1, 2, 3, 0, 1]])
    assert judge("mss", Player(), Features()) == pytest.approx(float(np.mean(first)))


def test_too_little_held_out_is_refused():
    class Few(Crops):
        def validation_places(self):
            return []

    with pytest.raises(
        SearchError, match=r"data 'music' leave 0 held-out clips .*must be 1 or more. Give more"
    ):
        objectives.check_held_out(Few(), "music", "val_loss")
    objectives.check_held_out(Crops(), "music", "kad")
