"""Maps from features to codes: what each method promises, on motion and codes whose structure is planted."""

import numpy as np
import pytest
from scipy.stats import ks_2samp, spearmanr

from audiozoo.errors import MotionError, OutputError
from audiozoo.latent import MotionMap, motion_features, synthetic_motion
from audiozoo.latent.motion_map import METHODS, distinct, monge_matrix, nearest_mean, whitening
from audiozoo.metrics import prdc

FRAMES, CODES, DIMS = 3000, 4000, 12


@pytest.fixture(scope="module")
def features():
    """Six numbers that lean on each other, of skewed distributions, in units of no meaning."""
    rng = np.random.default_rng(0)
    sources = rng.gamma(2.0, size=(FRAMES, 4))
    mixed = sources @ rng.standard_normal((4, 6)) + 0.3 * rng.standard_normal((FRAMES, 6))
    return mixed * [1.0, 10.0, 100.0, 0.1, 0.01, 1.0] + 5.0


@pytest.fixture(scope="module")
def coordinates():
    """Uncorrelated coordinates of falling spread: two humps, an exponential, a uniform, then Gaussians."""
    rng = np.random.default_rng(1)
    humps = rng.choice([-3.0, 3.0], CODES) + 0.5 * rng.standard_normal(CODES)
    gaussians = rng.standard_normal((CODES, DIMS - 3)) * np.linspace(1.0, 0.3, DIMS - 3)
    first = [humps, 2.0 * rng.exponential(size=CODES) - 2.0, rng.uniform(-2.0, 2.0, CODES)]
    return np.concatenate([np.stack(first, axis=1), gaussians], axis=1)


def mapped(method, features, coordinates, **settings):
    fitted = MotionMap(method, **settings).fit(features, coordinates)
    return fitted, fitted.map(features)


def test_whiten_quantile_gives_each_driven_coordinate_the_distribution_of_the_codes(features, coordinates):
    fitted, walk = mapped("whiten_quantile", features, coordinates)
    assert 3 <= fitted.driven <= 5  # four sources
    for dim in range(fitted.driven):
        assert ks_2samp(walk[:, dim], coordinates[:, dim]).statistic < 0.01
    assert np.abs(np.corrcoef(walk[:, : fitted.driven].T) - np.eye(fitted.driven)).max() < 0.15
    assert walk.shape == (FRAMES, DIMS)


def test_plain_z_scores_do_not(features, coordinates):
    _, walk = mapped("zscore", features, coordinates)
    np.testing.assert_allclose(walk[:, :6].std(axis=0), 1.0)
    assert ks_2samp(walk[:, 0], coordinates[:, 0]).statistic > 0.3


def test_whiten_quantile_never_leaves_the_codes(features, coordinates):
    fitted, _ = mapped("whiten_quantile", features, coordinates)
    wild = fitted.map(1e3 * (features - 5.0))[:, : fitted.driven]
    assert np.all(wild >= coordinates[:, : fitted.driven].min(axis=0))
    assert np.all(wild <= coordinates[:, : fitted.driven].max(axis=0))


def test_it_covers_what_z_scores_do_not(features, coordinates):
    covered = {}
    for method in ("whiten_quantile", "zscore"):
        fitted, walk = mapped(method, features, coordinates)
        driven = fitted.driven
        scores = prdc(coordinates[:1000, :driven], walk[:1000, :driven], num_resamples=2)
        covered[method] = scores.coverage.value
    assert covered["whiten_quantile"] > 0.8
    assert covered["zscore"] < 0.4


def test_what_moves_most_drives_the_first_coordinate_and_keeps_its_order(coordinates):
    rng = np.random.default_rng(2)
    main, other = rng.standard_normal(FRAMES), rng.standard_normal(FRAMES)
    tied = main[:, None] + 0.2 * rng.standard_normal((FRAMES, 4))  # four features that say the same
    for method in ("whiten_quantile", "pca"):
        fitted, walk = mapped(method, np.column_stack([other, tied]), coordinates, fidelity=0.9)
        assert fitted.driven == 2
        assert spearmanr(walk[:, 0], main)[0] > 0.95
        assert abs(spearmanr(walk[:, 1], other)[0]) > 0.95


