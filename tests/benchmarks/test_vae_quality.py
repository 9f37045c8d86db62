"""Reconstructions of clips: what is held out is judged, silence is not, and numbers mean what they say."""

import keras
import numpy as np
import pytest

import audiozoo
from audiozoo.data.audio_io import write_audio
from audiozoo.models import Conv1DResnetVAE, SpectralVAE
from audiozoo.registry import Train
from benchmarks import vae_quality

RATE, SECONDS = 4000, 2
TRAIN = Train(clip_seconds=0.5, test_share=0.5, recording_pattern=r"^(.+)_\d+\.")


def with_preset(model):
    preset = audiozoo.info("conv1d_resnet_vae").model_copy(update={"train": TRAIN})
    model.preset = preset
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two labels of two recordings of two files each: tones, each followed by half a second of silence."""
    root = tmp_path_factory.mktemp("clips")
    time_seconds = np.arange(RATE * SECONDS) / RATE
    for label in ("high", "low"):
        (root / label).mkdir()
        for number in range(4):
            f0_hz = (880.0 if label == "high" else 110.0) * (1.0 + 0.1 * number)
            tone = 0.3 * np.sin(2 * np.pi * f0_hz * time_seconds) * (time_seconds < SECONDS - 0.5)
            write_audio(root / label / f"{'ab'[number // 2]}_{number}.wav", tone.astype("float32"), RATE)
    return root


@pytest.fixture(scope="module")
def waves():
    keras.utils.set_random_seed(0)
    return with_preset(
        Conv1DResnetVAE(sample_rate=RATE, strides=(4,), filters=(4,), latent_dim=3, clip_seconds=0.5)
    )


def test_only_held_out_files_are_reconstructed_and_silence_is_left_out(waves, folder):
    made = list(vae_quality.reconstructions(waves, folder, only="*", whole=False))
    names = [name for name, *_ in made]
    assert len(names) == 4
    assert len({name[: len("high/a")] for name in names}) == 2  # one recording of each label, whole
    assert {audio.shape for _, audio, _, _ in made} == {(3, RATE // 2)}
    whole = list(vae_quality.reconstructions(waves, folder, only="low/*", whole=True))
    assert [name for name, *_ in whole] == ["low/a_0.wav", "low/a_1.wav", "low/b_2.wav", "low/b_3.wav"]


def test_errors_are_those_of_known_distortions(waves):
    audio = 0.1 * np.random.default_rng(0).standard_normal((2, 4096)).astype("float32")
    found = vae_quality.errors(waves, audio, 0.9 * audio)
    assert found["snr_db"] == pytest.approx(20.0, abs=1e-3)
    assert found["nmse"] == pytest.approx(0.01, rel=1e-3)
    assert found["mean_spectral_convergence"] == pytest.approx(0.1, rel=1e-3)


def test_a_recipe_is_judged_as_a_whole_and_by_folder(waves, folder):
    found = vae_quality.judge(waves, folder, seconds=None, apart="high/*")
    by_folder = found["held_out_by_folder"]
    assert set(by_folder) == {"high", "low"}
    means = [by_folder[label]["snr_db"] for label in ("high", "low")]
    assert found["held_out"]["snr_db"] == pytest.approx(np.mean(means))
    assert found["held_out_without"] == by_folder["low"]
    assert found["code"]["dimensions"] == 3
    assert found["code"]["numbers_per_clip"] == 3 * RATE // 2 // 4
    assert len(found["code"]["kl_nats_of_each_dimension"]) == 3


def test_a_spectral_model_is_judged_by_its_spectrogram_too():
    keras.utils.set_random_seed(0)
    model = SpectralVAE(
        sample_rate=RATE, num_mels=16, window_length=256, hop=64, filters=8, dilations=(1,), latent_dim=4
    )
    audio = 0.1 * np.random.default_rng(0).standard_normal((2, 4096)).astype("float32")
    model.adapt([{"audio": audio}])
    found = vae_quality.errors(model, audio, audio)
    assert found["mel_mean_squared_error"] > 0.01
    assert 0.0 < found["mean_spectral_convergence_without_model"] < 1.0
    assert found["mean_spectral_convergence"] == 0.0
