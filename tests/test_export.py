"""Exported files say what the model says, at lengths that nobody tried before, or there are no files.

Models here are small and have learned nothing; ``python -m benchmarks export`` measures the presets.
"""

import json
import subprocess

import keras
import numpy as np
import pytest
from cases import on_one_backend
from keras import ops

import audiozoo
from audiozoo import exporting
from audiozoo.errors import ExportError, MissingDependency, OutputError, StatisticsMissing
from audiozoo.models import (
    CMelGAN,
    CompactVAE,
    Conv1DResnetVAE,
    DDSPDecoder,
    MelGANVocoder,
    MnistVAE,
    SpectralVAE,
)
from audiozoo.models.base import AudioModel
from audiozoo.models.exported import Array, Exported
from audiozoo.registry import Card, Preset

pytestmark = on_one_backend  # others hand their models over to TensorFlow, which a test below does as well


@pytest.fixture(autouse=True)
def short_examples(monkeypatch):
    monkeypatch.setattr(exporting, "EXAMPLE_SECONDS", 0.4)


def needs(format):  # noqa: A002
    try:
        exporting.check_installed(format)
    except MissingDependency as missing:
        pytest.skip(str(missing))


def ddsp(**changes):
    config = {"num_units": 16, "num_harmonics": 8, "num_noise_bands": 9, "reverb_length": 400, "hop": 80}
    return DDSPDecoder(**(config | changes))


def mingru():
    return ddsp(recurrence="mingru", envelope="nearest", noise_tails="cut")


def waves(**changes):
    return Conv1DResnetVAE(
        **({"sample_rate": 8000, "strides": (4, 2), "filters": (4, 6), "latent_dim": 4} | changes)
    )


def spectral():
    model = SpectralVAE(
        sample_rate=8000, num_mels=12, window_length=256, hop=64, filters=8, latent_dim=3, normalize=True
    )
    model.adapt([{"audio": 0.1 * np.random.default_rng(0).standard_normal((2, 4000)).astype("float32")}])
    return model


def cmelgan():
    shape = {"num_mels": 8, "window_length": 256, "hop": 64, "clip_frames": 8}
    model = CMelGAN(classes=("piano", "lofi"), sample_rate=8000, channels=(8, 4), latent_dim=4, **shape)
    model.adapt([{"log_mel": np.abs(np.random.default_rng(0).standard_normal((2, 16, 8)))}])
    return model


def vocoder(ratios=(8, 4)):
    # From far shorter spectrograms than reach into a sample: the mirror images have mirror images.
    return MelGANVocoder(
        sample_rate=8000,
        num_mels=12,
        window_length=256,
        hop=32,
        channels=16,
        ratios=ratios,
        dilations=(1, 3),
        initial_deviation=None,
    )


def spectral_vocoder():
    return vocoder(ratios=())


def digits():
    return MnistVAE(image_size=8, hidden_units=6, latent_dim=2, variant="convolutional")


def random(*shape):
    return np.random.default_rng(5).standard_normal(shape).astype("float32")


def features(frames):
    f0_hz = 200.0 + 20.0 * np.cumsum(random(1, frames, 1), axis=1)
    return {"f0_hz": np.maximum(f0_hz, 0.0), "loudness_db": random(1, frames, 1) * 5.0 - 40.0}


def played_mel(model, inputs):
    clips = [model.as_spectrogram(ops.convert_to_numpy(model(inputs)))]
    return np.log10(np.maximum(model.transform.mel(np.concatenate(clips)), 1e-5))


