"""Reading, checking, resampling and writing audio (soundfile and soxr; reading also by TensorFlow I/O)."""

import functools
import importlib.util
import io
import math
import pathlib
import re
import warnings

import numpy as np

from audiozoo.arguments import check_choice
from audiozoo.atomic import make_folder, replacing
from audiozoo.errors import AudioError, MissingDependency, OutputError
from audiozoo.foreign import obstacle, refused

BLOCK_SECONDS = 10.0
BLOCK_SAMPLES = 1 << 22  # at most, all channels together, whatever rate and channels a header claims
LONGEST_SAMPLES = 1 << 30  # of a file read whole, all channels together: 4 GiB, 6 hours at 48 kHz
SAMPLE_RATES_HZ = (1000, 768_000)
# What is looked for in a folder. A file of these that cannot be read is named, others are passed over.
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff", ".opus", ".m4a")
FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG"}
FULL_SCALE = {"int16": 2.0**15, "int32": 2.0**31}
HEADERS = (b"RIFF", b"fLaC", b"OggS", b"FORM", b"ID3")  # of sound files; as samples they would be noise
PCM_ENCODINGS = {"float32": np.dtype("<f4"), "int16": np.dtype("<i2")}
BACKENDS = ("soundfile", "tfio")
# What TensorFlow I/O decodes as it is meant. Others it refuses, or takes for another: integers of 32 bits for
# floating-point numbers.
TFIO_ENCODINGS = {
    "WAV": ("PCM_U8", "PCM_16", "PCM_24", "FLOAT"),
    "FLAC": ("PCM_S8", "PCM_16", "PCM_24"),
    "OGG": ("VORBIS",),
    "MP3": ("MPEG_LAYER_III",),
}
TFIO_TAPS = 64  # of its filter, at the lower of two rates


def read_audio(path, *, sample_rate=None, mono=True, backend="soundfile"):
    """Read an audio file of any format that libsndfile knows (WAV, FLAC, OGG, MP3, AIFF ...).

    The file is read, mixed and resampled block by block: memory holds the result, not the source. Since a
    small file can unpack to any length, a result of more than 2^30 samples is left to ``read_blocks``.

    Args:
        path: the file.
        sample_rate: Hz to resample to; None keeps the file's own.
        mono: mix all channels down, as their mean.
        backend: ``"soundfile"``, which resamples by soxr, or ``"tfio"``: TensorFlow I/O decodes and
            resamples, WAV, FLAC, OGG and MP3, the source as a whole in memory. Decoded they agree to half a
            step of 16 bits; resampled to 80 dB below 0.8 of the lower Nyquist frequency, the ends of the
            recording apart. From there to the Nyquist frequency soxr keeps more.

    Returns:
        ``(audio, sample_rate)``: float32 ``(samples,)``, or ``(samples, channels)`` where ``mono``
        is False; about -1..1.

    Raises:
        AudioError: the file is missing, empty, no audio, too long, or holds NaN or infinity.
        MissingDependency: TensorFlow I/O is not installed, or beside another TensorFlow than its own.
        ValueError: ``backend`` is none of these.
    """
    check_choice("backend", backend, BACKENDS)
    if backend == "tfio":
        audio, target = read_by_tfio(path, sample_rate=sample_rate, mono=mono)
    else:
        blocks, target = read_blocks(path, sample_rate=sample_rate, mono=mono)
        kept, samples = [], 0
        for block in blocks:
            kept.append(block)
            samples += block.size
            check_length(path, samples)
        audio = np.concatenate(kept)
    check_samples(audio, name=f"path {str(path)!r}")
    return audio, target


