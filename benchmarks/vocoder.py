"""From mel spectrograms to sound: the vocoders against inversions that learn nothing, and against PyTorch."""

if not __package__:
    import as_module  # noqa: F401


import pathlib
from typing import Annotated

import numpy as np
import typer

from benchmarks import results, stopwatch

PUBLISHED = "melgan_vocoder"
FRAMES = 400  # of the spectrogram whose sound is timed, 4.6 seconds
BATCH, SAMPLES = 2, 8192  # of the training step


def main(
    data: Annotated[
        pathlib.Path | None, typer.Option(help="Music in folders by genre: quality is measured as well.")
    ] = None,
    vocoder: Annotated[
        list[str] | None, typer.Option(help="Preset, name or path; by default all with weights.")
    ] = None,
    recordings: Annotated[int, typer.Option(help="Held-out files of each genre, at most.")] = 2,
    seconds: Annotated[float, typer.Option(help="Of each, from its beginning.")] = 6.0,
    repeats: Annotated[int, typer.Option(help="Timed rounds after two more; 0 measures no speed.")] = 5,
):
    """Quality of vocoders on held-out music, and speed of the published network beside plain PyTorch."""
    results.one_core()
    if data is not None:
        values = quality(data, vocoder or released(), recordings, seconds)
        for name, row in values["rows"].items():
            print(name, row)
        print(f"written: {results.write('vocoder_quality', values)}")
    if repeats:
        import keras

        values = speed(repeats)
        print(values)
        print(f"written: {results.write(f'vocoder_speed_{keras.backend.backend()}', values)}")


def released():
    """Names of the presets that have weights."""
    import audiozoo

    presets = [audiozoo.info(name) for name in audiozoo.list_models()]
    return [preset.name for preset in presets if preset.architecture == "MelGANVocoder" and preset.weights]


# --- Quality ---


def quality(data, presets, recordings, seconds):
    """Errors of every method on what the first preset has not been trained on."""
    import audiozoo
    from audiozoo.dsp import inversion
    from audiozoo.layers import AudioTransform

    if not presets:
        raise typer.BadParameter("no vocoder has weights yet; name one.", param_hint="--vocoder")
    models = {name: audiozoo.load(name) for name in presets}
    first = next(iter(models.values()))
    names, sounds, training = held_out(data, first, recordings, seconds)
    settings = first.spectrogram.settings()
    transform = AudioTransform(**settings)
    transform.adapt(training)
    shape = {"window_length": settings["window_length"], "hop": settings["hop"]}

    def inverted(method, **how):
        def invert(audio):
            return transform.invert(transform.spectrogram(audio), method=method, samples=len(audio), **how)

        return invert

    def from_true_magnitudes(audio):
        return inversion.pghi(np.abs(inversion.stft(audio, **shape)), hop=shape["hop"], samples=len(audio))

    methods = {
        "NNLS, Griffin-Lim, 32": inverted("griffin_lim"),
        "NNLS, PGHI, then Griffin-Lim, 5": inverted("pghi"),
    }
    for name, model in models.items():
        if model.spectrogram.settings() == settings:
            methods[name] = model.reconstruct
            methods[f"{name}, then Griffin-Lim, 32"] = inverted("vocoder", vocoder=model)
    methods["true magnitudes, PGHI"] = from_true_magnitudes
    rows = {name: scores(method, sounds, first) for name, method in methods.items()}
    duration = sum(map(len, sounds)) / first.sample_rate
    return {"clips": names, "seconds_of_sound": duration, "settings": settings, "rows": rows}


def held_out(data, model, recordings, seconds):
    """Names and beginnings of files that the model was not trained on; sounds that it was trained on."""
    from audiozoo.data.clips import ClipCrops, audio_folder

    train = model.preset.train
    clips = audio_folder(data, sample_rate=model.sample_rate, recording_pattern=train.recording_pattern)
    crops = ClipCrops(clips, sample_rate=model.sample_rate, clip_seconds=seconds, test_share=train.test_share)
    chosen, taken = [], {}
    for index in sorted(crops.held_out):
        label = clips[index].label
        taken[label] = taken.get(label, 0) + 1
        if taken[label] <= recordings:
            chosen.append(index)
    sounds = crops.collate(chosen, [0] * len(chosen))["audio"]
    return [clips[index].name for index in chosen], list(sounds), [crops.batch(0)["audio"]]