# Model, inputs, what it says of them by its own ways, formats. Each format has each kind of operation once.
CASES = {
    "ddsp": (ddsp, features(37), None, ("onnx", "litert")),
    "mingru": (mingru, features(37), None, ("saved_model",)),
    "waves": (waves, {"latent": random(1, 23, 4)}, lambda m, i: m.decode(**i), ("onnx", "litert")),
    "spectral": (
        spectral,
        {"latent": random(1, 9, 3)},
        lambda m, i: np.log10(np.maximum(m.transform.mel(m.decode_spectrogram(**i)), 1e-5)),
        ("onnx", "litert"),
    ),
    "cmelgan": (
        cmelgan,
        {"noise": random(1, 3, 4), "label": np.array([1], "int32")},
        played_mel,
        ("onnx", "litert"),
    ),
    "vocoder": (
        vocoder,
        {"mel": random(1, 7, 12) * 0.3 - 1.0},
        lambda m, i: m.vocode(**i),
        ("saved_model", "onnx", "litert"),
    ),
    "vocoder of spectra": (
        spectral_vocoder,
        {"mel": random(1, 7, 12) * 0.3 - 1.0},
        lambda m, i: m.vocode(**i),
        ("onnx", "litert"),
    ),
    "digits": (
        digits,
        {"latent": random(1, 2)},
        lambda m, i: m.decode(**i),
        ("saved_model", "onnx", "litert"),
    ),
}


@pytest.mark.parametrize("case, format", [(case, format) for case, row in CASES.items() for format in row[3]])
def test_a_file_says_what_the_model_says(case, format, tmp_path):  # noqa: A002
    needs(format)
    make, inputs, play, _ = CASES[case]
    model = make()
    found = audiozoo.export(model, format=format, out=tmp_path / "out")
    assert 0.0 <= found["largest_difference"] <= exporting.TOLERANCE
    ((name, array),) = exporting.opened(tmp_path / "out" / found["file"], format)(inputs).items()
    expected = model.exported().reference(inputs)[name] if play is None else play(model, inputs)
    np.testing.assert_allclose(array, expected, rtol=0.0, atol=exporting.TOLERANCE * np.abs(expected).max())
    assert np.ptp(array) > 0.0


def test_the_sound_of_the_decoder_is_that_of_its_parts(monkeypatch):
    """With noise of our own: that of ``synthesize`` and of a file are two different ones."""
    model = ddsp(num_units=8)
    inputs = features(50)
    noise = (
        np.random.default_rng(0).random((1, 50, 80), dtype="float32") * 2.0 - 1.0
    )  # as synthesize draws it
    monkeypatch.setattr("audiozoo.models.ddsp.looped_noise", lambda frames, hop: ops.convert_to_tensor(noise))
    expected = model.synthesize(**model.controls(**inputs), seed=0)
    for way in (model.exported().function, model.exported().reference):
        audio = ops.convert_to_numpy(way(inputs)["audio"])
        np.testing.assert_allclose(audio, expected, rtol=0.0, atol=1e-4 * np.abs(expected).max())


def test_a_code_of_a_whole_clip_has_one_length(tmp_path):
    model = waves(latent_mode="global", clip_seconds=0.1)
    found = audiozoo.export(model, format="saved_model", out=tmp_path / "out")
    assert (found["inputs"]["latent"]["shape"], found["outputs"]["audio"]["shape"]) == (
        ["batch", 4],
        ["batch", 800],
    )
    latent = random(3, 4)
    array = exporting.opened(tmp_path / "out" / found["file"], "saved_model")({"latent": latent})["audio"]
    np.testing.assert_allclose(array, model.decode(latent), atol=1e-5)


def test_a_compact_code_is_filled_up_by_its_centre():
    basis = np.linalg.qr(random(4, 4))[0]
    model = CompactVAE(
        architecture="Conv1DResnetVAE", config=waves().get_config() | {"name": "inner"}, rank=2
    )
    model.directions.assign(basis)
    model.centre.assign(random(4))
    latent = random(1, 9, 2)
    exported = model.exported()
    audio = ops.convert_to_numpy(exported.function({"latent": latent})["audio"])
    np.testing.assert_allclose(audio, model.decode(latent, seed=None), atol=1e-5)
    np.testing.assert_allclose(audio, exported.reference({"latent": latent})["audio"], atol=1e-5)
    assert exported.inputs["latent"].shape == ("batch", "frames", 2)


def test_spectrograms_say_by_which_settings_they_fit():
    assert cmelgan().exported().settings["hop"] == spectral().exported().settings["hop"] == 64
    assert vocoder().exported().settings == vocoder().spectrogram.settings()
    assert ddsp().exported().settings == {"hop": 80, "most_frames": 262144}


