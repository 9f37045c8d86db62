"""The Freesound Loop Dataset: licences are obeyed, users are not torn apart, what is unknown is named."""

import json

import numpy as np
import pytest

from audiozoo.data.audio_io import write_audio
from audiozoo.data.cache import StoredArray
from audiozoo.data.clips import split_by_label
from audiozoo.data.freesound import freesound_loops, is_freesound
from audiozoo.errors import DataError

RATE = 44100
LICENSES = {
    "1001": ("ann", "http://creativecommons.org/publicdomain/zero/1.0/"),
    "1002": ("ann", "http://creativecommons.org/licenses/by/3.0/"),
    "1003": ("bob", "http://creativecommons.org/licenses/by-nc/3.0/"),
    "1004": ("bob", "http://creativecommons.org/licenses/sampling+/1.0/"),
    "1005": ("cas", "https://creativecommons.org/licenses/by/4.0/"),
}


@pytest.fixture
def dataset(tmp_path):
    """Five loops of three users, as the archive has them: numbers first, metadata beside the audio."""
    folder = tmp_path / "FSL10K"
    entries = {
        number: {"username": user, "license": license, "tags": ["loop", "120bpm"]}
        for number, (user, license) in LICENSES.items()
    }
    for index, (number, (user, _)) in enumerate(LICENSES.items()):
        tone = np.full(RATE // 10, 0.1 * (index + 1), "float32")
        write_audio(folder / "audio" / "wav" / f"{number}_{user}.wav.wav", tone, RATE)
    (folder / "metadata.json").write_text(json.dumps(entries))
    return folder


def test_only_licences_for_any_use_are_read_unless_asked_for(dataset, tmp_path):
    free = freesound_loops(dataset, cache=tmp_path / "cache")
    assert [clip.name.split("/")[-1][:4] for clip in free] == ["1001", "1002", "1005"]
    assert [clip.license for clip in free] == [LICENSES[n][1] for n in ("1001", "1002", "1005")]
    assert free[1].metadata["tags"] == ["loop", "120bpm"]
    assert free[1].audio[0] * free[1].gain == pytest.approx(0.2, abs=1e-3)
    assert isinstance(free[0].audio, StoredArray)
    assert len(freesound_loops(dataset, free_only=False, cache=tmp_path / "cache")) == 5


def test_a_user_is_held_out_whole(dataset, tmp_path):
    loops = freesound_loops(dataset, free_only=False, cache=tmp_path / "cache")
    for seed in range(10):
        chosen = split_by_label(loops, 0.4, seed)
        held_out = {loops[index].recording for index in chosen}
        assert held_out
        assert not held_out & {clip.recording for index, clip in enumerate(loops) if index not in chosen}


def test_files_that_the_metadata_do_not_know_are_named(dataset, tmp_path):
    write_audio(dataset / "audio" / "wav" / "stranger.wav", np.zeros(100, "float32"), RATE)
    with pytest.warns(UserWarning, match=r"1 file left out.*stranger\.wav"):
        assert len(freesound_loops(dataset, cache=tmp_path / "cache")) == 3


def test_what_is_not_the_dataset_is_refused(dataset, tmp_path):
    assert is_freesound(dataset)
    assert not is_freesound(tmp_path)
    with pytest.raises(DataError, match=r"metadata\.json' must be the metadata"):
        freesound_loops(tmp_path)
    (dataset / "metadata.json").write_text('{"1001": "a loop"}')
    with pytest.raises(DataError, match="an object with its license"):
        freesound_loops(dataset)
    entries = {number: {"license": "http://creativecommons.org/licenses/by-nc/3.0/"} for number in LICENSES}
    (dataset / "metadata.json").write_text(json.dumps(entries))
    with pytest.raises(DataError, match="no loop under CC0 or CC BY"):
        freesound_loops(dataset)
