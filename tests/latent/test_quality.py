"""Quality of walks: identical, collapsed, far and dropped sets; smoothness of known movements and sounds."""

import numpy as np
import pytest

from audiozoo.errors import AudioError
from audiozoo.latent import log_dimensionless_jerk, sound_roughness_db, walk_quality
from audiozoo.latent.motion_synthesis import minimum_jerk
from audiozoo.latent.quality import cell_scores, drawn_rows, ellipsoid_share

DIMS = 6


def normal(rows, seed, dims=DIMS):
    return np.random.default_rng(seed).standard_normal((rows, dims))


def scores(reference, walk, **settings):
    found = walk_quality(reference, walk, num_resamples=20, **settings)
    return {name: getattr(score, "value", score) for name, score in found.items()}


def test_a_set_against_itself_is_perfect():
    found = scores(normal(500, 0), normal(500, 0))
    assert found["precision"] == found["recall"] == found["coverage"] == 1.0
    assert found["ellipsoid_share"] == pytest.approx(0.95, abs=0.003)
    assert found["occupied_cells"] == 1.0


def test_equal_distributions_are_covered():
    found = scores(normal(1000, 0), normal(1000, 1))
    assert found["coverage"] > 0.9
    assert found["density"] == pytest.approx(1.0, abs=0.1)
    assert found["ellipsoid_share"] == pytest.approx(0.95, abs=0.02)
    assert abs(found["kad"]) < 0.2
    assert found["cell_entropy"] > 0.95


def test_a_collapsed_walk_covers_nothing_and_visits_one_cell():
    found = scores(normal(1000, 0), 1e-6 * normal(1000, 1))
    assert found["coverage"] < 0.03
    assert found["recall"] < 0.01
    assert found["precision"] == found["ellipsoid_share"] == 1.0
    assert found["occupied_cells"] == 0.01
    assert found["cell_entropy"] == 0.0
    assert found["kad"] > 1.0


def test_a_walk_far_away_shares_nothing():
    found = scores(normal(500, 0), 20.0 + normal(500, 1))
    assert [found[name] for name in ("precision", "recall", "density", "coverage", "ellipsoid_share")] == [
        0
    ] * 5


def test_a_walk_through_half_of_the_sounds_covers_half():
    both = np.concatenate([normal(500, 0), 30.0 + normal(500, 1)])
    found = scores(both, normal(1000, 2))
    assert found["coverage"] == pytest.approx(0.5, abs=0.02)
    assert found["occupied_cells"] == pytest.approx(0.5, abs=0.1)
    assert found["precision"] > 0.9


def test_recordings_count_alike_where_there_are_enough():
    groups = np.repeat(np.arange(300), 20)
    rows = np.repeat(normal(300, 0), 20, axis=0) + 1e-3 * normal(6000, 1)
    drawn = drawn_rows(rows, groups, 300, 0)
    assert len(np.unique(np.round(drawn[:, 0], 1))) > 30
    apart = np.linalg.norm(drawn[:, None] - drawn[None], axis=-1) + 1e9 * np.eye(300)
    assert apart.min() > 0.05  # no two of one recording
    assert len(drawn_rows(rows, groups, 1000, 0)) == 1000
    assert scores(rows, normal(300, 2), reference_groups=groups, rows=300)["coverage"] > 0.85


def test_the_sound_is_judged_where_it_is_given_with_as_many_rows_of_both():
    codes = normal(300, 0), normal(300, 1)
    found = scores(*codes, reference_embedding=normal(200, 2, 10), walk_embedding=normal(60, 3, 10))
    assert found["sound_coverage"] > 0.8
    assert found["sound_density"] == pytest.approx(1.0, abs=0.3)
    dull = scores(*codes, reference_embedding=normal(200, 2, 10), walk_embedding=0.01 * normal(60, 3, 10))
    assert dull["sound_recall"] < 0.1
    assert dull["coverage"] == found["coverage"]


def test_the_ellipsoid_has_the_axes_of_the_reference():
    reference = normal(20_000, 0, 2) * [10.0, 0.1]
    # Chi-squared with two degrees of freedom: 95 % lie within 2.448 standard deviations.
    for along, across, inside in ((24.0, 0.0, 1.0), (25.0, 0.0, 0.0), (0.0, 0.24, 1.0), (0.0, 0.25, 0.0)):
        assert ellipsoid_share(reference, [[along, across]]) == inside
    flat = reference * [1.0, 0.0]
    assert ellipsoid_share(flat, [[5.0, 0.0], [5.0, 0.1]]) == 0.5


