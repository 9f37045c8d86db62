import io
import re
import struct

import numpy as np
import pytest
import soundfile
from fuzz.hostile import damaged, fuzzed, no_files, read_or_refused, refusal
from hypothesis import given
from hypothesis import strategies as st

from audiozoo.data import audio_io
from audiozoo.data.audio_io import read_audio, read_blocks
from audiozoo.errors import AudioError

SAMPLE_RATE = 8000
FORMATS = [
    ("WAV", "PCM_16"),
    ("WAV", "FLOAT"),
    ("WAV", "IMA_ADPCM"),
    ("WAVEX", "PCM_24"),
    ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
    ("AIFF", "PCM_16"),
    ("AU", "PCM_16"),
    ("CAF", "PCM_16"),
    ("W64", "PCM_16"),
]


def encoded(container, encoding):
    tone = 0.5 * np.sin(np.arange(800) * 0.3)
    file = io.BytesIO()
    soundfile.write(file, np.stack([tone, -tone], axis=1), SAMPLE_RATE, encoding, format=container)
    return file.getvalue()


FILES = {f"{container}-{encoding}": encoded(container, encoding) for container, encoding in FORMATS}


def at_16k(path):
    return read_audio(path, sample_rate=16000)


def assert_audio(result):
    if not isinstance(result, AudioError):
        audio, sample_rate = result
        assert audio.dtype == np.float32
        assert audio.ndim == 1
        assert audio.size
        assert np.isfinite(audio).all()
        assert 1000 <= sample_rate <= 768_000


def riff(chunk, samples=b"\0\0" * 800, *, size=None):
    """A WAV file of one format chunk, whose data chunk says that it has ``size`` bytes."""
    size = len(samples) if size is None else size
    body = b"WAVEfmt " + struct.pack("<I", len(chunk)) + chunk + b"data" + struct.pack("<I", size) + samples
    return b"RIFF" + struct.pack("<I", min(len(body), 2**32 - 1)) + body


def pcm(*, channels=1, sample_rate=SAMPLE_RATE, bits=16):
    block = channels * bits // 8
    rate = min(sample_rate * block, 2**32 - 1)
    return struct.pack("<HHIIHH", 1, channels, sample_rate, rate, min(block, 65535), bits)


@pytest.mark.parametrize("name", FILES)
def test_a_whole_file_is_read(name, tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(FILES[name])
    audio, sample_rate = read_audio(path, mono=False)
    assert sample_rate in (SAMPLE_RATE, 48000)  # Opus is of 48 kHz whatever it was made from
    assert audio.shape[1] == 2
    assert 0.4 < np.abs(audio).max() < 0.7


@fuzzed(150)
@given(st.sampled_from(sorted(FILES)).flatmap(lambda name: damaged(FILES[name])))
def test_a_damaged_file_is_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "fuzzed-audio" / "damaged.wav"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    assert_audio(read_or_refused(read_audio, path, AudioError))
    assert_audio(read_or_refused(at_16k, path, AudioError))


@pytest.mark.parametrize(
    "content, sentence",
    [
        (riff(pcm(), size=2**31 - 16), "is cut short: its header promises 2147483632 bytes"),
        (riff(pcm(channels=0)), "cannot be read as audio"),
        (riff(pcm(channels=65535)), "cannot be read as audio"),
        (riff(pcm(sample_rate=10**9)), "sample rate of path .* between 1000 and 768000; got 1000000000"),
        (riff(pcm(sample_rate=0)), "cannot be read as audio|sample rate of path"),
        (riff(pcm(sample_rate=2**32 - 1)), "cannot be read as audio|sample rate of path"),
        (riff(pcm(bits=0)), "cannot be read as audio"),
        (riff(pcm(bits=65535)), "cannot be read as audio"),
        (riff(pcm(), b""), "must hold at least one sample"),
        (riff(struct.pack("<HHIIHH", 3, 1, 8000, 32000, 4, 32), np.float32([0, np.nan]).tobytes()), "finite"),
        (b"RIFF", "cannot be read as audio"),
        (b"", "the file is empty"),
        (b"\0" * 10_000, "cannot be read as audio"),
        ("Bonjour, ceci n'est pas un fichier son. é".encode() * 100, "cannot be read as audio"),
    ],
)
def test_a_header_that_lies_is_not_believed(content, sentence, tmp_path):
    path = tmp_path / "lie.wav"
    path.write_bytes(content)
    for read in (read_audio, at_16k):
        message = refusal(read, path, AudioError)
        assert re.search(sentence, message), message


def test_a_wav_of_4_gib_is_the_length_that_is_there(tmp_path):
    # What programs write that do not know the length beforehand: no lie, and no reason to ask for 4 GiB.
    path = tmp_path / "stream.wav"
    path.write_bytes(riff(pcm(), size=2**32 - 1))
    audio, _ = read_or_refused(read_audio, path)
    assert len(audio) == 800


@pytest.mark.parametrize(
    "kind", ["folder", "fifo", "device", "missing", "dangling link", "name too long", "zero byte"]
)
def test_what_is_no_file_is_refused_at_once(kind, tmp_path):
    said = {"folder": "is a folder", "fifo": "is a pipe or a device", "device": "is a pipe or a device"}
    for path in no_files(tmp_path / "odd.wav", kind):
        assert said.get(kind, "") in refusal(read_audio, path, AudioError, named="odd.wav")


def test_many_channels_at_a_high_rate_are_read_in_small_blocks(tmp_path):
    path = tmp_path / "wide.wav"
    path.write_bytes(riff(pcm(channels=1024, sample_rate=768_000), bytes(2 * 1024 * 8000)))
    blocks, _ = read_blocks(path, mono=False)
    sizes = [block.size for block in blocks]
    assert max(sizes) <= audio_io.BLOCK_SAMPLES
    assert sum(sizes) == 1024 * 8000


def test_a_bomb_is_unpacked_no_further_than_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(audio_io, "LONGEST_SAMPLES", 10_000)
    monkeypatch.setattr(audio_io, "BLOCK_SAMPLES", 4096)
    read = []
    blocks = soundfile.SoundFile.blocks

    def counted(*arguments, **settings):
        for block in blocks(*arguments, **settings):
            read.append(len(block))
            yield block

    monkeypatch.setattr(soundfile.SoundFile, "blocks", counted)
    for container in ("FLAC", "OGG"):
        path = tmp_path / f"bomb.{container.lower()}"
        soundfile.write(path, np.zeros(1 << 20), SAMPLE_RATE, format=container)
        assert path.stat().st_size < 60_000
        read.clear()
        assert "at most 10000 samples to be read whole" in refusal(read_audio, path, AudioError)
        assert sum(read) <= 10_000 + 2 * 4096
