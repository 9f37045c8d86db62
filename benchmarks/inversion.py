"""How near the sound of inverted spectrograms comes to them, and how long that takes."""

if not __package__:
    import as_module  # noqa: F401


import pathlib
from typing import Annotated

import numpy as np
import typer

from benchmarks import results, stopwatch

SAMPLE_RATE, WINDOW_LENGTH, NUM_MELS = 22050, 2048, 128
OVERLAPS = (4, 8)  # hops in a window
WINDOWS = ("hann", "gaussian")


def main(
    data: Annotated[list[pathlib.Path], typer.Option(help="A folder of recordings; may be given again.")],
    clips: Annotated[int, typer.Option(help="Of each folder, evenly spread over its files.")] = 3,
    seconds: Annotated[float, typer.Option(help="Of each clip, from its beginning.")] = 3.0,
    repeats: Annotated[int, typer.Option(help="Timed rounds after two more.")] = 3,
):
    """Griffin-Lim and phase gradient heap integration, from true magnitudes and from mel bands."""
    results.one_core()
    names, sounds = read_clips(data, clips, seconds)
    rows = []
    for overlap in OVERLAPS:
        for window in WINDOWS:
            rows += from_magnitudes(sounds, window, WINDOW_LENGTH // overlap, repeats)
        rows += from_mels(sounds, WINDOW_LENGTH // overlap, repeats)
    values = {
        "clips": names,
        "seconds_of_sound": sum(map(len, sounds)) / SAMPLE_RATE,
        "sample_rate_hz": SAMPLE_RATE,
        "window_length": WINDOW_LENGTH,
        "rows": rows,
    }
    for row in rows:
        print(row)
    print(f"written: {results.write('inversion', values)}")


def read_clips(folders, count, seconds):
    """Names and samples of ``count`` files of each folder."""
    from audiozoo.data.audio_io import SUFFIXES, read_audio

    names, sounds = [], []
    for folder in folders:
        files = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES)
        if not files:
            raise typer.BadParameter(f"{folder} holds no recordings.", param_hint="--data")
        for index in np.unique(np.linspace(0, len(files) - 1, count).astype(int)):
            audio, _ = read_audio(files[index], sample_rate=SAMPLE_RATE)
            names.append(str(files[index].relative_to(folder)))
            sounds.append(audio[: round(seconds * SAMPLE_RATE)])
    return names, sounds


def from_magnitudes(sounds, window, hop, repeats):
    """Rows: only phase is missing."""
    from audiozoo.dsp import inversion

    targets = [magnitude_of(audio, window, hop) for audio in sounds]
    settings = {"hop": hop, "window": window}

    def iterated(count):
        return lambda target, samples: inversion.griffin_lim(
            target, samples=samples, iterations=count, **settings
        )

    def integrated_then_iterated(target, samples):
        phase = inversion.phase_by_integration(target, **settings)
        return inversion.griffin_lim(target, samples=samples, iterations=5, phase=phase, **settings)

    methods = {
        "baseline": iterated(100),
        "Griffin-Lim, 32": iterated(32),
        "PGHI": lambda target, samples: inversion.pghi(target, samples=samples, **settings),
        "PGHI, then Griffin-Lim, 5": integrated_then_iterated,
    }
    return rows_of(methods, "magnitudes", sounds, targets, targets, window, hop, repeats)


def from_mels(sounds, hop, repeats):
    """Rows: bins are to be told apart within mel bands, too; times include that."""
    from audiozoo.layers import AudioTransform

    transform = AudioTransform(
        sample_rate=SAMPLE_RATE, num_mels=NUM_MELS, window_length=WINDOW_LENGTH, hop=hop
    )
    transform.adapt(sounds)
    targets = [magnitude_of(audio, "hann", hop) for audio in sounds]
    spectrograms = [transform.spectrogram(audio) for audio in sounds]

    def inverted(method, **settings):
        return lambda spectrogram, samples: transform.invert(
            spectrogram, method=method, samples=samples, **settings
        )

    methods = {
        "baseline": inverted("griffin_lim", iterations=100),
        "Griffin-Lim, 32": inverted("griffin_lim", iterations=32),
        "Griffin-Lim, 32, bands by pinv": inverted("griffin_lim", iterations=32, mel_inverse="pinv"),
        "PGHI": inverted("pghi", iterations=0),
        "PGHI, then Griffin-Lim, 5": inverted("pghi", iterations=5),
    }
    rows = rows_of(methods, f"{NUM_MELS} mel bands", sounds, spectrograms, targets, "hann", hop, repeats)
    for mel_inverse in ("nnls", "pinv"):
        estimates = [transform.magnitude(each, mel_inverse=mel_inverse) for each in spectrograms]
        label = f"magnitudes by {mel_inverse}, no sound made"
        rows.append(labels(f"{NUM_MELS} mel bands", label, "hann", hop) | scores(estimates, targets))
    return rows


def rows_of(methods, source, sounds, inputs, targets, window, hop, repeats):
    """One row a method: how near it comes, and its times in turns with the others."""

    def all_clips(method):
        return [method(each, len(audio)) for each, audio in zip(inputs, sounds, strict=True)]

    rivals = {name: (lambda method=method: all_clips(method)) for name, method in methods.items()}
    times = stopwatch.compare(rivals, repeats)
    rows = []
    for name, method in methods.items():
        label = "Griffin-Lim, 100" if name == "baseline" else name
        found = [magnitude_of(audio, window, hop) for audio in all_clips(method)]
        rows.append(labels(source, label, window, hop) | scores(found, targets) | times[name])
    return rows


def labels(source, method, window, hop):
    """What a row is about."""
    return {"source": source, "method": method, "window": window, "hop": hop}


def scores(found, targets):
    """Spectral convergence in dB: the error of magnitudes relative to them; mean and worst of the clips."""
    ratios = [
        np.linalg.norm(a - b) / np.linalg.norm(b)
        for a, b in zip(found, targets, strict=True)  # Frobenius norms
    ]
    decibels = 20.0 * np.log10(ratios)
    return {"convergence_db": float(decibels.mean()), "worst_convergence_db": float(decibels.max())}


def magnitude_of(audio, window, hop):
    """Magnitudes of the transform that is inverted."""
    from audiozoo.dsp.inversion import stft

    return np.abs(stft(audio, window_length=WINDOW_LENGTH, hop=hop, window=window))
