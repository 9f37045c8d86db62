"""The benchmark of hands that play: what it reads, and what it finds on a code whose sounds are known."""

import types

import numpy as np
import pytest

from audiozoo.latent import informative_basis, log_dimensionless_jerk, synthetic_motion
from benchmarks import motion, report, results

DIMS, RATE = 6, 50.0


@pytest.fixture
def hands(tmp_path):
    """A folder with files as the shared ones are."""
    rng = np.random.default_rng(0)
    shapes = rng.standard_normal((60, 21, 2)).astype("float32")
    shapes[:, 0] = 0.0
    np.savez(tmp_path / "mediapipe_keypoints.npz", xy=shapes, segment=np.repeat([0, 1], 30))
    paths = rng.standard_normal((50, 2)).cumsum(0).astype("float32")
    np.savez(tmp_path / "mediapipe_fingertip_trajectories.npz", xy=paths, length=[20, 30])
    drawn = rng.uniform(0.0, 1.0, (10, 40, 4)).astype("float32")
    np.savez(tmp_path / "synthetic_trajectories.npz", x=drawn, rate=60)
    return tmp_path


def test_recordings_are_read_whole_and_as_what_they_are(hands):
    found = motion.recorded_motions(hands)
    shapes, tips, played = found.values()
    assert [m.frames for m in shapes] == [30, 30]
    assert [m.frames for m in tips] == [20, 30]
    assert np.isnan(tips[0].points[:, :, 1:]).all()
    assert len(played) == 2  # every fifth
    assert played[0].fps == 60.0
    about = motion.about(shapes)
    assert (about["recordings"], about["frames"], about["seconds"]) == (2, 60, 2.0)


def test_jerk_is_that_of_windows_of_a_second_and_what_is_unknown_does_not_count():
    path = np.random.default_rng(0).standard_normal((100, 3)).cumsum(0)
    windows = [log_dimensionless_jerk(path[start : start + 50], rate=50.0) for start in (0, 50)]
    assert motion.mean_jerk(path, 50.0) == pytest.approx(np.mean(windows))
    unknown = np.column_stack([path, np.full(100, np.nan)])
    assert motion.mean_jerk(unknown, 50.0) == pytest.approx(np.mean(windows))
    assert motion.mean_jerk(path[:10], 50.0) is None


@pytest.fixture(scope="module")
def judge():
    """A model whose sound is noise as loud as the first number of its code, and two halves of its data."""

    def decode(codes):
        loud = np.repeat(np.exp(codes[:, :, 0]), 320, axis=1)
        return 0.01 * loud * np.random.default_rng(0).standard_normal(loud.shape)

    model = types.SimpleNamespace(code_rate=RATE, sample_rate=16_000, decode=decode)
    rng = np.random.default_rng(1)
    codes = [rng.standard_normal((2000, DIMS)) * np.linspace(2.0, 0.5, DIMS) for _ in range(2)]
    halves = [types.SimpleNamespace(codes=[rows]) for rows in codes]
    return motion.Judge(model, informative_basis(codes[0]), halves, 400, 10.0)


def test_other_recordings_are_covered_and_the_prior_is_too_narrow(judge, monkeypatch):
    monkeypatch.setattr(motion, "WALK_SECONDS", 40.0)
    controls = judge.controls()
    assert controls["the other recordings"]["coverage"] > 0.9
    assert controls["random walk as wide as the data"]["coverage"] > 0.7
    assert controls["random walk from the prior"]["recall"] < controls["the other recordings"]["recall"]
    assert controls["the other recordings"]["sound_coverage"] > 0.3


def test_every_method_is_judged_and_the_table_shows_it(judge, monkeypatch, tmp_path):
    monkeypatch.setattr(motion, "TREMOR_METRES", (0.0, 0.002))
    monkeypatch.setattr(motion, "PLAY_SECONDS", 10.0)
    monkeypatch.setattr(motion, "WALK_SECONDS", 20.0)
    recordings = [synthetic_motion("play", seconds=10.0, seed=seed) for seed in range(2)]
    found = judge.motion(recordings, heard=False)
    walks = found["walks"]
    assert found["driven"] == DIMS
    assert walks["whiten_quantile"]["driven_coverage"] > walks[motion.CONTROL]["driven_coverage"]
    tremor = judge.tremor()
    assert tremor[1]["motion_log_jerk"] < tremor[0]["motion_log_jerk"] - 1.0
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    values = {"rows": 400, "k": 5, "sound_seconds": 10.0, "motions": {"play": motion.about(recordings)}}
    values["presets"] = {
        "sound": {"controls": judge.controls(), "motions": {"play": found}, "tremor": tremor}
    }
    results.write("motion", values)
    table = report.motion_table().splitlines()
    assert table[0] == "| preset | walk | play |"
    assert len(table) == 2 + 1 + len(walks) + 3
    assert len(report.tremor_table().splitlines()) == 4
    page = "\n\n".join(report.motion_section())
    assert "2 recordings, 20 s" in page
    assert page.count("| sound |") == 4 + len(walks) + 1


def test_unknown_values_are_none():
    assert motion.mean_of_known([1.0, np.nan, None, 3.0]) == 2.0
    assert motion.mean_of_known([np.nan]) is None
