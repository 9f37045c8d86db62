"""Full disks, read-only places, kills, and others at the same work: the right result, or a clear error."""

import functools
import hashlib
import http.server
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import pytest
from fuzz.hostile import listing

import audiozoo
from audiozoo.data.audio_io import read_audio, write_audio
from audiozoo.data.cache import cached_audio
from audiozoo.errors import ExportError, OutputError, WeightsCorrupt
from audiozoo.latent import read_motion
from audiozoo.latent.motion import HandMotion
from audiozoo.latent.motion_readers import write_motion
from audiozoo.models import MnistVAE
from audiozoo.registry import Card, Preset, Weights, read_preset, write_preset
from audiozoo.training.checkpoint import Checkpoint
from audiozoo.weights import halve, locate

TONE = 0.5 * np.sin(np.arange(8000) * 0.2).astype("float32")
CONTENT = os.urandom(200_000)
FILE = "tone.weights.h5"
ROOT = Path(__file__).parents[2]


@functools.cache
def digits():
    return MnistVAE(image_size=4, hidden_units=30, latent_dim=2)


@functools.cache
def trained():
    model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(30)])
    model.compile("adam", "mse")
    return model


def tone_preset(folder, url=None, content=CONTENT):
    stated = Weights(file=FILE, sha256=hashlib.sha256(content).hexdigest(), size=len(content), url=url)
    card = Card(summary="", weights_license="")
    preset = Preset(name="tone", version=1, architecture="Tone", config={}, weights=stated, card=card)
    folder.mkdir(exist_ok=True)
    write_preset(preset, folder / "preset.yaml")
    return read_preset(folder / "preset.yaml")


# --- Disk full ---


def saved_weights(path):
    digits().save_weights(path.parent / "full.weights.h5")
    halve(path.parent / "full.weights.h5", path)


WRITERS = {
    "a.wav": lambda path: write_audio(path, TONE, 8000),
    "a.flac": lambda path: write_audio(path, TONE, 8000),
    "a.ogg": lambda path: write_audio(path, TONE, 8000),
    "preset": lambda path: digits().save_to_preset(path, name="mine"),
    "preset.yaml": lambda path: write_preset(tone_preset(path.parent / "source"), path),
    "checkpoint.npz": lambda path: Checkpoint(path, trained()).save(epoch=1),
    "hands.npz": lambda path: write_motion(path, HandMotion(points=np.ones((50, 1, 21, 3)), fps=30.0)),
}
READERS = {
    "a.wav": read_audio,
    "a.flac": read_audio,
    "a.ogg": read_audio,
    "preset": audiozoo.load,
    "preset.yaml": read_preset,
    "checkpoint.npz": lambda path: Checkpoint(path, trained()).restore(),
    "hands.npz": read_motion,
}


@contextmanager
def files_end_at(size):
    """No file can grow beyond a size: to a program in C the same as a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, previous)


@pytest.fixture(scope="module", params=WRITERS)
def written(request, tmp_path_factory):
    """Name of a target, and a folder in which it was once written."""
    folder = tmp_path_factory.mktemp("written")
    WRITERS[request.param](folder / request.param)
    return request.param, folder


def size_of(path):
    return max(size for size, _ in listing(path).values()) if path.is_dir() else path.stat().st_size


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.95, 0.999])
def test_a_disk_that_is_full_is_an_error_and_the_earlier_file_stays(written, share):
    name, folder = written
    before = listing(folder)
    with (
        files_end_at(int(share * size_of(folder / name))),
        pytest.raises(OutputError, match=rf"cannot write .*{name}"),
    ):
        WRITERS[name](folder / name)
    after = listing(folder)
    after.pop(folder / "source" / "preset.yaml", None), before.pop(folder / "source" / "preset.yaml", None)
    assert after == before
    READERS[name](folder / name)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.95])
def test_weights_in_half_precision_on_a_full_disk(tmp_path, share):
    saved_weights(tmp_path / FILE)
    before = listing(tmp_path)
    with (
        files_end_at(int(share * (tmp_path / FILE).stat().st_size)),
        pytest.raises(OutputError, match=f"cannot write .*{FILE}"),
    ):
        halve(tmp_path / "full.weights.h5", tmp_path / FILE)
    assert listing(tmp_path) == before


@pytest.mark.parametrize("size", [0, 100, 10_000])
def test_a_cache_on_a_full_disk(tmp_path, size):
    write_audio(tmp_path / "a.wav", TONE, 8000)
    with files_end_at(size), pytest.raises(OutputError, match="cache .* cannot be written"):
        cached_audio(tmp_path / "a.wav", sample_rate=8000, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    assert len(cached_audio(tmp_path / "a.wav", sample_rate=8000, cache=tmp_path / "cache")[0]) == len(TONE)


@pytest.mark.parametrize("format", ["onnx", "saved_model", "litert"])
def test_an_export_onto_a_full_disk_leaves_nothing(tmp_path, format):  # noqa: A002
    with files_end_at(1000), pytest.raises((OutputError, ExportError), match="File too large"):
        audiozoo.export(digits(), format=format, out=tmp_path / "exported")
    assert list(tmp_path.iterdir()) == []


# --- Read-only places ---


@pytest.fixture
def read_only(tmp_path):
    """A folder that nobody can write to, as far as this machine can make one."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    if os.geteuid() != 0:
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)
        return
    # Permissions do not bind root; a mount does.
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("root, and not allowed to mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", WRITERS)
def test_a_place_that_is_read_only_is_named(read_only, tmp_path, name):
    write = WRITERS[name]
    if name == "preset.yaml":
        preset = tone_preset(tmp_path / "source")
        write = functools.partial(write_preset, preset)
    with pytest.raises(OutputError, match=r"cannot write .*read-only.*Choose a place"):
        write(read_only / name)