def test_pca_has_mean_and_spread_of_the_codes(features, coordinates):
    fitted, walk = mapped("pca", features, coordinates)
    driven = slice(0, fitted.driven)
    np.testing.assert_allclose(walk[:, driven].mean(axis=0), coordinates[:, driven].mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(walk[:, driven].std(axis=0), coordinates[:, driven].std(axis=0), rtol=1e-9)


def test_linear_has_mean_and_covariance_of_the_codes_and_moves_least(coordinates):
    rng = np.random.default_rng(3)
    features = (
        rng.standard_normal((FRAMES, 3)) @ np.linalg.cholesky([[1, 0.5, 0], [0.5, 1, 0.2], [0, 0.2, 1]]).T
    )
    _, walk = mapped("linear", features, coordinates)
    target = np.cov(coordinates[:, :3].T)
    np.testing.assert_allclose(np.cov(walk[:, :3].T), target, atol=0.02 * target.max())
    np.testing.assert_allclose(walk[:, :3].mean(axis=0), coordinates[:, :3].mean(axis=0), atol=1e-9)
    # Any rotation of the result has the same covariance after whitening, and lies farther away.
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    centred = walk[:, :3] - walk[:, :3].mean(axis=0)
    moved = np.mean((centred - standard) ** 2)
    root = np.linalg.cholesky(target)
    for seed in range(20):
        turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))[0]
        turned = centred @ np.linalg.inv(root).T @ turn @ root.T
        assert np.mean((turned - standard) ** 2) > moved - 1e-6


def test_the_monge_map_between_equal_gaussians_is_the_identity():
    rows = np.random.default_rng(0).standard_normal((500, 4))
    np.testing.assert_allclose(monge_matrix(rows, rows), np.eye(4), atol=1e-6)
    np.testing.assert_allclose(monge_matrix(rows, 3.0 * rows), 3.0 * np.eye(4), atol=1e-5)


def test_knn_stays_among_the_codes_of_a_curved_set():
    # Codes on a ring: means and linear maps leave it, neighbours do not.
    turned = np.random.default_rng(4).uniform(0.0, 2.0 * np.pi, CODES)
    ring = np.stack([np.cos(turned), np.sin(turned), np.cos(2.0 * turned)], axis=1)
    features = np.random.default_rng(5).uniform(-1.0, 1.0, (FRAMES, 2))

    def off(walk):
        return np.abs(np.hypot(walk[:, 0], walk[:, 1]) - 1.0).max()

    assert off(mapped("knn", features, ring)[1]) < 0.1
    assert off(mapped("pca", features, ring)[1]) > 0.5
    # The third coordinate is a function of the driven two, which only neighbours know.
    walk = mapped("knn", features, ring)[1]
    np.testing.assert_allclose(walk[:, 2], walk[:, 0] ** 2 - walk[:, 1] ** 2, atol=0.1)


def test_the_mean_of_neighbours_has_no_jumps():
    rng = np.random.default_rng(6)
    codes = rng.standard_normal((200, 3))
    steps = [
        np.abs(np.diff(nearest_mean(np.linspace([-2.0, -1.0], [2.0, 1.0], count), codes, 5), axis=0)).max()
        for count in (2000, 20_000)
    ]
    assert steps[1] < 0.15 * steps[0]  # of a path with jumps the largest step would stay
    np.testing.assert_allclose(nearest_mean(codes[:, :2], codes, 1), codes, atol=1e-6)


def test_learned_finds_the_law_of_synchronised_pairs():
    rng = np.random.default_rng(7)
    features = rng.uniform(-1.0, 1.0, (2000, 2))

    def law(rows):
        return np.stack([np.sin(3.0 * rows[:, 0]), rows[:, 0] * rows[:, 1], rows[:, 1] ** 2], axis=1)

    fitted = MotionMap("learned").fit(features, law(features), paired=True)
    new = rng.uniform(-0.9, 0.9, (300, 2))
    assert np.abs(fitted.map(new) - law(new)).max() < 0.05


def test_learned_without_pairs_finds_a_law_that_keeps_order():
    # A monotone law of independent numbers, in order of their spread: the transport that moves least.
    rng = np.random.default_rng(8)
    features = rng.standard_normal((2000, 2)) * [2.0, 1.0]
    correlated = features @ np.array([[1.0, 0.4], [0.0, 1.0]])
    codes = np.stack([3.0 * np.tanh(rng.standard_normal(CODES)), rng.standard_normal(CODES)], axis=1)
    fitted = MotionMap("learned").fit(correlated, codes)
    walk = fitted.map(correlated)
    matrix = whitening((correlated - correlated.mean(0)) / correlated.std(0), 0.95)
    components = (correlated - correlated.mean(0)) / correlated.std(0) @ matrix
    for dim in range(2):
        assert spearmanr(walk[:, dim], components[:, dim])[0] > 0.95


