import io

import numpy as np
import pytest
import soundfile
import soxr

from audiozoo.data import audio_io
from audiozoo.data.audio_io import (
    mono_at_rate,
    read_audio,
    read_blocks,
    read_pcm_blocks,
    validate_audio,
    write_audio,
    write_blocks,
    write_pcm_blocks,
)
from audiozoo.errors import AudioError, MissingDependency, OutputError


def sine(hz, sample_rate, seconds=0.5):
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * sample_rate)) / sample_rate)).astype(
        "float32"
    )


def measured_hz(audio, sample_rate):
    """Peak of a zero-padded Hann spectrum, refined by a parabola through its logarithm."""
    size = 4 * len(audio)
    level = np.log(np.abs(np.fft.rfft(audio * np.hanning(len(audio)), size)) + 1e-12)
    peak = int(level.argmax())
    before, here, after = level[peak - 1 : peak + 2]
    return (peak + 0.5 * (before - after) / (before - 2 * here + after)) * sample_rate / size


def cents(a, b):
    return abs(1200 * np.log2(a / b))


@pytest.fixture
def not_a_folder(tmp_path):
    """A file where a folder should be: unwritable for the superuser too."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file"


@pytest.mark.parametrize(
    "suffix, subtype, sample_rate, channels",
    [
        ("wav", "PCM_16", 8000, 1),
        ("wav", "PCM_24", 44100, 2),
        ("wav", "FLOAT", 192_000, 8),
        ("wav", "PCM_U8", 22050, 1),
        ("flac", "PCM_16", 48000, 2),
        ("flac", "PCM_24", 96000, 8),
        ("ogg", "VORBIS", 44100, 2),
        ("mp3", "MPEG_LAYER_III", 44100, 1),
        ("aiff", "PCM_16", 16000, 2),
    ],
)
def test_any_format_and_rate_is_read_at_its_pitch_and_level(tmp_path, suffix, subtype, sample_rate, channels):
    if suffix.upper() not in soundfile.available_formats():
        pytest.skip(f"this libsndfile writes no {suffix}")
    path = tmp_path / f"a.{suffix}"
    tone = sine(440.0, sample_rate)
    soundfile.write(path, np.tile(tone[:, None], channels), sample_rate, subtype=subtype)

    same, own_rate = read_audio(path)
    assert own_rate == sample_rate
    assert same.dtype == np.float32
    assert abs(len(same) - len(tone)) <= (2304 if suffix == "mp3" else 0)  # MP3 knows whole blocks only

    audio, new_rate = read_audio(path, sample_rate=16000)
    assert new_rate == 16000
    assert audio.ndim == 1
    assert abs(len(audio) - len(same) * 16000 / sample_rate) <= 1
    assert cents(measured_hz(audio[1600:-1600], 16000), 440.0) < 0.5
    assert np.std(audio[1600:-1600]) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)


@pytest.mark.parametrize("sample_rate", [8000, 11025, 44100, 192_000])
@pytest.mark.parametrize("hz", [100.0, 1234.5, 3500.0])
def test_a_resampled_sine_stays_at_its_frequency(sample_rate, hz):
    tone = sine(hz, sample_rate)
    audio = mono_at_rate(tone, sample_rate, 16000)
    assert len(audio) == round(len(tone) * 16000 / sample_rate)
    assert cents(measured_hz(audio[800:-800], 16000), hz) < 0.1


def test_what_lies_above_the_new_nyquist_frequency_does_not_fold_back():
    audio = mono_at_rate(sine(11_000.0, 44100), 44100, 16000)
    assert np.abs(audio[400:-400]).max() < 1e-4


@pytest.mark.parametrize("mono", [True, False])
@pytest.mark.parametrize("sample_rate", [None, 16000, 96000])
def test_reading_block_by_block_equals_reading_at_once(tmp_path, monkeypatch, mono, sample_rate):
    noise = np.random.default_rng(0).uniform(-0.9, 0.9, (30_011, 3)).astype("float32")
    soundfile.write(tmp_path / "a.wav", noise, 44100, subtype="FLOAT")
    expected = noise.mean(axis=1) if mono else noise
    if sample_rate:
        expected = soxr.resample(expected, 44100, sample_rate)

    monkeypatch.setattr(audio_io, "BLOCK_SECONDS", 0.0123)
    audio, _ = read_audio(tmp_path / "a.wav", sample_rate=sample_rate, mono=mono)
    assert audio.shape == expected.shape
    np.testing.assert_allclose(audio, expected, atol=2e-6)


def test_mono_is_the_mean_of_the_channels(tmp_path):
    channels = np.stack([np.full(100, 0.5), np.full(100, -0.25)], axis=1)
    soundfile.write(tmp_path / "a.wav", channels, 16000, subtype="FLOAT")
    assert np.all(read_audio(tmp_path / "a.wav")[0] == 0.125)
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav", mono=False)[0], channels)


@pytest.mark.parametrize("content", [b"", b"This is no sound at all, only called so.", b"RIFF\x00\x00"])
@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.raw"])
def test_what_is_no_audio_file_is_refused_by_name(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(
        AudioError, match=f"path .*{name}.*{'copy it again' if content else 'the file is empty'}"
    ):
        read_audio(tmp_path / name)


def test_a_backend_that_is_none_or_not_there_is_refused(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", sine(440, 16000), 16000)
    with pytest.raises(ValueError, match="backend must be one of soundfile, tfio; got 'ffmpeg'"):
        read_audio(tmp_path / "a.wav", backend="ffmpeg")
    monkeypatch.setattr(audio_io.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"pip install 'audiozoo\[tfio\]'.*needs TensorFlow 2\.16"):
        read_audio(tmp_path / "a.wav", backend="tfio")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(AudioError, match="path must be an audio file.*none.wav' does not exist"):
        read_audio(tmp_path / "none.wav")
    with pytest.raises(AudioError, match="path must be an audio file.* is a folder"):
        read_audio(tmp_path)


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.flac"])
def test_a_file_that_is_cut_short_is_refused(tmp_path, name):
    soundfile.write(tmp_path / name, sine(440, 16000), 16000)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AudioError, match=f"{name}.*opy it again"):
        read_audio(tmp_path / name)


def test_a_wav_whose_writer_did_not_know_its_length_is_read(tmp_path):
    soundfile.write(tmp_path / "a.wav", sine(440, 16000), 16000, subtype="PCM_16")
    piped = bytearray((tmp_path / "a.wav").read_bytes())
    piped[4:8] = piped[40:44] = b"\xff\xff\xff\xff"  # the lengths of RIFF and of its data
    (tmp_path / "a.wav").write_bytes(piped)
    audio, _ = read_audio(tmp_path / "a.wav")
    assert len(audio) == len(sine(440, 16000))


def test_a_file_without_samples_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(0), 16000)
    with pytest.raises(AudioError, match="a.wav' must hold at least one sample; it is empty"):
        read_audio(tmp_path / "a.wav", sample_rate=8000)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_file_that_is_not_finite_is_refused(tmp_path, bad):
    audio = sine(440, 16000)
    audio[[17, 30]] = bad
    soundfile.write(tmp_path / "a.wav", audio, 16000, subtype="FLOAT")
    with pytest.raises(
        AudioError, match="must be finite; 2 samples are NaN or infinite, the first at index 17"
    ):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize(
    "dtype, lowest",
    [("int16", -(2**15)), ("int32", -(2**31)), ("uint8", 0), ("float64", -1), ("float16", -1)],
)
def test_every_sample_type_has_the_same_full_scale(dtype, lowest):
    middle = 128 if dtype == "uint8" else 0
    audio = validate_audio(np.array([lowest, middle, middle + (middle - lowest) // 2], dtype), 16000)
    assert audio.dtype == np.float32
    np.testing.assert_array_equal(audio, [-1.0, 0.0, 0.0 if "float" in dtype else 0.5])


@pytest.mark.parametrize("dtype", ["int64", "int8", "uint16", "bool", "complex64", "object", "str"])
def test_a_sample_type_without_a_known_scale_is_refused(dtype):
    with pytest.raises(
        AudioError, match="audio must be float in -1..1, int16, int32 or uint8; got .*Scale it"
    ):
        validate_audio(np.ones(100).astype(dtype), 16000)


@pytest.mark.parametrize("shape", [(), (2, 3, 4)])
def test_a_shape_that_is_no_audio_is_refused(shape):
    with pytest.raises(AudioError, match=r"audio must be \(samples,\) or \(samples, channels\); got shape"):
        validate_audio(np.zeros(shape, "float32"), 16000)


def test_channels_first_is_refused_with_the_way_out():
    with pytest.raises(AudioError, match=r"got shape \(2, 16000\), which looks like .*Pass audio\.T"):
        validate_audio(np.zeros((2, 16000), "float32"), 16000)
    assert validate_audio(np.zeros((16000, 8), "float32"), 16000).shape == (16000, 8)


@pytest.mark.parametrize("empty", [[], np.zeros((0, 2))])
def test_an_empty_array_is_refused(empty):
    with pytest.raises(AudioError, match="audio must hold at least one sample; it is empty"):
        validate_audio(empty, 16000)


def test_an_array_that_is_not_finite_is_refused_with_its_place():
    audio = np.zeros((100, 2))
    audio[40, 1] = np.nan
    with pytest.raises(AudioError, match="audio must be finite; 1 samples .* index 40.*nan_to_num"):
        validate_audio(audio, 16000)
    with pytest.raises(AudioError, match="audio must be finite"):
        validate_audio(np.array([0.0, 1e300]), 16000)  # infinite in float32


def test_audio_too_short_for_the_new_rate_is_refused_not_returned_empty():
    with pytest.raises(AudioError, match="audio at 16000 Hz must hold at least one sample"):
        mono_at_rate(np.zeros(2, "float32"), 192_000, 16000)


@pytest.mark.parametrize(
    "sample_rate", [0, -16000, 999, 768_001, 44100.5, True, "44100", None, np.nan, np.inf, [16000]]
)
def test_a_wrong_sample_rate_is_refused(tmp_path, sample_rate):
    message = "sample_rate must be a whole number of Hz between 1000 and 768000; got"
    with pytest.raises(AudioError, match=message):
        validate_audio(np.zeros(10, "float32"), sample_rate)
    with pytest.raises(AudioError, match=message):
        write_audio(tmp_path / "a.wav", np.zeros(10, "float32"), sample_rate)
    assert not list(tmp_path.iterdir())
    if sample_rate is not None:  # which means the file's own
        soundfile.write(tmp_path / "b.wav", np.zeros(10), 16000)
        with pytest.raises(AudioError, match=message):
            read_audio(tmp_path / "b.wav", sample_rate=sample_rate)


@pytest.mark.parametrize(
    "suffix, tolerance", [("wav", 2**-15), ("flac", 2**-15), ("ogg", 0.05), ("WAV", 2**-15)]
)
@pytest.mark.parametrize("channels", [None, 2])
def test_what_was_written_is_read_again(tmp_path, suffix, tolerance, channels):
    audio = sine(440, 16000, 1.5)
    audio = audio if channels is None else np.stack([audio, -0.5 * audio], axis=1)
    write_audio(tmp_path / "new" / f"a.{suffix}", audio, np.float64(16000))
    back, sample_rate = read_audio(tmp_path / "new" / f"a.{suffix}", mono=channels is None)
    assert sample_rate == 16000
    np.testing.assert_allclose(back, audio, atol=tolerance)
    assert [path.name for path in (tmp_path / "new").iterdir()] == [f"a.{suffix}"]


def test_long_vorbis_at_a_high_rate_is_written(tmp_path):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 2_000_000).astype("float32")
    write_audio(tmp_path / "a.ogg", noise, 192_000)
    assert soundfile.info(tmp_path / "a.ogg").frames == len(noise)


def test_full_scale_is_kept_and_more_is_turned_down_with_a_warning(tmp_path):
    write_audio(tmp_path / "a.wav", np.array([1.0, -1.0, 0.5]), 16000)
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav")[0], [1.0, -1.0, 0.5], atol=2**-14)
    with pytest.warns(UserWarning, match="peak 4.00 is beyond full scale: b.wav is turned down"):
        write_audio(tmp_path / "b.wav", np.array([4.0, -2.0, 1.0]), 16000)
    np.testing.assert_allclose(read_audio(tmp_path / "b.wav")[0], [1.0, -0.5, 0.25], atol=2**-14)


def test_a_failure_in_the_middle_keeps_the_old_file_and_leaves_nothing_else(tmp_path, monkeypatch):
    write_audio(tmp_path / "a.wav", sine(440, 16000), 16000)
    old = (tmp_path / "a.wav").read_bytes()
    write = soundfile.SoundFile.write

    def fail_late(self, samples):
        write(self, samples)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(soundfile.SoundFile, "write", fail_late)
    with pytest.raises(OutputError, match=r"cannot write .*a\.wav: No space left on device.*Choose"):
        write_audio(tmp_path / "a.wav", sine(880, 16000), 16000)
    with pytest.raises(OutputError):
        write_audio(tmp_path / "b.wav", sine(880, 16000), 16000)
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
    assert (tmp_path / "a.wav").read_bytes() == old


def test_an_unwritable_place_is_refused(not_a_folder):
    with pytest.raises(OutputError, match=r"cannot write .*file.*Choose a place"):
        write_audio(not_a_folder / "a.wav", sine(440, 16000), 16000)
    folder = not_a_folder.parent / "a.wav"
    folder.mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*a\.wav"):
        write_audio(folder, sine(440, 16000), 16000)
    assert sorted(path.name for path in not_a_folder.parent.iterdir()) == ["a.wav", "file"]


def test_what_a_format_cannot_hold_is_refused(tmp_path):
    with pytest.raises(OutputError, match="9 channels at 16000 Hz as FLAC. Write .wav"):
        write_audio(tmp_path / "a.flac", np.zeros((100, 9), "float32"), 16000)
    with pytest.raises(AudioError, match=r"must end in .wav, .flac, .ogg; got .*a.mp3"):
        write_audio(tmp_path / "a.mp3", np.zeros(100, "float32"), 16000)
    with pytest.raises(AudioError, match="audio must be finite"):
        write_audio(tmp_path / "a.wav", np.full(100, np.nan), 16000)
    assert not list(tmp_path.iterdir())


# --- Blocks ---


@pytest.mark.parametrize("sample_rate", [None, 16000])
def test_a_file_in_blocks_is_the_whole_file(tmp_path, sample_rate):
    soundfile.write(tmp_path / "a.wav", np.stack([sine(440, 22050), sine(660, 22050)], axis=1), 22050)
    blocks, rate = read_blocks(tmp_path / "a.wav", sample_rate=sample_rate, block_seconds=0.01)
    blocks = list(blocks)
    whole, whole_rate = read_audio(tmp_path / "a.wav", sample_rate=sample_rate)
    assert rate == whole_rate
    assert max(len(block) for block in blocks) < 2000 < len(whole)
    np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-6)


def test_what_is_wrong_with_a_file_is_said_before_its_first_block(tmp_path):
    with pytest.raises(AudioError, match="does not exist"):
        read_blocks(tmp_path / "a.wav")


@pytest.mark.parametrize("encoding, tolerance", [("float32", 0.0), ("int16", 0.5 / 32768)])
def test_raw_samples_come_back_as_they_were(encoding, tolerance):
    file, audio = io.BytesIO(), np.concatenate([sine(440, 16000), np.float32([0.999, -1.0])])
    write_pcm_blocks(file, np.array_split(audio, 7), encoding=encoding)
    assert len(file.getvalue()) == len(audio) * {"float32": 4, "int16": 2}[encoding]
    file.seek(0)
    settings = {"encoding": encoding, "sample_rate": 16000, "new_sample_rate": 16000}
    again = list(read_pcm_blocks(file, **settings))
    assert max(len(block) for block in again) == 160
    np.testing.assert_allclose(np.concatenate(again), audio, rtol=0, atol=tolerance)


def test_raw_samples_are_resampled_without_seams():
    audio = sine(440, 8000)
    file = io.BytesIO(audio.tobytes())
    resampled = np.concatenate(list(read_pcm_blocks(file, sample_rate=8000, new_sample_rate=16000)))
    assert len(resampled) == 8000
    np.testing.assert_allclose(resampled, soxr.resample(audio, 8000, 16000), atol=1e-5)


def test_raw_audio_that_ends_inside_a_sample_is_refused():
    blocks = read_pcm_blocks(io.BytesIO(bytes(7)), sample_rate=16000, new_sample_rate=16000)
    with pytest.raises(AudioError, match="must be whole float32 samples of 4 bytes; the last one has 3"):
        list(blocks)


def test_blocks_beyond_full_scale_are_clipped_with_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="peak 2.00 is beyond full scale: a.wav is clipped"):
        assert write_blocks(tmp_path / "a.wav", [np.float32([2.0]), np.float32([0.5, -0.5])], 16000) == 3
    np.testing.assert_allclose(soundfile.read(tmp_path / "a.wav")[0], [1.0, 0.5, -0.5], atol=1e-4)


def test_when_blocks_fail_no_file_is_left(tmp_path):
    def failing():
        yield np.zeros(10, "float32")
        raise AudioError("the microphone is gone")

    with pytest.raises(AudioError, match="gone"):
        write_blocks(tmp_path / "a.wav", failing(), 16000)
    assert not list(tmp_path.iterdir())


def test_the_first_sample_that_is_no_number_is_named_by_its_place():
    blocks = [np.zeros(100), np.zeros(50), np.array([0.0, np.nan])]
    checked = audio_io.finite_blocks(iter(blocks), name="path 'nan.wav'")
    assert len(next(checked)) == 100
    next(checked)
    with pytest.raises(AudioError, match=r"nan\.wav.* sample 151 is NaN"):
        next(checked)


def test_a_sound_file_piped_as_raw_samples_is_recognised():
    wav = b"RIFF" + bytes(1000)
    blocks = audio_io.read_pcm_blocks(io.BytesIO(wav), sample_rate=16000, new_sample_rate=16000)
    with pytest.raises(AudioError, match="--input"):
        list(blocks)
