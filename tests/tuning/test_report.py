"""Tables and pictures of trials whose place in them is known."""

import csv

import numpy as np
import pytest

from audiozoo import registry
from audiozoo.tuning import report


@pytest.fixture
def preset():
    return registry.Preset.model_validate(
        {
            "name": "tiny",
            "version": 1,
            "architecture": "MnistVAE",
            "config": {},
            "card": {"summary": "Tiny.", "weights_license": "CC0-1.0"},
            "train": {},
            "tune": {
                "beta": {"type": "float", "min": 0.01, "max": 1.0, "sampling": "log"},
                "dropout": {"type": "float", "min": 0.0, "max": 0.5},
                "variant": {"type": "choice", "values": ["dense", "convolutional", "batch_norm"]},
                "free": {"type": "bool", "when": {"variant": ["dense"]}},
            },
        }
    )


def row(trial, score, **values):
    logs = {"val_reconstruction": 2.0 * score, "val_kl": 3.0}
    return {
        "trial": trial,
        "status": "done",
        "score": score,
        "scores": [score],
        "values": values,
        "logs": logs,
    }


ROWS = [
    row("0", 5.0, beta=0.1, dropout=0.25, variant="convolutional"),
    row("1", 7.0, beta=1.0, dropout=0.0, variant="dense", free=True),
]


def test_every_trial_is_a_line_through_its_values_to_its_score(preset, tmp_path):
    panel = report.parallel_coordinates(ROWS, preset, "kad", path=tmp_path / "a.png").axes[0]
    heights = {
        tuple(np.nan_to_num(line.get_ydata(), nan=-1.0))
        for line in panel.get_lines()
        if len(line.get_ydata()) == 5
    }
    assert heights == {(0.5, 0.5, 0.5, -1.0, 0.0), (1.0, 0.0, 0.0, 1.0, 1.0)}
    assert [label.get_text() for label in panel.get_xticklabels()] == [
        "beta",
        "dropout",
        "variant",
        "free",
        "kad",
    ]
    texts = {text.get_text() for text in panel.texts}
    assert {"0.01", "1", "dense", "batch_norm", "True", "5", "7"} <= texts


def test_one_trial_is_a_picture_too(preset, tmp_path):
    report.draw(ROWS[:1], preset, "kad", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"trials.png", "trade_off.png"}


def test_the_trade_off_has_reconstruction_and_divergence_over_beta(preset, tmp_path):
    left, right = report.trade_off(ROWS, "beta", preset, "kad", path=tmp_path / "b.png").axes[:2]
    assert left.get_xscale() == "log"
    np.testing.assert_allclose(left.collections[0].get_offsets(), [[0.1, 10.0], [1.0, 14.0]])
    np.testing.assert_allclose(right.collections[0].get_offsets(), [[0.1, 3.0], [1.0, 3.0]])


def test_the_table_has_a_column_for_every_hyper_parameter(preset, tmp_path):
    failed = {
        "trial": "2",
        "status": "failed",
        "values": {"beta": 0.5},
        "reason": 'MemoryError: none, "left"',
    }
    report.write_table([*ROWS, failed], preset, tmp_path / "trials.csv")
    with open(tmp_path / "trials.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [entry["beta"] for entry in rows] == ["0.1", "1.0", "0.5"]
    assert rows[0]["free"] == ""
    assert rows[1]["free"] == "True"
    assert rows[2]["reason"] == failed["reason"]
    assert rows[2]["score"] == ""
    assert float(rows[0]["own_val_kl"]) == 3.0


def test_a_line_says_values_and_score_or_reason():
    assert (
        report.line("3", ROWS[0], "kad") == "trial 3 (beta 0.1, dropout 0.25, variant convolutional): kad 5"
    )
    failed = {"status": "failed", "values": {"beta": 0.5}, "reason": "MemoryError: no message"}
    assert report.line("4", failed, "kad") == "trial 4 (beta 0.5): failed: MemoryError: no message"
