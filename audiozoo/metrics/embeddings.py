"""From sound to rows of numbers that can be compared: embeddings, and whole folders embedded.

An embedding cuts a sound into windows and makes rows of each. What a score means depends on it, so it carries
a name and a hash of all that its rows depend on, and sets of different embeddings are never compared.

- ``MelStatistics``: no network; level, movement and flicker of 64 mel bands in each second.
- ``MFCC``: no network; mean and spread of the spectral envelope in each second.
- ``RandomConv``: a network with fixed random weights, which sees patterns in time and frequency.
- ``EncoderEmbedding``: the encoder of a model of the zoo.
- ``CallableEmbedding``: a function of yours.
- ``pretrained``: networks that you have as files.
"""

import dataclasses
import hashlib
import json
import pathlib
import typing

import numpy as np

from audiozoo.data.audio_io import SUFFIXES, check_sample_rate, mono_at_rate, read_audio
from audiozoo.errors import AudioError, DataError
from audiozoo.metrics.moments import RowSample, RunningMoments
from audiozoo.metrics.outliers import ReferenceDistance
from audiozoo.metrics.spectra import mel_filters, power_weights, stft_magnitude

WINDOWS_AT_ONCE = 16  # bounds memory for long clips
FLOOR_DB = -80.0  # of a mel band, relative to full scale: lower is silence
CENTRE_DB, UNIT_DB = -40.0, 20.0  # a band at -40 dB is 0, at 0 dB 2: a size that any kernel can take
MAX_ROWS = 5000


class Embedding(typing.Protocol):
    """What every embedding offers.

    Attributes:
        name: what it is called in reports.
        hash: 16 hexadecimal digits, equal if and only if the rows are.
        sample_rate: Hz at which it listens.
        hop: samples between rows, at ``sample_rate``.
    """

    name: str
    hash: str
    sample_rate: int
    hop: int

    def embed(self, audio, sample_rate):
        """Rows ``(rows, dimensions)``, at least one, of audio ``(samples,)`` or ``(samples, channels)``."""