@pytest.mark.parametrize("method", METHODS)
def test_every_method_repeats_survives_a_file_and_stays_finite(tmp_path, features, coordinates, method):
    first, walk = mapped(method, features, coordinates)
    _, again = mapped(method, features, coordinates)
    np.testing.assert_array_equal(walk, again)
    assert walk.shape == (FRAMES, DIMS)
    first.save(tmp_path / "map.npz")
    loaded = MotionMap.load(tmp_path / "map.npz")
    np.testing.assert_array_equal(loaded.map(features), walk)
    assert (loaded.method, loaded.names, loaded.driven) == (method, first.names, first.driven)
    assert np.isfinite(loaded.map(1e6 * features)).all()


def test_other_coordinates_are_those_of_the_nearest_codes_or_the_mean_or_left_out(features):
    rng = np.random.default_rng(9)
    first = rng.standard_normal((CODES, 2))
    codes = np.column_stack([first, first[:, 0] ** 2 + 4.0, 0.1 * rng.standard_normal(CODES)])
    settings = {"fidelity": 0.6}
    fitted, nearest = mapped("pca", features, codes, **settings)
    assert fitted.driven == 2
    inside = np.linalg.norm(nearest[:, :2], axis=1) < 1.5
    np.testing.assert_allclose(nearest[inside, 2], nearest[inside, 0] ** 2 + 4.0, atol=0.3)
    _, mean = mapped("pca", features, codes, others="mean", **settings)
    np.testing.assert_array_equal(mean[:, :2], nearest[:, :2])
    np.testing.assert_allclose(mean[:, 2:], np.tile(codes[:, 2:].mean(axis=0), (FRAMES, 1)))
    _, driven = mapped("pca", features, codes, others="prior", **settings)
    np.testing.assert_array_equal(driven, mean[:, :2])


def test_unknown_frames_are_held_and_not_learned_from(features, coordinates):
    gappy = features.copy()
    gappy[:10], gappy[500:600] = np.nan, np.nan
    fitted = MotionMap().fit(gappy, coordinates)
    walk = fitted.map(gappy)
    np.testing.assert_array_equal(walk[:10], np.tile(walk[10], (10, 1)))
    np.testing.assert_array_equal(walk[500:600], np.tile(walk[499], (100, 1)))
    known = np.isfinite(gappy).all(axis=1)
    np.testing.assert_array_equal(fitted.map(features[known]), walk[known])


