"""A preset in the hands of KerasTuner's own tuners."""

import keras_tuner
import numpy as np
import pytest

from audiozoo import registry
from audiozoo.errors import InvalidPreset, SearchError
from audiozoo.models import MnistVAE
from audiozoo.tuning import hypermodel

OBJECTIVE = keras_tuner.Objective("val_objective", "min")


def tiny(tune):
    return registry.Preset.model_validate(
        {
            "name": "tiny",
            "version": 1,
            "architecture": "MnistVAE",
            "config": {"image_size": 8, "hidden_units": 16, "latent_dim": 2, "beta": 2.0},
            "card": {"summary": "Tiny.", "weights_license": "CC0-1.0"},
            "train": {"steps_per_epoch": 2, "epochs": 2, "warmup_steps": 0, "beta_warmup_epochs": 2},
            "tune": tune,
        }
    )


BETAS = {"beta": {"type": "choice", "values": [0.5, 4.0]}}


def test_a_tuner_of_kerastuner_searches_a_folder(tmp_path):
    tuner = keras_tuner.RandomSearch(
        hypermodel(tiny(BETAS), "digits"), objective=OBJECTIVE, max_trials=2, seed=1, directory=str(tmp_path)
    )
    tuner.search(epochs=1, verbose=0)
    trials = tuner.oracle.get_best_trials(2)
    assert {trial.hyperparameters.values["beta"] for trial in trials} == {0.5, 4.0}
    for trial in trials:
        last = {
            name: trial.metrics.get_last_value(name)
            for name in ("val_objective", "val_reconstruction", "val_kl")
        }
        assert last["val_objective"] == pytest.approx(
            last["val_reconstruction"] + 2.0 * last["val_kl"], rel=1e-5
        )
    (model,) = tuner.get_best_models(1)
    assert isinstance(model, MnistVAE)
    assert model.beta == tuner.get_best_hyperparameters()[0].values["beta"]


def test_a_tuner_searches_arrays_of_ones_own(tmp_path):
    images = np.random.default_rng(0).random((16, 8, 8), dtype="float32")
    tuner = keras_tuner.RandomSearch(
        hypermodel(tiny(BETAS)), objective=OBJECTIVE, max_trials=1, directory=str(tmp_path)
    )
    tuner.search(
        {"image": images},
        images,
        validation_data=({"image": images}, images),
        epochs=1,
        batch_size=8,
        verbose=0,
    )
    (trial,) = tuner.oracle.get_best_trials(1)
    assert np.isfinite(trial.score)


def test_a_name_of_the_zoo_is_enough():
    found = hypermodel("conv1d_resnet_vae")
    declared = keras_tuner.HyperParameters()
    declared.Fixed("beta", 0.25)  # what a user has fixed stays fixed
    model = found.build(declared)
    assert model.beta == 0.25
    assert set(declared.values) == set(registry.info("conv1d_resnet_vae").tune)
    assert model.optimizer is not None


def test_what_cannot_be_searched_is_refused_at_once():
    with pytest.raises(InvalidPreset, match="no tune section"):
        hypermodel(tiny(BETAS).model_copy(update={"tune": None}))
    with pytest.raises(SearchError, match=r"tune.dropout holds 2.0"):
        hypermodel(tiny({"dropout": {"type": "float", "min": 0.0, "max": 2.0}}))
