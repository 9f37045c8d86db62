import json
import subprocess
import sys

import pytest

import audiozoo
from benchmarks import cards, report, results

RELEASED = [name for name in audiozoo.list_models() if audiozoo.info(name).weights]


def test_the_page_of_results_is_what_the_result_files_say():
    page = (report.ROOT / "benchmarks" / "RESULTS.md").read_text()
    assert page == report.results_page(), "run: python -m benchmarks report"


def test_the_table_of_the_readme_is_what_presets_and_result_files_say():
    readme = (report.ROOT / "README.md").read_text()
    assert report.BEGIN in readme
    assert readme == report.with_table(readme), "run: python -m benchmarks report"


@pytest.mark.parametrize("name", report.TUTORIALS)
def test_tables_of_pages_are_what_the_result_files_say(name):
    text = (report.ROOT / name).read_text()
    assert text == report.TUTORIALS[name](text), "run: python -m benchmarks report"


def test_a_page_has_a_place_for_each_of_its_tables():
    for name, marks in {
        "docs/vae.md": [report.MNIST_BEGIN],
        "docs/tuning.md": [report.TUNING_BEGIN],
        "docs/latent.md": ["<!-- latent:begin -->", "<!-- ways:begin -->"],
        "docs/pitch.md": ["<!-- pitch:begin -->"],
        "docs/data.md": ["<!-- data:begin -->"],
    }.items():
        text = (report.ROOT / name).read_text()
        assert all(text.count(mark) == 1 for mark in marks)


@pytest.mark.parametrize("name", RELEASED)
def test_every_result_on_a_card_was_measured(name):
    results = audiozoo.info(name).card.results
    assert results
    for key, stated in results.items():
        file, *keys = cards.source(name, key)
        measured = report.value(file, *keys)
        assert measured is not None, f"{key}: there is no result file"
        assert stated == pytest.approx(measured, rel=0.005), f"{key} of the card is not what was measured"


def test_every_result_file_has_the_schema():
    for name in results.names():
        record = results.read(name)
        assert record.name == name
        assert record.command
        assert record.commit


def test_a_file_without_its_origin_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    path = results.write("speed", {"seconds": 1.0}, seed=3)
    assert results.read("speed").seed == 3
    without = {key: value for key, value in json.loads(path.read_text()).items() if key != "commit"}
    path.write_text(json.dumps(without))
    with pytest.raises(ValueError, match="commit"):
        results.read("speed")


def test_an_empty_column_is_left_out():
    assert report.table(["a", "b", "c"], [["x", "", 1], ["y", "", ""]]) == (
        "| a | c |\n| --- | --- |\n| x | 1 |\n| y |  |"
    )


def test_rows_of_several_machines_stand_in_one_table(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    speeds = {"milliseconds": 5.0, "times_real_time": 2.0, "kilohertz": 32.0, "flops_per_step": 2e9}
    row = {"preset": "p", "backend": "jax", "precision": "float32", "batch_size": 4}
    row |= {"training": speeds, "use": speeds}
    results.write("throughput_p_jax_cpu", {"rows": [row | {"device": "CPU"}]})
    results.write("throughput_p_jax_gpu", {"rows": [row | {"device": "NVIDIA H100"}]})
    section = "\n".join(report.speed_section())
    assert "| p | jax | 1 core, " in section
    assert "| p | jax | NVIDIA H100 | float32 | 4 | 5 | 2.0 | 32 | 2 |" in section
    assert "memory" not in section


@pytest.mark.parametrize(
    "name",
    [
        "quality",
        "throughput",
        "tables",
        "report",
        "scoring",
        "curves",
        "data",
        "export",
        "inversion",
        "mnist",
        "pitch",
        "vocoder",
    ],
)
def test_a_command_runs_as_a_file_from_anywhere(name, tmp_path):
    script = report.ROOT / "benchmarks" / f"{name}.py"
    command = [sys.executable, str(script), "--help"]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert f"python -m benchmarks {name} [OPTIONS]" in finished.stdout


def test_what_another_command_found_is_not_replaced_unasked(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    results.check_free("speed", replace=False)
    results.write("speed", {"seconds": 1.0})
    results.check_free("speed", replace=False)  # the same command again
    monkeypatch.setattr(results, "command", lambda: "python -m benchmarks other")
    with pytest.raises(ValueError, match="another command"):
        results.check_free("speed", replace=False)
    results.check_free("speed", replace=True)
    with pytest.raises(ValueError, match="name must be"):
        results.check_free("../speed", replace=True)
