"""A singing voice becomes a violin: what ``make demo`` and ``audiozoo demo`` do."""

import os
import time
from pathlib import Path

from audiozoo.atomic import make_folder
from audiozoo.zoo import load

CLIP = Path(__file__).parent / "assets" / "singing_vocadito_14.flac"
SEMITONES = 12  # the voice sings around 240 Hz; an octave higher is the middle of a violin's range


def run(out: str | os.PathLike = "demo", *, progress: bool = True) -> dict:
    """Play the packaged clip on ``ddsp_violin`` and write what there is to hear and to see.

    Args:
        out: folder to write into, made if need be.
        progress: show progress bars, and print how fast it was.

    Returns:
        Dict of ``seconds_of_audio``, ``seconds_of_work`` (first transfer, which includes tracking pitch
        and compiling), ``times_real_time`` and ``files``, a list of paths.

    Raises:
        OutputError: ``out`` cannot be written.
        WeightsUnavailable, WeightsCorrupt: this installation of audiozoo is not complete.
    """
    out = make_folder(out)
    model = load("ddsp_violin")
    from audiozoo.data.audio_io import read_audio, write_audio
    from audiozoo.plots import spectrogram_comparison

    singing, sample_rate = read_audio(CLIP, sample_rate=model.sample_rate)
    start = time.perf_counter()
    violin = model.transfer(singing, sample_rate, semitones=SEMITONES, progress=progress)
    seconds_of_work = time.perf_counter() - start
    clap = model.impulse_response()
    sounds = {
        "input.wav": singing,
        "violin.wav": violin,
        "violin_without_room.wav": model.transfer(
            singing, sample_rate, semitones=SEMITONES, reverb=None, progress=progress
        ),
        "room_clap.wav": 0.9
        * clap
        / max(abs(clap).max(), 1e-9),  # a single sample of full scale: quiet otherwise
    }
    for name, audio in sounds.items():
        write_audio(out / name, audio, model.sample_rate)
    picture = out / "spectrogram.png"
    titles = ("singing", "ddsp_violin")
    spectrogram_comparison(singing, violin, sample_rate=model.sample_rate, titles=titles, path=picture)
    result = {
        "seconds_of_audio": len(singing) / model.sample_rate,
        "seconds_of_work": seconds_of_work,
        "times_real_time": len(singing) / model.sample_rate / seconds_of_work,
        "files": [str(out / name) for name in sounds] + [str(picture)],
    }
    if progress:
        print(*result["files"], sep="\n")
        print(
            f"{result['seconds_of_audio']:.1f} s of audio in {seconds_of_work:.1f} s of work: "
            f"{result['times_real_time']:.1f} seconds of audio per second of work"
        )
    return result
