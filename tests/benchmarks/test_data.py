"""The benchmark of data: every way gives the same kind of batch, and the page says what was measured."""

import time

import pytest

from benchmarks import data, report, results


def test_every_way_gives_batches_of_clips(tmp_path, monkeypatch):
    for name, value in {"RECORDINGS": 2, "MINUTES": 0.1, "CLIP_SECONDS": 1.0, "BATCH_SIZE": 2}.items():
        monkeypatch.setattr(data, name, value)
    ways = data.ways_of(tmp_path)
    assert len(ways) == 13
    for name, batches in ways.items():
        inputs, target = next(iter(batches()))
        assert tuple(target.shape) == (2, 16000), name
        assert set(inputs) == ({"f0_hz", "loudness_db"} if "features" in name else {"audio"}), name


def test_a_rate_is_clips_over_the_time_of_the_process():
    def batches():
        while True:
            began = time.process_time()
            while time.process_time() - began < 0.01:
                pass
            yield None, [0] * 5

    found = data.rate_of(batches(), 0.1)
    assert found["clips_per_core_second"] == pytest.approx(500, rel=0.1)
    assert found["clips_per_second"] <= 1.05 * found["clips_per_core_second"]


def test_the_page_says_how_fast_a_model_may_become(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    assert list(report.data_section()) == []
    rates = {way: {"clips_per_core_second": 100.0 * n} for n, way in enumerate(report.DATA_WAYS, start=10)}
    row = {
        "batch_size": 4,
        "clip_seconds": 2.0,
        "sample_rate": 8000,
        "clips_per_core_second": 50.0,
        "ways": rates,
    }
    row["times_as_fast_until_data_limit"] = {way: 2.0 * n for n, way in enumerate(report.DATA_WAYS, start=10)}
    values = {"recordings": 8, "minutes_of_sound": 8.0, "sample_rate": 16000, "clip_seconds": 4.0}
    values |= {
        "batch_size": 16,
        "ways": {"a way": {"clips_per_core_second": 1234.5}},
        "models": {"some": row},
    }
    results.write("data_throughput", values)
    page = "\n".join(report.data_section())
    assert "Clips of 4 s at 16 kHz in batches of 16, of 8 recordings, 8 minutes in all" in page
    assert "| a way | 1,234 |" in page
    assert "| `some` | 4 of 2 s at 8 kHz | 50.0 | 1,000 | 1,100 | 1,200 | 20 | 22 | 24 |" in page
