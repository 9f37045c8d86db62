"""What a tune section means: where its names belong, what is drawn from it, what is refused."""

import keras
import keras_tuner
import numpy as np
import pytest

from audiozoo import registry
from audiozoo.errors import SearchError
from audiozoo.tuning import space


def preset_of(tune, architecture="MnistVAE", **config):
    """A preset with that tune section, read as YAML is."""
    return registry.Preset.model_validate(
        {
            "name": "tiny",
            "version": 1,
            "architecture": architecture,
            "config": {"image_size": 8} | config if architecture == "MnistVAE" else config,
            "card": {"summary": "Tiny.", "weights_license": "CC0-1.0"},
            "train": {},
            "tune": tune,
        }
    )


BETA = {"type": "float", "min": 1e-4, "max": 1.0, "sampling": "log"}


def test_arguments_go_to_config_and_settings_to_train():
    preset = preset_of(
        {"beta": BETA, "learning_rate": BETA, "dropout": {"type": "choice", "values": [0.0, 0.3]}}
    )
    changed = space.variant(preset, {"beta": 0.5, "learning_rate": 0.01, "dropout": 0.3})
    assert changed.config == {"image_size": 8, "beta": 0.5, "dropout": 0.3}
    assert changed.train == registry.Train(learning_rate=0.01)
    assert preset.config == {"image_size": 8}


def test_released_weights_do_not_belong_to_a_variant():
    weights = registry.Weights(file="a.weights.h5", sha256="a" * 64, size=1)
    preset = preset_of({"beta": BETA}).model_copy(update={"weights": weights})
    assert space.variant(preset, {"beta": 0.5}).weights is None


def test_a_name_that_is_both_is_told_apart_by_its_section():
    name = {"type": "float", "min": 0.5, "max": 1.0}
    with pytest.raises(
        SearchError, match=r"clip_seconds is both .*Write config.clip_seconds or train.clip_sec"
    ):
        space.check_space(preset_of({"clip_seconds": name}, "Conv1DResnetVAE"))
    preset = preset_of({"train.clip_seconds": name, "config.clip_seconds": name}, "Conv1DResnetVAE")
    changed = space.variant(preset, {"train.clip_seconds": 0.6, "config.clip_seconds": 0.7})
    assert (changed.train.clip_seconds, changed.config["clip_seconds"]) == (0.6, 0.7)


@pytest.mark.parametrize(
    "tune, message",
    [
        (
            {"betta": BETA},
            r"tune.betta must be an argument of MnistVAE or a key of train. Did you mean beta\?",
        ),
        ({"model.beta": BETA}, r"tune.model.beta must be an argument of MnistVAE"),
        ({"seed": {"type": "int", "min": 0, "max": 4}}, "tune.seed cannot be searched: all trials must be"),
        ({"test_share": {"type": "float", "min": 0.1, "max": 0.4}}, "judged by the same data"),
        ({"beta": BETA, "config.beta": BETA}, "tune.beta and tune.config.beta are the same setting"),
        (
            {"dropout": {"type": "float", "min": 0.0, "max": 2.0}},
            r"tune.dropout holds 2.0, which MnistVAE does not take: dropout must be a number bet",
        ),
        ({"beta": {"type": "float", "min": -1.0, "max": 1.0}}, "tune.beta holds -1.0, which MnistVAE does"),
        ({"latent_dim": {"type": "choice", "values": [2, 0]}}, "tune.latent_dim holds 0, which MnistVAE"),
        ({"latent_dim": {"type": "choice", "values": ["two"]}}, "tune.latent_dim holds 'two'"),
        (
            {"learning_rate": {"type": "float", "min": 0.1, "max": 9.0}},
            "tune.learning_rate holds 9.0.*less than",
        ),
        ({"batch_size": {"type": "float", "min": 1.0, "max": 9.5}}, "tune.batch_size holds 1.0.*integer"),
        (
            {
                "variant": {"type": "choice", "values": ["dense", "convolutional"]},
                "hidden_units": {"type": "int", "min": 0, "max": 9, "when": {"variant": ["dense"]}},
            },
            "tune.hidden_units holds 0",
        ),
    ],
)
def test_an_impossible_space_is_refused_before_anything_is_trained(tune, message):
    with pytest.raises(SearchError, match=message):
        space.check_space(preset_of(tune))


