"""Embeddings of sounds, and folders of sounds as sets."""

import subprocess
import sys

import librosa
import numpy as np
import pytest
import scipy.fft
import soundfile

from audiozoo.errors import AudioError, DataError
from audiozoo.metrics import (
    MFCC,
    CallableEmbedding,
    EncoderEmbedding,
    MelStatistics,
    RandomConv,
    embed_folder,
)
from audiozoo.metrics.embeddings import BUILT_IN

RATE = 16000
BUILT_INS = list(BUILT_IN.values())


def noise(seconds, seed=0, level=0.1):
    return level * np.random.default_rng(seed).standard_normal(round(seconds * RATE)).astype("float32")


class Encoder:
    """A model of the zoo to the embedding: 20 numbers a window, or for each of its frames."""

    sample_rate = RATE

    def __init__(self, seed=0, frame=None):
        self.frame = frame
        self.weights = np.random.default_rng(seed).standard_normal((frame or RATE, 20)).astype("float32")

    def get_weights(self):
        return [self.weights]

    def get_config(self):
        return {"name": "encoder_7", "frame": self.frame}

    def encode(self, audio):
        if self.frame:
            audio = audio.reshape(len(audio), -1, self.frame)
        return audio @ self.weights


def write(folder, name, audio, rate=RATE):
    folder.mkdir(exist_ok=True, parents=True)
    soundfile.write(folder / name, audio, rate, subtype="FLOAT" if name.endswith("wav") else None)
    return folder / name


def folder_of(folder, clips, seconds=2.0):
    for number in range(clips):
        write(folder, f"{number:03d}.wav", noise(seconds, seed=number, level=0.02 * (1 + number % 5)))
    return folder


@pytest.mark.parametrize("make, dimensions", [(MelStatistics, 192), (MFCC, 40), (RandomConv, 128)])
@pytest.mark.parametrize(
    "seconds, rows", [(0.001, 1), (0.03, 1), (0.99, 1), (1.0, 1), (1.99, 1), (2.0, 2), (40.5, 40)]
)
def test_there_is_a_row_for_each_second_and_one_for_less(make, dimensions, seconds, rows):
    embedded = make().embed(noise(seconds), RATE)
    assert embedded.shape == (rows, dimensions)
    assert embedded.dtype == np.float64
    assert np.isfinite(embedded).all()


@pytest.mark.parametrize("make", BUILT_INS)
def test_a_second_is_embedded_alike_wherever_it_stands(make):
    long = noise(20.0)
    third = long[2 * RATE : 3 * RATE]
    np.testing.assert_allclose(make().embed(long, RATE)[2:3], make().embed(third, RATE), atol=1e-9)


@pytest.mark.parametrize("make", BUILT_INS)
def test_silence_and_near_silence_are_one_row_and_finite(make):
    silent = make().embed(np.zeros(RATE), RATE)
    assert np.isfinite(silent).all()
    np.testing.assert_allclose(make().embed(noise(1.0, level=1e-6), RATE), silent, atol=1e-12)


def test_mel_statistics_are_level_spread_and_step_of_librosas_mel_bands():
    audio = noise(1.0, level=0.1) * np.linspace(0.01, 1.0, RATE)
    power = np.abs(librosa.stft(audio, n_fft=1024, hop_length=256, center=False)) ** 2
    window = librosa.filters.get_window("hann", 1024)
    power *= np.r_[1.0, np.full(511, 2.0), 1.0][:, None] / (1024 * np.sum(window**2))
    # librosa's triangles are straight in Hz, ours in mel: bands agree to a fifth of a decibel.
    bands = librosa.filters.mel(sr=RATE, n_fft=1024, n_mels=64, htk=True, norm=None) @ power
    levels = (10 * np.log10(np.maximum(bands, 1e-8)) + 40.0) / 20.0
    mean, spread, step = np.split(MelStatistics().embed(audio, RATE)[0], 3)
    np.testing.assert_allclose(mean[8:], levels.mean(axis=1)[8:], atol=0.05)
    np.testing.assert_allclose(spread[8:], levels.std(axis=1)[8:], atol=0.05)
    np.testing.assert_allclose(step[8:], np.abs(np.diff(levels)).mean(axis=1)[8:], atol=0.05)


