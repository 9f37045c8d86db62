"""What is timed of the DDSP decoder alone: stages, stream, and parts of a step beside plain PyTorch."""

import functools

import numpy as np

from benchmarks import bank, compiled, stopwatch, train_step


def measurements(model, seconds, batch_size, repeats, picture):
    """Yield ``(name, result)`` of everything that is timed; the bank's curves are drawn to ``picture``."""
    import keras

    yield from times_real_time(model, seconds, repeats).items()
    yield "stream", streaming(model)
    yield "inference", stopwatch.compare(inference(model, seconds), repeats)
    yield "train_step", stopwatch.compare(train_step.rivals(model.preset, batch_size), repeats)
    yield "recurrence_forward_backward", stopwatch.compare(recurrence(model, batch_size), repeats)
    yield "loss_forward_backward", stopwatch.compare(spectral_loss(model, batch_size), repeats)
    for direction in bank.DIRECTIONS:
        rivals = bank.rivals(direction, sample_rate=model.sample_rate, num_harmonics=model.num_harmonics)
        yield f"bank_{direction}", stopwatch.compare(rivals, repeats)
    curves = bank.curves(repeats)
    bank.picture(curves, picture, backend=keras.backend.backend())
    yield "bank_curves", curves


def streaming(model, blocks=300):
    """Milliseconds for a block of one frame from its features, evaluated exactly and from tables."""
    found = {}
    for name, table_rows in (("exact", 0), ("from_tables", 1024)):
        stream = model.stream(table_rows=table_rows)
        block = functools.partial(stream.process, np.full(1, 440.0, "float32"), np.full(1, -20.0, "float32"))
        seconds = [stopwatch.seconds_of(block) for _ in range(blocks)]
        quantiles = np.quantile(seconds, [0.5, 0.95, 1.0])
        found[name] = dict(zip(("median_ms", "p95_ms", "max_ms"), (1e3 * quantiles).tolist(), strict=True))
    return found


def times_real_time(model, seconds, repeats):
    """Seconds of audio per second of work of ``transfer``, pitch tracking included, and its parts."""
    from audiozoo.data.features import extract_features

    audio = gliding_voice(seconds, model.sample_rate)
    features = extract_features(audio, sample_rate=model.sample_rate, hop=model.hop)
    controls = model.controls(features.f0_hz, features.loudness_db)
    stages = {
        "transfer": lambda: model.transfer(audio, model.sample_rate),
        "features": lambda: extract_features(audio, sample_rate=model.sample_rate, hop=model.hop),
        "controls": lambda: model.controls(features.f0_hz, features.loudness_db),
        "synthesize": lambda: model.synthesize(**controls),
    }
    found = {}
    for name, (first, *timed) in stopwatch.in_turns(stages, repeats).items():
        speeds = seconds / np.array(timed)
        found[name] = {
            "first_call_seconds": float(first),
            "times_real_time_median": float(np.median(speeds)),
            "times_real_time_min": float(speeds.min()),
            "times_real_time_max": float(speeds.max()),
        }
    return found


def inference(model, seconds):
    """Controls and sound of one long clip, from features to audio, with equal weights."""
    import torch

    from audiozoo.data.features import extract_features
    from benchmarks.baselines import ddsp_pytorch

    audio = gliding_voice(seconds, model.sample_rate)
    features = extract_features(audio, sample_rate=model.sample_rate, hop=model.hop)
    plain = ddsp_pytorch.DDSPDecoder(**train_step.baseline_config(model.preset))
    ddsp_pytorch.copy_weights(model, plain)
    f0_hz, loudness_db = (
        torch.from_numpy(values)[None, :, None] for values in (features.f0_hz, features.loudness_db)
    )

    def baseline():
        with torch.no_grad():
            return plain(f0_hz, loudness_db)

    def ours():
        return model.synthesize(**model.controls(features.f0_hz, features.loudness_db))

    return {"baseline": baseline, "ours": ours}


def recurrence(model, batch_size):
    """The recurrent layer on clips of 4 s, with the gradients of its input and its weights."""
    import keras
    import torch

    layer = model.network.recurrence
    frames = round(train_step.CLIP_SECONDS * model.sample_rate / model.hop)
    random = np.random.default_rng(0)
    inputs = random.standard_normal((batch_size, frames, 2 * model.num_units), dtype="float32")
    upstream = random.standard_normal((batch_size, frames, model.num_units), dtype="float32")

    gru = torch.nn.GRU(inputs.shape[-1], model.num_units, batch_first=True)
    plain_inputs, plain_upstream = torch.from_numpy(inputs).requires_grad_(), torch.from_numpy(upstream)

    def baseline():
        memory, _ = gru(plain_inputs)
        return torch.autograd.grad(memory, [plain_inputs, *gru.parameters()], plain_upstream)

    run = compiled.forward_and_gradient(lambda inputs: layer(inputs)[0], layer)
    tensors = [keras.ops.convert_to_tensor(array) for array in (upstream, inputs)]
    return {"baseline": baseline, "ours": lambda: run(*tensors)}


def spectral_loss(model, batch_size):
    """The training loss of clips of 4 s, with the gradient of the estimate."""
    import keras
    import torch

    from benchmarks.baselines import ddsp_pytorch

    samples = round(train_step.CLIP_SECONDS * model.sample_rate)
    estimate, reference = 0.1 * np.random.default_rng(0).standard_normal((2, batch_size, samples))
    estimate, reference = estimate.astype("float32"), reference.astype("float32")
    plain_estimate, plain_reference = torch.from_numpy(estimate).requires_grad_(), torch.from_numpy(reference)

    def baseline():
        loss = ddsp_pytorch.multi_scale_spectral_loss(plain_reference, plain_estimate)
        return loss.detach(), *torch.autograd.grad(loss, plain_estimate)

    loss = model.training_loss()
    run = compiled.forward_and_gradient(lambda estimate, reference: loss(reference, estimate))
    tensors = [keras.ops.convert_to_tensor(array) for array in (np.float32(1.0), estimate, reference)]
    return {"baseline": baseline, "ours": lambda: run(*tensors)}


def gliding_voice(seconds, sample_rate):
    """A tone with eight harmonics whose pitch and loudness wander as a voice's do."""
    time_seconds = np.arange(int(seconds * sample_rate)) / sample_rate
    f0_hz = 330.0 * 2.0 ** (0.5 * np.sin(0.7 * time_seconds) + 0.02 * np.sin(2 * np.pi * 5.5 * time_seconds))
    phase = 2.0 * np.pi * np.cumsum(f0_hz) / sample_rate
    level = 0.2 * (0.6 + 0.4 * np.sin(2 * np.pi * 0.5 * time_seconds))
    return (level * sum(np.sin(k * phase) / k for k in range(1, 9)) / 2.0).astype("float32")
