"""The tables of the four student projects this zoo began with: their numbers, and ours beside them.

A cell of ours is empty until its architecture is in the zoo.
"""

if not __package__:
    import as_module  # noqa: F401


import re
import warnings

import numpy as np

from benchmarks import results

# Conv1D ResNet VAE on GTZAN, 20 epochs at 3 kHz: Fréchet distance on the 20 test clips and the 80 training
# clips, by the 20 latent means of one trained encoder.
FRECHET_ROWS = (
    ("beta 1, latent 2", 101.0, 23.0),
    ("the same with dropout", 68.55, 8.6),
    ("three dropout layers, beta 1, latent 20", 14.6, 49.3),
    ("beta 10, latent 10", 111.5, 61.1),
    ("beta 100, latent 10", 96.0, 20.1),
)
PUBLISHED_PARAMETERS = {"DDSPDecoder": "The student project's decoder, 512 units, has 4,837,670 parameters."}
TEST_CLIPS, TRAIN_CLIPS, FRECHET_DIMENSIONS = 20, 80, 20
# cMelGAN and MelNet: waveform consumed per second of training, and the GPU.
PROCESSING_ROWS = (
    ("MelNet", 75.0, "Tesla T4"),
    ("MelNet, faster", 307.0, "Tesla T4"),
    ("cMelGAN", 705.0, "Tesla P100"),
    ("cMelGAN, faster", 980.0, "Tesla P100"),
)
# Temporal spectral VAE: mean spectral convergence of its published example over five resolutions.
CONVERGENCE_ROWS = (
    ("student project, phase by PGHI", 0.92),
    ("student project, phase of the original", 0.90),
    ("RAVE, adversarial", 0.67),
    ("RAVE, VAE only", 0.62),
    ("no model: 128 mel bands and Griffin-Lim", 0.32),
)
OUR_CONVERGENCE_ROWS = (
    ("spectral_vae, integrated phase and 32 iterations of Griffin-Lim", ""),
    ("spectral_vae, 100 iterations of Griffin-Lim", "_griffin_lim"),
    ("no model: 128 mel bands, integrated phase and 32 iterations of Griffin-Lim", "_without_model"),
)


def main():
    """Replay the student projects' tables: parameters, Fréchet distances, processing rates, losses."""
    tables = [
        *layer_tables(),
        training_table(),
        frechet_table(),
        processing_table(),
        convergence_table(),
    ]
    print(f"written: {results.write('tables', {'tables': tables})}")


def cell(value):
    """A cell as text."""
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else value


def layer_tables():
    """Layer by layer parameters of every preset."""
    import audiozoo

    for name in audiozoo.list_models():
        model = audiozoo.load(name, weights=False)
        rows = [[layer, shape, count] for layer, (shape, count) in layers_of(model).items()]
        rows.append(["all", "", model.count_params()])
        yield {
            "title": f"Layers of `{name}`",
            "text": f"{type(model).__name__}. {PUBLISHED_PARAMETERS.get(type(model).__name__, '')}".strip(),
            "columns": ["layer", "weights", "parameters"],
            "rows": rows,
        }


def layers_of(model):
    """Shapes and parameters of every layer that holds weights, by its path, in order."""
    found, siblings = {}, {}
    for variable in model.weights:
        place = variable.path.rsplit("/", 1)[0]
        # A VAE's beta belongs to its training; statistics of the data are measured and not learned.
        own, statistics = place == model.name, re.fullmatch(r"audio_transform(_\d+)?", place)
        if (own and not variable.trainable) or (statistics and leaves_out_statistics(model)):
            continue
        first, _, below = (variable.name if own else place).partition("/")
        layer = renumbered(below or first, siblings)
        shapes, count = found.get(layer, ("", 0))
        shape = " x ".join(str(size) for size in variable.shape)
        found[layer] = (f"{shapes}, {shape}".lstrip(", "), count + int(np.prod(variable.shape)))
    return found


def leaves_out_statistics(model):
    """Whether a model says how many parameters it has, without what was measured: Keras counts all."""
    import keras

    return type(model).count_params is not keras.Model.count_params


