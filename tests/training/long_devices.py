"""What takes minutes, hence none of the default suite: ``make test-devices``.

Every family on four devices, and the programs of docs/scaling.md in two processes that know each other.
"""

import os
import pathlib
import re
import socket
import subprocess
import sys

import numpy as np
import pytest
from training.test_devices import ON, assert_equal_to_rounding, on_four_devices, several

import audiozoo

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


@several
@pytest.mark.parametrize("family", ["ddsp", "vae", "melnet", "vocoder", "gan"])
def test_a_family_learns_on_four_devices_what_it_learns_on_one(family):
    found = on_four_devices(f"families,{family}")["families"][family]
    if ON == "tensorflow" and family == "gan":
        assert "CMelGAN with this configuration normalises over the batch" in found["refused"]
    else:
        assert_equal_to_rounding(found)


def free_port():
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


def outputs_of(program, commands, folder, backend):
    """Last line of each of some processes that run at once."""
    (folder / "program.py").write_text(program)
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    environment.pop("AUDIOZOO_CPU_DEVICES", None)
    options = {"cwd": folder, "env": environment, "text": True, "stdout": subprocess.PIPE}
    running = [subprocess.Popen(command, **options) for command in commands]
    printed = [process.communicate(timeout=900)[0] for process in running]
    assert [process.returncode for process in running] == [0] * len(running)
    return [text.splitlines()[-1] for text in printed]


def test_two_machines_learn_on_jax_what_one_does(tmp_path):
    (program,) = (each for each in PROGRAMS if "keras.distribution.initialize" in each)
    losses, weights = {}, {}
    for count in (1, 2):
        folder, address = tmp_path / str(count), f"127.0.0.1:{free_port()}"
        folder.mkdir()
        commands = [[sys.executable, "program.py", address, str(count), str(rank)] for rank in range(count)]
        lines = outputs_of(program, commands, folder, "jax")
        losses[count] = [[float(number) for number in re.findall(r"\d+\.\d+", line)] for line in lines]
        weights[count] = audiozoo.load(folder / "many_machines").get_weights()
    assert losses[2][0] == losses[2][1]
    assert len(losses[1][0]) == 2
    assert losses[2][0] == pytest.approx(losses[1][0], rel=1e-5)
    for one, two in zip(weights[1], weights[2], strict=True):
        np.testing.assert_allclose(one, two, atol=2e-3)  # kept in half precision


def test_two_processes_learn_together_on_pytorch(tmp_path):
    (program,) = (each for each in PROGRAMS if "DistributedDataParallel" in each)
    program += "\nprint([float(p.detach().double().sum()) for p in model.parameters()])"
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    port = f"--master-port={free_port()}"
    command = [*launch, port, "--redirects=3", "--log-dir=logs", "program.py"]
    outputs = outputs_of(
        "import sys\n" + program, [["sh", "-c", " ".join(command) + " >&2; echo done"]], tmp_path, "torch"
    )
    assert outputs == ["done"]
    ended = [path.read_text().splitlines()[-1] for path in sorted(tmp_path.glob("logs/**/stdout.log"))]
    assert len(ended) == 2
    assert ended[0] == ended[1]  # the weights of both, which saw different halves of every batch