def test_features_that_stand_still_or_are_mostly_unknown_are_not_used(features, coordinates):
    odd = np.column_stack([features, np.full(FRAMES, 3.0), features[:, 0]])
    odd[: 2 * FRAMES // 3, -1] = np.nan
    names = [f"f{i}" for i in range(8)]
    assert MotionMap().fit(odd, coordinates, names=names).names == tuple(names[:6])


def test_features_that_repeat_each_other_do_no_harm(features, coordinates):
    doubled = np.column_stack([features, features])
    for method in METHODS:
        walk = mapped(method, doubled, coordinates)[1]
        assert np.isfinite(walk).all()
    np.testing.assert_allclose(
        np.abs(mapped("pca", doubled, coordinates, others="prior")[1]).mean(axis=0),
        np.abs(mapped("pca", features, coordinates, others="prior")[1]).mean(axis=0),
        rtol=1e-6,
    )


def test_a_code_of_fewer_numbers_than_features_is_driven_whole(features, coordinates):
    for method in METHODS:
        fitted, walk = mapped(method, features, coordinates[:, :2])
        assert walk.shape == (FRAMES, 2)
        assert fitted.driven == 2


def test_values_that_are_taken_often_have_their_middle_rank(coordinates):
    values, ranks = distinct(np.array([0.0, 0.0, 0.0, 1.0, 2.0]))
    assert values.tolist() == [0.0, 1.0, 2.0]
    assert ranks.tolist() == [0.25, 0.75, 1.0]
    resting = np.zeros((1000, 1))
    resting[600:, 0] = np.random.default_rng(0).uniform(1.0, 2.0, 400)
    walk = mapped("whiten_quantile", resting, coordinates)[1]
    at_rest = np.mean(coordinates[:, 0] < walk[0, 0])
    assert at_rest == pytest.approx(0.3, abs=0.01)  # the middle of the 60 %


def test_a_trajectory_has_the_rate_and_the_length_of_the_code(coordinates):
    motion = synthetic_motion("play", seconds=10.0, fps=60.0)
    features, names = motion_features(motion)
    fitted = MotionMap().fit(features, coordinates, names=names)
    walk = fitted.trajectory(motion, code_rate=44100 / 512)
    assert len(walk) == 1 + int((600 - 1) / 60.0 * 44100 / 512)
    np.testing.assert_allclose(walk[0], fitted.map(features)[0])
    same = fitted.trajectory(motion, code_rate=60.0)
    np.testing.assert_allclose(same, fitted.map(features), atol=1e-9)


def test_a_map_of_motion_with_a_lost_hand_plays_on(coordinates):
    motion = synthetic_motion("play", seconds=10.0)
    points = motion.points.copy()
    points[200:300] = np.nan
    lost = type(motion)(points=points, fps=motion.fps)
    features, names = motion_features(lost)
    walk = MotionMap().fit(features, coordinates, names=names).trajectory(lost, code_rate=120.0)
    assert np.isfinite(walk).all()


@pytest.mark.parametrize(
    "fit, message",
    [
        (lambda f, c: (f[:, 0], c), r"features must be \(frames, features\)"),
        (lambda f, c: (np.where(f > 100, np.inf, f), c), "features must be finite, or NaN"),
        (lambda f, c: (f, c[:5]), "coordinates must be .*at least 10 codes.*Encode more"),
        (lambda f, c: (f, np.where(c > 2, np.nan, c)), "coordinates must be finite"),
        (lambda f, c: (np.ones_like(f), c), "one that moves and is known in half.*Is a hand"),
        (lambda f, c: (np.full_like(f, np.nan), c), "one that moves and is known in half"),
        (lambda f, c: (f[:6], c), "known together in at least 10 frames; they are in 6"),
    ],
)
def test_what_cannot_be_fitted_is_refused(features, coordinates, fit, message):
    with pytest.raises(ValueError, match=message):
        MotionMap().fit(*fit(features, coordinates))


def test_wrong_arguments_and_maps_that_are_not_fitted_are_refused(tmp_path, features, coordinates):
    for arguments, message in (
        ({"method": "umap"}, "method must be one of whiten_quantile.*got 'umap'"),
        ({"fidelity": 0.0}, "fidelity must be"),
        ({"others": "zero"}, "others must be one of nearest"),
        ({"neighbours": 0}, "neighbours must be"),
    ):
        with pytest.raises(ValueError, match=message):
            MotionMap(**arguments)
    with pytest.raises(MotionError, match="must be fitted first"):
        MotionMap().map(features)
    with pytest.raises(ValueError, match=r"names must be one for each of the 6 features; got 2"):
        MotionMap().fit(features, coordinates, names=["a", "b"])
    with pytest.raises(ValueError, match="same moments to be paired; got 3000 and 4000"):
        MotionMap("learned").fit(features, coordinates, paired=True)
    fitted = MotionMap().fit(features, coordinates, names=list("abcdef"))
    with pytest.raises(ValueError, match="the 6 that the map was fitted on; got 5"):
        fitted.map(features[:, :5])
    unknown = features.copy()
    unknown[:, 1] = np.nan
    with pytest.raises(MotionError, match="at least one frame; b never are"):
        fitted.map(unknown)
    with pytest.raises(ValueError, match="code_rate must be"):
        fitted.trajectory(synthetic_motion(seconds=1.0), code_rate=0.0)
    with pytest.raises(OutputError):
        fitted.save(tmp_path / "nowhere" / "map.npz")


def test_what_is_no_map_is_refused(tmp_path, features, coordinates):
    MotionMap().fit(features, coordinates).save(tmp_path / "map.npz")
    data = (tmp_path / "map.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.npz").write_text("no map")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    np.savez(tmp_path / "code.npz", settings=np.array([{}], object))
    for name in ("cut", "text", "other", "code", "none"):
        with pytest.raises(MotionError, match=f"{name}.npz' holds no map of motion that can be read"):
            MotionMap.load(tmp_path / f"{name}.npz")
