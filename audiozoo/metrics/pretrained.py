"""Embeddings by networks that you have as ONNX files: VGGish, CLAP, EnCodec or your own.

Nothing is downloaded. The file runs with onnxruntime, which is optional, and its bytes are part of the hash.

What stands between sound and network is written here where the source is plain. VGGish's is: Hershey et al.
(2017), CNN architectures for large-scale audio classification, and the parameters of its released code.
CLAP exports that take mel spectrograms are not supported: their front ends differ from one export to the
next. Export CLAP with its front end, so that it takes samples.
"""

import hashlib
import pathlib

import numpy as np

from audiozoo.errors import DataError, MissingDependency
from audiozoo.metrics.embeddings import WindowEmbedding
from audiozoo.metrics.spectra import mel_filters, stft_magnitude


class OnnxEmbedding(WindowEmbedding):
    """A network in an ONNX file with one input, and its first output.

    Args:
        path: the file.
        name: what it is called in reports.
        sample_rate: Hz.
        window_samples: samples that it is given at once.
        window_hop: samples between windows; None: as many, so that they do not overlap.
        front_end: makes ``(windows, ...)`` of samples ``(windows, samples)``, for a network that takes no
            samples; change the name with it.
        fill: ``"zeros"`` or ``"repeat"``, what a sound shorter than a window is filled with.
        channels_last: whether an output of three axes is ``(batch, rows, dimensions)``; else it is
            ``(batch, dimensions, rows)``. An output of two axes is one row a window.

    Raises:
        DataError: the file is not there or no ONNX network of one input.
        MissingDependency: onnxruntime is not installed.
    """

    def __init__(
        self,
        path,
        *,
        name,
        sample_rate,
        window_samples,
        window_hop=None,
        front_end=None,
        fill="zeros",
        channels_last=True,
    ):
        self.session = open_network(path)
        (self.input,) = self.session.get_inputs()
        self.front_end, self.fill, self.channels_last = front_end, fill, channels_last
        self.window_samples = window_samples
        rows = self.rows_of(np.zeros((1, window_samples)))
        with open(path, "rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        super().__init__(
            name=name,
            sample_rate=sample_rate,
            window_samples=window_samples,
            window_hop=window_hop or window_samples,
            identity={"file": digest, "fill": fill, "channels_last": channels_last},
            rows_per_window=len(rows),
        )

    def rows_of(self, windows):
        windows = filled(windows, self.window_samples, self.fill)
        features = windows if self.front_end is None else self.front_end(windows)
        features = in_shape(features.astype("float32"), self.input.shape)
        one_by_one = self.input.shape[0] == 1
        batches = np.split(features, len(features)) if one_by_one else [features]
        output = np.concatenate([self.session.run(None, {self.input.name: batch})[0] for batch in batches])
        if output.ndim == 3 and not self.channels_last:
            output = output.transpose(0, 2, 1)
        return output.reshape(-1, output.shape[-1]).astype("float64")


def vggish(path):
    """VGGish: 128 dimensions, one row for each 0.96 s at 16 kHz, before the PCA of its postprocessor.

    The network takes ``(batch, 96, 64)`` with or without an axis for one channel. FAD's usual embedding
    (Kilgour et al., 2019).

    Args:
        path: the ONNX file.
    """
    return OnnxEmbedding(
        path,
        name="vggish",
        sample_rate=16000,
        window_samples=95 * 160 + 400,  # 96 frames
        window_hop=96 * 160,
        front_end=vggish_features,
    )


def clap(path):
    """CLAP: one row for each 10 s at 48 kHz, shorter sounds repeated (Wu et al., 2023, arXiv:2211.06687).

    Args:
        path: the ONNX file of an audio encoder that takes samples, ``(batch, 480000)`` with or without an
            axis for one channel.
    """
    return OnnxEmbedding(path, name="clap", sample_rate=48000, window_samples=480000, fill="repeat")


def encodec(path):
    """EnCodec's encoder before quantisation: 75 rows a second at 24 kHz.

    Defossez et al. (2022), High fidelity neural audio compression, arXiv:2210.13438.

    Args:
        path: the ONNX file of an encoder that takes samples ``(batch, 1, samples)`` and gives
            ``(batch, 128, rows)``.
    """
    return OnnxEmbedding(path, name="encodec", sample_rate=24000, window_samples=24000, channels_last=False)


def vggish_features(windows):
    """VGGish's input ``(windows, frames, 64)`` of samples at 16 kHz ``(windows, samples)``.

    ``log(mel + 0.01)`` of 64 bands, 125 to 7500 Hz, over magnitudes (not power) of Hann windows of 25 ms,
    10 ms apart, transformed at 512 points.
    """
    magnitude = stft_magnitude(windows, window_length=400, hop=160, fft_length=512)
    return np.log(magnitude @ mel_filters(16000, 512, 64, 125.0, 7500.0) + 0.01)


def open_network(path):
    """Session of an ONNX file on one thread of the CPU. Raises: see ``OnnxEmbedding``."""
    if not pathlib.Path(path).is_file():
        raise DataError(
            f"path must be an ONNX file; {str(path)!r} does not exist. Nothing is downloaded: "
            "export or fetch the network yourself."
        )
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependency("an ONNX file needs onnxruntime: pip install onnxruntime.") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # one result, whatever the machine
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common base but this
        raise DataError(f"path {str(path)!r} cannot be read as an ONNX network ({error}).") from error
    inputs = [entry.name for entry in session.get_inputs()]
    if len(inputs) != 1:
        raise DataError(f"path {str(path)!r} must be a network of one input; it has {', '.join(inputs)}.")
    return session


def filled(windows, length, fill):
    """Windows ``(windows, samples)`` filled up to a length, with zeros or by repeating them."""
    if windows.shape[1] == length:
        return windows
    if fill == "repeat":
        return np.tile(windows, (1, -(-length // windows.shape[1])))[:, :length]
    return np.pad(windows, ((0, 0), (0, length - windows.shape[1])))


def in_shape(features, shape):
    """Features with an axis of 1 put where the network's input shape has one more.

    Args:
        features: ``(windows, ...)``.
        shape: the network's, with names or None where any size goes.

    Raises:
        DataError: they do not fit.
    """
    missing = len(shape) - features.ndim
    if missing == 1 and 1 in shape[1:]:
        features = np.expand_dims(features, 1 if shape[1] == 1 else len(shape) - 1)
    pairs = zip(features.shape[1:], shape[1:], strict=False)
    if features.ndim != len(shape) or any(isinstance(size, int) and size != have for have, size in pairs):
        raise DataError(
            f"the network takes {tuple(shape)}, and is given {features.shape}. It is of another export: "
            "use OnnxEmbedding with a front_end of your own."
        )
    return features
