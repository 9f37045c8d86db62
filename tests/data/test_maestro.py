"""MAESTRO by its table: the class is the composer, and a piece that two people play is one recording."""

import numpy as np
import pytest

from audiozoo.data.audio_io import write_audio
from audiozoo.data.mels import class_folder
from audiozoo.errors import DataError

MEL = {"sample_rate": 8000, "num_mels": 16, "window_length": 256, "hop": 64}
TABLE = """canonical_composer,canonical_title,split,year,midi_filename,audio_filename,duration
Alban Berg,Sonata Op. 1,train,2018,2018/a.midi,2018/a.wav,1.0
Alban Berg,Sonata Op. 1,test,2008,2008/b.midi,2008/b.wav,1.0
"Händel, G.",Suite,train,2008,2008/c.midi,2008/c.wav,1.0
Franz Liszt,Étude,train,2008,2008/missing.midi,2008/missing.wav,1.0
"""


@pytest.fixture
def folder(tmp_path):
    for name in ("2018/a", "2008/b", "2008/c", "2008/unknown"):
        write_audio(tmp_path / f"{name}.wav", 0.1 * np.ones(800, "float32"), 8000)
    (tmp_path / "maestro-v3.0.0.csv").write_text(TABLE, encoding="utf-8")
    return tmp_path


def test_the_table_says_what_a_file_is(folder):
    clips = class_folder(folder, **MEL, cache=folder / "cache")
    assert [(clip.name, clip.label) for clip in clips] == [
        ("2008/b.wav", "Alban Berg"),
        ("2008/c.wav", "Händel, G."),
        ("2018/a.wav", "Alban Berg"),
    ]
    assert clips[0].recording == clips[2].recording == "Alban Berg: Sonata Op. 1"
    assert {clip.license for clip in clips} == {"CC BY-NC-SA 4.0"}


def test_without_the_table_years_are_classes(folder):
    (folder / "maestro-v3.0.0.csv").unlink()
    clips = class_folder(folder, **MEL, cache=folder / "cache")
    assert sorted({clip.label for clip in clips}) == ["2008", "2018"]


def test_another_table_is_refused(folder):
    (folder / "maestro-v3.0.0.csv").write_text("a,b\n1,2\n")
    with pytest.raises(
        DataError, match="must be the table of MAESTRO, with columns .*; it has a, b. Move it"
    ):
        class_folder(folder, **MEL, cache=folder / "cache")
    (folder / "maestro-v3.0.0.csv").write_text("")
    with pytest.raises(DataError, match="it has no rows"):
        class_folder(folder, **MEL, cache=folder / "cache")
    (folder / "maestro-v3.0.0.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="must be the table of MAESTRO"):
        class_folder(folder, **MEL, cache=folder / "cache")


def test_a_table_without_its_audio_is_refused(folder):
    (folder / "maestro-v3.0.0.csv").write_text(TABLE.replace(".wav", ".flac"), encoding="utf-8")
    with pytest.raises(DataError, match=r"holds none of the recordings that maestro-v3\.0\.0\.csv names"):
        class_folder(folder, **MEL, cache=folder / "cache")
