"""What every comparison of two sets refuses, by its message; and how clips are drawn."""

import numpy as np
import pytest

from audiozoo.metrics import frechet_distance, frechet_infinity, kad, kid, prdc
from audiozoo.metrics.estimates import clip_numbers, mean_estimate, rows_by_clip

GOOD = np.random.default_rng(0).standard_normal((20, 3))
WITH_NAN = np.where(np.arange(20)[:, None] == 4, np.nan, GOOD)


@pytest.mark.parametrize("score", [frechet_distance, frechet_infinity, kad, kid, prdc])
@pytest.mark.parametrize(
    "reference, generated, sentence",
    [
        (np.zeros((0, 3)), GOOD, "reference must hold at least 2 rows.*got 0"),
        (GOOD, GOOD[:1], "generated must hold at least 2 rows.*got 1"),
        (GOOD, WITH_NAN, "generated must be finite; 1 rows.*row 4"),
        (GOOD, GOOD[:, :2], "equal dimensions; got 3 and 2"),
        (GOOD[:, 0], GOOD, r"reference must be \(rows, dimensions\); got shape \(20,\)"),
    ],
)
def test_bad_sets_are_refused(score, reference, generated, sentence):
    with pytest.raises(ValueError, match=sentence):
        score(reference, generated)


@pytest.mark.parametrize("score", [frechet_infinity, kad, kid, prdc])
def test_bad_groups_are_refused(score):
    with pytest.raises(ValueError, match=r"generated_groups must name the clip of each of the 20 rows; got"):
        score(GOOD, GOOD, generated_groups=np.arange(19))
    with pytest.raises(ValueError, match="reference_groups must name at least 2 clips; all 20 rows are of"):
        score(GOOD, GOOD, reference_groups=np.zeros(20))


def test_rows_are_found_by_their_clips_in_any_order():
    clip = clip_numbers(np.array(["b", "a", "b", "c", "a"]), 5, "groups")
    assert [rows.tolist() for rows in rows_by_clip(clip)] == [[1, 4], [0, 2], [3]]


def test_the_interval_of_a_mean_is_its_standard_error():
    rng = np.random.default_rng(0)
    level = rng.standard_normal(400)
    estimate = mean_estimate(level, rng=rng, num_resamples=2000)
    assert estimate.value == pytest.approx(level.mean())
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * level.std() / 20.0, rel=0.08)
