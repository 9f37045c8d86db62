"""Weights saved on one backend sound the same on the other two."""

import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from audiozoo.models import DDSPDecoder

SMALL = {"num_units": 16, "num_harmonics": 8, "num_noise_bands": 9, "reverb_length": 400}

PLAY = """
import sys
import numpy as np
import audiozoo
model = audiozoo.load(sys.argv[1])
features = np.load(sys.argv[2])
controls = model.controls(features["f0_hz"], features["loudness_db"])
# synthesize draws its noise with numpy, so that it is the same noise everywhere.
np.savez(sys.argv[3], audio=model.synthesize(**controls), **controls)
"""


@pytest.fixture(scope="module")
def made_here(tmp_path_factory):
    """The model's file, its inputs, and what it plays on the backend that saved it."""
    folder = tmp_path_factory.mktemp("saved")
    keras.utils.set_random_seed(0)
    model = DDSPDecoder(**SMALL)
    model.network.noise_head.bias.assign(np.full(9, 4.0))  # noise loud enough to be compared
    model.save(folder / "model.keras")
    frame = np.arange(100)
    f0_hz = np.where((frame > 40) & (frame < 50), 0.0, 600 + 300 * np.sin(frame / 9)).astype("float32")
    features = {"f0_hz": f0_hz, "loudness_db": (-60 + 0.5 * frame).astype("float32")}
    np.savez(folder / "features.npz", **features)
    controls = model.controls(**features)
    return folder, controls | {"audio": model.synthesize(**controls)}


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="compared once, from TensorFlow")
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_model_saved_on_tensorflow_sounds_the_same_on(backend, made_here):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: pip install -e '.[{backend}]'")
    folder, expected = made_here
    arguments = [str(folder / name) for name in ("model.keras", "features.npz", f"{backend}.npz")]
    result = subprocess.run(
        [sys.executable, "-c", PLAY, *arguments],
        env=os.environ | {"KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    with np.load(arguments[2]) as played:
        assert set(played) == set(expected)
        for name, value in expected.items():
            assert np.abs(value).max() > 0.1
            # Of full scale; measured 7e-6, where one backend rounds a phase up that the others round down.
            np.testing.assert_allclose(played[name], value, rtol=0, atol=1e-5, err_msg=name)