def scores(method, sounds, model):
    """Mean errors over sounds, and how many times faster than it sounds a method is, the second time."""
    from audiozoo.metrics import multi_scale_spectral_distance
    from audiozoo.metrics.spectral import log_spectral_distance

    method(sounds[0])  # compiled
    found = [None] * len(sounds)

    def all_sounds():
        found[:] = [method(audio) for audio in sounds]

    elapsed = stopwatch.seconds_of(all_sounds)
    pairs = list(zip(sounds, found, strict=True))
    mel = [np.mean(np.abs(model.mel(a) - model.mel(b.astype("float32")))) for a, b in pairs]
    return {
        "mel_error_db": 20.0 * float(np.mean(mel)),
        "mss": float(np.mean([multi_scale_spectral_distance(a, b) for a, b in pairs])),
        "log_spectral_distance_db": float(np.mean([log_spectral_distance(a, b) for a, b in pairs])),
        "times_real_time": sum(map(len, sounds)) / model.sample_rate / elapsed,
    }


# --- Speed ---


def speed(repeats):
    """Sound of one spectrogram, and one step of training, in turns with plain PyTorch, on one core."""
    return {
        "inference_frames": FRAMES,
        "training_batch": BATCH,
        "training_samples": SAMPLES,
        "inference": with_rate(stopwatch.compare(players(), repeats), FRAMES * 256),
        "training": with_rate(stopwatch.compare(trainers(), repeats), BATCH * SAMPLES),
    }


def with_rate(times, samples):
    """The same with kHz of sound for each, by the median."""
    return {
        name: found | {"kilohertz": samples / found["median_seconds"] / 1000.0}
        for name, found in times.items()
    }


def players():
    """Programs that make the sound of one spectrogram, without weight normalisation."""
    import torch

    import audiozoo
    from audiozoo.models import MelGANVocoder
    from benchmarks.baselines import melgan_pytorch

    torch.set_num_threads(1)
    baseline = melgan_pytorch.MelGANGenerator()
    model = MelGANVocoder.from_torch(baseline.state_dict())
    baseline.remove_weight_norm()
    baseline.eval()
    small = audiozoo.load(f"{PUBLISHED}_small", weights=False)
    mel = np.random.default_rng(0).uniform(-4.0, 0.0, (1, FRAMES, 80)).astype("float32")
    theirs = torch.from_numpy(mel.transpose(0, 2, 1).copy())

    def play_baseline():
        with torch.no_grad():
            return baseline(theirs).numpy()

    def played(ours):
        ours.fold_weight_norm()
        return lambda: ours.run_compiled(ours._generated, {"mel": mel})

    return {"baseline": play_baseline, PUBLISHED: played(model), f"{PUBLISHED}_small": played(small)}


def trainers():
    """Programs that do a step of the published training: hinge and feature matching alone."""
    import keras
    import torch

    from audiozoo.models import MelGANVocoder
    from audiozoo.models.base import jit_choice
    from benchmarks.baselines import melgan_pytorch

    audio = 0.1 * np.random.default_rng(0).standard_normal((BATCH, SAMPLES)).astype("float32")
    generator, discriminator = melgan_pytorch.MelGANGenerator(), melgan_pytorch.MelGANDiscriminator()
    optimizers = [
        torch.optim.Adam(part.parameters(), 1e-4, betas=(0.5, 0.9)) for part in (generator, discriminator)
    ]
    model = MelGANVocoder(spectral_weight=0.0, mel_weight=0.0)
    model.compile(keras.optimizers.Adam(1e-4, 0.5, 0.9), jit_compile=jit_choice(model))
    mel = torch.from_numpy(model.mel(audio).transpose(0, 2, 1).copy())
    theirs = torch.from_numpy(audio[:, None])
    return {
        "baseline": lambda: melgan_pytorch.train_step(generator, discriminator, optimizers, mel, theirs),
        PUBLISHED: lambda: model.train_on_batch({"audio": audio}, audio),
    }