class WindowEmbedding:
    """An embedding that makes rows of windows, each by itself. A subclass says how, in ``rows_of``.

    Windows start every ``window_hop`` samples and lie whole inside the sound; what remains at its end is left
    out. A sound shorter than one window is one window of what there is.

    Args:
        name: of the embedding.
        sample_rate: Hz.
        window_samples, window_hop: samples.
        identity: dict of everything else that rows depend on, for the hash.
        weights: arrays that they depend on.
        rows_per_window: rows that come of each.
    """

    def __init__(
        self, *, name, sample_rate, window_samples, window_hop, identity, weights=(), rows_per_window=1
    ):
        self.name = name
        self.sample_rate = check_sample_rate(sample_rate)
        self.window_samples, self.window_hop = window_samples, window_hop
        self.hop = max(1, window_hop // rows_per_window)
        shape = {"sample_rate": self.sample_rate, "window": window_samples, "hop": window_hop}
        self.hash = hash_of({"name": name} | shape | identity, weights)

    def embed(self, audio, sample_rate):
        """Rows ``(rows, dimensions)`` of audio ``(samples,)`` or ``(samples, channels)`` at any rate, in Hz.

        Raises:
            AudioError: see ``audio_io.mono_at_rate``.
        """
        audio = mono_at_rate(audio, sample_rate, self.sample_rate).astype("float64")
        if len(audio) < self.window_samples:
            return self.rows_of(audio[None])
        windows = np.lib.stride_tricks.sliding_window_view(audio, self.window_samples)[:: self.window_hop]
        starts = range(0, len(windows), WINDOWS_AT_ONCE)
        return np.concatenate([self.rows_of(windows[start : start + WINDOWS_AT_ONCE]) for start in starts])

    def rows_of(self, windows):
        """Rows ``(rows, dimensions)``, float64, of ``(windows, samples)``; the samples may be fewer."""
        raise NotImplementedError


class MelEmbedding(WindowEmbedding):
    """What the three embeddings on mel bands share: windows of one second, and the bands' levels.

    Bands are 64 triangles on the mel scale of HTK over the power spectrum of Hann windows of 1024 samples,
    256 apart, from 0 Hz to half the rate. Levels are in units of 20 dB around -40 dB relative to full scale,
    raised to -2 units, -80 dB.
    """

    WINDOW_LENGTH, HOP, NUM_BANDS = 1024, 256, 64

    def __init__(self, *, name, version, sample_rate, identity=None, weights=()):
        mel = {"fft": self.WINDOW_LENGTH, "fft_hop": self.HOP, "bands": self.NUM_BANDS}
        mel |= {"floor_db": FLOOR_DB, "centre_db": CENTRE_DB, "unit_db": UNIT_DB}
        super().__init__(
            name=name,
            sample_rate=sample_rate,
            window_samples=sample_rate,
            window_hop=sample_rate,
            identity={"version": version} | mel | (identity or {}),
            weights=weights,
        )

    def levels(self, windows):
        """``(windows, frames, bands)`` of ``(windows, samples)``; one frame at least."""
        shortfall = max(0, self.WINDOW_LENGTH - windows.shape[1])
        windows = np.pad(windows, ((0, 0), (0, shortfall)))
        magnitude = stft_magnitude(windows, window_length=self.WINDOW_LENGTH, hop=self.HOP)
        power = magnitude**2 * power_weights(self.sample_rate, self.WINDOW_LENGTH)
        filters = mel_filters(
            self.sample_rate, self.WINDOW_LENGTH, self.NUM_BANDS, 0.0, self.sample_rate / 2.0
        )
        decibels = 10.0 * np.log10(np.maximum(power @ filters, 10.0 ** (FLOOR_DB / 10.0)))
        return (decibels - CENTRE_DB) / UNIT_DB


class MelStatistics(MelEmbedding):
    """Mean, standard deviation and mean absolute difference over time of 64 mel levels, each second.

    192 dimensions. Without a network, hence without its blind spots and without its understanding:
    it hears balance, dynamics and movement, not melody.

    Args:
        sample_rate: Hz.
    """

    def __init__(self, *, sample_rate=16000):
        super().__init__(name="mel_statistics", version=1, sample_rate=sample_rate)

    def rows_of(self, windows):
        levels = self.levels(windows)
        steps = np.abs(np.diff(levels, axis=1)) if levels.shape[1] > 1 else np.zeros_like(levels)
        return np.concatenate([levels.mean(axis=1), levels.std(axis=1), steps.mean(axis=1)], axis=1)


class MFCC(MelEmbedding):
    """Mean and standard deviation over time of 20 mel-frequency cepstral coefficients, each second.

    40 dimensions. The first coefficient is level. The orthonormal DCT-II of the 64 levels.

    Args:
        sample_rate: Hz.
    """

    NUM_COEFFICIENTS = 20

    def __init__(self, *, sample_rate=16000):
        super().__init__(
            name="mfcc", version=1, sample_rate=sample_rate, identity={"coefficients": self.NUM_COEFFICIENTS}
        )

    def coefficients(self, windows):
        """``(windows, frames, coefficients)`` of ``(windows, samples)``."""
        return self.levels(windows) @ cosine_basis(self.NUM_BANDS, self.NUM_COEFFICIENTS)

    def rows_of(self, windows):
        coefficients = self.coefficients(windows)
        return np.concatenate([coefficients.mean(axis=1), coefficients.std(axis=1)], axis=1)


class RandomConv(MelEmbedding):
    """A convolutional network with random weights on mel bands, averaged over each second.

    128 dimensions: two layers over time, 9 and 5 frames wide, with rectifiers. Random features tell
    distributions apart nearly as well as trained ones where nothing has to be understood (Naeem et al., 2020,
    arXiv:2002.09797, section 5), and favour no data set.

    Args:
        sample_rate: Hz.
        seed: of the weights.
    """

    WIDTHS, CHANNELS = (9, 5), 128

    def __init__(self, *, sample_rate=16000, seed=0):
        rng = np.random.default_rng(seed)
        fan_in = [self.WIDTHS[0] * self.NUM_BANDS, self.WIDTHS[1] * self.CHANNELS]
        self.kernels = [
            np.sqrt(2.0 / inputs) * rng.standard_normal((inputs, self.CHANNELS)) for inputs in fan_in
        ]
        super().__init__(
            name="random_conv",
            version=1,
            sample_rate=sample_rate,
            identity={"seed": seed, "widths": self.WIDTHS},
            weights=self.kernels,
        )

    def rows_of(self, windows):
        signal = self.levels(windows)
        for width, kernel in zip(self.WIDTHS, self.kernels, strict=True):
            shortfall = max(0, width - signal.shape[1])
            signal = np.pad(signal, ((0, 0), (0, shortfall), (0, 0)))
            patches = np.lib.stride_tricks.sliding_window_view(signal, width, axis=1)
            flat = patches.reshape(*patches.shape[:2], -1)  # channels first, then frames
            signal = np.maximum(flat @ kernel, 0.0)
        return signal.mean(axis=1)


class EncoderEmbedding(WindowEmbedding):
    """The encoder of a model of the zoo.

    Args:
        model: has ``sample_rate`` in Hz, ``get_weights()``, and ``encode``: audio ``(batch, samples)`` to an
            array ``(batch, ..., latent)``, of which every vector is a row.
        window_seconds: length of the windows that are encoded, each by itself.

    Raises:
        ValueError: the model cannot be used so.
    """

    def __init__(self, model, *, window_seconds=1.0):
        missing = [part for part in ("encode", "sample_rate", "get_weights") if not hasattr(model, part)]
        if missing:
            raise ValueError(
                f"model must have encode, sample_rate and get_weights; {type(model).__name__} lacks "
                f"{', '.join(missing)}. Use CallableEmbedding for anything else."
            )
        self.model = model
        window_samples = round(window_seconds * model.sample_rate)
        if window_samples < 1:
            raise ValueError(f"window_seconds must be positive; got {window_seconds!r}. Use 1.0.")
        latent = as_numpy(model.encode(np.zeros((1, window_samples), "float32")))
        if latent.ndim < 2 or len(latent) != 1:
            raise ValueError(
                "model.encode must make (batch, ..., latent) of audio (batch, samples); of one window it "
                f"made {latent.shape}."
            )
        config = model.get_config() if hasattr(model, "get_config") else {}
        super().__init__(
            name=type(model).__name__,
            sample_rate=model.sample_rate,
            window_samples=window_samples,
            window_hop=window_samples,
            identity={"config": {key: value for key, value in config.items() if key != "name"}},
            weights=model.get_weights(),
            rows_per_window=latent[0].size // latent.shape[-1],
        )

    def rows_of(self, windows):
        windows = np.pad(windows, ((0, 0), (0, self.window_samples - windows.shape[1])))
        latent = as_numpy(self.model.encode(windows.astype("float32")))
        return latent.reshape(-1, latent.shape[-1]).astype("float64")


class CallableEmbedding:
    """Any function as an embedding.

    Args:
        function: ``function(audio, sample_rate)``, of audio float32 ``(samples,)`` at ``sample_rate``, makes
            ``(rows, dimensions)``.
        name: what it is called in reports. The hash is of name, version and rates: a function cannot be
            hashed, so change the version with it.
        sample_rate: Hz at which it listens.
        hop: samples between rows.
        version: of the function.
    """

    def __init__(self, function, *, name, sample_rate, hop, version="1"):
        self.function, self.name, self.hop = function, name, hop
        self.sample_rate = check_sample_rate(sample_rate)
        self.hash = hash_of({"name": name, "version": version, "sample_rate": sample_rate, "hop": hop})

    def embed(self, audio, sample_rate):
        """Rows ``(rows, dimensions)``. Raises AudioError, and ValueError for what is no such array."""
        rows = as_numpy(self.function(mono_at_rate(audio, sample_rate, self.sample_rate), self.sample_rate))
        if rows.ndim != 2 or not rows.size:
            raise ValueError(
                f"function of the embedding {self.name!r} must return (rows, dimensions), at least one row; "
                f"got shape {rows.shape}."
            )
        return rows.astype("float64")


BUILT_IN = {"mel_statistics": MelStatistics, "mfcc": MFCC, "random_conv": RandomConv}


@dataclasses.dataclass(frozen=True, eq=False)
class EmbeddedSet:
    """A folder of sound as a set of rows.

    Attributes:
        embedding, hash: name and hash of the embedding.
        sample_rate, hop: in Hz and samples, of the embedding.
        clips: how many were embedded.
        seconds: their length together.
        num_rows: how many rows they made.
        mean, covariance: of all rows, ``(dimensions,)`` and ``(dimensions, dimensions)``.
        rows: a fair sample of them, or all, ``(kept, dimensions)``.
        clip: number of each kept row's clip, ``(kept,)``.
        skipped: file and reason of what could not be read.
        distances: file and distance from the reference, see ``outliers``; None without one.
    """

    embedding: str
    hash: str
    sample_rate: int
    hop: int
    clips: int
    seconds: float
    num_rows: int
    mean: np.ndarray
    covariance: np.ndarray
    rows: np.ndarray
    clip: np.ndarray
    skipped: tuple[tuple[str, str], ...]
    distances: tuple[tuple[str, float], ...] | None

    @property
    def dimensions(self):
        return len(self.mean)


def embed_folder(source, embedding="mel_statistics", *, against=None, max_rows=MAX_ROWS, seed=0):
    """Embed every audio file below a folder, one at a time.

    Memory holds one file and ``max_rows`` rows, and of all others no more than the name. Files that cannot
    be read as audio are skipped, and named in the result.

    Args:
        source: folder, searched recursively; or paths of files.
        embedding: an ``Embedding``, or the name of one in ``BUILT_IN``.
        against: EmbeddedSet from which each clip's distance is taken.
        max_rows: rows to keep for what needs rows. Mean and covariance are of all.
        seed: of their choice.

    Returns:
        EmbeddedSet.

    Raises:
        DataError: no such folder, no audio in it, or none that can be read.
        ValueError: unknown embedding; ``against`` is of another one; rows that are not finite.
    """
    embedding = resolve(embedding)
    if against is not None:
        check_comparable(against, embedding)
    distance = ReferenceDistance(against.rows) if against is not None else None
    paths = audio_paths(source)
    moments, sample = None, RowSample(max_rows, seed)
    clips, seconds, skipped, distances = 0, 0.0, [], []
    for path in paths:
        try:
            audio, _ = read_audio(path, sample_rate=embedding.sample_rate)
        except AudioError as error:
            skipped.append((str(path), str(error)))
            continue
        rows = embedding.embed(audio, embedding.sample_rate)
        moments = RunningMoments(rows.shape[1]) if moments is None else moments
        check_rows(rows, len(moments.mean), path, embedding)
        moments.add(rows)
        sample.add(rows, clips)
        if distance is not None:
            distances.append((str(path), distance.of(rows)))
        clips, seconds = clips + 1, seconds + len(audio) / embedding.sample_rate
    if not clips:
        reasons = " ".join(reason for _, reason in skipped[:3])
        raise DataError(f"source holds {len(paths)} audio files, none of which can be read. {reasons}")
    if moments.count < 2:
        raise DataError(f"source makes one row only, of {str(paths[0])!r}: no spread. Add more clips.")
    clip, rows = sample.result()
    return EmbeddedSet(
        embedding=embedding.name,
        hash=embedding.hash,
        sample_rate=embedding.sample_rate,
        hop=embedding.hop,
        clips=clips,
        seconds=seconds,
        num_rows=moments.count,
        mean=moments.mean,
        covariance=moments.covariance,
        rows=rows,
        clip=clip,
        skipped=tuple(skipped),
        distances=tuple(distances) if distance is not None else None,
    )


def audio_paths(source):
    """Paths of the audio files of a folder, or those given. Raises DataError, see ``embed_folder``."""
    if not isinstance(source, str | pathlib.Path):
        paths = [pathlib.Path(path) for path in source]
        if not paths:
            raise DataError("source must hold audio; it is an empty list of paths.")
        return paths
    folder = pathlib.Path(source)
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise DataError(f"source must be a folder of audio, or a list of files; {str(folder)!r} {what}.")
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES]
    if not paths:
        raise DataError(f"source must hold audio ({', '.join(SUFFIXES)}); {str(folder)!r} holds none.")
    return paths


