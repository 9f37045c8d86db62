"""The checks of audio that all variational autoencoders of sound share."""

import numpy as np
import pytest

from audiozoo.errors import AudioError
from audiozoo.models.audio_vae import as_batch


def test_one_sound_becomes_a_batch_of_one():
    batch, single = as_batch(np.zeros(5))
    assert (batch.shape, batch.dtype, single) == ((1, 5), np.float32, True)
    batch, single = as_batch([[0.0] * 5] * 3)
    assert (batch.shape, single) == ((3, 5), False)


def test_what_is_no_sound_is_told_from_what_is_scaled_or_turned():
    with pytest.raises(AudioError, match=r"looks like \(samples, channels\). Mix the channels"):
        as_batch(np.zeros((100, 2)))
    with pytest.raises(AudioError, match="its peak is 3e\\+04. Scale it: 16-bit samples"):
        as_batch(np.full(100, 3e4))
    with pytest.raises(AudioError, match="must be an array of samples; got <U9. Read files with"):
        as_batch("voice.wav")
    assert as_batch(np.full((9, 9), 4.0))[0].shape == (9, 9)


@pytest.mark.parametrize(
    "audio, message",
    [
        (
            [np.zeros(3), np.zeros(4)],
            "audio must be .batch, samples.; its sounds differ in length. Cut or pad",
        ),
        (np.zeros((2, 3, 4)), r"audio must be \(samples,\) or \(batch, samples\); got shape \(2, 3, 4\)"),
        (np.float32(1.0), r"got shape \(\)"),
        (np.zeros((0, 5)), "audio must hold at least one sample"),
        (np.zeros(5, "int16"), "audio must be float in -1..1; got int16. Scale it"),
        (np.array([0.0, np.nan, np.inf]), "audio must be finite; 2 samples are NaN or infinite"),
    ],
)
def test_what_is_no_batch_of_audio_is_refused(audio, message):
    with pytest.raises(AudioError, match=message):
        as_batch(audio)