CONDITIONAL = {
    "variant": {"type": "choice", "values": ["dense", "convolutional", "batch_norm"]},
    "hidden_units": {"type": "int", "min": 10, "max": 50, "step": 10, "when": {"variant": ["dense"]}},
    "dropout": {"type": "float", "min": 0.0, "max": 0.5, "when": {"hidden_units": [10, 20]}},
}


def test_what_has_no_meaning_beside_the_others_stays_as_in_the_preset():
    preset = preset_of(CONDITIONAL, hidden_units=33)
    values = {"variant": "convolutional", "hidden_units": 10, "dropout": 0.25}
    assert space.active_values(preset.tune, values) == {"variant": "convolutional"}
    assert space.variant(preset, values).config == {
        "image_size": 8,
        "variant": "convolutional",
        "hidden_units": 33,
    }
    dense = values | {"variant": "dense"}
    assert space.active_values(preset.tune, dense) == dense
    assert space.active_values(preset.tune, dense | {"hidden_units": 30}) == {
        "variant": "dense",
        "hidden_units": 30,
    }
    space.check_space(preset)


def test_kerastuner_draws_what_is_active_and_only_that():
    preset = preset_of(CONDITIONAL)
    oracle = keras_tuner.oracles.RandomSearchOracle(
        max_trials=60, hyperparameters=space.hyperparameters(preset), seed=1
    )
    drawn = [oracle.populate_space(str(number))["values"] for number in range(40)]
    assert all(space.active_values(preset.tune, values) == values for values in drawn)
    assert {frozenset(values) for values in drawn} == {
        frozenset({"variant"}),
        frozenset({"variant", "hidden_units"}),
        frozenset(CONDITIONAL),
    }
    assert {values["hidden_units"] for values in drawn if "hidden_units" in values} == {10, 20, 30, 40, 50}


def test_what_is_drawn_has_the_range_and_the_scale_that_is_asked_for():
    tune = {
        "beta": BETA,
        "dropout": {"type": "float", "min": 0.1, "max": 0.3},
        "hidden_units": {"type": "int", "min": 10, "max": 1000, "sampling": "log"},
        "free_bits": {"type": "float", "min": 0.0, "max": 0.5, "step": 0.125},
        "binary": {"type": "bool"},
    }
    found = space.hyperparameters(preset_of(tune)).space
    samples = {hp.name: [hp.random_sample(seed) for seed in range(400)] for hp in found}
    for name in ("beta", "dropout", "hidden_units", "free_bits"):
        assert tune[name]["min"] <= min(samples[name]) <= max(samples[name]) <= tune[name]["max"]
    # Half of the draws lie below the geometric middle of a logarithmic range, or the middle of a linear one;
    # 400 of them err by 0.025 (one standard deviation).
    for name, middle in (("beta", 1e-2), ("hidden_units", 100.0), ("dropout", 0.2)):
        assert abs(np.mean(np.array(samples[name]) < middle) - 0.5) < 0.1
    assert set(samples["free_bits"]) == {0.0, 0.125, 0.25, 0.375, 0.5}
    assert set(samples["binary"]) == {False, True}


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="what is checked is the same on every backend"
)
@pytest.mark.parametrize("name", [name for name in registry.list_models() if registry.info(name).train])
def test_every_preset_that_can_be_trained_can_be_searched(name):
    preset = registry.info(name)
    space.check_space(preset)
    assert "learning_rate" in preset.tune
    if "beta" in preset.config:
        assert {"beta", "dropout", "latent_dim", "beta_warmup_epochs"} <= set(preset.tune)
        beta = preset.tune["beta"]
        assert isinstance(beta, registry.Choice) or beta.sampling == "log"
