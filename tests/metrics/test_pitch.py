"""Pitch measures against mir_eval."""

import mir_eval.melody
import numpy as np
import pytest

from audiozoo.metrics import deviation_cents, raw_pitch_accuracy, voicing_false_alarm, voicing_recall


def tracks(seed):
    """A voice with pauses, and an estimate that is off, an octave off, deaf or dreaming here and there."""
    rng = np.random.default_rng(seed)
    reference = 220.0 * 2.0 ** np.cumsum(rng.normal(0, 0.02, 500))
    estimate = (
        reference * 2.0 ** (rng.normal(0, 40, 500) / 1200.0) * rng.choice([1, 2, 0], 500, p=[0.8, 0.1, 0.1])
    )
    return np.where(rng.random(500) < 0.3, 0.0, reference), estimate


def as_mir_eval(hz):
    return (hz > 0).astype(float), mir_eval.melody.hz2cents(hz)


@pytest.mark.parametrize("seed", range(3))
def test_measures_are_mir_evals(seed):
    reference, estimate = tracks(seed)
    voiced, heard = as_mir_eval(reference), as_mir_eval(estimate)
    accuracy = mir_eval.melody.raw_pitch_accuracy(*voiced, *heard)
    assert 0.5 < accuracy < 0.9
    assert raw_pitch_accuracy(reference, estimate) == pytest.approx(accuracy, abs=1e-12)
    fine = mir_eval.melody.raw_pitch_accuracy(*voiced, *heard, cent_tolerance=10)
    assert raw_pitch_accuracy(reference, estimate, tolerance_cents=10) == pytest.approx(fine, abs=1e-12)
    recall = mir_eval.melody.voicing_recall(voiced[0], heard[0])
    assert voicing_recall(reference, estimate) == pytest.approx(recall, abs=1e-12)
    false_alarm = mir_eval.melody.voicing_false_alarm(voiced[0], heard[0])
    assert voicing_false_alarm(reference, estimate) == pytest.approx(false_alarm, abs=1e-12)


@pytest.mark.filterwarnings("ignore:.*has no voiced frames")
@pytest.mark.parametrize("silent", ["reference", "estimate", "both", "neither"])
def test_tracks_without_pauses_or_without_voice_are_mir_evals_too(silent):
    tone, pause = np.full(10, 200.0), np.zeros(10)
    reference = pause if silent in ("reference", "both") else tone
    estimate = pause if silent in ("estimate", "both") else tone
    voiced, heard = as_mir_eval(reference), as_mir_eval(estimate)
    accuracy = mir_eval.melody.raw_pitch_accuracy(*voiced, *heard)
    assert raw_pitch_accuracy(reference, estimate) == accuracy
    assert voicing_recall(reference, estimate) == mir_eval.melody.voicing_recall(voiced[0], heard[0])
    assert voicing_false_alarm(reference, estimate) == mir_eval.melody.voicing_false_alarm(
        voiced[0], heard[0]
    )


def test_deviations_are_signed_and_only_where_both_are_voiced():
    reference = np.array([440.0, 440.0, 0.0, 440.0])
    estimate = np.array([440.0 * 2 ** (25 / 1200), 220.0, 300.0, 0.0])
    np.testing.assert_allclose(deviation_cents(reference, estimate), [25.0, -1200.0], atol=1e-9)
    assert deviation_cents(reference, np.zeros(4)).shape == (0,)


@pytest.mark.parametrize(
    "measure", [raw_pitch_accuracy, deviation_cents, voicing_recall, voicing_false_alarm]
)
@pytest.mark.parametrize(
    "reference, estimate, sentence",
    [
        (np.ones(4), np.ones(5), r"got shapes \(4,\) and \(5,\). Interpolate"),
        (np.ones(0), np.ones(0), r"got shapes \(0,\)"),
        (np.ones((2, 2)), np.ones((2, 2)), r"must both be \(frames,\)"),
        (np.ones(4), np.array([1, 2, np.nan, 3]), "estimate_hz must be finite and at least 0"),
        (np.array([1, -2, 0, 3]), np.ones(4), "reference_hz must be finite and at least 0"),
    ],
)
def test_bad_tracks_are_refused(measure, reference, estimate, sentence):
    with pytest.raises(ValueError, match=sentence):
        measure(reference, estimate)
