"""Reading, checking, resampling and writing audio (soundfile and soxr)."""

import pathlib
import re
import warnings

import numpy as np

from audiozoo.atomic import make_folder, replacing
from audiozoo.errors import AudioError, OutputError

BLOCK_SECONDS = 10.0
SAMPLE_RATES_HZ = (1000, 768_000)
FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG"}
FULL_SCALE = {"int16": 2.0**15, "int32": 2.0**31}


def read_audio(path, *, sample_rate=None, mono=True):
    """Read an audio file of any format that libsndfile knows (WAV, FLAC, OGG, MP3, AIFF ...).

    The file is read, mixed and resampled block by block: memory holds the result, not the source.

    Args:
        path: the file.
        sample_rate: Hz to resample to; None keeps the file's own.
        mono: mix all channels down, as their mean.

    Returns:
        ``(audio, sample_rate)``: float32 ``(samples,)``, or ``(samples, channels)`` where ``mono``
        is False; about -1..1.

    Raises:
        AudioError: the file is missing, empty, no audio, or holds NaN or infinity.
    """
    import soundfile
    import soxr

    path = pathlib.Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise AudioError(f"path must be an audio file; {str(path)!r} {what}.")
    if not path.stat().st_size:
        raise AudioError(f"path {str(path)!r} must hold audio; the file is empty. Record or copy it again.")
    try:
        with soundfile.SoundFile(path) as source:
            check_complete(path, source)
            channels = 1 if mono else source.channels
            target = check_sample_rate(source.samplerate if sample_rate is None else sample_rate)
            resampler = None
            if target != source.samplerate:
                resampler = soxr.ResampleStream(source.samplerate, target, channels, dtype="float32")
            pieces = []
            for block in source.blocks(
                int(BLOCK_SECONDS * source.samplerate), dtype="float32", always_2d=True
            ):
                block = block.mean(axis=1, keepdims=True) if mono else block
                pieces.append(resampler.resample_chunk(block) if resampler else block)
            if resampler:
                pieces.append(resampler.resample_chunk(np.zeros((0, channels), "float32"), last=True))
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: raw samples without a header
        raise AudioError(
            f"path {str(path)!r} cannot be read as audio ({error}). It is damaged, or of a format that "
            "libsndfile does not know: copy it again, or convert it to WAV or FLAC."
        ) from error
    audio = np.concatenate(pieces) if pieces else np.zeros((0, channels), "float32")
    check_samples(audio, name=f"path {str(path)!r}")
    return (audio[:, 0] if mono else audio), target


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
    audio = np.asarray(audio)
    if audio.dtype.name in FULL_SCALE:
        audio = audio / FULL_SCALE[audio.dtype.name]
    elif audio.dtype == np.uint8:
        audio = audio / 128.0 - 1.0
    elif not np.issubdtype(audio.dtype, np.floating):
        raise AudioError(
            f"audio must be float in -1..1, int16, int32 or uint8; got {audio.dtype}. "
            "Scale it to -1..1 and pass float32."
        )
    if audio.ndim not in (1, 2):
        raise AudioError(f"audio must be (samples,) or (samples, channels); got shape {audio.shape}.")
    if audio.ndim == 2 and audio.shape[1] > audio.shape[0] > 0:
        raise AudioError(
            f"audio must be (samples, channels); got shape {audio.shape}, which looks like "
            "(channels, samples). Pass audio.T."
        )
    with np.errstate(over="ignore"):  # beyond float32 it becomes infinite, and is refused as such
        audio = audio.astype("float32")
    check_samples(audio, name="audio")
    return audio


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


def check_sample_rate(sample_rate) -> int:
    """The sample rate as a whole number of Hz. Raises AudioError if it is none, or out of range."""
    lowest, highest = SAMPLE_RATES_HZ
    numeric = isinstance(sample_rate, (int, float, np.number)) and not isinstance(sample_rate, bool)
    if not numeric or not lowest <= sample_rate <= highest or sample_rate != round(sample_rate):
        raise AudioError(
            f"sample_rate must be a whole number of Hz between {lowest} and {highest}; got {sample_rate!r}."
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
    import soundfile

    path, container = pathlib.Path(path), output_format(path)
    audio = validate_audio(audio, sample_rate)
    peak = float(np.abs(audio).max())
    if peak > 1.0:
        warnings.warn(f"peak {peak:.2f} is beyond full scale: {path.name} is turned down.", stacklevel=2)
        audio = audio / peak
    make_folder(path.parent)
    with replacing(path) as draft:
        channels = 1 if audio.ndim == 1 else audio.shape[1]
        try:
            with soundfile.SoundFile(draft, "w", int(sample_rate), channels, format=container) as sink:
                for start in range(0, len(audio), 16384):  # libsndfile's Vorbis crashes on long writes
                    sink.write(audio[start : start + 16384])
        except soundfile.SoundFileError as error:
            raise OutputError(
                f"cannot write {path}: {error}, with {channels} channels at {sample_rate} Hz as {container}. "
                "Write .wav, or choose another place."
            ) from error