def test_ten_times_the_amplitude_is_one_unit_more_and_a_steady_tone_does_not_flicker():
    quiet, loud = (MelStatistics().embed(noise(1.0, level=level), RATE)[0] for level in (0.1, 1.0))
    np.testing.assert_allclose(loud[:64], quiet[:64] + 1.0, atol=1e-5)
    np.testing.assert_allclose(loud[64:], quiet[64:], atol=1e-5)
    period = 256 / RATE
    steady = MelStatistics().embed(np.sin(2 * np.pi / period * 5 * np.arange(RATE) / RATE), RATE)[0]
    np.testing.assert_allclose(steady[64:], 0.0, atol=1e-3)


def test_mfcc_is_scipys_cosine_transform_of_the_levels():
    embedding, windows = MFCC(), noise(1.0)[None].astype("float64")
    expected = scipy.fft.dct(embedding.levels(windows), norm="ortho", axis=-1)[..., :20]
    np.testing.assert_allclose(embedding.coefficients(windows), expected, atol=1e-10)
    row = embedding.embed(noise(1.0), RATE)[0]
    np.testing.assert_allclose(row, np.r_[expected[0].mean(axis=0), expected[0].std(axis=0)], atol=1e-10)


def test_random_conv_is_two_rectified_convolutions():
    embedding = RandomConv()
    signal = embedding.levels(noise(1.0)[None].astype("float64"))[0]
    for kernel, width in zip(embedding.kernels, (9, 5), strict=True):
        taps = kernel.reshape(signal.shape[1], width, 128)
        signal = np.maximum(
            sum(signal[tap : len(signal) - width + 1 + tap] @ taps[:, tap] for tap in range(width)), 0.0
        )
    np.testing.assert_allclose(embedding.embed(noise(1.0), RATE)[0], signal.mean(axis=0), rtol=1e-9)


@pytest.mark.parametrize("make", BUILT_INS)
def test_any_rate_and_channels_are_heard_at_the_embeddings_rate(make):
    tone = 0.3 * np.sin(2 * np.pi * 500 * np.arange(44100) / 44100) * np.hanning(44100)
    stereo = np.stack([1.5 * tone, 0.5 * tone], axis=1).astype("float32")
    mono = 0.3 * np.sin(2 * np.pi * 500 * np.arange(RATE) / RATE) * np.hanning(RATE)
    # Resampling differs at the ends of the sound and below the floor, by a hundredth of the scale.
    scale = np.abs(make().embed(mono, RATE)).max()
    np.testing.assert_allclose(make().embed(stereo, 44100), make().embed(mono, RATE), atol=0.02 * scale)


def test_hashes_are_of_all_that_rows_depend_on_and_of_nothing_else():
    def halved(audio, sample_rate):
        return audio.reshape(-1, 2)

    settings = {"name": "mine", "sample_rate": RATE, "hop": 2}
    different = [
        MelStatistics(),
        MelStatistics(sample_rate=22050),
        MFCC(),
        RandomConv(),
        RandomConv(seed=1),
        EncoderEmbedding(Encoder()),
        EncoderEmbedding(Encoder(seed=1)),
        EncoderEmbedding(Encoder(frame=1600)),
        EncoderEmbedding(Encoder(frame=1600), window_seconds=0.5),
        CallableEmbedding(halved, **settings),
        CallableEmbedding(halved, **settings, version="2"),
    ]
    hashes = [embedding.hash for embedding in different]
    assert len(set(hashes)) == len(hashes)
    assert RandomConv().hash == RandomConv(seed=0).hash
    renamed = Encoder()
    renamed.get_config = lambda: {"name": "encoder_8", "frame": None}
    assert EncoderEmbedding(renamed).hash == EncoderEmbedding(Encoder()).hash


