"""Pitch trackers on recordings whose true pitch is known: how right they are, and how fast."""

if not __package__:
    import as_module  # noqa: F401


import pathlib
import time
from typing import Annotated

import numpy as np
import typer

from benchmarks import results

SCORES = {
    "raw_pitch_accuracy": "Raw Pitch Accuracy",
    "raw_chroma_accuracy": "Raw Chroma Accuracy",
    "voicing_recall": "Voicing Recall",
    "voicing_false_alarm": "Voicing False Alarm",
}
OF_VOICING = ("voicing_recall", "voicing_false_alarm")
WARM_UP_SECONDS = 1.0  # of sound, tracked before the clock runs: what is compiled is compiled then


def main(
    data: Annotated[
        pathlib.Path, typer.Option(help="Recordings, each beside an .npz of its name with f0_hz and hop_s.")
    ],
    seconds: Annotated[float, typer.Option(help="Of each recording, from its beginning.")] = 60.0,
):
    """CREPE, swift-f0, YIN and pYIN: accuracy within 50 cents, voicing, and speed on one core."""
    results.one_core()
    recordings = read_recordings(data, seconds)
    rows = {name: row_of(track, recordings) for name, track in trackers().items()}
    for name, row in rows.items():
        print(name, row["mean"], f"{row['times_real_time']:.1f} x real time")
    values = {
        "recordings": list(recordings),
        "seconds_of_sound": sum(len(audio) / rate for audio, rate, _, _ in recordings.values()),
        "tolerance_cents": 50.0,
        "trackers": rows,
    }
    print(f"written: {results.write('pitch', values)}")


def read_recordings(folder, seconds):
    """Dict name -> ``(audio, sample_rate, hop, true_hz)`` of the recordings whose pitch is known.

    Raises:
        BadParameter: there is none, or a frame of one is no whole number of samples.
    """
    from audiozoo.data.audio_io import SUFFIXES, read_audio

    found = {}
    for path in sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES):
        if not path.with_suffix(".npz").exists():
            continue
        audio, rate = read_audio(path)
        with np.load(path.with_suffix(".npz")) as truth:
            true_hz, hop_seconds = truth["f0_hz"].astype("float64"), float(truth["hop_s"])
        hop = round(hop_seconds * rate)
        if abs(hop - hop_seconds * rate) > 1e-6:
            raise typer.BadParameter(f"{path}: {hop_seconds} s is no whole number of samples.")
        frames = min(round(seconds / hop_seconds), len(true_hz), len(audio) // hop)
        found[path.stem] = audio[: frames * hop], rate, hop, true_hz[:frames]
    if not found:
        raise typer.BadParameter(
            f"{folder} holds no recording beside an .npz of its name.", param_hint="--data"
        )
    return found


def trackers():
    """Dict name -> function of audio, rate and hop to pitch in Hz and whether it is voiced, or None."""
    import librosa

    import audiozoo
    from audiozoo.data import pitch

    def estimated(method):
        def track(audio, sample_rate, hop):
            found = pitch.estimate_f0(audio, sample_rate, method=method, hop=hop)
            return found.f0_hz, found.voiced

        return track

    network = audiozoo.load("crepe_tiny")

    def along_a_path(audio, sample_rate, hop):
        f0_hz, confidence = network.predict_f0(audio, sample_rate, hop=hop, decoding="viterbi", threshold=0.0)
        return f0_hz, confidence >= pitch.TRACKERS["crepe"][1]

    def yin_of_librosa(audio, sample_rate, hop):
        f0_hz = librosa.yin(
            audio, fmin=pitch.LOWEST_HZ, fmax=pitch.HIGHEST_HZ, sr=sample_rate, hop_length=hop
        )
        return f0_hz[: -(-len(audio) // hop)], None  # its last frame begins where the audio ends

    return {
        "crepe_tiny": estimated("crepe"),
        "crepe_tiny, Viterbi": along_a_path,
        "swift-f0": estimated("swift"),
        "pYIN": estimated("pyin"),
        "YIN": estimated("yin"),
        "YIN of librosa": yin_of_librosa,
    }


def row_of(track, recordings):
    """Scores of every recording, their means, and seconds of sound a second of the core, of one tracker."""
    audio, rate, hop, _ = next(iter(recordings.values()))
    track(audio[: int(WARM_UP_SECONDS * rate)], rate, hop)
    found, spent = {}, 0.0
    for name, (audio, rate, hop, true_hz) in recordings.items():
        began = time.process_time()  # all runs in this process, and other work on the core does not count
        f0_hz, voiced = track(audio, rate, hop)
        spent += time.process_time() - began
        found[name] = scores(true_hz, f0_hz, voiced)
    lengths = [len(audio) / rate for audio, rate, _, _ in recordings.values()]
    mean = {
        key: float(np.mean([row[key] for row in found.values()]))
        for key in SCORES
        if all(row[key] is not None for row in found.values())
    }
    return {"mean": mean, "by_recording": found, "times_real_time": sum(lengths) / spent}


def scores(true_hz, f0_hz, voiced):
    """What mir_eval says of a track; nothing of its voicing if there is no telling (``voiced`` None)."""
    import mir_eval

    frames = np.arange(len(true_hz))  # in what unit does not matter: both tracks stand on the same
    # By its convention a frequency below 0 is what a tracker offers where it hears no pitch.
    signed = f0_hz if voiced is None else np.where(voiced, f0_hz, -f0_hz)
    said = mir_eval.melody.evaluate(frames, true_hz, frames, np.asarray(signed, "float64"))
    return {
        key: None if voiced is None and key in OF_VOICING else float(said[name])
        for key, name in SCORES.items()
    }
