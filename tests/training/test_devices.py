"""Four devices learn what one does. They are made of one processor, in processes of their own."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from audiozoo import registry
from audiozoo.errors import TrainingError
from audiozoo.training import devices

ON = keras.backend.backend()
COUNT, BATCH = 4, 8
SCRIPT = pathlib.Path(__file__).with_name("on_four_devices.py")
several = pytest.mark.skipif(ON == "torch", reason="PyTorch trains on one device")


def on_four_devices(*parts):
    """What parts of ``on_four_devices.py`` found."""
    environment = os.environ | {devices.CPU_DEVICES: str(COUNT)}
    command = [sys.executable, str(SCRIPT), *parts]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1200)
    assert finished.returncode == 0, finished.stderr[-5000:]
    return json.loads(finished.stdout.splitlines()[-1])


def assert_equal_to_rounding(found):
    """A family's losses, metrics and weights are on four devices what they are on one."""
    assert found["one"].keys() == found["four"].keys() >= {"loss", "val_loss"}
    for name, value in found["one"].items():
        assert found["four"][name] == pytest.approx(value, rel=1e-5, abs=1e-6), name
    assert found["apart"] < 1e-5
    assert found["moved"] > 10 * 1e-5  # or the two would be alike whatever the devices did


@pytest.fixture(scope="module")
def found():
    return on_four_devices("shares", "runs", "families,image_vae,batch_norm")


@several
def test_four_devices_learn_what_one_does(found):
    """The families one by one: ``make test-devices``."""
    assert_equal_to_rounding(found["families"]["image_vae"])
    if ON == "jax":
        assert_equal_to_rounding(found["families"]["batch_norm"])
    else:
        refusal = found["families"]["batch_norm"]["refused"]
        assert "MnistVAE with this configuration normalises over the batch" in refusal
        assert "Train with KERAS_BACKEND=jax, or with devices=1" in refusal


@several
def test_every_item_goes_to_one_device_and_counts_once(found):
    found = found["shares"]
    assert found["numbers"] == 2 * BATCH * [-1.0] + BATCH * [0.0]
    if ON == "jax":  # one program for all, of whose items each device has its own
        assert found["seen"] == [[BATCH // COUNT]]
        drawn = found["drawn"]
    else:
        # By the items: those of the first step, then those of the second.
        seen = sorted(found["seen"], key=lambda each: each[1])
        assert [device for device, _, _ in seen] == 2 * list(range(COUNT))
        assert [items for _, items, _ in seen] == np.arange(2 * BATCH).reshape(2 * COUNT, -1).tolist()
        drawn = [noise for _, _, noise in seen]
    noise = np.concatenate(drawn)
    assert len(noise) == len(np.unique(noise)) == 2 * BATCH  # no two items have the same


@several
def test_a_run_that_was_killed_goes_on_with_four_devices_or_with_one(found):
    runs = found["runs"]
    whole = runs["whole"]
    assert whole["epochs"] == 2
    assert runs["files"] == [f"epoch_000{n}_{what}.png" for n in (1, 2) for what in ("codes", "held_out")]
    assert runs["resumed"]["apart"] == 0.0
    assert (runs["resumed"]["loss"], runs["resumed"]["val_loss"]) == (whole["loss"], whole["val_loss"])
    # Devices of TensorFlow draw other noise than one does.
    assert runs["elsewhere"]["val_loss"] == pytest.approx(
        whole["val_loss"], rel=1e-5 if ON == "jax" else 0.02
    )
    if ON == "jax":
        assert runs["elsewhere"]["apart"] < 1e-5


def test_one_device_is_no_device_at_all():
    settings = registry.Train(batch_size=3, gradient_norm=1.0)
    assert devices.devices_for(1, settings) == devices.Devices()


@pytest.mark.parametrize("count", [0, -1, 1.5, True])
def test_what_is_no_number_of_devices_is_refused(count):
    with pytest.raises(TrainingError, match="devices must be a whole number of at least 1"):
        devices.devices_for(count, registry.Train())


@pytest.mark.skipif(ON != "torch", reason="of PyTorch")
def test_several_devices_are_refused_on_pytorch():
    with pytest.raises(TrainingError, match="must be 1 on PyTorch.*got 2. Train with KERAS_BACKEND=jax"):
        devices.devices_for(2, registry.Train())


@several
def test_more_devices_than_there_are_are_refused(monkeypatch):
    monkeypatch.setattr(devices, "available", lambda: ["GPU:0", "GPU:1"])
    with pytest.raises(
        TrainingError,
        match=r"at most 2, as many as \w+ has here \(GPU:0, GPU:1\); got 4. .*AUDIOZOO_CPU_DEVICES=4",
    ):
        devices.devices_for(4, registry.Train())


@several
def test_shares_must_be_equal(monkeypatch):
    monkeypatch.setattr(devices, "available", lambda: ["GPU:0", "GPU:1"])
    with pytest.raises(TrainingError, match="train.batch_size must be a multiple of devices.*it is 5 with 2"):
        devices.devices_for(2, registry.Train(batch_size=5))


@pytest.mark.skipif(ON != "tensorflow", reason="of TensorFlow")
def test_a_limit_of_the_gradient_is_refused_on_tensorflow(monkeypatch):
    monkeypatch.setattr(devices, "available", lambda: ["GPU:0", "GPU:1"])
    with pytest.raises(
        TrainingError, match="train.gradient_norm is 1.0: .*KERAS_BACKEND=jax, or with devices=1"
    ):
        devices.devices_for(2, registry.Train(gradient_norm=1.0))


@several
@pytest.mark.parametrize("words", ["four", "0", "-2"])
def test_a_number_of_cpu_devices_that_is_none_is_refused(monkeypatch, words):
    monkeypatch.setenv(devices.CPU_DEVICES, words)
    with pytest.raises(TrainingError, match=f"AUDIOZOO_CPU_DEVICES must be a number of devices.*'{words}'"):
        devices.available()


@several
def test_cpu_devices_that_come_too_late_are_refused(monkeypatch):
    keras.ops.convert_to_numpy(keras.ops.ones(1) + 1)  # from here on this process has its devices
    monkeypatch.setenv(devices.CPU_DEVICES, "3")
    with pytest.raises(TrainingError, match="AUDIOZOO_CPU_DEVICES=3 comes too late"):
        devices.available()
