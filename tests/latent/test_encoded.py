"""A folder as codes: pieces, their order, padding, groups; everything encoded once."""

import numpy as np
import pytest
import soundfile

from audiozoo.data.clips import Clip
from audiozoo.errors import DataError, IncompatiblePreset
from audiozoo.latent.encoded import column_means, encode_clips, encode_data, piece_places


class LinearModel:
    """A model of sound whose code of a frame of ``hop`` samples is those samples."""

    sample_rate, hop, item_shape = 8000, 4, (80,)
    trains_on = "clips"
    code_rate = 2000.0

    def __init__(self):
        self.shapes = []

    def latent_shape(self, samples):
        return (-(-samples // self.hop), self.hop)

    def code_distribution(self, audio):
        self.shapes.append(audio.shape)
        mean = audio.reshape(len(audio), -1, self.hop)
        return {"mean": mean, "log_variance": np.zeros_like(mean)}


class OneCodeModel(LinearModel):
    """The same with one code for a clip, its mean frame."""

    code_rate = None

    def latent_shape(self, samples):
        return (self.hop,)

    def code_distribution(self, audio):
        return {name: value.mean(axis=1) for name, value in super().code_distribution(audio).items()}


def clip(samples, name, label="a"):
    audio = np.random.default_rng(samples).integers(-3000, 3000, samples).astype("int16")
    return Clip(name=name, label=label, recording=name, audio=audio, gain=1 / 32768)


def test_pieces_are_as_many_of_each_recording_evenly_apart():
    assert piece_places([100, 25, 9], 10, 5) == [(0, 0), (0, 90), (1, 0), (1, 10), (2, 0)]
    assert piece_places([30] * 5, 10, 7) == [(0, 0), (0, 20), (1, 0), (2, 0), (3, 0), (4, 0), (4, 20)]
    assert len(piece_places([30] * 5, 10, 100)) == 15
    for most in range(2, 40):
        places = piece_places([100, 47, 9, 30], 10, most)
        assert len(places) == len(set(places)) == min(most, 18)
    assert piece_places([100], 10, 3) == [(0, 0), (0, 40), (0, 90)]
    assert piece_places([10] * 9, 10, 3) == [(0, 0), (4, 0), (8, 0)]


def test_codes_are_those_of_the_pieces_and_silence_is_left_out():
    clips = [clip(170, "long.wav"), clip(30, "short.wav")]
    model = LinearModel()
    encoded = encode_clips(model, clips)
    assert encoded.names == ("long.wav at 0.0 s", "long.wav at 0.0 s", "short.wav")
    assert [len(codes) for codes in encoded.codes] == [20, 20, 8]
    assert {shape[1] for shape in model.shapes} == {80}  # one shape: one compilation
    np.testing.assert_allclose(encoded.codes[1].ravel(), clips[0].audio[80:160] / 32768, rtol=1e-6)
    np.testing.assert_allclose(encoded.codes[2].ravel()[:30], clips[1].audio / 32768, rtol=1e-6)
    np.testing.assert_allclose(encoded.items[2], clips[1].audio / 32768, rtol=1e-6)


def test_groups_are_recordings_or_items_where_recordings_are_few():
    few, many = (encode_clips(LinearModel(), [clip(240, f"{i}.wav") for i in range(n)]) for n in (2, 9))
    assert len(set(few.groups)) == 6
    assert len(set(many.groups)) == 9
    assert len(many.frame_groups) == len(np.concatenate(many.codes))


def test_descriptors_have_the_frames_of_the_codes():
    encoded = encode_clips(LinearModel(), [clip(800, "a.wav"), clip(30, "b.wav")])
    described = encoded.describe(pitch=None)
    assert [rows.shape for rows in described] == [(len(codes), 7) for codes in encoded.codes]
    alone = encode_clips(OneCodeModel(), [clip(800, "a.wav"), clip(30, "b.wav")])
    assert {rows.shape for rows in alone.describe(pitch=None)} == {(1, 7)}
    assert {codes.shape for codes in alone.codes} == {(1, 4)}


def test_the_most_typical_item_is_no_outlier():
    clips = [clip(80, f"{i}.wav") for i in range(9)]
    loud = Clip(**{**vars(clip(80, "loud.wav")), "gain": 1.0})
    assert encode_clips(LinearModel(), [loud, *clips]).most_typical() > 0


def test_a_folder_is_read(tmp_path):
    soundfile.write(tmp_path / "stereo.wav", np.random.default_rng(0).uniform(-0.1, 0.1, (2000, 2)), 16000)
    soundfile.write(tmp_path / "mono.flac", np.zeros(100), 8000)
    encoded = encode_data(LinearModel(), tmp_path)
    assert len(set(encoded.recordings)) == 2
    assert encoded.sample_rate == 8000
    assert all(np.isfinite(codes).all() for codes in encoded.codes)


def test_what_has_no_codes_is_refused(tmp_path):
    with pytest.raises(IncompatiblePreset, match="model must be a VAE, which has codes; got a object"):
        encode_data(object(), tmp_path)
    with pytest.raises(DataError):
        encode_data(LinearModel(), tmp_path / "missing")
    with pytest.raises(ValueError, match="max_items must be a whole number of at least 2; got 1"):
        encode_data(LinearModel(), tmp_path, max_items=1)


def test_means_leave_nan_out():
    np.testing.assert_array_equal(
        column_means(np.array([[1.0, np.nan, np.nan], [3.0, 5.0, np.nan]])), [2.0, 5.0, np.nan]
    )