def renumbered(path, siblings):
    """A path whose parts are numbered among their siblings: Keras numbers them among all of the process.

    Args:
        path: such as ``control_network_1/perceptron_3/dense_12``.
        siblings: dict, remembers the parts seen so far.
    """
    parent, result = "", []
    for part in path.split("/"):
        kind = re.sub(r"_\d+$", "", part)
        seen = siblings.setdefault((parent, kind), [])
        if part not in seen:
            seen.append(part)
        number = seen.index(part)
        result.append(f"{kind}_{number}" if number else kind)
        parent = f"{parent}/{part}"
    return "/".join(result)


def training_table():
    """Held-out loss of the violin and the minutes of one core that it took."""
    rows = []
    if "training_curves" in results.names():
        for run, last in results.read("training_curves").values.items():
            rows.append([run, last["minutes"], last["train_loss"], last["held_out_loss"]])
    return {
        "title": "DDSP violin: loss after training",
        "text": "Multi-scale spectral loss of held-out sound without chords, at the end of each run. The "
        "student project is `baseline_ddsp_pytorch`: its architecture written anew, trained on the same "
        "recordings. `ddsp_violin` goes on from its first version, so its minutes are not all.",
        "columns": ["run", "minutes of one core", "training loss", "held-out loss"],
        "rows": rows,
    }


def frechet_table(*, draws=200, seed=0):
    """The five published distances beside those of two samples of one and the same distribution."""
    from audiozoo.metrics import frechet_distance

    random = np.random.default_rng(seed)

    def chance(clips):
        shape = (draws, 2, clips, FRECHET_DIMENSIONS)
        with warnings.catch_warnings():  # of too few clips: which is what the table shows
            warnings.simplefilter("ignore")
            return [frechet_distance(*pair) for pair in random.standard_normal(shape)]

    test, train = chance(TEST_CLIPS), chance(TRAIN_CLIPS)
    means, spreads = ([float(what(side)) for side in (test, train)] for what in (np.mean, np.std))
    ratio = means[0] / means[1]
    rows = [[name, a, b, a / b, None, None] for name, a, b in FRECHET_ROWS]
    rows.append(["two samples of one normal distribution", *means, ratio, *spreads])
    return {
        "title": "Conv1D ResNet VAE: Fréchet distances",
        "text": f"{TEST_CLIPS} test clips read as {ratio:.1f} times as far as {TRAIN_CLIPS} training clips "
        f"even where nothing differs: plain FID in {FRECHET_DIMENSIONS} dimensions is mostly the number of "
        "clips. So a test distance of four times the training distance says nothing of overfitting. The last "
        "row is of unit variance: only its ratio compares, not its size.",
        "columns": ["model", "test", "training", "ratio", "spread of test", "spread of training"],
        "rows": rows,
    }


def processing_table():
    """Waveform consumed per second of training: theirs on GPUs, ours wherever it was measured."""
    rows = [[f"{name} (student project)", rate, device] for name, rate, device in PROCESSING_ROWS]
    for name in results.names("throughput_*"):
        record = results.read(name)
        best = max(record.values["rows"], key=lambda row: row["training"]["kilohertz"])
        device = f"1 core, {record.machine.processor}" if best["device"] == "CPU" else best["device"]
        rows.append([f"{best['preset']}, {best['backend']}", best["training"]["kilohertz"], device])
    return {
        "title": "Processing rate in training",
        "text": "Thousands of waveform samples in a second of training. Theirs are at 22.05 kHz, inferred "
        "from hours for an epoch; other architectures, so orders of magnitude, no contest.",
        "columns": ["model", "kHz", "device"],
        "rows": rows,
    }


def convergence_table():
    """Reconstruction by the temporal spectral VAE: theirs of one example, ours of all held-out loops."""
    rows = [[f"{name}; their example", number] for name, number in CONVERGENCE_ROWS]
    if "quality_spectral_vae" in results.names():
        mean = results.read("quality_spectral_vae").values["mean"]
        rows += [
            [f"{name}; our held-out loops", mean[f"mean_spectral_convergence{key}"]]
            for name, key in OUR_CONVERGENCE_ROWS
        ]
    return {
        "title": "Temporal spectral VAE: spectral convergence",
        "text": "Mean over five resolutions; lower is better. Theirs is of the one example that the project "
        "published, ours of other sounds: each is to be read beside what is lost with no model at all.",
        "columns": ["model", "spectral convergence"],
        "rows": rows,
    }
