import hashlib
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import h5py
import numpy as np
import pytest

from audiozoo.errors import IncompatiblePreset, OutputError, WeightsCorrupt, WeightsUnavailable
from audiozoo.registry import Card, Preset, Weights, read_preset, write_preset
from audiozoo.weights import cache_folder, check_readable, halve, locate, sha256_of

CONTENT = b"released weights" * 1000
FILE = "tone.weights.h5"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIOZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AUDIOZOO_OFFLINE")
    return tmp_path / "cache"


@pytest.fixture
def preset(tmp_path):
    """Make a preset in its own folder; its weights are wherever the test puts them."""

    def make(*, url=None, weights=True):
        stated = Weights(file=FILE, sha256=hashlib.sha256(CONTENT).hexdigest(), size=len(CONTENT), url=url)
        made = Preset(
            name="tone",
            version=1,
            architecture="ToneMaker",
            config={},
            weights=stated if weights else None,
            card=Card(summary="", weights_license=""),
        )
        (tmp_path / "zoo" / "weights").mkdir(parents=True, exist_ok=True)
        write_preset(made, tmp_path / "zoo" / "tone.yaml")
        return read_preset(tmp_path / "zoo" / "tone.yaml")

    return make


@pytest.fixture
def server():
    """A server on this machine that counts requests; a test may change what it serves."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            here.requests += 1
            self.send_response(here.status)
            self.send_header("Content-Length", str(len(here.content)))
            self.end_headers()
            self.wfile.write(here.content)

        def log_message(self, *arguments):
            pass

    here = HTTPServer(("127.0.0.1", 0), Handler)
    here.requests, here.status, here.content = 0, 200, CONTENT
    here.url = f"http://127.0.0.1:{here.server_port}/{FILE}"
    thread = threading.Thread(target=here.serve_forever, args=(0.01,))
    thread.start()
    yield here
    here.shutdown()
    thread.join()
    here.server_close()


def test_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("place", ["weights", "."])
def test_packaged_weights_lie_in_weights_or_beside_the_yaml(preset, place, monkeypatch):
    monkeypatch.setenv("AUDIOZOO_OFFLINE", "1")
    tone = preset()
    (tone.folder / place / FILE).write_bytes(CONTENT)
    assert locate(tone) == tone.folder / place / FILE


@pytest.mark.parametrize(
    "content, fault",
    [
        (CONTENT[:-1], "it has 15999 bytes instead of 16000"),
        (b"", "it has 0 bytes"),
        (b"R" + CONTENT[1:], "its sha256 is [0-9a-f]{64} instead of"),
    ],
)
def test_truncated_or_altered_packaged_weights_are_refused(preset, content, fault):
    tone = preset()
    (tone.folder / "weights" / FILE).write_bytes(content)
    with pytest.raises(WeightsCorrupt, match=f"truncated or altered: {fault}.*again"):
        locate(tone)


def test_a_recipe_says_how_to_get_weights(preset):
    with pytest.raises(WeightsUnavailable, match="'audiozoo train tone --data DIR'.*weights=False"):
        locate(preset(weights=False))


def test_missing_weights_without_url_say_where_they_were_looked_for(preset, cache):
    with pytest.raises(WeightsUnavailable, match="neither packaged in .*zoo nor intact in the cache .*cache"):
        locate(preset())
    assert not cache.exists()


def test_a_download_is_cached_and_then_needs_no_network(preset, cache, server, monkeypatch):
    tone = preset(url=server.url)
    assert locate(tone) == cache / FILE
    assert (cache / FILE).read_bytes() == CONTENT
    monkeypatch.setenv("AUDIOZOO_OFFLINE", "1")
    assert locate(tone) == locate(tone, offline=False) == cache / FILE
    assert server.requests == 1


def test_an_altered_cached_file_is_fetched_again(preset, cache, server):
    cache.mkdir()
    (cache / FILE).write_bytes(b"R" + CONTENT[1:])
    assert locate(preset(url=server.url)).read_bytes() == CONTENT
    assert server.requests == 1


def test_an_altered_cached_file_is_not_kept_where_it_cannot_be_fetched_again(preset, cache, server):
    cache.mkdir()
    (cache / FILE).write_bytes(CONTENT[:100])
    with pytest.raises(WeightsUnavailable, match="not intact in the cache"):
        locate(preset(url=server.url), offline=True)
    assert list(cache.iterdir()) == []


def test_a_download_with_another_sha256_leaves_nothing_behind(preset, cache, server):
    server.content = b"R" + CONTENT[1:]
    with pytest.raises(WeightsCorrupt, match="is not the file that was released.*Nothing was kept"):
        locate(preset(url=server.url))
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("setting, argument", [("1", None), ("0", True), (None, True)])
def test_offline_never_asks_the_network(preset, server, monkeypatch, setting, argument):
    if setting is not None:
        monkeypatch.setenv("AUDIOZOO_OFFLINE", setting)
    with pytest.raises(WeightsUnavailable, match="the network is forbidden.*'audiozoo download tone'"):
        locate(preset(url=server.url), offline=argument)
    assert server.requests == 0


def test_the_argument_overrides_the_environment(preset, server, monkeypatch):
    monkeypatch.setenv("AUDIOZOO_OFFLINE", "1")
    locate(preset(url=server.url), offline=False)
    assert server.requests == 1


def test_a_server_that_refuses_or_is_gone_is_named(preset, cache, server):
    server.status = 404
    with pytest.raises(WeightsUnavailable, match="could not be downloaded: 404.*by hand"):
        locate(preset(url=server.url))
    with pytest.raises(WeightsUnavailable, match="could not be downloaded"):
        locate(preset(url="http://127.0.0.1:9/x"))
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_named(preset, cache, server):
    cache.write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="cannot write into the cache .*Set AUDIOZOO_CACHE"):
        locate(preset(url=server.url))


def test_the_cache_is_the_systems_unless_moved(monkeypatch, tmp_path):
    monkeypatch.setenv("AUDIOZOO_CACHE", "~/sounds")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "sounds"
    monkeypatch.delenv("AUDIOZOO_CACHE")
    assert cache_folder().name == "audiozoo"


@pytest.fixture
def single(tmp_path):
    """A file shaped like Keras's, with ``values`` among its weights."""

    def write(values):
        path = tmp_path / "single.weights.h5"
        with h5py.File(path, "w") as file:
            file.attrs["written_by"] = "a test"
            layer = file.create_group("layers/dense/vars")
            layer.attrs["name"] = "dense"
            layer["0"] = np.asarray(values, "float32")
            layer["1"] = np.arange(70000, dtype="uint32")
        return path

    return write


