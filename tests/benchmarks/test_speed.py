"""A row of the table of speeds, and the arithmetic that it counts."""

import json

import keras
import numpy as np
import pytest

import audiozoo
from audiozoo.models import DDSPDecoder
from benchmarks import devices, flops, speed, stopwatch, train_step

BACKEND = keras.backend.backend()
SIZES = {"num_units": 16, "num_harmonics": 8, "reverb_length": 500}


def counted_flops(**changes):
    """Of a step of two clips of 20 frames."""
    model = DDSPDecoder(**SIZES | changes)
    model.compile(keras.optimizers.SGD(1e-4), loss=model.training_loss(), jit_compile=False)
    batch = train_step.clips(2, sample_rate=model.sample_rate, hop=model.hop)
    model.train_on_batch(*batch)
    return flops.of_training_step(model, *batch)["flops"]


def network_flops(frames, units, outputs):
    """Of the decoder's network by hand: 2 m n k for each product forward, as much again for each gradient."""
    perceptrons = 2 * 2 * units * units  # of pitch and loudness, but for their first layers
    recurrence = 2 * units * 3 * units + units * 3 * units
    joint = 3 * units * units + 2 * units * units + units * outputs
    first_layers = 2 * units  # the only ones whose input needs no gradient
    return 2 * frames * (3 * (perceptrons + recurrence + joint) + 2 * first_layers)


@pytest.mark.skipif(BACKEND == "tensorflow", reason="TensorFlow does not tell")
def test_a_step_of_the_decoder_counts_what_its_products_are(monkeypatch):
    monkeypatch.setattr(train_step, "CLIP_SECONDS", 0.2)
    narrow, wide = (counted_flops(num_units=units) for units in (16, 32))
    network = [network_flops(2 * 20, units, outputs=1 + 8 + 65) for units in (16, 32)]
    assert wide - narrow == network[1] - network[0]
    assert narrow > network[0]  # the bank and the noise filter are made of products too


@pytest.mark.skipif(BACKEND != "jax", reason="counts a JAX program")
def test_a_scan_counts_for_each_step_and_a_product_twice_for_each_element_summed():
    import jax

    def chain(state, kernel):
        return jax.lax.scan(lambda state, _: (state @ kernel, None), state, length=7)[0]

    program = jax.make_jaxpr(jax.jit(chain))(np.zeros((3, 4), "float32"), np.zeros((4, 4), "float32"))
    assert flops.of_jaxpr(program.jaxpr) == {"flops": 7 * 2 * 3 * 4 * 4, "bytes": 7 * 4 * (12 + 16 + 12)}
    image, kernel = np.zeros((1, 6, 10), "float32"), np.zeros((8, 3, 5), "float32")  # 2 groups of 3
    convolution = jax.make_jaxpr(
        lambda image, kernel: jax.lax.conv_general_dilated(
            image, kernel, (1,), "VALID", feature_group_count=2
        )
    )(image, kernel)
    assert flops.of_jaxpr(convolution.jaxpr)["flops"] == 2 * (8 * 6) * (3 * 5)


def test_the_best_rates_are_those_of_a_machine(monkeypatch):
    def half_a_second(function, tensor, repeats):
        assert np.isfinite(function(tensor))
        return 0.5

    monkeypatch.setattr(devices, "WIDTH", {"cpu": 128, "gpu": 128})
    monkeypatch.setattr(devices, "SUMMED_MIB", {"cpu": 4, "gpu": 4})
    monkeypatch.setattr(
        devices, "fastest", lambda function, tensor, repeats: 0.5 + 0 * float(function(tensor))
    )
    rates = devices.best_rates("float32", 1)
    assert rates == {"flops_per_second": 2 * 8 * 128**3 / 0.5, "bytes_per_second": 2**22 / 0.5}


def test_times_become_the_units_that_people_compare():
    times = {"first_call_seconds": 9.0, "median_seconds": 0.5, "min_seconds": 0.4, "max_seconds": 0.6}
    found = speed.speeds(times, audio_seconds=8.0, sample_rate=16000)
    assert (found["times_real_time"], found["kilohertz"], found["milliseconds"]) == (16.0, 256.0, 500.0)
    assert found["times_as_fast_as_baseline"] is None
    best = {"flops_per_second": 100.0, "bytes_per_second": 10.0}
    shares = speed.arithmetic({"flops": 10, "bytes": None}, best, 0.5)
    assert shares["share_of_best_flops"] == pytest.approx(0.2)
    assert shares["share_of_best_bytes"] is None


def test_a_row_has_both_sides_and_is_json(monkeypatch):
    preset = audiozoo.info("ddsp_violin")
    small = preset.model_copy(update={"config": dict(preset.config) | SIZES})
    monkeypatch.setattr(audiozoo, "info", lambda name: small)
    monkeypatch.setattr(train_step, "CLIP_SECONDS", 0.2)
    monkeypatch.setattr(devices, "best_rates", lambda *_: {"flops_per_second": 1e9, "bytes_per_second": 1e9})
    policy = keras.config.dtype_policy()
    try:
        row = speed.row("ddsp_violin", batch_size=2, precision="bfloat16", repeats=1)
    finally:
        keras.config.set_dtype_policy(policy)
    json.dumps(row)
    assert row["parameters"] == DDSPDecoder(**small.config).count_params()
    for what in ("training", "use"):
        assert row[what]["times_as_fast_as_baseline"] > 0
        assert row[what]["times_real_time"] == pytest.approx(2 * 0.2 / (1e-3 * row[what]["milliseconds"]))
    assert (row["training"]["flops_per_step"] is None) == (BACKEND == "tensorflow")


def test_without_a_baseline_there_is_no_ratio():
    found = stopwatch.compare({"ours": lambda: None}, 2)
    assert "times_as_fast_as_baseline" not in found["ours"]
