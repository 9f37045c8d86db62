"""MelNet: how likely it finds what it has not heard, how real its samples are, and its speed."""

if not __package__:
    import as_module  # noqa: F401


import pathlib
from typing import Annotated

import numpy as np
import typer

from benchmarks import cmelgan, results, stopwatch

COOLER = 0.8  # temperature

# --- Quality ---


def quality(
    data: Annotated[
        pathlib.Path, typer.Option(help="Folder of class folders that the models were trained on.")
    ],
    model: Annotated[str, typer.Option(help="Preset, or folder of one.")] = "melnet_small",
    control: Annotated[
        str, typer.Option(help="Preset folder of the published recipe, trained as long on the same; or none.")
    ] = "",
    beside: Annotated[str, typer.Option(help="Preset of a CMelGAN of the same spectrograms; or none.")] = "",
    control_samples: Annotated[
        int, typer.Option(help="Of each class: the whole network runs for each frame of them.")
    ] = 12,
    seed: Annotated[int, typer.Option(help="Of noise, crops and classifier.")] = 0,
):
    """Likelihood of held-out recordings, and samples judged as ``cmelgan-quality`` judges them.

    Likelihood is that of the standardised spectrogram, in nats a number; beside it stand two Gaussians that
    know the class and the band, fitted on training crops: one whose numbers are independent, and one that
    predicts each number from the frame before, AR(1). For all of them the first frame of a crop has nothing
    before it.
    """
    results.one_core()
    import audiozoo
    from audiozoo.data.mels import MelCrops, class_folder

    made_by = audiozoo.load(model)
    settings = made_by.preset.train
    clips = class_folder(
        data,
        **{name: getattr(made_by, name) for name in ("sample_rate", "num_mels", "window_length", "hop")},
        recording_pattern=settings.recording_pattern,
    )
    crops = MelCrops(
        clips,
        clip_frames=made_by.clip_frames,
        noise_dim=0,
        batch_size=settings.batch_size,
        test_share=settings.test_share,
        seed=seed,
    )
    if crops.classes != made_by.classes:
        raise ValueError(f"data must hold the classes {made_by.classes}; it holds {crops.classes}.")
    likelihood = likelihoods(made_by, crops)
    print(likelihood)
    judge = cmelgan.Judge(crops, seed=seed)
    sets = {"training": cmelgan.training_set(crops), "held_out": cmelgan.held_out_set(crops)}
    sets |= {"noise": cmelgan.noise_set(crops, seed=seed), "samples": cmelgan.samples_of(made_by, seed=seed)}
    each = cmelgan.JUDGED // len(crops.classes)
    sets["cooler"] = few_of(made_by, each, crops.clip_frames, seed=seed, temperature=COOLER)
    if beside:
        sets["cmelgan"] = cmelgan.samples_of(audiozoo.load(beside), seed=seed)
    if control:
        sets["control"] = few_of(audiozoo.load(control), control_samples, crops.clip_frames, seed=seed)
        sets["few"] = few_of(made_by, control_samples, crops.clip_frames, seed=seed)
    found = {name: judged(judge, *spectrograms, seed=seed) for name, spectrograms in sets.items()}
    values = {
        "model": model,
        "parameters": made_by.count_params(),
        "training": {"model": cmelgan.effort(made_by.preset.name)}
        | ({"control": cmelgan.effort("melnet_control")} if control else {}),
        "held_out_files": len(crops.held_out),
        "held_out_recordings": len({clips[index].recording for index in crops.held_out}),
        "nats_per_number": likelihood,
        "judge_steps": cmelgan.JUDGE_STEPS,
        "sets": found,
    }
    for name, row in found.items():
        print(name, row)
    print(f"written: {results.write('melnet_quality', values, seed=seed)}")
    print(f"written: {cmelgan.sheet(made_by, sets, cmelgan.PICTURES / 'melnet_sheet.png')}")


def likelihoods(model, crops):
    """Negative log-likelihood of all that is held out, nats per number: of simple models, and of this one."""
    from audiozoo.data.pipelines import HeldOut
    from audiozoo.models.base import jit_choice

    known, known_labels = cmelgan.training_set(crops)
    held_out = crops.collate(*zip(*crops.validation_places(), strict=True))
    found = gaussian_likelihoods(
        model.standardised(known), known_labels, model.standardised(held_out["log_mel"]), held_out["label"]
    )
    model.compile(jit_compile=jit_choice(model))
    learned = model.evaluate(HeldOut(crops), verbose=0, return_dict=True)
    tiers = {name: value for name, value in learned.items() if name.startswith("loss_of_tier")}
    return found | {"model": learned["loss"]} | tiers


