"""Quality is measured on what it says, and what is worse reads worse."""

import json
import pathlib

import numpy as np
import pytest
import typer

import audiozoo
from audiozoo.data.audio_io import read_audio, write_audio
from audiozoo.models import DDSPDecoder
from benchmarks import ddsp_quality, quality, results

RECORDINGS, SECONDS, SAMPLE_RATE = 4, 10, 16000


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """A folder of vibrating tones with five harmonics, each at a pitch of its own."""
    folder = tmp_path_factory.mktemp("recordings")
    time_seconds = np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE
    for index in range(RECORDINGS):
        f0_hz = 220.0 * 2.0 ** (index / 4) * (1.0 + 0.01 * np.sin(2 * np.pi * 5.0 * time_seconds))
        phase = 2.0 * np.pi * np.cumsum(f0_hz) / SAMPLE_RATE
        tone = sum(np.sin(k * phase) / k for k in range(1, 6))
        write_audio(folder / f"tone_{index}.wav", 0.1 * tone.astype("float32"), SAMPLE_RATE)
    return folder


@pytest.fixture
def model(monkeypatch, tmp_path):
    """A small decoder as if it were the preset's, and a folder of its own for results."""
    decoder = DDSPDecoder(num_units=16, num_harmonics=20, reverb_length=500)
    preset = audiozoo.info("ddsp_violin")
    decoder.preset = preset.model_copy(
        update={"train": preset.train.model_copy(update={"clip_seconds": 1.0})}
    )
    monkeypatch.setattr(audiozoo, "load", lambda name: decoder)
    monkeypatch.setattr(results, "FOLDER", tmp_path / "results")
    return decoder


def run(**options):
    defaults = {"preset": "", "generated": None, "only": "*", "whole": False, "keep": None, "name": "found"}
    quality.main(**defaults | {"embedding": "mfcc"} | options)
    return results.read("found").values


def test_reconstructions_are_of_the_held_out_end_and_scored_both_ways(model, recordings, tmp_path):
    values = run(preset="ddsp_violin", reference=recordings, keep=tmp_path / "kept")
    json.dumps(values)
    assert values["part"] == "held out"
    assert len(values["files"]) == RECORDINGS
    mean = values["mean"]
    assert mean["mss"] == pytest.approx(mean["mss_linear"] + mean["mss_log"])
    assert mean["mss"] == pytest.approx(np.mean([file["mss"] for file in values["files"].values()]))
    assert values["sets"]["reference"]["clips"] == values["sets"]["generated"]["clips"] == 2 * RECORDINGS
    assert values["sets"]["scores"]["kad"]["value"] > 0  # random weights
    outliers = [entry["file"] for entry in values["sets"]["outliers"]["worst"]]
    assert set(outliers) <= {f"generated/tone_{i}_{clip:03d}.wav" for i in range(4) for clip in range(2)}
    # The last fifth of the recording, second by second.
    kept, _ = read_audio(tmp_path / "kept" / "reference" / "tone_2_001.wav")
    tone, _ = read_audio(recordings / "tone_2.wav")
    np.testing.assert_allclose(kept, tone[9 * SAMPLE_RATE :], atol=1e-4)


def test_a_recording_beside_itself_has_no_distance(model, recordings, monkeypatch):
    made = ddsp_quality.reconstructions(model, recordings, only="*_1*", whole=True)
    ((name, clips, _, errors),) = list(made)
    assert name == "tone_1.wav"
    assert clips.shape == (SECONDS, SAMPLE_RATE)
    assert errors["f0_compared_share"] >= 0.0
    same = quality.distances(model, clips, clips)
    assert max(same.values()) < 1e-6
    noise = 0.01 * np.random.default_rng(0).standard_normal(clips.shape).astype("float32")
    noisy = quality.distances(model, clips, clips + noise)
    assert min(noisy.values()) > 0.01


def test_two_folders_need_no_model(model, recordings, tmp_path):
    noise = np.random.default_rng(0)
    for index in range(8):
        for folder in ("a", "b"):
            (tmp_path / folder).mkdir(exist_ok=True)
            level = 0.1 if folder == "a" else 0.01
            clip = level * noise.standard_normal(2 * SAMPLE_RATE).astype("float32")
            write_audio(tmp_path / folder / f"{index}.wav", clip, SAMPLE_RATE)
    near = run(reference=tmp_path / "a", generated=tmp_path / "a")["sets"]["scores"]
    far = run(reference=tmp_path / "a", generated=tmp_path / "b")["sets"]["scores"]
    assert near["frechet"]["value"] == pytest.approx(0.0, abs=1e-6)
    assert far["frechet"]["value"] > 1.0
    assert far["recall"]["value"] == 0.0


def test_neither_preset_nor_folder_is_refused():
    with pytest.raises(typer.BadParameter, match="--preset"):
        quality.main(reference=pathlib.Path("any"), preset="", generated=None)


def test_what_one_recording_lacks_has_no_mean():
    files = {"a": {"mss": 1.0, "cents": 5.0}, "b": {"mss": 3.0, "cents": None}}
    assert quality.mean_of(files) == {"mss": 2.0}