def test_an_ellipsoid_of_draws_knows_wide_posteriors():
    reference = normal(5000, 0, 2) * [1.0, 0.1]
    walk = [[0.0, 0.5]]
    assert ellipsoid_share(reference, walk) == 0.0
    assert ellipsoid_share(reference, walk, log_variance=np.full((5000, 2), 2.0 * np.log(5.0))) == 1.0


def test_entropy_of_even_visits_is_one_and_of_two_cells_known():
    corners = 100.0 * np.eye(4)
    reference = np.repeat(corners, 50, axis=0) + 0.01 * normal(200, 0, 4)
    even = cell_scores(reference, corners, codebook=4)
    assert (even["occupied_cells"], even["cell_entropy"]) == (1.0, pytest.approx(1.0))
    half = cell_scores(reference, corners[[0, 1]], codebook=4)
    assert (half["occupied_cells"], half["cell_entropy"]) == (0.5, pytest.approx(0.5))


def test_jerk_of_a_minimum_jerk_reach_is_known_and_size_and_time_do_not_matter():
    # Speed peaks at 15/8 d/T and the integral of jerk^2 is 720 d^2/T^5: ln(720 / (15/8)^2) = 5.322.
    for start, end, seconds in (([0.0, 0.0], [1.0, 2.0], 1.0), ([5.0, 5.0], [4.0, 9.0], 7.0)):
        path = minimum_jerk(np.array(start), np.array(end), np.linspace(0.0, 1.0, 4001))
        assert log_dimensionless_jerk(path, rate=4000 / seconds) == pytest.approx(-5.322, abs=0.02)


def test_tremor_and_haste_make_a_movement_less_smooth():
    time = np.linspace(0.0, 1.0, 1001)
    reach = minimum_jerk(np.zeros(1), np.ones(1), time)
    shaken = reach + 0.005 * np.sin(2.0 * np.pi * 10.0 * time)[:, None]
    back_and_forth = np.concatenate([reach, 1.0 - reach] * 3)
    calm = log_dimensionless_jerk(reach, rate=1000.0)
    assert log_dimensionless_jerk(shaken, rate=1000.0) < calm - 2.0
    assert log_dimensionless_jerk(back_and_forth, rate=1000.0) < calm - 2.0


def test_jerk_of_a_path_with_gaps_and_of_none():
    path = minimum_jerk(np.zeros(2), np.ones(2), np.linspace(0.0, 1.0, 1001))
    whole = log_dimensionless_jerk(path, rate=1000.0)
    path[500:510] = np.nan
    assert log_dimensionless_jerk(path, rate=1000.0) == pytest.approx(whole, abs=0.1)
    assert np.isnan(log_dimensionless_jerk(np.zeros((100, 2)), rate=10.0))
    assert np.isnan(log_dimensionless_jerk(np.full((100, 2), np.nan), rate=10.0))


def test_steady_sounds_are_smooth_and_restless_ones_rough():
    rng = np.random.default_rng(0)
    time = np.arange(32_000) / 16_000
    tone = 0.3 * np.sin(2.0 * np.pi * 440.0 * time)
    assert sound_roughness_db(tone, 16_000) < 1e-2
    assert sound_roughness_db(np.zeros(16_000), 16_000) == 0.0
    beating = tone * (1.0 + 0.8 * np.sin(2.0 * np.pi * 6.0 * time))
    noise = 0.1 * rng.standard_normal(32_000)
    assert 0.1 < sound_roughness_db(beating, 16_000) < sound_roughness_db(noise, 16_000)
    assert sound_roughness_db(np.stack([noise, noise], axis=1), 16_000) == pytest.approx(
        sound_roughness_db(noise, 16_000)
    )


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"walk_codes": normal(50, 1, 3)}, "must have equal dimensions; got 6 and 3"),
        ({"walk_codes": np.full((50, DIMS), np.nan)}, "walk_codes must be finite"),
        ({"reference_codes": normal(40, 1), "codebook": 41}, "codebook must have at most 40 cells"),
        ({"codebook": 1}, "codebook must be"),
        ({"rows": 1}, "rows must be"),
        ({"k": 200}, "k must be between"),
        ({"walk_embedding": normal(50, 1)}, "must come together"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        walk_quality(**({"reference_codes": normal(150, 0), "walk_codes": normal(50, 1)} | arguments))


def test_paths_and_sounds_that_are_too_short_are_refused():
    with pytest.raises(ValueError, match="at least 4 frames"):
        log_dimensionless_jerk(np.zeros((3, 2)), rate=10.0)
    with pytest.raises(ValueError, match="rate must be"):
        log_dimensionless_jerk(np.zeros((5, 2)), rate=0.0)
    with pytest.raises(AudioError, match="must last 80 ms"):
        sound_roughness_db(np.ones(100), 16_000)
