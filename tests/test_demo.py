import wave

import numpy as np
import pytest

import audiozoo
from audiozoo import demo
from audiozoo.data.audio_io import read_audio
from audiozoo.errors import OutputError
from audiozoo.models import DDSPDecoder

NAMES = ["input.wav", "violin.wav", "violin_without_room.wav", "room_clap.wav", "spectrogram.png"]


@pytest.fixture(scope="module")
def small():
    return DDSPDecoder(num_units=16, num_harmonics=8, num_noise_bands=9, reverb_length=400)


@pytest.fixture
def violin(small, monkeypatch):
    """A small untrained model in the place of ``ddsp_violin``."""
    asked = []
    monkeypatch.setattr(demo, "load", lambda name: asked.append(name) or small)
    yield small
    assert asked == ["ddsp_violin"]


@pytest.fixture
def short_clip(tmp_path, monkeypatch):
    from audiozoo.data.audio_io import write_audio

    audio, sample_rate = read_audio(demo.CLIP)
    write_audio(tmp_path / "clip.wav", audio[: 2 * sample_rate], sample_rate)
    monkeypatch.setattr(demo, "CLIP", tmp_path / "clip.wav")


def test_the_packaged_clip_is_a_voice_and_its_licence_lies_beside_it():
    audio, sample_rate = read_audio(demo.CLIP)
    assert 5 < len(audio) / sample_rate < 60
    assert 0.1 < np.abs(audio).max() <= 1
    credits = (demo.CLIP.parent / "ATTRIBUTION.md").read_text()
    for word in (demo.CLIP.name, "vocadito", "CC BY 4.0", "Bittner"):
        assert word in credits


def test_it_writes_what_there_is_to_hear_and_to_see(violin, short_clip, tmp_path, capsys):
    out = tmp_path / "new" / "demo"
    result = demo.run(out)
    assert result["files"] == [str(out / name) for name in NAMES]
    assert sorted(path.name for path in out.iterdir()) == sorted(NAMES)
    assert result["seconds_of_audio"] == 2
    assert result["times_real_time"] == pytest.approx(2 / result["seconds_of_work"])
    printed = capsys.readouterr().out
    assert f"{result['times_real_time']:.1f} seconds of audio per second of work" in printed
    for name in NAMES[:3]:
        with wave.open(str(out / name)) as file:
            assert (file.getnframes(), file.getframerate(), file.getnchannels()) == (32000, 16000, 1)
    clap, _ = read_audio(out / "room_clap.wav")
    assert len(clap) == violin.reverb_length
    assert np.abs(clap).max() == pytest.approx(0.9, abs=1e-3)
    assert (out / "spectrogram.png").read_bytes().startswith(b"\x89PNG")


def test_without_progress_it_prints_nothing(violin, short_clip, tmp_path, capfd):
    demo.run(tmp_path / "demo", progress=False)
    assert capfd.readouterr().out == ""


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "load", lambda name: pytest.fail("a model was loaded"))
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "demo"):
        with pytest.raises(OutputError, match="cannot write"):
            demo.run(place)


def test_the_demo_is_reached_through_the_package():
    assert audiozoo.demo.run is demo.run