def test_a_cache_that_is_read_only_is_named(read_only, tmp_path, monkeypatch, server):
    monkeypatch.setenv("AUDIOZOO_CACHE", str(read_only / "cache"))
    monkeypatch.setenv("AUDIOZOO_OFFLINE", "0")
    with pytest.raises(OutputError, match="Set AUDIOZOO_CACHE"):
        locate(tone_preset(tmp_path / "tone", url=server.url))
    write_audio(tmp_path / "a.wav", TONE, 8000)
    with pytest.raises(OutputError, match="Set AUDIOZOO_CACHE"):
        cached_audio(tmp_path / "a.wav", sample_rate=8000, cache=read_only / "cache")


# --- Downloads ---


@pytest.fixture
def server():
    """A server that gives half of its content at once, the rest when the test lets it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            here.requests += 1
            self.send_response(200)
            if here.says_length:
                self.send_header("Content-Length", str(len(here.content)))
            self.end_headers()
            half = len(here.content) // 2
            try:
                self.wfile.write(here.content[:half])
                self.wfile.flush()
                here.half_sent.set()
                here.go_on.wait(60)
                self.wfile.write(here.content[half:])
            except (BrokenPipeError, ConnectionResetError):
                here.broken_off += 1

        def log_message(self, *arguments):
            pass

    here = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here.requests, here.broken_off, here.content, here.says_length = 0, 0, CONTENT, True
    here.half_sent, here.go_on = threading.Event(), threading.Event()
    here.go_on.set()
    here.url = f"http://127.0.0.1:{here.server_port}/{FILE}"
    thread = threading.Thread(target=here.serve_forever, args=(0.01,))
    thread.start()
    yield here
    here.go_on.set()
    here.shutdown()
    thread.join()
    here.server_close()


def python(code, *arguments, **environment):
    """A process that runs a script with this checkout."""
    settings = os.environ | {"PYTHONPATH": str(ROOT), "AUDIOZOO_OFFLINE": "0"} | environment
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


LOCATE = """
import sys
from audiozoo.registry import read_preset
from audiozoo.weights import locate
print(locate(read_preset(sys.argv[1])))
"""


@pytest.mark.parametrize("before", [None, b"damaged"])
def test_two_processes_that_download_the_same_both_get_it(server, tmp_path, before):
    tone_preset(tmp_path / "tone", url=server.url)
    cache = tmp_path / "cache"
    cache.mkdir()
    if before:
        (cache / FILE).write_bytes(before)
    server.go_on.clear()  # neither is done before both have begun
    both = [python(LOCATE, tmp_path / "tone" / "preset.yaml", AUDIOZOO_CACHE=str(cache)) for _ in range(2)]
    began = time.monotonic()
    while server.requests < 2 and time.monotonic() < began + 60:
        time.sleep(0.01)
    server.go_on.set()
    for process in both:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert out.strip() == str(cache / FILE)
    assert server.requests == 2
    assert [path.name for path in cache.iterdir()] == [FILE]
    assert (cache / FILE).read_bytes() == CONTENT


def test_a_download_that_is_killed_is_done_again(server, tmp_path):
    preset = tone_preset(tmp_path / "tone", url=server.url)
    cache = tmp_path / "cache"
    server.go_on.clear()
    process = python(LOCATE, preset.folder / "preset.yaml", AUDIOZOO_CACHE=str(cache))
    assert server.half_sent.wait(60)
    process.kill()
    process.communicate()
    server.go_on.set()
    assert not (cache / FILE).exists()
    process = python(LOCATE, preset.folder / "preset.yaml", AUDIOZOO_CACHE=str(cache))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert (cache / FILE).read_bytes() == CONTENT


@pytest.fixture
def online(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIOZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("AUDIOZOO_OFFLINE", "0")
    return tmp_path / "cache"


@pytest.mark.parametrize("says_length", [True, False])
def test_a_download_ends_where_the_file_should(server, tmp_path, online, says_length):
    preset = tone_preset(tmp_path / "tone", url=server.url)
    server.content, server.says_length = CONTENT + bytes(20_000_000), says_length
    with pytest.raises(WeightsCorrupt, match=f"it has more than {len(CONTENT)} bytes.*Nothing was kept"):
        locate(preset)
    assert list(online.iterdir()) == []


def test_a_download_that_breaks_off_is_no_file(server, tmp_path, online):
    preset = tone_preset(tmp_path / "tone", url=server.url)
    server.content, server.says_length = CONTENT[:-1000], False
    with pytest.raises(WeightsCorrupt, match="is not the file that was released"):
        locate(preset)
    assert list(online.iterdir()) == []


def test_a_download_onto_a_full_disk(server, tmp_path, online):
    preset = tone_preset(tmp_path / "tone", url=server.url)
    with (
        files_end_at(100_000),
        pytest.raises(OutputError, match="cannot write into the cache .*File too large"),
    ):
        locate(preset)
    assert list(online.iterdir()) == []
    assert locate(preset).read_bytes() == CONTENT


# --- Kills, and others at the same work ---

KILLED = """
import os, signal, sys
from pathlib import Path
from audiozoo.atomic import replacing, replacing_folder
left, real = int(sys.argv[2]), {name: getattr(os, name) for name in ("fsync", "replace", "rmdir", "unlink")}
def counted(name):
    def call(*arguments, **settings):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real[name](*arguments, **settings)
    return call
