"""Write what released presets put out today, for tests/test_presets.py to compare with.

    python tests/make_golden.py ddsp_violin

Run it when the sound of a preset changes on purpose, raise the preset's version and say so in the
changelog. A test never writes a golden file: a missing one is a failure.
"""

import sys
from pathlib import Path

import keras
import numpy as np

import audiozoo
from audiozoo.atomic import replacing
from audiozoo.data.mels import log_mel_of
from audiozoo.layers import MelSpectrogram
from audiozoo.losses import mixture_negative_log_likelihood

GOLDEN = Path(__file__).parent / "golden"


def ddsp_inputs():
    """Half a second: a glide over two octaves that swells and fades, then a gap without pitch."""
    frames = np.arange(50)
    f0_hz = np.where(frames < 45, 220.0 * 2.0 ** (frames / 22.0), 0.0)
    loudness_db = -60.0 + 35.0 * np.sin(np.pi * frames / 49)
    return {"f0_hz": f0_hz.astype("float32"), "loudness_db": loudness_db.astype("float32")}


def ddsp_outputs(model, f0_hz, loudness_db):
    """Controls, and audio in the learned room; its noise comes from a fixed seed on every backend."""
    controls = model.controls(f0_hz, loudness_db)
    return controls | {"audio": model.synthesize(**controls)}


def chord(sample_rate):
    """Half a second of a chord that swells and fades, with a click in its middle."""
    seconds = np.arange(sample_rate // 2) / sample_rate
    audio = sum(np.sin(2.0 * np.pi * f0_hz * seconds) for f0_hz in (220.0, 277.2, 329.6))
    audio *= 0.2 * np.sin(np.pi * seconds / 0.5)
    audio[len(audio) // 2] += 0.5
    return {"audio": audio.astype("float32")}


def waveform_outputs(model, audio):
    """The code, and what is decoded from it."""
    code = model.encode(audio)
    return {"code": code, "audio": model.decode(code, samples=len(audio))}


def spectral_outputs(model, audio):
    """The code, and the spectrogram decoded from it: the search for phase would magnify differences."""
    code = model.encode(audio)
    return {"code": code, "spectrogram": model.decode_spectrogram(code, samples=len(audio))}


def digit_inputs():
    """A disc and a bar, blurred: no digits, but of their kind."""
    row, column = np.mgrid[:28, :28] - 13.5
    disc = 1.0 / (1.0 + np.exp(np.hypot(row, column) - 7.0))
    bar = 1.0 / (1.0 + np.exp(np.abs(column) - 2.0) * np.exp(np.maximum(np.abs(row) - 9.0, 0.0)))
    return {"image": np.stack([disc, bar]).astype("float32")}


def digit_outputs(model, image):
    """The codes of both, what they are remembered as, the way between them, and a draw from nothing."""
    return model.code_distribution(image) | {
        "reconstruction": model.reconstruct(image),
        "way": model.interpolate(*image, 3),
        "sample": model.sample(2, seed=0),
    }


def mel_inputs():
    """The bands of the chord, as a vocoder takes them."""
    layer = MelSpectrogram(sample_rate=22050)
    return {"mel": keras.ops.convert_to_numpy(layer(chord(22050)["audio"][None]))[0]}


def glide():
    """Three tenths of a second at 16 kHz: a sung octave of four harmonics that begins in silence."""
    seconds = np.arange(4800) / 16000.0
    phase = 2.0 * np.pi * np.cumsum(220.0 * 2.0 ** (seconds / 0.3)) / 16000.0
    audio = sum(np.sin(k * phase) / k for k in range(1, 5)) * np.minimum(0.3, np.maximum(0.0, seconds - 0.05))
    return {"audio": audio.astype("float32")}


def pitch_outputs(model, audio):
    """How likely every pitch is in every frame, and the pitch that follows."""
    f0_hz, confidence = model.predict_f0(audio, model.sample_rate, threshold=0.0)
    activations = model.activations(audio, model.sample_rate)
    return {"activations": activations, "f0_hz": f0_hz, "confidence": confidence}


def bands_inputs():
    """The chord in the bands of a generator, and silence after it, as a clip of each of two classes."""
    settings = {"sample_rate": 22050, "num_mels": 80, "window_length": 1024, "hop": 256}
    log_mel = np.zeros((2, 128, 80), "float32")
    found = log_mel_of(chord(22050)["audio"], **settings)
    log_mel[:, : len(found)] = found
    return {"known": log_mel, "label": np.array([0, 2], "int32")}


def likelihood_outputs(model, known, label):
    """How unlikely each number is: what is drawn would magnify differences."""
    parameters = model.run_compiled(model.call, {"known": known, "label": label})
    return {"nats": mixture_negative_log_likelihood(model.standardised(known), parameters)}


# Inputs, and what to do with them, for each architecture that has a released preset.
CASES = {
    "DDSPDecoder": (ddsp_inputs, ddsp_outputs),
    "Crepe": (glide, pitch_outputs),
    "MnistVAE": (digit_inputs, digit_outputs),
    "Conv1DResnetVAE": (lambda: chord(8000), waveform_outputs),
    "SpectralVAE": (lambda: chord(44100), spectral_outputs),
    "CMelGAN": (
        dict,
        lambda model: {name: model.sample(name, seed=0, seconds=1.6) for name in model.classes},
    ),
    "MelNet": (bands_inputs, likelihood_outputs),
    "MelGANVocoder": (mel_inputs, lambda model, mel: {"audio": model.vocode(mel)}),
}


def outputs(name, inputs):
    """Return what a preset makes of the inputs of its golden file, by name."""
    model = audiozoo.load(name)
    return CASES[type(model).__name__][1](model, **inputs)


def write(name):
    """Write the golden file of one preset and return its path."""
    inputs = CASES[audiozoo.info(name).architecture][0]()
    arrays = {f"input.{key}": value for key, value in inputs.items()}
    arrays |= {f"output.{key}": value for key, value in outputs(name, inputs).items()}
    GOLDEN.mkdir(exist_ok=True)
    with replacing(GOLDEN / f"{name}.npz") as temporary:
        np.savez_compressed(temporary, **arrays)
    return GOLDEN / f"{name}.npz"


if __name__ == "__main__":
    for preset in sys.argv[1:] or [name for name in audiozoo.list_models() if audiozoo.info(name).weights]:
        print(write(preset))
