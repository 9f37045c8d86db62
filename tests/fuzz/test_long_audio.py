"""Files of hours pass through a memory of seconds."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parents[2]
HOURS, SAMPLE_RATE = 4, 8000
SAMPLES = HOURS * 3600 * SAMPLE_RATE

READ = """
import resource, sys
from audiozoo.data.audio_io import finite_blocks, read_blocks, write_blocks
import soundfile, soxr
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
list(read_blocks(sys.argv[2], sample_rate=16000)[0])  # what libraries take once
before = peak()
blocks, rate = read_blocks(sys.argv[1], sample_rate=int(sys.argv[3]) or None)
samples = sum(len(block) for block in finite_blocks(blocks, name="it"))
print(samples, rate, peak() - before)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("long")
    soundfile.write(folder / "short.wav", np.zeros(SAMPLE_RATE), SAMPLE_RATE)
    with open(folder / "long.wav", "wb") as file:  # a header, and a hole of silence that takes no room
        chunk = struct.pack("<HHIIHH", 1, 1, SAMPLE_RATE, 2 * SAMPLE_RATE, 2, 16)
        file.write(
            b"RIFF" + struct.pack("<I", 36 + 2 * SAMPLES) + b"WAVEfmt " + struct.pack("<I", 16) + chunk
        )
        file.write(b"data" + struct.pack("<I", 2 * SAMPLES))
        file.truncate(44 + 2 * SAMPLES)
    with soundfile.SoundFile(folder / "bomb.flac", "w", SAMPLE_RATE, 1) as bomb:
        for _ in range(HOURS * 60):
            bomb.write(np.zeros(60 * SAMPLE_RATE, "int16"))
    return folder


@pytest.mark.parametrize("name, sample_rate", [("long.wav", 0), ("long.wav", 16000), ("bomb.flac", 0)])
def test_four_hours_are_read_in_blocks(folder, name, sample_rate):
    command = [sys.executable, "-c", READ, folder / name, folder / "short.wav", str(sample_rate)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
    samples, rate, grown_mb = done.stdout.split()
    rate = int(rate)
    assert rate == (sample_rate or SAMPLE_RATE)
    assert int(samples) == SAMPLES * rate // SAMPLE_RATE
    assert float(grown_mb) < 20.0  # ten seconds are 1 MB; the file as floats is 460
    assert (folder / "bomb.flac").stat().st_size < 2_000_000
