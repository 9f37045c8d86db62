"""Two folders in, one report out."""

import json

import numpy as np
import pytest
import scipy.signal
import soundfile

from audiozoo.metrics import EncoderEmbedding, compare, embed_folder, frechet_distance

RATE = 16000
SCORES = ["frechet", "frechet_infinity", "kad", "kid", "precision", "recall", "density", "coverage"]
DISTANCES = SCORES[:4]


def pluck(rng):
    """A plucked string of random pitch, brightness and level, 1.2 s."""
    seconds = np.arange(int(1.2 * RATE)) / RATE
    f0_hz, brightness = rng.uniform(110, 880), rng.uniform(0.5, 2.0)
    partials = np.arange(1, 12)[:, None]
    waves = np.sin(2 * np.pi * f0_hz * partials * seconds) * np.exp(-partials * seconds * rng.uniform(1, 4))
    return rng.uniform(0.05, 0.3) * np.sum(waves / partials**brightness, axis=0)


def write_folder(folder, seed, *, change=lambda audio: audio, clips=60):
    rng = np.random.default_rng(seed)
    folder.mkdir()
    for number in range(clips):
        soundfile.write(folder / f"pluck {number:03d}.wav", change(pluck(rng)), RATE)
    return folder


def noisy(level):
    return lambda audio: audio + level * np.random.default_rng(3).standard_normal(len(audio))


def dull(cutoff_hz):
    filter_sections = scipy.signal.butter(4, cutoff_hz, fs=RATE, output="sos")
    return lambda audio: scipy.signal.sosfilt(filter_sections, audio)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("scores")
    return {
        "reference": write_folder(root / "reference", 0),
        "alike": write_folder(root / "alike", 1),
        "noise": write_folder(root / "noise", 1, change=noisy(0.003)),
        "more noise": write_folder(root / "more noise", 1, change=noisy(0.03)),
        "dull": write_folder(root / "dull", 1, change=dull(1000.0)),
        "duller": write_folder(root / "duller", 1, change=dull(400.0)),
    }


@pytest.fixture(scope="module")
def reports(folders):
    """Reports on every folder by name, by embedding."""
    found = {}
    for embedding in ("mfcc", "mel_statistics"):
        reference = embed_folder(folders["reference"], embedding)
        names = [name for name in folders if name != "reference"]
        found[embedding] = {name: compare(reference, folders[name], embedding=embedding) for name in names}
    return found


def test_a_report_is_json_and_says_what_its_numbers_are_of(reports):
    report = reports["mfcc"]["alike"]
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["embedding"] | {"hash": ""} == {
        "name": "mfcc",
        "hash": "",
        "dimensions": 40,
        "sample_rate": RATE,
        "hop": RATE,
    }
    assert report["reference"] == {"clips": 60, "rows": 60, "seconds": pytest.approx(72.0), "skipped": []}
    assert list(report["scores"]) == SCORES
    for name, score in report["scores"].items():
        assert score["low"] <= score["value"] <= score["high"], name
        assert ("p_value" in score) == (name in ("kad", "kid"))
    assert [sentence.split()[0] for sentence in report["warnings"]] == ["reference", "generated"]
    assert "60 clips" in report["warnings"][0]


@pytest.mark.parametrize("embedding", ["mfcc", "mel_statistics"])
def test_equal_distributions_are_found_equal(reports, embedding):
    scores = reports[embedding]["alike"]["scores"]
    assert scores["frechet_infinity"]["low"] < 0.0 < scores["frechet_infinity"]["high"]
    assert scores["kad"]["p_value"] > 0.05
    assert scores["precision"]["value"] > 0.9
    assert scores["coverage"]["value"] > 0.9


@pytest.mark.parametrize(
    "embedding, worse, names",
    [
        ("mfcc", ["noise", "more noise"], SCORES),
        ("mfcc", ["dull", "duller"], SCORES),
        ("mel_statistics", ["noise", "more noise"], SCORES),
        # Dull sounds stay inside the reference's support there, and crowd: see coverage.py.
        ("mel_statistics", ["dull", "duller"], [*DISTANCES, "recall", "coverage"]),
    ],
)
def test_scores_get_worse_with_noise_and_with_a_low_pass(reports, embedding, worse, names):
    steps = [reports[embedding][name]["scores"] for name in ("alike", *worse)]
    for name in names:
        values = [scores[name]["value"] for scores in steps]
        if name in DISTANCES:
            assert values[0] < values[1] < values[2], name
        else:
            assert values[0] > values[1] >= values[2], name
    assert steps[2]["kad"]["p_value"] < 0.01