def test_beside_the_file_stands_what_it_is(tmp_path):
    model = digits()
    model.preset = Preset(
        name="tiny_digits",
        version=3,
        architecture="MnistVAE",
        config={},
        card=Card(summary="Digits.", weights_license="CC0-1.0", training_data="a few", limits="Small."),
    )
    found = audiozoo.export(model, format="saved_model", out=tmp_path / "out")
    assert found.pop("folder") == str(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "export.json").read_text()) == found
    assert {name: found[name] for name in ("preset", "version", "weights_license", "file")} == {
        "preset": "tiny_digits",
        "version": 3,
        "weights_license": "CC0-1.0",
        "file": "tiny_digits_saved_model",
    }
    meaning = "probability that a pixel is on, 0..1"
    assert found["outputs"] == {"image": {"shape": ["batch", 8, 8], "dtype": "float32", "meaning": meaning}}
    files = (path for path in (tmp_path / "out" / found["file"]).rglob("*") if path.is_file())
    assert found["bytes"] == sum(path.stat().st_size for path in files)
    page = (tmp_path / "out" / "README.md").read_text()
    for text in ("| `latent` | (batch, 2) float32 |", meaning, "CC0-1.0", "a few", "Small."):
        assert text in page


def test_axes_of_an_onnx_file_have_the_names_of_the_page(tmp_path):
    needs("onnx")
    import onnxruntime

    found = audiozoo.export(waves(filters=(2, 2)), format="onnx", out=tmp_path / "out")
    session = onnxruntime.InferenceSession(tmp_path / "out" / found["file"])
    assert session.get_inputs()[0].shape == found["inputs"]["latent"]["shape"] == ["batch", "frames", 4]
    assert session.get_outputs()[0].shape == found["outputs"]["audio"]["shape"] == ["batch", "8 * frames"]


@pytest.mark.parametrize("format", exporting.FORMATS)
def test_the_code_on_the_page_runs(format, tmp_path, monkeypatch):  # noqa: A002
    needs(format)
    audiozoo.export(digits(), format=format, out=tmp_path / "out")
    monkeypatch.chdir(tmp_path / "out")
    code = (tmp_path / "out" / "README.md").read_text().split("```python\n")[1].split("```")[0]
    names = {"latent": random(1, 2)}
    exec(code, names)
    image = np.asarray(names["outputs"]["image"] if "outputs" in names else names["image"])
    assert image.shape == (1, 8, 8)


class Autocorrelation(AudioModel):
    """Computes with operations that not every format has, or disagrees with itself."""

    def __init__(self, *, wrong=False, **kwargs):
        super().__init__(**kwargs)
        self.wrong = wrong
        self.built = True

    def exported(self):
        def function(inputs):
            real, imaginary = ops.rfft(inputs["audio"][:, :64], 64)
            power = real**2 + imaginary**2
            return {"lags": ops.irfft((power, ops.zeros_like(power)), 64)}

        def reference(inputs):
            lags = np.fft.irfft(np.abs(np.fft.rfft(inputs["audio"][:, :64])) ** 2)
            return {"lags": lags * 1.01 if self.wrong else lags}

        return Exported(
            inputs={"audio": Array(("batch", "samples"), "-1..1")},
            outputs={"lags": Array(("batch", 64), "of each lag")},
            function=function,
            reference=reference,
            example=lambda audio: {"audio": audio},
        )


del AudioModel.architectures["Autocorrelation"]  # it is of this test alone


@pytest.mark.parametrize("format", ["onnx", "litert"])
def test_an_operation_that_a_format_lacks_is_named_and_nothing_is_left(format, tmp_path):  # noqa: A002
    needs(format)
    with pytest.raises(ExportError, match=f"{format!r} has no operation .*IRFFT.*Use 'saved_model'"):
        audiozoo.export(Autocorrelation(), format=format, out=tmp_path / "out")
    assert not list(tmp_path.iterdir())
    found = audiozoo.export(Autocorrelation(), format="saved_model", out=tmp_path / "out")
    assert found["largest_difference"] < 1e-5