def gaussian_likelihoods(known, known_labels, spectrograms, labels):
    """Negative log-likelihood of two Gaussians for each class and band, nats per number.

    Args:
        known: ``(n, frames, bands)`` to fit them on.
        known_labels: class of each.
        spectrograms, labels: to judge.

    Returns:
        Dict: ``independent``, and ``ar1``, in which a number is the one before it, times a factor, and noise.
    """

    def nats(errors, variance):
        return 0.5 * (np.log(2.0 * np.pi * variance) + errors**2 / variance)

    found = {"independent": [], "ar1": []}
    for label in np.unique(labels):
        own = known[known_labels == label].astype("float64")
        mean, variance = own.mean(axis=(0, 1)), own.var(axis=(0, 1))
        before, after = own[:, :-1] - mean, own[:, 1:] - mean
        factor = np.sum(before * after, axis=(0, 1)) / np.sum(before**2, axis=(0, 1))
        noise = np.mean((after - factor * before) ** 2, axis=(0, 1))
        judged = spectrograms[labels == label] - mean
        alone = nats(judged, variance)
        following = nats(judged[:, 1:] - factor * judged[:, :-1], noise)
        found["independent"].append(alone)
        found["ar1"].append(np.concatenate([alone[:, :1], following], axis=1))
    return {name: float(np.mean(np.concatenate(parts))) for name, parts in found.items()}


def few_of(model, each, frames, *, seed, **settings):
    """So many spectrograms of each class, so many frames long, in levels as the data have them."""
    settings |= {"seed": seed, "seconds": (frames - 0.5) * model.hop / model.sample_rate}
    made = [model.log_mel(model.sample(name, each, **settings)) for name in model.classes]
    return np.maximum(np.concatenate(made), 0.0), np.repeat(np.arange(len(made)), each)


def judged(judge, log_mel, labels, *, seed):
    """What a ``cmelgan.Judge`` says, and the kernel audio distance by the same features."""
    from audiozoo.metrics import kad

    distance = kad(judge.real_features, judge.outputs(log_mel)["features"], seed=seed)
    return judge.judgement(log_mel, labels) | {"kad": float(distance.value)}


# --- Speed ---

# Of the published models on a T4: kHz of sound per second of training, large and small; frames drawn.
PUBLISHED = {"training_kilohertz": (75.0, 307.0), "frames_per_second": 2.07}
GRID, DEPTH, UNITS = (41, 90), 12, 64  # of the first tier of the published model, the small one
SMALL_GRID = (6, 8)


def speed(
    repeats: Annotated[int, typer.Option(help="Timed rounds of all in turns.")] = 5,
    depth: Annotated[int, typer.Option(help="Layers of the tier that is drawn.")] = DEPTH,
    layers: Annotated[int, typer.Option(help="Layers in the training step.")] = 3,
    published: Annotated[bool, typer.Option(help="Train the published small model for a step too.")] = True,
):
    """Time drawing with states kept, against the whole network for each number; and training steps.

    One number after the other with the whole network for each is measured on a grid of 6 x 8; for 41 x 90 it
    is said by its cost model, numbers of the grid times one pass of the network over it, which is measured.
    The same model predicts the small grid, to be compared with. All on one core.
    """
    results.one_core()
    import keras

    backend = keras.backend.backend()
    values = {"backend": backend, "published": PUBLISHED, "depth": depth, "units": UNITS}
    values["drawing"] = drawing(depth, repeats)
    print(values["drawing"], flush=True)
    values["layers"] = layers
    values["training"] = stopwatch.compare(training_rivals((2, 40, 90, UNITS), layers), repeats)
    print(values["training"], flush=True)
    values["presets"] = presets_speed(repeats, published)
    print(values["presets"], flush=True)
    print(f"written: {results.write(f'melnet_speed_{backend}', values)}")


def one_tier(grid, depth):
    """A model of one tier, whose standardised spectrograms are log-mel ones."""
    import keras

    from audiozoo.models import MelNet

    keras.utils.set_random_seed(0)
    frames, bands = grid
    model = MelNet(clip_frames=frames, num_mels=bands, depths=(depth,), units=UNITS, cell="gru")
    model.transform.deviation.assign(1.0)
    return model


def drawing(depth, repeats):
    """Seconds for a grid, number by number, with states kept and by recomputing."""
    found = {}
    for name, grid in {"small": SMALL_GRID, "large": GRID}.items():
        model = one_tier(grid, depth)
        numbers, one_pass = grid[0] * grid[1], whole_pass(model)
        timed = {"pass": one_pass, "drawn": lambda model=model: model.sample("music")}
        if name == "small":
            timed["recomputed"] = lambda model=model: recomputed(model)
        row = {key: each["median_seconds"] for key, each in stopwatch.compare(timed, repeats).items()}
        row = {f"{key}_seconds": seconds for key, seconds in row.items()}
        row |= {"frames": grid[0], "bands": grid[1]}
        row["predicted_seconds"] = numbers * row["pass_seconds"]
        row["frames_per_second"] = grid[0] / row["drawn_seconds"]
        row["predicted_times_as_fast"] = row["predicted_seconds"] / row["drawn_seconds"]
        if name == "small":
            row["times_as_fast"] = row["recomputed_seconds"] / row["drawn_seconds"]
            row["largest_difference"] = float(np.abs(recomputed(model) - model.sample("music")).max())
        else:
            together = stopwatch.compare({"drawn": lambda model=model: model.sample("music", 8)}, repeats)
            row["frames_per_second_of_8"] = 8 * grid[0] / together["drawn"]["median_seconds"]
        found[name] = row
    return found