def test_the_clip_that_does_not_belong_is_named_first(folders, tmp_path):
    odd = write_folder(tmp_path / "odd", 1, clips=20)
    soundfile.write(odd / "hiss.wav", noisy(0.3)(np.zeros(RATE)), RATE)
    outliers = compare(folders["reference"], odd, embedding="mfcc")["outliers"]
    assert outliers["worst"][0]["file"].endswith("hiss.wav")
    distances = [entry["distance"] for entry in outliers["worst"]]
    assert len(distances) == 10
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > 1.5 * distances[1]


def test_a_seed_repeats_a_report_and_embedded_sets_are_taken_too(folders):
    reference = embed_folder(folders["reference"], "mfcc")
    generated = embed_folder(folders["noise"], "mfcc")
    from_sets = compare(reference, generated)
    assert from_sets["outliers"] is None
    assert from_sets == compare(reference, generated)
    assert from_sets["scores"] == compare(folders["reference"], folders["noise"], embedding="mfcc")["scores"]
    assert from_sets["scores"] != compare(reference, generated, seed=1)["scores"]


@pytest.mark.filterwarnings("ignore:.*mostly bias")
def test_the_plain_distance_is_of_all_rows_though_few_are_kept(folders):
    whole = [embed_folder(folders[name], "mfcc") for name in ("reference", "noise")]
    kept = [embed_folder(folders[name], "mfcc", max_rows=50) for name in ("reference", "noise")]
    report = compare(*kept)
    expected = frechet_distance(whole[0].rows, whole[1].rows)
    assert report["scores"]["frechet"]["value"] == pytest.approx(expected, rel=1e-6)
    assert any("50 rows chosen at random from 60" in sentence for sentence in report["warnings"])


def test_sets_of_different_embeddings_or_rates_are_refused_by_name(folders):
    from audiozoo.metrics import MFCC

    mfcc = embed_folder(folders["reference"], "mfcc")
    mel = embed_folder(folders["alike"], "mel_statistics")
    slow = embed_folder(folders["alike"], MFCC(sample_rate=8000))
    with pytest.raises(ValueError, match="got 'mfcc' at 16000 Hz .*'mel_statistics' at 16000 Hz"):
        compare(mfcc, mel)
    with pytest.raises(ValueError, match="got 'mfcc' at 16000 Hz .*'mfcc' at 8000 Hz"):
        compare(mfcc, slow)
    with pytest.raises(ValueError, match="got 'mfcc' .*'mel_statistics'"):
        compare(mfcc, folders["alike"])  # the default embedding


def test_skipped_files_are_reported(folders, tmp_path):
    folder = write_folder(tmp_path / "damaged", 1, clips=8)
    (folder / "broken.wav").write_bytes(b"RIFF")
    report = compare(folders["reference"], folder, embedding="mfcc")
    (skipped,) = report["generated"]["skipped"]
    assert skipped["file"].endswith("broken.wav")
    assert "cannot be read" in skipped["reason"]
    assert "generated: 1 of 9 files could not be read." in report["warnings"]


def test_a_single_long_clip_is_refused_with_what_to_do(folders, tmp_path):
    soundfile.write(tmp_path / "long.wav", noisy(0.1)(np.zeros(10 * RATE)), RATE)
    with pytest.raises(ValueError, match="Cut long recordings into clips"):
        compare(folders["reference"], [tmp_path / "long.wav"], embedding="mfcc")


def test_a_function_is_refused_with_what_to_wrap_it_in(folders):
    with pytest.raises(ValueError, match="CallableEmbedding"):
        compare(folders["reference"], folders["reference"], embedding=lambda audio, sample_rate: audio)
    with pytest.raises(ValueError, match="got None"):
        compare(folders["reference"], folders["reference"], embedding=None)


def test_a_models_encoder_scores_too(folders):
    class Encoder:
        sample_rate = 8000
        weights = np.random.default_rng(0).standard_normal((8000, 20)).astype("float32")

        def get_weights(self):
            return [self.weights]

        def encode(self, audio):
            return audio @ self.weights

    report = compare(folders["reference"], folders["alike"], embedding=EncoderEmbedding(Encoder()))
    assert report["embedding"]["dimensions"] == 20
    assert report["scores"]["kad"]["p_value"] > 0.05
