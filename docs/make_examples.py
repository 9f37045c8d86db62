"""Sounds and pictures of the site: ``python docs/make_examples.py [PRESET ...]``.

Made of packaged weights and a packaged clip, into build/docs/, from where docs/make_pages.py takes them. The
tutorials are run, too, for what they write. What has been made is kept: remove the folder to have it made
anew.
"""

import json
import os
import runpy
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # this checkout, installed or not

import audiozoo  # noqa: E402
from audiozoo.atomic import replacing_folder  # noqa: E402
from audiozoo.data.audio_io import read_audio, write_audio  # noqa: E402
from audiozoo.demo import CLIP, SEMITONES  # noqa: E402
from audiozoo.plots import mel_sheet, new_figure, saved, spectrogram_comparison  # noqa: E402

OUT = ROOT / "build" / "docs"
LOUDEST = 0.7  # of every sound, so that none startles


def violin(model, folder):
    """A voice, the violin that plays it, and what can be done to that."""
    voice, rate = singing(model, 6.0)
    played = model.transfer(voice, rate, semitones=SEMITONES)
    yield sound(folder / "voice.ogg", voice, rate), "A voice."
    yield sound(folder / "violin.ogg", played, rate), "The violin, an octave higher."
    dry = model.transfer(voice, rate, semitones=SEMITONES, reverb=None)
    yield sound(folder / "without_room.ogg", dry, rate), "Without the room."


def reconstruction(model, folder):
    """What passes through a code."""
    voice, rate = singing(model, 4.0)
    again = model.perform(voice, rate)
    yield (
        compared(folder / "spectrograms.png", voice, again, rate),
        "A voice above, what came out of the model below, as spectrograms.",
    )
    yield sound(folder / "voice.ogg", voice, rate), "What goes in."
    yield sound(folder / "again.ogg", again, rate), "What comes out."


def drawn(model, folder):
    """Spectrograms of each class, and the sound of one."""
    vocoder = audiozoo.load("melgan_vocoder_small")
    rows = [model.sample(name, n=4, seed=1, seconds=4.0) for name in model.classes]
    frame_rate, path = model.sample_rate / model.hop, folder / "spectrograms.png"
    mel_sheet(rows, titles=model.classes, frame_rate=frame_rate, path=path)
    yield path, "Four draws of each class, as mel spectrograms. The first of each sounds:"
    for name, spectrograms in zip(model.classes, rows, strict=True):
        audio = model.sound(spectrograms[0], method="vocoder", vocoder=vocoder)
        yield (
            sound(folder / f"{name}.ogg", audio, model.sample_rate),
            f"{name.capitalize()}, as it was drawn.",
        )


def pitch(model, folder):
    """Activations and pitch of a voice, and a tone that sings along."""
    voice, rate = singing(model, 6.0)
    f0_hz, _ = model.predict_f0(voice, rate)
    activations = model.activations(voice, rate)
    figure = new_figure((10, 3.5))
    panel = figure.subplots()
    panel.imshow(activations.T, origin="lower", aspect="auto", cmap="magma", extent=(0, 6.0, 0, 360))
    panel.set(xlabel="time / s", ylabel="bin of 20 cents", ylim=(80, 240))
    saved(figure, folder / "activations.png")
    yield folder / "activations.png", "How likely every pitch is, of a voice."
    tone = 0.3 * np.sin(2.0 * np.pi * np.cumsum(np.repeat(f0_hz, 160)[: len(voice)]) / rate)
    yield sound(folder / "voice.ogg", voice, rate), "A voice."
    yield sound(folder / "tone.ogg", tone, rate), "A tone at the pitch that was heard."


EXAMPLES = {
    "ddsp_violin": violin,
    "ddsp_violin_mingru": violin,
    "ddsp_violin_small": violin,
    "conv1d_resnet_vae": reconstruction,
    "spectral_vae": reconstruction,
    "melgan_vocoder_small": reconstruction,
    "cmelgan": drawn,
    "melnet_small": drawn,
    "crepe_tiny": pitch,
}


def singing(model, seconds):
    """The beginning of the packaged clip, at the model's rate."""
    voice, rate = read_audio(CLIP, sample_rate=model.sample_rate)
    return voice[: round(seconds * rate)], rate


def sound(path, audio, sample_rate):
    """Write a sound, at a common level."""
    write_audio(path, LOUDEST * audio / max(np.abs(audio).max(), 1e-9), sample_rate)
    return path


def compared(path, x, y, sample_rate):
    """Write two spectrograms beneath each other."""
    spectrogram_comparison(x, y, sample_rate=sample_rate, titles=("in", "out"), path=path)
    return path


def make(name):
    """Write the examples of a preset, and index.json: what each of them is."""
    with replacing_folder(OUT / name) as draft:
        texts = {path.name: text for path, text in EXAMPLES[name](audiozoo.load(name), Path(draft))}
        (Path(draft) / "index.json").write_text(json.dumps(texts, indent=1))


def run_tutorial(script):
    """Run a tutorial in a folder of its own, where what it writes is kept."""
    with replacing_folder(OUT / "tutorials" / script.stem) as draft:
        before = Path.cwd()
        os.chdir(draft)
        try:
            runpy.run_path(str(script), run_name="__main__")
        finally:
            os.chdir(before)


def main(names):
    """Make what is not there yet, of the presets named or of all, and of the tutorials."""
    for name in names or EXAMPLES:
        if names or not (OUT / name).exists():
            print(f"examples of {name}", flush=True)
            make(name)
    for script in [] if names else sorted((ROOT / "docs" / "tutorials").glob("*.py")):
        if not (OUT / "tutorials" / script.stem).exists():
            print(f"tutorial {script.name}", flush=True)
            run_tutorial(script)


if __name__ == "__main__":
    main(sys.argv[1:])
