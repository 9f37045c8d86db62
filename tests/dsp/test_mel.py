"""Mel bands against librosa."""

import librosa
import numpy as np
import pytest
from keras import ops

from audiozoo.dsp.mel import compress, envelope_of_bands, expand, hz_to_mel, mel_filters, mel_to_hz


@pytest.mark.parametrize("scale", ["slaney", "htk"])
@pytest.mark.parametrize(
    "sample_rate, window_length, num_mels, lowest_hz, highest_hz",
    [(22050, 2048, 128, 0.0, None), (44100, 2048, 128, 0.0, None), (16000, 1024, 40, 60.0, 7600.0)],
)
def test_filters_are_librosas(sample_rate, window_length, num_mels, lowest_hz, highest_hz, scale):
    ours = mel_filters(
        sample_rate, window_length, num_mels, lowest_hz=lowest_hz, highest_hz=highest_hz, scale=scale
    )
    theirs = librosa.filters.mel(
        sr=sample_rate,
        n_fft=window_length,
        n_mels=num_mels,
        fmin=lowest_hz,
        fmax=highest_hz,
        htk=scale == "htk",
    )
    np.testing.assert_allclose(ours, theirs.T, atol=1e-6 * theirs.max())


@pytest.mark.parametrize("scale", ["slaney", "htk"])
def test_mel_and_back_is_the_same_frequency_and_rises(scale):
    hz = np.linspace(0.0, 20000.0, 5001)
    mel = hz_to_mel(hz, scale)
    assert np.all(np.diff(mel) > 0)
    np.testing.assert_allclose(mel_to_hz(mel, scale), hz, atol=1e-8)


def test_a_filter_has_unit_area_so_that_noise_is_flat():
    filters = mel_filters(16000, 4096, 40)
    np.testing.assert_allclose(filters.sum(axis=0) * 16000 / 4096, 1.0, rtol=0.02)


def test_compression_is_undone_and_cannot_go_below_silence():
    mel = np.array([0.0, 1e-6, 1e-3, 1.0, 50.0], "float32")
    compressed = ops.convert_to_numpy(compress(ops.convert_to_tensor(mel), 1000.0))
    np.testing.assert_allclose(compressed, np.log1p(1000.0 * mel), rtol=1e-6)
    np.testing.assert_allclose(expand(compressed, 1000.0), mel, rtol=1e-5)
    np.testing.assert_array_equal(expand([-0.5, -100.0], 1000.0), [0.0, 0.0])


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"scale": "bark"}, "scale must be one of .* got 'bark'. Use 'slaney'"),
        ({"highest_hz": 9000.0}, "rise within 0 and 8000.0 Hz, half the sample rate; got 0.0 and 9000.0"),
        ({"lowest_hz": 500.0, "highest_hz": 400.0}, "must rise within .* got 500.0 and 400.0"),
        ({"num_mels": 512}, "num_mels=512 leaves .* bands without any bin .* Use fewer bands, or a longer"),
    ],
)
def test_what_makes_no_filters_is_refused(change, sentence):
    settings = {"sample_rate": 16000, "window_length": 1024, "num_mels": 40} | change
    with pytest.raises(ValueError, match=sentence):
        mel_filters(**settings)


def test_an_envelope_of_flat_magnitudes_is_flat_and_follows_a_slope():
    filters = mel_filters(22050, 1024, 80)
    hz = np.fft.rfftfreq(1024, 1 / 22050)
    for magnitude, inner, tolerance in (
        (np.full(513, 0.25), slice(0, 513), 1e-4),
        (np.exp(-hz / 3000.0), slice(2, 490), 0.05),
    ):
        found = ops.convert_to_numpy(
            envelope_of_bands(np.log(magnitude @ filters).astype("float32"), filters)
        )
        np.testing.assert_allclose(found[inner], np.log(magnitude)[inner], atol=tolerance)