def test_halving_rounds_floats_and_keeps_everything_else(single, tmp_path):
    values = np.random.default_rng(0).normal(size=(30, 40)).astype("float32")
    halve(single(values), tmp_path / "half.weights.h5")
    with h5py.File(tmp_path / "half.weights.h5") as half:
        assert half.attrs["written_by"] == "a test"
        layer = half["layers/dense/vars"]
        assert layer.attrs["name"] == "dense"
        assert layer["0"].dtype == "float16"
        np.testing.assert_allclose(layer["0"][()], values, rtol=2.0**-11, atol=2.0**-25)
        np.testing.assert_array_equal(layer["1"][()], np.arange(70000, dtype="uint32"))


def test_what_repeats_is_packed(single, tmp_path):
    halve(single(np.ones(5000)), tmp_path / "half.weights.h5")
    with h5py.File(tmp_path / "half.weights.h5") as half:
        assert half["layers/dense/vars/0"].id.get_storage_size() < 1000


def test_halving_twice_gives_the_same_bytes(single, tmp_path):
    source = single(np.ones(100))
    halve(source, tmp_path / "a.weights.h5")
    halve(source, tmp_path / "b.weights.h5")
    assert sha256_of(tmp_path / "a.weights.h5") == sha256_of(tmp_path / "b.weights.h5")


@pytest.mark.parametrize("value", [65505.0, -1e6, np.inf, np.nan])
def test_what_half_precision_cannot_hold_is_refused_and_nothing_is_written(single, tmp_path, value):
    with pytest.raises(IncompatiblePreset, match="layers/dense/vars/0 holds a value .* beyond 65504"):
        halve(single([1.0, value]), tmp_path / "half.weights.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["single.weights.h5"]


def test_the_largest_half_is_allowed(single, tmp_path):
    halve(single([65504.0, -65504.0]), tmp_path / "half.weights.h5")


def test_halving_into_a_missing_folder_is_refused(single, tmp_path):
    with pytest.raises(OutputError, match="cannot write .*half.weights.h5"):
        halve(single([1.0]), tmp_path / "nowhere" / "half.weights.h5")


def test_a_file_that_is_no_weights_file_is_told_from_a_missing_one(single, tmp_path):
    with pytest.raises(WeightsUnavailable, match="there is no such file"):
        check_readable(tmp_path / "nowhere.weights.h5")
    (tmp_path / "text.weights.h5").write_text("hello")
    truncated = tmp_path / "truncated.weights.h5"
    truncated.write_bytes(single(np.ones(1000)).read_bytes()[:-200])
    for path in (tmp_path / "text.weights.h5", truncated):
        with pytest.raises(WeightsCorrupt, match="not a complete .weights.h5 file"):
            check_readable(path)
        with pytest.raises(WeightsCorrupt):
            halve(path, tmp_path / "half.weights.h5")
    assert not (tmp_path / "half.weights.h5").exists()
