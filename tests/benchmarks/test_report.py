import pytest

import audiozoo
from benchmarks import report

RELEASED = [name for name in audiozoo.list_models() if audiozoo.info(name).weights]
SOURCES = {
    "mss": ("quality_{}", "mean", "mss"),
    "mss_without_chords": ("quality_{}_without_chords", "mean", "mss"),
    "f0_median_error_cents_without_chords": ("quality_{}_without_chords", "mean", "f0_median_error_cents"),
    "loudness_mean_error_db_without_chords": ("quality_{}_without_chords", "mean", "loudness_mean_error_db"),
    "transfer_times_real_time": ("throughput_{}_tensorflow", "transfer", "times_real_time_median"),
}


def test_the_page_of_results_is_what_the_result_files_say():
    page = (report.ROOT / "benchmarks" / "RESULTS.md").read_text()
    assert page == report.results_page(), "run: python -m benchmarks report"


def test_the_table_of_the_readme_is_what_presets_and_result_files_say():
    readme = (report.ROOT / "README.md").read_text()
    assert report.BEGIN in readme
    assert readme == report.with_table(readme), "run: python -m benchmarks report"


@pytest.mark.parametrize("name", RELEASED)
def test_every_result_on_a_card_was_measured(name):
    results = audiozoo.info(name).card.results
    assert results
    for key, stated in results.items():
        file, *keys = SOURCES[key]
        measured = report.value(file.format(name), *keys)
        assert measured is not None, f"{key}: there is no result file"
        assert stated == pytest.approx(measured, rel=0.005), f"{key} of the card is not what was measured"