def test_a_file_that_disagrees_is_not_handed_over(tmp_path):
    with pytest.raises(
        ExportError, match=r"'lags' differs from the model's by 0\.0099 .* allowed is 0\.0001"
    ):
        audiozoo.export(Autocorrelation(wrong=True), format="saved_model", out=tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_an_earlier_export_is_replaced_and_nothing_else(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "song.wav").write_text("")
    with pytest.raises(OutputError, match="new, empty or an earlier export"):
        audiozoo.export(digits(), format="saved_model", out=tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["song.wav"]

    monkeypatch.chdir(tmp_path)
    model = digits()
    folder = audiozoo.export(model, format="saved_model")["folder"]
    assert folder == f"exports/{model.name}_saved_model"
    (tmp_path / folder / "left over").write_text("")
    audiozoo.export(model, format="saved_model")
    assert sorted(path.name for path in (tmp_path / folder).iterdir()) == [
        "README.md",
        "export.json",
        f"{model.name}_saved_model",
    ]


def test_a_model_is_left_as_it_is_and_exported_in_single_precision(tmp_path):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = digits()
        weights = model.get_weights()
        audiozoo.export(model, format="saved_model", out=tmp_path / "out")
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy(policy)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    single = digits()
    single.set_weights(weights)
    latent = random(2, 2)
    image = exporting.opened(next((tmp_path / "out").glob("*_saved_model")), "saved_model")(
        {"latent": latent}
    )
    np.testing.assert_allclose(image["image"], single.decode(latent), atol=1e-6)


def test_a_folded_vocoder_is_a_copy():
    model = vocoder()
    model.exported()
    assert not model.generator.stem.folded


def test_what_cannot_be_exported_says_so(tmp_path, monkeypatch):
    with pytest.raises(
        ExportError, match="AudioModel cannot be exported. These can: CMelGAN, .*SpectralVAE."
    ) as said:
        AudioModel().exported()
    assert "MelNet" not in str(said.value)
    with pytest.raises(OutputError, match="out must be the path of a folder; got 3"):
        audiozoo.export("mnist_vae", format="saved_model", out=3)
    with pytest.raises(ExportError, match="a name, a path or a model of the zoo; got a Dense"):
        audiozoo.export(keras.layers.Dense(1), format="saved_model", out=tmp_path / "out")
    with pytest.raises(StatisticsMissing):
        audiozoo.export(CMelGAN(), format="saved_model", out=tmp_path / "out")
    with pytest.raises(ValueError, match="format must be one of saved_model, onnx, litert; got 'mp3'"):
        audiozoo.export("mnist_vae", format="mp3", out=tmp_path / "out")
    monkeypatch.setattr(exporting, "find_spec", lambda module: module != "tf2onnx")
    with pytest.raises(MissingDependency, match=r"'onnx' needs tf2onnx, .* pip install 'audiozoo\[export\]'"):
        audiozoo.export("mnist_vae", format="onnx", out=tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def elsewhere(monkeypatch):
    """As if another backend were active: the model is handed over to a process with TensorFlow."""
    monkeypatch.setattr(exporting.backend, "active", lambda: "jax")


def test_another_backend_hands_over_every_bit(elsewhere, tmp_path):
    model = digits()
    found = audiozoo.export(model, format="saved_model", out=tmp_path / "out")
    assert found["folder"] == str(tmp_path / "out")
    latent = random(2, 2)
    image = exporting.opened(tmp_path / "out" / found["file"], "saved_model")({"latent": latent})["image"]
    np.testing.assert_allclose(image, model.decode(latent), atol=1e-6)  # half precision would be 1e-4 off


def test_what_the_other_process_says_is_repeated(elsewhere, tmp_path, monkeypatch):
    def fails(command, **how):
        assert command[1:4] == ["-m", "audiozoo", "export"]
        assert how["env"]["KERAS_BACKEND"] == "tensorflow"
        return subprocess.CompletedProcess(command, 1, "", "chatter\naudiozoo: 'onnx' cannot hold this.\n")

    monkeypatch.setattr(exporting.subprocess, "run", fails)
    with pytest.raises(ExportError, match=r"^under TensorFlow: 'onnx' cannot hold this\.$"):
        audiozoo.export("mnist_vae", format="saved_model", out=tmp_path / "out")
