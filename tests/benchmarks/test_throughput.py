"""What is timed is what it says: the same work on both sides, and times that mean something."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import torch

import audiozoo
from audiozoo.models import DDSPDecoder
from benchmarks import bank, compiled, ddsp_parts, report, results, speed, stopwatch, throughput, train_step

SMALL = {"num_units": 16, "num_harmonics": 8, "num_noise_bands": 65, "reverb_length": 500}
SMALL |= {"sample_rate": 16000, "hop": 160}


@pytest.fixture
def small_preset():
    """The violin's preset with fewer of everything."""
    preset = audiozoo.info("ddsp_violin")
    return preset.model_copy(update={"config": dict(preset.config) | SMALL})


def as_arrays(result):
    result = result if isinstance(result, tuple) else (result,)
    return [
        value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value) for value in result
    ]


class Clock:
    """A clock that only programs move."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: self.now)

    def program(self, *seconds):
        durations = iter(seconds)

        def run():
            self.now += next(durations)

        return run


def test_rivals_run_in_turns_and_their_first_call_is_apart(monkeypatch):
    clock = Clock(monkeypatch)
    # first, warm-up, three rounds: the machine is twice as slow in the last
    rivals = {
        "baseline": clock.program(9.0, 50.0, 2.0, 2.0, 4.0),
        "ours": clock.program(30.0, 70.0, 0.5, 0.4, 1.0),
    }
    found = stopwatch.compare(rivals, 3)
    assert found["baseline"] == {
        "first_call_seconds": 9.0,
        "median_seconds": 2.0,
        "min_seconds": 2.0,
        "max_seconds": 4.0,
    }
    ours = found["ours"]
    assert ours["first_call_seconds"] == pytest.approx(30.0)
    assert ours["median_seconds"] == pytest.approx(0.5)
    assert ours["times_as_fast_as_baseline"] == pytest.approx(4.0)  # the median of 4, 5 and 4


def test_a_round_runs_every_rival_once():
    order = []
    rivals = {name: lambda name=name: order.append(name) for name in "ab"}
    stopwatch.in_turns(rivals, 2)
    assert "".join(order) == "abababab"


def test_a_compiled_gradient_is_that_of_its_arguments_and_weights():
    layer = keras.layers.Dense(2, use_bias=False)
    layer.build((None, 3))
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    random = np.random.default_rng(0)
    inputs, scale = random.standard_normal((4, 3)).astype("float32"), np.float32(3.0)
    upstream = random.standard_normal((4, 2)).astype("float32")
    run = compiled.forward_and_gradient(lambda inputs, scale: scale * layer(inputs) ** 2, layer)
    output, gradient, of_kernel = run(upstream, inputs, scale)
    product = inputs @ kernel
    np.testing.assert_allclose(output, 3.0 * product**2, rtol=1e-5, atol=1e-6)
    pulled = upstream * 6.0 * product
    np.testing.assert_allclose(gradient, pulled @ kernel.T, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(of_kernel, inputs.T @ pulled, rtol=1e-5, atol=1e-5)
    layer.kernel.assign(0.0 * kernel)  # weights are read at each call
    assert not run(upstream, inputs, scale)[0].any()
    np.testing.assert_allclose(compiled.forward(lambda x: 2.0 * x)(inputs), 2.0 * inputs)


@pytest.mark.parametrize("direction", bank.DIRECTIONS)
def test_both_banks_make_the_same_sound_and_gradient(direction):
    results_of = {
        name: as_arrays(run()) for name, run in bank.rivals(direction, num_harmonics=4, batch_size=1).items()
    }
    plain, nearest, linear = (results_of[name] for name in ("baseline", "nearest", "linear"))
    assert len(plain) == len(nearest) == (1 if direction == "forward" else 2)
    # 4 s in float32: half a unit in the last place, 6e-8, of 12000 radians, and harmonic 4.
    for a, b in zip(plain, nearest, strict=True):
        assert np.linalg.norm(a - b) < 0.01 * np.linalg.norm(a)
    assert np.linalg.norm(linear[0] - nearest[0]) > 0.1 * np.linalg.norm(nearest[0])


def test_the_curves_have_a_point_for_every_value_and_a_picture(tmp_path, monkeypatch):
    slower = {"baseline": 3.0, "nearest": 1.0, "linear": 2.0}

    def rivals(direction, *, num_harmonics=100, batch_size=4):
        return {name: clock.program(*5 * [s * num_harmonics * batch_size]) for name, s in slower.items()}

    clock = Clock(monkeypatch)
    monkeypatch.setattr(bank, "rivals", rivals)
    curves = bank.curves(3, {"num_harmonics": [25, 50], "batch_size": [1, 2, 4]})
    assert curves["num_harmonics"]["forward"]["values"] == [25, 50]
    assert curves["num_harmonics"]["forward"]["baseline"] == pytest.approx([300.0, 600.0])
    assert curves["batch_size"]["forward_backward"]["linear"] == pytest.approx([200.0, 400.0, 800.0])
    json.dumps(curves)
    bank.picture(curves, tmp_path / "curves.png", backend="any")
    picture = (tmp_path / "curves.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 200_000


def test_training_steps_lower_the_loss_on_both_sides(small_preset, monkeypatch):
    monkeypatch.setattr(train_step, "LEARNING_RATE", 1e-3)
    monkeypatch.setattr(train_step, "CLIP_SECONDS", 0.2)
    variant = train_step.VARIANTS["ours_with_baseline_synthesizer"]
    for step in train_step.baseline_step(small_preset, 2), train_step.our_step(small_preset, 2, **variant):
        losses = [float(np.ravel(step())[0]) for _ in range(6)]
        assert losses[-1] < losses[0] - 0.1


def test_the_parts_of_a_step_are_the_same_work_on_both_sides(monkeypatch):
    monkeypatch.setattr(train_step, "CLIP_SECONDS", 0.2)
    model = DDSPDecoder(**SMALL)
    loss = ddsp_parts.spectral_loss(model, 2)
    (plain, plain_gradient), (ours, gradient) = (as_arrays(loss[name]()) for name in ("baseline", "ours"))
    assert ours.mean() == pytest.approx(float(plain), rel=1e-4)
    # The logarithm makes a gradient of near-silent bins ill-conditioned: two right FFTs differ by percents.
    assert np.linalg.norm(gradient - plain_gradient) < 0.1 * np.linalg.norm(plain_gradient)
    recurrence = ddsp_parts.recurrence(model, 2)
    shapes = [array.shape for array in as_arrays(recurrence["baseline"]())]
    ours = [array.shape for array in as_arrays(recurrence["ours"]())]
    assert ours == [(2, 20, 16), (2, 20, 32), (32, 48), (16, 48), (2, 48)]
    assert shapes == [(2, 20, 32), (48, 32), (48, 16), (48,), (48,)]
    assert all(array.any() for array in as_arrays(recurrence["ours"]()))


def test_the_commands_are_there_before_any_library_is():
    # Pinning to one core comes before Keras, and a child's peak memory begins at its parent's size.
    libraries = {"keras", "torch", "jax", "tensorflow"}
    code = f"import benchmarks.__main__, sys; assert not {libraries} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=report.ROOT, check=True)


def test_a_long_clip_sounds_on_both_sides():
    model = DDSPDecoder(**SMALL)
    model.preset = audiozoo.info("ddsp_violin").model_copy(update={"config": SMALL})
    plain, ours = (as_arrays(run())[0] for run in ddsp_parts.inference(model, 1.0).values())
    assert plain.shape == ours.shape == (1, 16000)
    assert plain.std() == pytest.approx(ours.std(), rel=0.05)  # the envelopes differ, the loudness does not


def test_a_run_writes_what_the_report_reads(tmp_path, small_preset, monkeypatch):
    def in_turns(rivals, repeats):  # compiling all that is timed takes minutes; each is run by a test above
        return {name: np.array([9.0, *repeats * [0.5 * (i + 1)]]) for i, name in enumerate(rivals)}

    def measure(preset, **what):
        return {"preset": preset, "backend": backend} | what

    backend = keras.backend.backend()
    model = DDSPDecoder(**small_preset.config)
    model.preset = small_preset
    monkeypatch.setattr(audiozoo, "load", lambda preset: model)
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    monkeypatch.setattr(results, "one_core", lambda: None)
    monkeypatch.setattr(stopwatch, "in_turns", in_turns)
    monkeypatch.setattr(speed, "measure", measure)
    monkeypatch.setattr(throughput.peak_memory, "compare", lambda *_: {"ours": 2.0, "baseline": 1.0})
    monkeypatch.setattr(bank, "CURVES", {"num_harmonics": [2, 3]})
    monkeypatch.setattr(throughput, "PARTS_BATCH_SIZE", 1)
    throughput.main(
        preset="ddsp_violin", batch_size=[2, 3], precision=None, repeats=4, gpu=False, parts=True, seconds=3.0
    )
    rows = results.read(f"throughput_ddsp_violin_{backend}_cpu").values["rows"]
    assert [(row["batch_size"], row["precision"]) for row in rows] == [(2, "float32"), (3, "float32")]
    name = f"parts_ddsp_violin_{backend}"
    values = results.read(name).values
    speeds = [
        values[stage]["times_real_time_median"]
        for stage in ("transfer", "features", "controls", "synthesize")
    ]
    assert speeds == pytest.approx([6.0, 3.0, 2.0, 1.5])
    for part in ("inference", "train_step", "recurrence_forward_backward", "loss_forward_backward"):
        assert values[part]["ours"]["times_as_fast_as_baseline"] == pytest.approx(0.5)
    assert set(values["bank_forward"]) == set(bank.LABELS)
    assert (tmp_path / f"{name}.png").exists()


def test_the_page_of_results_points_to_files_and_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    results.write("parts_p_jax", {"curve": {"seconds": [0.123456, 1]}}, seed=3)
    page = report.results_page()
    assert "- [parts_p_jax](results/parts_p_jax.json): `" in page
    assert ", seed 3, commit " in page
    assert "![" not in page
    (tmp_path / "parts_p_jax.png").touch()
    assert "(results/parts_p_jax.png)" in report.results_page()