for name in real:
    setattr(os, name, counted(name))
path = Path(sys.argv[1])
if path.suffix:
    with replacing(path) as draft:
        draft.write_text("new")
else:
    with replacing_folder(path) as draft:
        (draft / "a").write_text("new")
        (draft / "b").write_text("new")
"""


@pytest.mark.parametrize("name", ["file.txt", "folder"])
def test_a_process_killed_at_any_step_leaves_the_old_or_the_new_whole(tmp_path, name):
    processes = []
    for step in range(6):
        path = tmp_path / str(step) / name
        path.parent.mkdir()
        if path.suffix:
            path.write_text("old")
        else:
            path.mkdir()
            (path / "a").write_text("old")
            (path / "b").write_text("old")
        processes.append((path, python(KILLED, path, step)))
    codes = []
    for path, process in processes:
        _, err = process.communicate(timeout=60)
        assert process.returncode in (0, -signal.SIGKILL), err
        codes.append(process.returncode)
        whole = [path] if path.exists() else list(path.parent.glob(f".{name}-*"))
        for found in whole:
            texts = {file.read_text() for file in found.iterdir()} if found.is_dir() else {found.read_text()}
            assert texts in ({"old"}, {"new"})
        # Between the two renames of a folder both stand beside the place, hidden.
        assert path.exists() or len(whole) == 2
    assert codes[0] == -signal.SIGKILL
    assert codes[-1] == 0 or name == "folder"


CACHED = """
import sys
from pathlib import Path
from audiozoo.data.cache import cached_audio
Path(sys.argv[3]).touch()
while len(list(Path(sys.argv[3]).parent.glob("ready-*"))) < 2:
    pass
audio, gain = cached_audio(sys.argv[1], sample_rate=4000, cache=sys.argv[2])
print(len(audio), gain)
"""


def test_two_processes_that_fill_a_cache_at_once_both_read_it(tmp_path):
    write_audio(tmp_path / "a.wav", TONE, 8000)
    both = [
        python(CACHED, tmp_path / "a.wav", tmp_path / "cache", tmp_path / f"ready-{number}")
        for number in range(2)
    ]
    said = []
    for process in both:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        said.append(out)
    assert said[0] == said[1]
    assert said[0].startswith("4000 ")
    assert len(list((tmp_path / "cache").iterdir())) == 1