def resolve(embedding):
    """The embedding itself, or the built-in one of that name. Raises ValueError for anything else."""
    if hasattr(embedding, "embed"):
        return embedding
    if callable(embedding):
        raise ValueError(
            "embedding must be an object with embed(audio, sample_rate); got a function. Wrap it: "
            "CallableEmbedding(function, name=..., sample_rate=..., hop=...)."
        )
    if embedding not in BUILT_IN:
        raise ValueError(
            f"embedding must be one of {', '.join(BUILT_IN)}, or an object with embed(audio, sample_rate); "
            f"got {embedding!r}. Use 'mel_statistics'."
        )
    return BUILT_IN[embedding]()


def check_comparable(reference, generated):
    """Raise ValueError unless both, sets or embeddings, are of the same embedding."""
    if reference.hash != generated.hash:
        raise ValueError(
            "reference and generated must be of one embedding; got "
            f"{described(reference)} and {described(generated)}. Embed both anew with the same one."
        )


def described(embedded):
    """Embedding, rate and hash of a set or an embedding, in words."""
    name = embedded.embedding if isinstance(embedded, EmbeddedSet) else embedded.name
    return f"{name!r} at {embedded.sample_rate} Hz (hash {embedded.hash})"


def check_rows(rows, dimensions, path, embedding):
    """Raise ValueError if rows of a file are not finite, or not of so many dimensions."""
    if rows.shape[1] != dimensions:
        raise ValueError(
            f"embedding {embedding.name!r} must make rows of {dimensions} dimensions, as of the first file; "
            f"of {str(path)!r} it makes {rows.shape[1]}. Mend the embedding."
        )
    if not np.isfinite(rows).all():
        raise ValueError(
            f"embedding {embedding.name!r} must make finite rows; of {str(path)!r} it makes NaN or infinity. "
            "Leave that file out, or mend the embedding."
        )


def hash_of(settings, weights=()):
    """First 16 hexadecimal digits of the sha256 of a dict of settings and of arrays, as float32."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for array in weights:
        digest.update(str(np.shape(array)).encode())
        digest.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
    return digest.hexdigest()[:16]


def cosine_basis(length, count):
    """First ``count`` vectors of the orthonormal DCT-II, ``(length, count)``."""
    angle = np.pi / length * np.outer(np.arange(length) + 0.5, np.arange(count))
    basis = np.sqrt(2.0 / length) * np.cos(angle)
    basis[:, 0] = np.sqrt(1.0 / length)
    return basis


def as_numpy(tensor):
    """A tensor of any framework as an array; of PyTorch, off its graph and its device."""
    return np.asarray(tensor.detach().cpu() if hasattr(tensor, "detach") else tensor)
