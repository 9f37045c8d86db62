"""The plain PyTorch decoder is the same instrument as ours, and its training can be interrupted."""

import numpy as np
import pytest
import torch
from keras import ops

from audiozoo.data.features import loudness_statistics
from audiozoo.data.pipelines import FeatureCrops
from audiozoo.data.tones import FMPlucks
from audiozoo.losses import MultiScaleSpectralLoss
from audiozoo.models import DDSPDecoder
from benchmarks.baselines import ddsp_pytorch
from benchmarks.baselines.train_pytorch import Run

SIZES = {"num_units": 32, "num_harmonics": 8, "num_noise_bands": 65, "reverb_length": 1000}
SCALES = {"pitch_scale": 127.0, "loudness_mean_db": -30.0, "loudness_std_db": 8.0}
BATCH, FRAMES, HOP = 2, 20, 160


@pytest.fixture(scope="module")
def twins():
    """Both decoders with the same weights: random ones, since half of Keras's are zeros at first."""
    decoder = DDSPDecoder(**SIZES, **SCALES, envelope="nearest", noise_tails="cut")
    rng = np.random.default_rng(0)
    decoder.set_weights([w + 0.1 * rng.standard_normal(w.shape) for w in decoder.get_weights()])
    kernel, bias = decoder.network.noise_head.get_weights()
    decoder.network.noise_head.set_weights([kernel, bias + 4.0])  # or the noise would hardly be heard
    baseline = ddsp_pytorch.DDSPDecoder(**SIZES, **SCALES)
    ddsp_pytorch.copy_weights(decoder, baseline)
    return decoder, baseline


@pytest.fixture(scope="module")
def features():
    """Low notes and one so high that harmonic 6 is beyond Nyquist; unvoiced frames; digital silence."""
    rng = np.random.default_rng(1)
    f0_hz = rng.uniform(100.0, 250.0, (BATCH, FRAMES, 1)).astype("float32")
    loudness_db = rng.uniform(-60.0, -10.0, (BATCH, FRAMES, 1)).astype("float32")
    f0_hz[0, 3:5], loudness_db[1, 8:11] = 0.0, -100.0
    f0_hz[:, 12] = 1500.0
    return f0_hz, loudness_db


def both_controls(twins, features):
    """``(ours, the baseline's)`` as arrays by name."""
    decoder, baseline = twins
    f0_hz, loudness_db = features
    ours = decoder.controls(f0_hz, loudness_db)
    ours["amplitudes"] = ours.pop("amplitude") * ours.pop("harmonic_distribution")
    with torch.no_grad():
        theirs = baseline.controls(torch.tensor(f0_hz), torch.tensor(loudness_db))
    return ours, {name: value.numpy() for name, value in theirs.items()}


def test_equal_weights_give_equal_controls(twins, features):
    ours, theirs = both_controls(twins, features)
    assert set(ours) == set(theirs)
    for name, values in theirs.items():
        assert np.ptp(values) > 1e-3, f"{name} says nothing"
        # An amplitude is a sigmoid to the power of 2.3: it multiplies a logit's rounding.
        np.testing.assert_allclose(ours[name], values, rtol=1e-4, atol=1e-6, err_msg=name)


def test_silence_and_unvoiced_frames_are_silent_in_both(twins, features):
    for controls in both_controls(twins, features):
        assert not controls["amplitudes"][0, 3:5].any()
        assert controls["noise_magnitudes"][0, 3:5].all()  # unvoiced, but heard
        assert not controls["amplitudes"][1, 8:11].any()
        assert not controls["noise_magnitudes"][1, 8:11].any()


def test_equal_weights_and_noise_give_equal_audio(twins, features):
    decoder, baseline = twins
    f0_hz, loudness_db = map(torch.tensor, features)
    noise = torch.rand(BATCH, FRAMES, HOP, generator=torch.Generator().manual_seed(0)) * 2.0 - 1.0
    controls = decoder.controls(f0_hz.numpy(), loudness_db.numpy())
    magnitudes = controls.pop("noise_magnitudes")
    dry = decoder.harmonic_synth.get_signal(**controls)
    dry = dry + decoder.noise_synth.get_signal(magnitudes, noise.numpy())
    ours = ops.convert_to_numpy(decoder.reverb(dry))
    with torch.no_grad():
        theirs = baseline(f0_hz, loudness_db, noise).numpy()
    assert theirs.shape == (BATCH, FRAMES * HOP)
    # Each part is heard: without noise, or in a dry room, the two would differ by more than the tolerance.
    peak = np.abs(theirs).max()
    with torch.no_grad():
        assert np.abs(baseline(f0_hz, loudness_db, 0.0 * noise).numpy() - theirs).max() > 1e-3 * peak
    assert np.abs(ops.convert_to_numpy(dry) - theirs).max() > 1e-3 * peak
    # The baseline sums 0.2 s of phase in float32: half a unit in the last place, 6e-8, of 300 radians, and
    # harmonic 8 turns 8 times as far: 1.4e-4 of its amplitude. Ours has no such drift.
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=3e-4 * peak)


