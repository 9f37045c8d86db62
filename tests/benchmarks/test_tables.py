"""The student projects' tables: parameters add up, and chance reads what it must."""

import pytest

import audiozoo
from benchmarks import results, scoring, tables


def test_layers_add_up_to_the_card():
    for table in tables.layer_tables():
        name = table["title"].split("`")[1]
        *layers, (_, _, total) = table["rows"]
        assert sum(count for _, _, count in layers) == total == audiozoo.info(name).card.parameters
        assert len({path for path, _, _ in layers}) == len(layers)


def test_two_samples_of_one_distribution_read_as_far_as_their_number():
    *published, (_, test, train, ratio, *spreads) = tables.frechet_table(draws=50)["rows"]
    assert len(published) == 5
    assert published[0][3] == pytest.approx(101 / 23)
    # E = (2 d + d (d + 1) / 2) / n at first order, d = 20; of 80 clips it holds, of 20 it is a little more.
    assert train == pytest.approx(250 / 80, rel=0.1)
    assert test > 250 / 20
    assert ratio == pytest.approx(test / train)
    assert 0 < spreads[1] < spreads[0] < test


def test_our_rates_stand_beside_theirs(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    assert len(tables.processing_table()["rows"]) == len(tables.PROCESSING_ROWS)
    row = {"preset": "ddsp_violin", "backend": "jax", "device": "CPU"}
    rows = [row | {"training": {"kilohertz": rate}} for rate in (100.0, 400.0)]
    results.write("throughput_ddsp_violin_jax_cpu", {"rows": rows})
    *_, (name, rate, device) = tables.processing_table()["rows"]
    assert (name, rate) == ("ddsp_violin, jax", 400.0)
    assert device.startswith("1 core, ")


def test_cells_are_readable():
    assert [tables.cell(value) for value in (None, 4837670, 6.23456, "x")] == ["", "4,837,670", "6.235", "x"]


def test_the_score_agrees_with_the_matrix_root_that_it_is_timed_beside(monkeypatch):
    monkeypatch.setattr(scoring, "CLIPS", (30, 25))
    monkeypatch.setattr(scoring, "DIMENSIONS", 12)
    assert scoring.frechet_difference() < 1e-9


def test_a_folder_is_scored_in_a_process_of_its_own():
    found = scoring.scored_in_a_process(16)
    assert found["clips"] == 16
    assert found["seconds"] > 0
    assert found["peak_resident_mib"] >= found["imports_mib"] > 0


def test_layers_are_numbered_among_their_siblings():
    siblings = {}
    paths = [
        "net_7/dense_12",
        "net_7/dense_13",
        "net_7/mlp_3/dense_14",
        "net_7/mlp_4/dense_20",
        "net_7/dense_12",
    ]
    assert [tables.renumbered(path, siblings) for path in paths] == [
        "net/dense",
        "net/dense_1",
        "net/mlp/dense",
        "net/mlp_1/dense",
        "net/dense",
    ]