def whole_pass(model):
    """A function that runs the network once over a clip, compiled."""
    inputs = {"known": np.zeros((1, model.clip_frames, model.num_mels), "float32")}
    inputs["label"] = np.zeros(1, "int32")
    return lambda: model.run_compiled(model.call, inputs)


def recomputed(model, seed=0):
    """As ``model.sample`` of a model of one tier, with the whole network for each number."""
    from audiozoo.losses import mixture_sample
    from audiozoo.models.melnet import noise_of

    shape = (model.clip_frames, model.num_mels)
    noise = noise_of(seed, 0, 1, shape)
    grid, warm = np.zeros((1, *shape), "float32"), np.ones(1, "float32")
    for frame, band in np.ndindex(shape):
        inputs = {"known": grid, "label": np.zeros(1, "int32")}
        mixtures = model.run_compiled(model.call, inputs)[:, frame, band]
        here = (noise[name][:, frame, band] for name in ("choice", "normal"))
        grid[:, frame, band] = mixture_sample(mixtures, *here, warm)
    return grid


def training_rivals(shape, depth):
    """A training step of the layers alone: PyTorch's own GRU, ours, and the minGRU."""
    import torch

    from benchmarks.baselines import melnet_pytorch

    torch.set_num_threads(1)
    signal = np.random.default_rng(0).standard_normal(shape, dtype="float32")
    stack = melnet_pytorch.Stack(shape[-1], depth)
    optimizer, theirs = torch.optim.SGD(stack.parameters(), 1e-6), torch.from_numpy(signal)
    rivals = {"baseline": lambda: melnet_pytorch.train_step(stack, optimizer, theirs)}
    for cell in ("gru", "mingru"):
        rivals[cell] = layers_step(cell, signal, depth)
    return rivals


def layers_step(cell, signal, depth):
    """A function that trains a stack of our layers by one step."""
    import keras
    from keras import ops

    from audiozoo.layers import FrequencyDelayedLayer, TimeDelayedLayer
    from audiozoo.models.base import AudioModel, jit_choice

    class Stack(AudioModel, abstract=True):
        def __init__(self):
            super().__init__()
            units = signal.shape[-1]
            self.time_layers = [TimeDelayedLayer(units, cell=cell) for _ in range(depth)]
            self.frequency_layers = [FrequencyDelayedLayer(units, cell=cell) for _ in range(depth)]
            self(signal)

        def call(self, inputs):
            in_time = in_frequency = inputs
            for time_layer, frequency_layer in zip(self.time_layers, self.frequency_layers, strict=True):
                in_time = time_layer(in_time)
                in_frequency = frequency_layer(in_frequency, in_time)
            return in_frequency

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return ops.mean(ops.square(y_pred))

    model = Stack()
    model.compile(keras.optimizers.SGD(1e-6), jit_compile=jit_choice(model))
    return lambda: model.train_on_batch(signal, signal[..., 0])


def presets_speed(repeats, published):
    """Training and drawing of presets: kHz of sound per second of training, frames drawn in a second."""
    import audiozoo

    found = {}
    for name, changes in {"melnet_small": {}, "melnet_small, GRU": {"cell": "gru"}}.items():
        model = audiozoo.load("melnet_small", weights=False, **changes)
        found[name] = training_speed(model, repeats)
        model.transform.deviation.assign(1.0)
        for count in (1, 8):
            drawn = {"drawn": lambda model=model, count=count: model.sample(model.classes[0], count)}
            seconds = stopwatch.compare(drawn, repeats)["drawn"]["median_seconds"]
            found[name][f"frames_per_second_of_{count}"] = count * model.clip_frames / seconds
    if published:
        model = audiozoo.load("melnet_seed_small", weights=False)
        found["melnet_seed_small"] = training_speed(model, 1)
    return found


def training_speed(model, repeats):
    """Seconds of a training step of the preset's batch, and kHz of sound per second."""
    import keras

    from audiozoo.models.base import jit_choice

    batch = model.preset.train.batch_size
    shape = (batch, model.clip_frames, model.num_mels)
    log_mel = np.random.default_rng(0).uniform(0.0, 5.0, shape).astype("float32")
    inputs = {"known": log_mel, "label": np.zeros(batch, "int32")}
    model.adapt([{"log_mel": log_mel}])
    model.compile(keras.optimizers.Adam(1e-6), jit_compile=jit_choice(model))
    timed = stopwatch.compare({"step": lambda: model.train_on_batch(inputs, log_mel)}, repeats)["step"]
    samples = batch * model.clip_frames * model.hop
    return timed | {"batch_size": batch, "kilohertz": samples / timed["median_seconds"] / 1000.0}