@pytest.mark.parametrize("level", [1.0, 1e-3])
def test_the_two_losses_are_equal(level):
    reference, estimate = level * np.random.default_rng(0).standard_normal((2, 3, 3200)).astype("float32")
    reference[:, :800] = 0.0
    ours = float(MultiScaleSpectralLoss()(reference, estimate))
    theirs = float(
        ddsp_pytorch.multi_scale_spectral_loss(torch.from_numpy(reference), torch.from_numpy(estimate))
    )
    assert theirs > 1.0
    assert ours == pytest.approx(theirs, rel=1e-4)


def test_at_full_size_both_have_the_4837670_parameters_of_the_preset():
    baseline = ddsp_pytorch.DDSPDecoder()
    assert sum(parameter.numel() for parameter in baseline.parameters()) == 4_837_670
    assert DDSPDecoder().count_params() == 4_837_670


def test_a_perceptron_of_one_channel_starts_with_biases():
    bias = ddsp_pytorch.DDSPDecoder(**SIZES).pitch_perceptron[0].bias
    assert bias.abs().max() <= 1.0
    assert bias.std() > 0.3  # of U(-1, 1): 0.58


def test_weights_of_other_sizes_are_refused(twins):
    other = ddsp_pytorch.DDSPDecoder(**SIZES | {"num_units": 16})
    with pytest.raises(ValueError, match=r"equal sizes; got shapes \(32, 1\) and \(16, 1\)"):
        ddsp_pytorch.copy_weights(twins[0], other)


def new_run(folder, **changes):
    settings = {"learning_rate": 1e-3, "warmup_steps": 2, "decay_per_epoch": 0.5, "steps_per_epoch": 2}
    settings |= {"seed": 0} | changes
    recordings = FMPlucks(num_recordings=2, duration_seconds=4.0).recordings()
    crops = FeatureCrops(recordings, clip_seconds=0.5, batch_size=2, validation_seconds=1.0)
    mean_db, std_db = loudness_statistics(crops.training_loudness_db())
    return Run(
        lambda: ddsp_pytorch.DDSPDecoder(**SIZES, loudness_mean_db=mean_db, loudness_std_db=std_db),
        crops,
        settings,
        folder,
    )


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(tmp_path):
    whole = new_run(tmp_path)
    losses = [whole.step() for _ in range(4)]
    rates = [0.5e-3, 1e-3, 0.5e-3, 0.5e-3, 0.25e-3]
    assert whole.schedule.get_last_lr() == pytest.approx(rates[-1:])

    first = new_run(tmp_path)
    assert [first.step() for _ in range(2)] == losses[:2]
    first.losses = losses[:2]
    entry = first.evaluate()
    first.save()
    second = new_run(tmp_path)
    second.restore()
    assert [second.step() for _ in range(2)] == losses[2:]
    assert second.history == [entry]
    with pytest.raises(ValueError, match="holds a run with .*'seed': 0.*'seed': 1"):
        new_run(tmp_path, seed=1).restore()


def test_training_lowers_the_loss_and_keeps_both_clocks(tmp_path):
    run = new_run(tmp_path)
    before = run.loss(run.crops.batch(0)).item()
    run.train(3.0)
    assert 3.0 <= run.core_seconds <= 1.05 * run.wall_seconds  # one thread
    entry = run.evaluate()
    assert entry["steps"] == run.steps > 4
    assert run.loss(run.crops.batch(0)).item() < before
    assert set(entry["held_out_files"]) == {"fm_pluck_0", "fm_pluck_1"}
    assert entry["held_out"] == pytest.approx(np.mean(list(entry["held_out_files"].values())))


def test_evaluation_repeats_and_leaves_training_as_it_was(tmp_path):
    undisturbed = new_run(tmp_path).step()
    run = new_run(tmp_path)
    run.losses = [1.0]
    first = run.evaluate()
    run.losses = [1.0]
    assert run.evaluate() == first
    assert run.step() == undisturbed
