"""Networks from ONNX files. The files are written here, byte by byte: the onnx package is not needed."""

import numpy as np
import pytest

from audiozoo.errors import DataError, MissingDependency
from audiozoo.metrics import OnnxEmbedding, clap, encodec, vggish
from audiozoo.metrics.pretrained import in_shape, vggish_features

pytest.importorskip("onnxruntime")
VARINT, BYTES = 0, 2
FLOAT, INTEGER, INTEGERS = 1, 2, 7  # onnx.proto: TensorProto.FLOAT, AttributeProto.INT, INTS


def varint(number):
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def message(*fields):
    """A protocol buffer of (number, value), value an int, text or bytes."""
    parts = []
    for number, value in fields:
        if isinstance(value, int):
            parts += [varint(number << 3 | VARINT), varint(value)]
        else:
            value = value.encode() if isinstance(value, str) else value
            parts += [varint(number << 3 | BYTES), varint(len(value)), value]
    return b"".join(parts)


def attribute(name, value):
    if isinstance(value, int):
        return message((1, name), (20, INTEGER), (3, value))
    return message((1, name), (20, INTEGERS), *((8, entry) for entry in value))


def node(operator, inputs, output, **attributes):
    fields = [(5, attribute(*entry)) for entry in attributes.items()]
    return message(*((1, name) for name in inputs), (2, output), (4, operator), *fields)


def tensor(name, shape):
    sizes = [message((1, size) if isinstance(size, int) else (2, size)) for size in shape]
    kind = message((1, FLOAT), (2, message(*((1, size) for size in sizes))))
    return message((1, name), (2, message((1, kind))))


def network(path, inputs, nodes, output):
    """Write an ONNX file; inputs are shapes by name, output is a name and a shape."""
    graph = message(
        *((1, entry) for entry in nodes),
        (2, "graph"),
        *((11, tensor(*entry)) for entry in inputs.items()),
        (12, tensor(*output)),
    )
    path.write_bytes(message((1, 7), (8, message((1, ""), (2, 13))), (7, graph)))
    return path


def mean_over_time(path, shape, axes):
    return network(
        path, {"x": shape}, [node("ReduceMean", ["x"], "y", axes=axes, keepdims=0)], ("y", ["batch", 64])
    )


def noise(samples):
    return 0.1 * np.random.default_rng(0).standard_normal(samples)


@pytest.mark.parametrize(
    "shape, axes",
    [
        (["batch", 96, 64], [1]),
        (["batch", 1, 96, 64], [1, 2]),
        (["b", 96, 64, 1], [1, 3]),
        ([1, 96, 64], [1]),
    ],
)
def test_vggish_is_given_log_mel_examples_in_the_networks_own_shape(tmp_path, shape, axes):
    embedding = vggish(mean_over_time(tmp_path / "net.onnx", shape, axes))
    assert (embedding.name, embedding.sample_rate, embedding.hop) == ("vggish", 16000, 15360)
    audio = noise(15360 * 3 + 240)
    rows = embedding.embed(audio, 16000)
    assert rows.shape == (3, 64)
    frames = vggish_features(audio.astype("float32").astype("float64")[None])[0]
    expected = [frames[96 * example : 96 * example + 96].mean(axis=0) for example in range(3)]
    np.testing.assert_allclose(rows, expected, atol=1e-5)


def test_vggish_features_are_those_of_its_released_code():
    # Log-mel of magnitudes of 25 ms windows every 10 ms at 512 points, offset 0.01, by TensorFlow's own ops.
    tensorflow = pytest.importorskip("tensorflow")
    audio = noise(4000).astype("float32")
    spectrum = tensorflow.abs(tensorflow.signal.stft(audio, 400, 160, 512))
    filters = tensorflow.signal.linear_to_mel_weight_matrix(64, 257, 16000, 125.0, 7500.0)
    expected = tensorflow.math.log(spectrum @ filters + 0.01)
    np.testing.assert_allclose(vggish_features(audio[None])[0], expected, atol=1e-4)


def test_encodecs_channels_become_dimensions(tmp_path):
    pooled = node("MaxPool", ["x"], "p", kernel_shape=[320], strides=[320])
    doubled = node("Concat", ["p", "p"], "y", axis=1)
    path = network(
        tmp_path / "net.onnx", {"x": ["batch", 1, "samples"]}, [pooled, doubled], ("y", ["b", 2, "t"])
    )
    embedding = encodec(path)
    audio = noise(24000 * 2).astype("float32")
    assert (embedding.name, embedding.hop) == ("encodec", 320)
    rows = embedding.embed(audio, 24000)
    expected = audio.reshape(150, 320).max(axis=1)
    np.testing.assert_allclose(rows, np.stack([expected, expected], axis=1), atol=1e-7)


def test_clap_repeats_a_sound_that_is_too_short(tmp_path):
    pooled = node("MaxPool", ["x"], "y", kernel_shape=[48000], strides=[48000])
    path = network(tmp_path / "net.onnx", {"x": ["batch", 1, 480000]}, [pooled], ("y", ["b", 1, 10]))
    embedding = clap(path)
    second = noise(48000).astype("float32")
    rows = embedding.embed(second, 48000)
    np.testing.assert_allclose(rows[0], np.full(10, second.max()), atol=1e-7)
    assert embedding.hop == 480000


def test_the_hash_is_of_the_files_bytes(tmp_path):
    first = vggish(mean_over_time(tmp_path / "a.onnx", ["batch", 96, 64], [1]))
    copy = vggish(mean_over_time(tmp_path / "b.onnx", ["batch", 96, 64], [1]))
    other = vggish(mean_over_time(tmp_path / "c.onnx", ["batch", 1, 96, 64], [1, 2]))
    assert first.hash == copy.hash != other.hash


def test_files_that_are_no_such_network_are_refused(tmp_path):
    with pytest.raises(DataError, match="'.*none.onnx' does not exist. Nothing is downloaded"):
        vggish(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(DataError, match="text.onnx' cannot be read as an ONNX network"):
        vggish(tmp_path / "text.onnx")
    shapes = {"x": ["b", 96, 64], "z": ["b", 96, 64]}
    two = network(tmp_path / "two.onnx", shapes, [node("Add", ["x", "z"], "y")], ("y", ["b", 96, 64]))
    with pytest.raises(DataError, match="must be a network of one input; it has x, z"):
        vggish(two)
    with pytest.raises(DataError, match=r"takes \('b', 100, 64\), and is given \(1, 96, 64\)"):
        vggish(mean_over_time(tmp_path / "other.onnx", ["b", 100, 64], [1]))


@pytest.mark.parametrize(
    "shape, fitted",
    [
        ((None, 96, 64), (2, 96, 64)),
        (("batch", 1, 96, 64), (2, 1, 96, 64)),
        (("batch", 96, 64, 1), (2, 96, 64, 1)),
    ],
)
def test_an_axis_of_one_goes_where_the_network_has_it(shape, fitted):
    assert in_shape(np.zeros((2, 96, 64)), shape).shape == fitted


def test_without_onnxruntime_it_says_what_to_install(tmp_path, monkeypatch):
    path = mean_over_time(tmp_path / "net.onnx", ["batch", 96, 64], [1])
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingDependency, match="pip install onnxruntime"):
        OnnxEmbedding(path, name="mine", sample_rate=16000, window_samples=16000)
