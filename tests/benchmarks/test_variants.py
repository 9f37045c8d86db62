"""The comparison of recipes: equal budgets, fitted schedules, nothing trained twice."""

import dataclasses
import json

import pytest

import audiozoo
from audiozoo.errors import TrainingError
from benchmarks import results, variants, workloads

TABLE = """
common: {train: {batch_size: 2, clip_seconds: 1.0}}
variants:
  plain: {}
  small: {config: {num_units: 32}, train: {batch_size: 4}}
"""


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """What would have been trained, instead of training it."""
    seen = []

    def train(preset, data, *, out, progress, initial):
        seen.append((out.name, preset))
        (out / "preset").mkdir(parents=True, exist_ok=True)
        return {"loss": 1.0, "val_loss": 3.0}

    monkeypatch.setattr(results, "FOLDER", tmp_path / "results")
    monkeypatch.setattr(results, "one_core", lambda: None)
    monkeypatch.setattr(variants, "seconds_per_step", lambda preset, data: 0.1 * preset.train.batch_size)
    monkeypatch.setattr(variants, "last_weights", lambda out: out.name)
    judge = dataclasses.replace(workloads.DDSP, judge=lambda model, data, seconds, apart: {"held_out": 2.0})
    monkeypatch.setitem(workloads.WORKLOADS, "DDSPDecoder", judge)
    monkeypatch.setattr("audiozoo.training.train", train)
    (tmp_path / "ddsp_violin.yaml").write_text(TABLE)

    def run(**options):
        options = {"minutes": 4.0, "steps": 0} | options
        variants.main(
            "ddsp_violin", tmp_path, tmp_path / "ddsp_violin.yaml", tmp_path / "runs", apart="", **options
        )
        return seen

    return run


def test_equal_time_is_fewer_steps_where_a_step_costs_more(trained):
    presets = dict(trained())
    steps = {name: p.train.steps_per_epoch * p.train.epochs for name, p in presets.items()}
    assert steps == {"plain": 1200, "small": 600}
    rate = presets["small"].train.decay_per_epoch ** (presets["small"].train.epochs - 1)
    assert rate == pytest.approx(0.05)


def test_a_variant_is_the_preset_with_what_is_common_and_what_is_its_own(trained):
    small, base = dict(trained())["small"], audiozoo.info("ddsp_violin")
    assert small.config == base.config | {"num_units": 32}
    assert (small.train.batch_size, small.train.clip_seconds) == (4, 1.0)
    assert small.train.learning_rate == base.train.learning_rate


def test_a_table_with_another_basis_begins_anew(trained, tmp_path):
    trained()
    (tmp_path / "ddsp_violin.yaml").write_text(TABLE.replace("clip_seconds: 1.0", "clip_seconds: 2.0"))
    assert [name for name, _ in trained()] == ["plain", "small", "plain", "small"]


def test_equal_steps_may_be_asked_for(trained):
    assert {p.train.steps_per_epoch * p.train.epochs for _, p in trained(steps=36)} == {36}


def test_what_is_done_is_kept_and_what_is_new_is_trained(trained, tmp_path):
    trained()
    (tmp_path / "ddsp_violin.yaml").write_text(TABLE + "  large: {config: {num_units: 64}}\n")
    seen = trained()
    assert [name for name, _ in seen] == ["plain", "small", "large"]
    record = json.loads((tmp_path / "results" / "variants_ddsp_violin.json").read_text())
    assert {name: values["delta"] for name, values in record["values"]["variants"].items()}["large"] == {
        "config": {"num_units": 64}
    }


def test_a_variant_of_another_preset_and_one_whose_loss_is_no_number(trained, tmp_path, monkeypatch):
    other = "\n  other: {preset: ddsp_violin_small, train: {clip_seconds: 2.0}}\n"
    (tmp_path / "ddsp_violin.yaml").write_text(TABLE.rstrip() + other)
    other = dict(trained())["other"]
    assert other.config == audiozoo.info("ddsp_violin_small").config
    assert (other.train.batch_size, other.train.clip_seconds) == (2, 2.0)

    def diverge(*args, **kwargs):
        raise TrainingError("loss became nan in epoch 3.")

    monkeypatch.setattr("audiozoo.training.train", diverge)
    (tmp_path / "ddsp_violin.yaml").write_text(TABLE + "  diverging: {train: {learning_rate: 1.0}}\n")
    trained()
    record = json.loads((tmp_path / "results" / "variants_ddsp_violin.json").read_text())
    assert record["values"]["variants"]["diverging"]["stopped"] == "loss became nan in epoch 3."