def read_blocks(path, *, sample_rate=None, mono=True, block_seconds=BLOCK_SECONDS):
    """Read an audio file piece by piece: memory holds no more than one of them.

    Args:
        path, sample_rate, mono: as in ``read_audio``.
        block_seconds: length of a piece in the file; resampled, pieces have different lengths.

    Returns:
        ``(blocks, sample_rate)``: iterator over float32 ``(samples,)``, or ``(samples, channels)`` where
        ``mono`` is False, not yet checked for NaN.

    Raises:
        AudioError: the file is missing, empty or no audio. Damage further on is met, and raised, while
            reading.
    """
    source = opened(path)
    target = source.samplerate if sample_rate is None else check_sample_rate(sample_rate)

    def decoded():
        frames = max(1, min(int(block_seconds * source.samplerate), BLOCK_SAMPLES // source.channels))
        with source, unreadable_is_refused(source.name):
            for block in source.blocks(frames, dtype="float32", always_2d=True):
                yield block.mean(axis=1) if mono else block

    nothing = np.zeros(0 if mono else (0, source.channels), "float32")
    return resampled_blocks(decoded(), source.samplerate, target, nothing), target


def read_by_tfio(path, *, sample_rate, mono):
    """What ``read_audio`` reads with TensorFlow I/O, its samples not yet checked."""
    _, tfio = tensorflow_io()
    with opened(path) as source:  # by libsndfile too, so that what it refuses is refused in the same words
        check_length(path, source.frames * source.channels)
        own, encoding = source.samplerate, source.subtype
        container = "WAV" if source.format == "WAVEX" else source.format
    target = own if sample_rate is None else check_sample_rate(sample_rate)
    if encoding not in TFIO_ENCODINGS.get(container, ()):
        known = "; ".join(f"{name} of {', '.join(kinds)}" for name, kinds in TFIO_ENCODINGS.items())
        raise AudioError(
            f"path {str(path)!r} is {container} of {encoding}, and backend 'tfio' reads {known}. Use backend "
            "'soundfile'."
        )
    with unreadable_is_refused(path):
        audio = at_full_scale(tfio.audio.AudioIOTensor(str(path)).to_tensor().numpy())
    return resampled_by_tfio(audio.mean(axis=1) if mono else audio, own, target), target


def tensorflow_io():
    """``(tensorflow, tensorflow_io)``. Raises MissingDependency unless both are there and of one age."""
    remedy = "pip install 'audiozoo[tfio]', in an environment of its own, since it needs TensorFlow 2.16"
    if not importlib.util.find_spec("tensorflow_io"):
        raise MissingDependency(f"backend 'tfio' needs tensorflow-io, which is not installed: {remedy}.")
    import tensorflow

    if not tensorflow.__version__.startswith("2.16."):
        raise MissingDependency(
            f"backend 'tfio' cannot work beside TensorFlow {tensorflow.__version__}: {remedy}."
        )
    import tensorflow_io

    return tensorflow, tensorflow_io


def resampled_by_tfio(audio, sample_rate, new_sample_rate):
    """``resample`` by TensorFlow I/O, brought to the same places in time.

    It answers half a filter late, a whole number of samples of the input. Zeros before the input make of that
    a whole number of samples of the output, which can be left out.
    """
    if sample_rate == new_sample_rate:
        return audio
    common = math.gcd(sample_rate, new_sample_rate)
    step, new_step = sample_rate // common, new_sample_rate // common
    taps = TFIO_TAPS if new_step > step else (TFIO_TAPS * step // new_step - 1) // 8 * 8 + 8
    before = -(taps // 2) % step
    late = (taps // 2 + before) * new_step // step
    padded = np.pad(audio.reshape(len(audio), -1), ((before, taps), (0, 0)))
    answer = tfio_resampler()(padded, sample_rate, new_sample_rate).numpy()
    samples = (2 * len(audio) * new_step + step) // (2 * step)
    return answer[late : late + samples].reshape(samples, *audio.shape[1:])


@functools.cache
def tfio_resampler():
    """Its function of ``(samples, channels)`` and two rates, traced once for all of them."""
    tf, tfio = tensorflow_io()
    rate = tf.TensorSpec((), tf.int64)
    return tf.function(
        tfio.audio.resample, input_signature=(tf.TensorSpec((None, None), tf.float32), rate, rate)
    )


def read_pcm_blocks(file, *, encoding="float32", sample_rate, new_sample_rate, block_seconds=0.01):
    """Read raw mono samples, as programs pipe them to each other, piece by piece.

    Args:
        file: binary file, such as ``sys.stdin.buffer``.
        encoding: ``"float32"`` or ``"int16"``, little-endian.
        sample_rate: Hz, of the file.
        new_sample_rate: Hz, of the result.
        block_seconds: length of a piece.

    Returns:
        Iterator over float32 ``(samples,)``.

    Raises:
        AudioError: a sample rate out of range; and while reading: the file ends inside a sample.
    """
    sample_rate = check_sample_rate(sample_rate)
    dtype = PCM_ENCODINGS[encoding]
    size = max(1, int(block_seconds * sample_rate)) * dtype.itemsize

    def decoded():
        first = True
        while data := file.read(size):
            if first and data.startswith(HEADERS):
                raise AudioError(
                    "raw audio must have no header; this begins as a sound file does. Name the file instead "
                    "(--input FILE on the command line)."
                )
            first = False
            if len(data) % dtype.itemsize:
                raise AudioError(
                    f"raw audio must be whole {encoding} samples of {dtype.itemsize} bytes; the last one has "
                    f"{len(data) % dtype.itemsize}. Is it of another encoding?"
                )
            samples = np.frombuffer(data, dtype)
            scale = FULL_SCALE.get(encoding, 1.0)
            yield (samples / scale).astype("float32")

    return resampled_blocks(decoded(), sample_rate, new_sample_rate, np.zeros(0, "float32"))


def finite_blocks(blocks, *, name):
    """The blocks as they come, float ``(samples,)``. Raises AudioError at the first that is not finite.

    Args:
        blocks: iterable.
        name: of where they come from, for the message.
    """
    position = 0
    for block in blocks:
        finite = np.isfinite(block)
        if not finite.all():
            raise AudioError(
                f"{name} must be finite; sample {position + int(np.argmin(finite))} is NaN or infinite. "
                "Look at how the file was made."
            )
        position += len(block)
        yield block


def write_pcm_blocks(file, blocks, *, encoding="float32"):
    """Write raw mono samples as ``read_pcm_blocks`` reads them, each block at once.

    Args:
        file: binary file, such as ``sys.stdout.buffer``.
        blocks: iterable of float32 ``(samples,)``.
        encoding: ``"float32"`` or ``"int16"``, little-endian; the latter clips at full scale.
    """
    for block in blocks:
        if encoding == "int16":
            block = np.clip(np.round(block * FULL_SCALE[encoding]), -32768, 32767)
        file.write(block.astype(PCM_ENCODINGS[encoding]).tobytes())
        file.flush()


def resampled_blocks(blocks, sample_rate, new_sample_rate, nothing):
    """The blocks at another rate, as one stream: seams cannot be heard.

    Args:
        blocks: iterator over float32 ``(samples,)`` or ``(samples, channels)``.
        sample_rate, new_sample_rate: Hz.
        nothing: a block of no samples; it is also what comes if there are none.
    """
    yield nothing
    if sample_rate == new_sample_rate:
        yield from blocks
        return
    import soxr

    channels = 1 if nothing.ndim == 1 else nothing.shape[1]
    resampler = soxr.ResampleStream(sample_rate, new_sample_rate, channels, dtype="float32")
    for block in blocks:
        yield resampler.resample_chunk(block)
    yield resampler.resample_chunk(nothing, last=True)


def opened(path):
    """A file as ``soundfile.SoundFile``, whole as far as its header tells. Raises AudioError."""
    import soundfile

    path = pathlib.Path(path)
    reason = obstacle(path)
    if reason:
        raise AudioError(f"path must be an audio file; {str(path)!r} {reason}.")
    if not path.stat().st_size:
        raise AudioError(f"path {str(path)!r} must hold audio; the file is empty. Record or copy it again.")
    with unreadable_is_refused(path):
        source = soundfile.SoundFile(path)
    check_complete(path, source)
    check_sample_rate(source.samplerate, name=f"the sample rate of path {str(path)!r}")
    return source


def unreadable_is_refused(path):
    """Raise AudioError for what libsndfile, or TensorFlow I/O, makes of a file that it cannot read."""
    return refused(
        AudioError,
        f"path {str(path)!r} cannot be read as audio",
        "It is damaged, or of a format that libsndfile does not know: copy it again, or convert it to WAV or "
        "FLAC.",
    )


def check_length(path, samples):
    """Raise AudioError if a file has more samples, all channels together, than are read whole."""
    if samples > LONGEST_SAMPLES:
        raise AudioError(
            f"path {str(path)!r} must have at most {LONGEST_SAMPLES} samples to be read whole; it has more. "
            "Cut it, or read it with read_blocks ('audiozoo stream' on the command line)."
        )


def check_complete(path, source):
    """Raise AudioError if a WAV or AIFF file holds fewer bytes than its header promises.

    libsndfile plays what is there and only notes it in its log. A length of 0 or of all ones is
    what programs write that do not know it beforehand: that is no damage.
    """
    noted = re.search(r"^\s*(?:data|SSND)\s*:\s*(\d+) \(should be (\d+)\)", source.extra_info, re.MULTILINE)
    if noted and int(noted[2]) < int(noted[1]) < 0x7FFFFFFF:
        raise AudioError(
            f"path {str(path)!r} is cut short: its header promises {noted[1]} bytes of samples and "
            f"{noted[2]} are there. Copy it again."
        )


def mono_at_rate(audio, sample_rate, new_sample_rate):
    """Check an array that a user hands over; mix it to mono; resample it.

    Args:
        audio: ``(samples,)`` or ``(samples, channels)``; float in about -1..1, or int16, int32,
            uint8, which are scaled to it.
        sample_rate: Hz, of ``audio``.
        new_sample_rate: Hz, of the result.

    Returns:
        float32 ``(samples,)``.

    Raises:
        AudioError: empty, not finite, of an unknown type or shape; a sample rate out of range.
    """
    audio = validate_audio(audio, sample_rate)
    audio = audio.mean(axis=1, dtype="float32") if audio.ndim == 2 else audio
    audio = resample(audio, sample_rate, new_sample_rate)
    check_samples(audio, name=f"audio at {new_sample_rate} Hz")
    return audio


def validate_audio(audio, sample_rate):
    """The audio as float32 in -1..1, its shape kept. Raises AudioError, see ``mono_at_rate``."""
    check_sample_rate(sample_rate)
    audio = at_full_scale(np.asarray(audio))
    if audio.ndim not in (1, 2):
        raise AudioError(f"audio must be (samples,) or (samples, channels); got shape {audio.shape}.")
    if audio.ndim == 2 and audio.shape[1] > audio.shape[0] > 0:
        raise AudioError(
            f"audio must be (samples, channels); got shape {audio.shape}, which looks like "
            "(channels, samples). Pass audio.T."
        )
    check_samples(audio, name="audio")
    return audio


def at_full_scale(audio):
    """Samples of any type as float32 in -1..1. Raises AudioError for a type of unknown scale."""
    if audio.dtype.name in FULL_SCALE:
        audio = audio / FULL_SCALE[audio.dtype.name]
    elif audio.dtype == np.uint8:
        audio = audio / 128.0 - 1.0
    elif not np.issubdtype(audio.dtype, np.floating):
        raise AudioError(
            f"audio must be float in -1..1, int16, int32 or uint8; got {audio.dtype}. "
            "Scale it to -1..1 and pass float32."
        )
    with np.errstate(over="ignore"):  # beyond float32 it becomes infinite, and is refused as such
        return audio.astype("float32")


def check_samples(audio, *, name):
    """Raise AudioError if the audio is empty or not finite."""
    if not audio.size:
        raise AudioError(f"{name} must hold at least one sample; it is empty.")
    finite = np.isfinite(audio)
    if not finite.all():
        first = int(np.argmax(~finite.reshape(len(audio), -1).all(axis=1)))
        raise AudioError(
            f"{name} must be finite; {int((~finite).sum())} samples are NaN or infinite, the first at "
            f"index {first}. Repair the recording, or replace them: numpy.nan_to_num(audio)."
        )


def check_sample_rate(sample_rate, *, name="sample_rate") -> int:
    """The sample rate as a whole number of Hz. Raises AudioError if it is none, or out of range."""
    lowest, highest = SAMPLE_RATES_HZ
    numeric = isinstance(sample_rate, (int, float, np.number)) and not isinstance(sample_rate, bool)
    if not numeric or not lowest <= sample_rate <= highest or sample_rate != round(sample_rate):
        raise AudioError(
            f"{name} must be a whole number of Hz between {lowest} and {highest}; got {sample_rate!r}."
        )
    return int(sample_rate)


def resample(audio, sample_rate, new_sample_rate):
    """Audio ``(samples,)`` or ``(samples, channels)`` at another rate (soxr, high quality)."""
    if sample_rate == new_sample_rate:
        return audio
    import soxr

    return soxr.resample(audio, sample_rate, new_sample_rate).astype("float32")


def output_format(path):
    """Name of the format that ``write_audio`` writes to this path. Raises AudioError if there is none."""
    suffix = pathlib.Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise AudioError(f"path of the output must end in {', '.join(FORMATS)}; got {str(path)!r}.")
    return FORMATS[suffix]


def write_audio(path, audio, sample_rate):
    """Write 16-bit WAV or FLAC, or OGG, by the suffix of ``path``; the file appears whole.

    Audio beyond full scale is turned down to fit, with a warning, instead of clipped.

    Args:
        path: ends in .wav, .flac or .ogg.
        audio: as in ``mono_at_rate``.
        sample_rate: Hz.

    Raises:
        AudioError: the audio is empty or not finite, the suffix unknown.
        OutputError: the file cannot be written there.
    """
    audio = validate_audio(audio, sample_rate)
    output_format(path)
    peak = float(np.abs(audio).max())
    if peak > 1.0:
        warnings.warn(
            f"peak {peak:.2f} is beyond full scale: {pathlib.Path(path).name} is turned down.", stacklevel=2
        )
        audio = audio / peak
    channels = 1 if audio.ndim == 1 else audio.shape[1]
    # In pieces: libsndfile's Vorbis crashes on long writes.
    pieces = (audio[start : start + 16384] for start in range(0, len(audio), 16384))
    write_blocks(path, pieces, sample_rate, channels=channels)


def write_blocks(path, blocks, sample_rate, *, channels=1):
    """Write a file as ``write_audio`` does, while its audio is being made.

    What is beyond full scale is clipped, with a warning at the end: it was written before its peak was
    known.

    Args:
        path: ends in .wav, .flac or .ogg.
        blocks: iterable of float32 ``(samples,)``, or ``(samples, channels)``.
        sample_rate: Hz.
        channels: of each block.

    Returns:
        Number of samples written.

    Raises:
        AudioError: the suffix is unknown.
        OutputError: the file cannot be written there.
    """
    import soundfile

    path, container = pathlib.Path(path), output_format(path)
    make_folder(path.parent)
    samples, peak = 0, 0.0
    with replacing(path) as draft, Sink(draft) as file:
        try:
            with soundfile.SoundFile(file, "w", int(sample_rate), channels, format=container) as sink:
                for block in blocks:
                    sink.write(np.clip(block, -1.0, 1.0))
                    file.check()
                    samples, peak = samples + len(block), max(peak, float(np.abs(block).max(initial=0.0)))
        except soundfile.LibsndfileError as error:
            raise OutputError(
                f"cannot write {path}: {error.error_string}, with {channels} channels at {sample_rate} Hz "
                f"as {container}. "
                "Write .wav, or choose another place."
            ) from error
    if peak > 1.0:
        warnings.warn(f"peak {peak:.2f} is beyond full scale: {path.name} is clipped.", stacklevel=2)
    return samples


class Sink(io.FileIO):
    """A file for libsndfile, whose writers of FLAC and OGG do not tell that a disk is full: this does.

    Args:
        path: the file.

    Attributes:
        failure: the first OSError of a writing, or None. It is raised when the file is closed.
    """

    def __init__(self, path):
        super().__init__(path, "w+")
        self.failure = None

    def write(self, data):
        try:
            written = super().write(data)
            if written < len(data):  # the rest has no room; the next attempt says why
                written += super().write(data[written:])
        except OSError as error:  # which would be lost on its way through C
            self.failure = self.failure or error
            return 0
        return written

    def check(self):
        """Raise the failure, if there was one."""
        if self.failure:
            raise self.failure

    def __exit__(self, *raised):
        super().__exit__(*raised)
        self.check()