@pytest.mark.parametrize(
    "make, digest, numbers",
    [
        (
            MelStatistics,
            "81762b0477e44509",
            [-1.992328, -1.743268, 0.638106, 0.860953, 0.105763, 0.060755],
        ),
        (MFCC, "6375e071c4a2ecba", [-14.184375, -0.030219, -0.036279, 1.754243, 1.034407]),
        (RandomConv, "cb6ee4f7a1e71412", [0.010299, 0.350174, 0.0, 2.294597, 0.0, 2.774319]),
    ],
)
def test_a_hash_stands_for_these_rows(make, digest, numbers):
    # Published scores name the hash. Where a number moves on one and the same hash, raise the version.
    seconds = np.arange(RATE) / RATE
    row = make().embed(0.3 * np.sin(2 * np.pi * (100 * seconds + 3900 * seconds**2)), RATE)[0]
    assert make().hash == digest
    np.testing.assert_allclose(row[:: len(row) // 5], numbers, atol=1e-5)


@pytest.mark.parametrize("frame, rows, hop", [(None, 3, RATE), (1600, 30, 1600)])
def test_an_encoders_latents_are_rows(frame, rows, hop):
    model, audio = Encoder(frame=frame), noise(3.2)
    embedding = EncoderEmbedding(model)
    assert (embedding.name, embedding.sample_rate, embedding.hop) == ("Encoder", RATE, hop)
    embedded = embedding.embed(audio, RATE)
    assert embedded.shape == (rows, 20)
    expected = audio[: rows * hop].reshape(rows, hop) @ model.weights
    np.testing.assert_allclose(embedded, expected, atol=1e-3)
    short = np.pad(audio[:1600], (0, RATE - 1600)).reshape(-1, hop) @ model.weights
    np.testing.assert_allclose(embedding.embed(audio[:1600], RATE), short, atol=1e-3)


def test_an_encoder_of_the_active_backend_is_read():
    from keras import ops

    class OnBackend(Encoder):
        def encode(self, audio):
            return ops.matmul(ops.convert_to_tensor(audio), self.weights)

    ours = EncoderEmbedding(OnBackend()).embed(noise(2.0), RATE)
    np.testing.assert_allclose(ours, noise(2.0).reshape(2, RATE) @ Encoder().weights, atol=1e-2)


def test_a_model_without_an_encoder_is_refused():
    class Decoder:
        sample_rate = RATE

    with pytest.raises(ValueError, match="Decoder lacks encode, get_weights. Use CallableEmbedding"):
        EncoderEmbedding(Decoder())
    broken = Encoder()
    broken.encode = lambda audio: audio[0]
    with pytest.raises(ValueError, match=r"must make \(batch, ..., latent\).*\(16000,\)"):
        EncoderEmbedding(broken)
    with pytest.raises(ValueError, match="window_seconds must be positive; got 0"):
        EncoderEmbedding(Encoder(), window_seconds=0)


@pytest.mark.parametrize("make", BUILT_INS)
def test_bad_audio_is_refused(make):
    with pytest.raises(AudioError, match="must hold at least one sample"):
        make().embed(np.zeros(0), RATE)
    with pytest.raises(AudioError, match="must be finite"):
        make().embed(np.array([0.0, np.nan]), RATE)


def test_a_function_must_return_rows():
    flat = CallableEmbedding(lambda audio, rate: audio[:5], name="flat", sample_rate=RATE, hop=1)
    with pytest.raises(ValueError, match=r"'flat' must return \(rows, dimensions\).*\(5,\)"):
        flat.embed(noise(1.0), RATE)


def test_a_folder_is_its_clips(tmp_path):
    folder_of(tmp_path / "deep" / "er", 3, seconds=2.5)
    write(tmp_path, "stereo.flac", np.stack([noise(1.0), noise(1.0, seed=5)], axis=1))
    write(tmp_path, "other rate.wav", noise(1.0), rate=8000)
    (tmp_path / "notes.txt").write_text("no audio")
    embedded = embed_folder(tmp_path)
    assert (embedded.clips, embedded.num_rows, embedded.dimensions) == (5, 9, 192)
    assert embedded.seconds == pytest.approx(3 * 2.5 + 1.0 + 2.0, abs=0.01)
    assert (embedded.embedding, embedded.hash) == ("mel_statistics", MelStatistics().hash)
    assert embedded.skipped == ()
    np.testing.assert_allclose(embedded.mean, embedded.rows.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(embedded.covariance, np.cov(embedded.rows.T), atol=1e-12)
    np.testing.assert_array_equal(np.bincount(embedded.clip), [2, 2, 2, 2, 1])
    third = MelStatistics().embed(noise(2.5, seed=2, level=0.06), RATE)
    np.testing.assert_allclose(embedded.rows[embedded.clip == 2], third, atol=1e-5)


def test_a_folder_larger_than_the_sample_keeps_exact_moments(tmp_path):
    folder_of(tmp_path, 12)
    whole, sampled = embed_folder(tmp_path), embed_folder(tmp_path, max_rows=5, seed=1)
    assert len(sampled.rows) == 5 < sampled.num_rows == 24
    np.testing.assert_allclose(sampled.covariance, whole.covariance, atol=1e-12)
    for row, clip in zip(sampled.rows, sampled.clip, strict=True):
        assert (np.abs(whole.rows[whole.clip == clip] - row).max(axis=1) < 1e-12).any()


def test_corrupt_files_are_skipped_named_and_counted(tmp_path):
    folder_of(tmp_path, 2)
    (tmp_path / "broken.wav").write_bytes(b"RIFF nothing")
    (tmp_path / "empty.flac").write_bytes(b"")
    write(tmp_path, "not finite.wav", np.array([0.0, np.nan, 0.5] * 8000))
    embedded = embed_folder(tmp_path)
    assert embedded.clips == 2
    reasons = {path.rsplit("/")[-1]: reason for path, reason in embedded.skipped}
    assert set(reasons) == {"broken.wav", "empty.flac", "not finite.wav"}
    assert "cannot be read as audio" in reasons["broken.wav"]
    assert "NaN" in reasons["not finite.wav"]


def test_sources_without_audio_are_refused(tmp_path):
    with pytest.raises(DataError, match="'.*nowhere' does not exist"):
        embed_folder(tmp_path / "nowhere")
    with pytest.raises(DataError, match="must hold audio .*.wav.*holds none"):
        embed_folder(tmp_path)
    with pytest.raises(DataError, match="empty list"):
        embed_folder([])
    (tmp_path / "broken.wav").write_bytes(b"RIFF nothing")
    with pytest.raises(DataError, match="1 audio files, none of which can be read.*broken.wav"):
        embed_folder(tmp_path)
    with pytest.raises(DataError, match="or a list of files; .*broken.wav' is a file"):
        embed_folder(tmp_path / "broken.wav")
    with pytest.raises(DataError, match="one row only"):
        embed_folder([write(tmp_path, "good.wav", noise(1.0))])


def test_an_unknown_embedding_is_refused_and_a_bad_one_names_the_file(tmp_path):
    with pytest.raises(ValueError, match="one of mel_statistics, mfcc, random_conv.*got 'vgg'"):
        embed_folder(tmp_path, "vgg")
    folder_of(tmp_path, 2)
    bad = CallableEmbedding(lambda audio, rate: np.full((2, 3), np.inf), name="bad", sample_rate=RATE, hop=1)
    with pytest.raises(ValueError, match="'bad' must make finite rows; of '.*000.wav'"):
        embed_folder(tmp_path, bad)
    sizes = iter([3, 2])
    uneven = CallableEmbedding(lambda a, r: np.ones((2, next(sizes))), name="uneven", sample_rate=RATE, hop=1)
    with pytest.raises(ValueError, match="'uneven' must make rows of 3 dimensions.*001.wav' it makes 2"):
        embed_folder(tmp_path, uneven)


def test_memory_does_not_grow_with_the_number_of_clips(tmp_path):
    import tracemalloc

    def peak(clips):
        paths = [write(tmp_path, "clip.wav", noise(2.0))] * clips
        tracemalloc.start()
        embed_folder(paths, max_rows=20)
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(5)  # what is made once
    few = peak(20)
    assert peak(200) < few + 200_000  # 1000 bytes a clip: its path, no row of it (192 numbers are 1536)


def test_measuring_imports_no_framework():
    code = "import sys, audiozoo.metrics; print([m for m in sys.modules if m in sys.argv])"
    frameworks = ["keras", "tensorflow", "jax", "torch", "librosa", "onnxruntime"]
    result = subprocess.run(
        [sys.executable, "-c", code, *frameworks], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
