"""The VAE of digits as its paper tested it: the bound over training, sizes of code, variants, warm-up."""

if not __package__:
    import as_module  # noqa: F401


import pathlib
import time
from typing import Annotated

import numpy as np
import typer

from benchmarks import results

NAME = "mnist_vae"
PICTURES = pathlib.Path(__file__).parents[1] / "docs" / "images"
BATCH_SIZE = 100
STEPS_PER_EPOCH = 50
LEARNING_RATE = 1e-3
TEST_SHARE = 0.1  # as the preset's: what it never saw is what all are judged by
JUDGED_IMAGES = 1000  # of the training images; of the others all
JUDGEMENTS = 14  # along the training, closer together at its beginning

# By name: arguments of the model, and share of the epochs over which beta rises.
PLANS = {f"latent_{dims}": ({"latent_dim": dims}, 0.0) for dims in (2, 3, 5, 10, 20)}
PLANS |= {
    "convolutional_10": ({"latent_dim": 10, "variant": "convolutional", "hidden_units": 256}, 0.0),
    "batch_norm_10": ({"latent_dim": 10, "variant": "batch_norm"}, 0.0),
    "latent_20_warmup": ({"latent_dim": 20}, 0.2),
}


def main(
    data: Annotated[
        str, typer.Option(help="mnist, digits, or an .npz with the arrays of Keras's mnist.npz.")
    ] = "mnist",
    out: Annotated[pathlib.Path, typer.Option(help="Folder for the models.")] = pathlib.Path("runs/mnist"),
    epochs: Annotated[int, typer.Option(help=f"Of {STEPS_PER_EPOCH} batches, for every model.")] = 100,
    preset: Annotated[str, typer.Option(help="Preset to judge by the same images, or none.")] = "",
):
    """Train every model that the comparison needs, judge them by images that none has seen, draw them.

    The bound is -(reconstruction + KL) with a drawn code, in nats an image; pixels are drawn on or off, so it
    is one. Models that are done are kept, so the command can be broken off and given again.
    """
    results.one_core()
    from audiozoo.data.images import ImageBatches, load_images

    images = load_images(data)
    batches = ImageBatches(images, batch_size=BATCH_SIZE, test_share=TEST_SHARE, binarize=True)
    settings = {
        "data": images.name,
        "training_images": len(batches.training),
        "test_images": len(batches.held_out),
        "epochs": epochs,
        "steps_per_epoch": STEPS_PER_EPOCH,
        "batch_size": BATCH_SIZE,
        "learning_rate": LEARNING_RATE,
    }
    for name, (arguments, warmup) in PLANS.items():
        done = finished(settings)
        if name in done and (out / name / "preset.yaml").exists():
            continue
        found = train(name, arguments, round(warmup * epochs), batches, epochs=epochs, out=out / name)
        print(name, {key: value for key, value in found.items() if not isinstance(value, list)}, flush=True)
        results.write(NAME, settings | {"models": done | {name: found}})
    values = settings | {"models": finished(settings)}
    if preset:
        values["preset"] = judgement(preset, batches)
        print(preset, values["preset"])
    print(f"written: {results.write(NAME, values)}")
    for path in draw(values["models"], batches, out):
        print(f"written: {path} ({path.stat().st_size / 1000:.0f} kB)")


def finished(settings):
    """Models in the result file, by name; none where they were trained otherwise."""
    if NAME not in results.names():
        return {}
    values = results.read(NAME).values
    return values["models"] if {key: values.get(key) for key in settings} == settings else {}


def train(name, arguments, warmup_epochs, batches, *, epochs, out):
    """One model: its bound along the training, what its code says in the end, and what it cost."""
    import keras

    from audiozoo.data.pipelines import training_stream
    from audiozoo.models import MnistVAE
    from audiozoo.training.callbacks import BetaWarmup

    keras.utils.set_random_seed(0)
    model = MnistVAE(image_size=batches.images.size, **arguments)
    model.compile(keras.optimizers.Adam(LEARNING_RATE))
    judge = judging(model, batches, epochs)
    model.fit(
        training_stream(batches),
        epochs=epochs,
        steps_per_epoch=STEPS_PER_EPOCH,
        shuffle=False,
        callbacks=[*([BetaWarmup(warmup_epochs)] if warmup_epochs else []), judge],
        verbose=0,
    )
    model.save_to_preset(out, name=name)
    return {
        "variant": model.variant,
        "latent_dim": model.latent_dim,
        "parameters": model.count_params(),
        "warmup_epochs": warmup_epochs,
        "training_core_seconds": round(judge.core_seconds, 1),
        **{key: [entry[key] for entry in judge.curve] for key in judge.curve[0]},
        "test_elbo_nats": judge.curve[-1]["test_elbo_nats_along"],
        "train_elbo_nats": judge.curve[-1]["train_elbo_nats_along"],
        **code_statistics(model, test_images(batches)),
    }


def judging(model, batches, epochs):
    """A callback that judges the model a few times along the training, and counts time of training alone."""
    import keras

    class Judge(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.curve, self.core_seconds = [], 0.0
            self.at = set(np.geomspace(1, epochs, min(JUDGEMENTS, epochs)).round().astype(int).tolist())
            seen = batches.training[np.linspace(0, len(batches.training) - 1, JUDGED_IMAGES).astype(int)]
            self.sets = {"train": batches.collate(seen)["image"], "test": test_images(batches)}

        def on_epoch_begin(self, epoch, logs=None):
            self.began = time.process_time()

        def on_epoch_end(self, epoch, logs=None):
            self.core_seconds += time.process_time() - self.began
            if epoch + 1 in self.at:
                bounds = {
                    f"{part}_elbo_nats_along": float(np.mean(model.elbo(images)))
                    for part, images in self.sets.items()
                }
                statistics = code_statistics(model, self.sets["test"])
                self.curve.append(
                    {"images_seen": (epoch + 1) * STEPS_PER_EPOCH * BATCH_SIZE}
                    | bounds
                    | {"test_kl_nats_along": statistics["test_kl_nats"]}
                    | {"active_dimensions_along": statistics["active_dimensions"]}
                )

    return Judge()


def test_images(batches):
    """All held-out images, their pixels drawn once."""
    return batches.collate(batches.held_out)["image"]


def code_statistics(model, images):
    """What the code says of images it has not seen."""
    from audiozoo import metrics

    code = model.code_distribution(images)
    return {
        "test_kl_nats": float(np.sum(metrics.kl_per_dimension(**code))),
        "active_dimensions": int(np.sum(metrics.active_units(code["mean"]))),
    }


def judgement(preset, batches):
    """The bound of a preset on the same held-out images."""
    import audiozoo

    model = audiozoo.load(preset)
    images = test_images(batches)
    return {"name": preset, "test_elbo_nats": float(np.mean(model.elbo(images)))} | code_statistics(
        model, images
    )


def draw(models, batches, out):
    """Yield the path of each picture of the tutorial, drawn from the models that were trained."""
    import audiozoo

    PICTURES.mkdir(parents=True, exist_ok=True)
    trained = {name: audiozoo.load(out / name) for name in PLANS}
    images = test_images(batches)
    labels = batches.labels(batches.validation_places())
    yield curves_picture({name: row for name, row in models.items() if name in PLANS})
    yield warmup_picture(models["latent_20"], models["latent_20_warmup"])
    yield manifold_picture(trained["latent_2"])
    yield scatter_picture(trained["latent_2"], images, labels)
    yield samples_picture({dims: trained[f"latent_{dims}"] for dims in (2, 5, 10, 20)})
    yield interpolation_picture(trained["latent_20"], images, labels)


def curves_picture(models):
    """The bound over the number of images seen: sizes of code on the left, variants on the right."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), dpi=90, layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    sizes = {f"{dims} numbers": f"latent_{dims}" for dims in (2, 3, 5, 10, 20)}
    variants = {
        "dense": "latent_10",
        "convolutional": "convolutional_10",
        "batch-normalised": "batch_norm_10",
    }
    for panel, chosen, title in (
        (left, sizes, "size of the code"),
        (right, variants, "variants, code of 10 numbers"),
    ):
        for colour, (label, name) in enumerate(chosen.items()):
            row, style = models[name], {"color": f"C{colour}"}
            panel.plot(row["images_seen"], row["test_elbo_nats_along"], label=label, **style)
            panel.plot(row["images_seen"], row["train_elbo_nats_along"], ":", **style)
        panel.set(xscale="log", xlabel="images seen", title=title)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8)
    lowest = min(np.median(row["test_elbo_nats_along"][:5]) for row in models.values())
    left.set(ylabel="bound / nats an image", ylim=(lowest, None))
    return written(figure, "vae_elbo_curves")


def warmup_picture(without, with_warmup):
    """Bound, divergence and active dimensions, with and without warm-up."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.4), dpi=90, layout="constrained")
    panels = figure.subplots(1, 3)
    keys = ("test_elbo_nats_along", "test_kl_nats_along", "active_dimensions_along")
    titles = ("bound / nats an image", "KL divergence / nats an image", "active dimensions of 20")
    for panel, key, title in zip(panels, keys, titles, strict=True):
        panel.plot(without["images_seen"], without[key], label="beta = 1 from the start")
        panel.plot(with_warmup["images_seen"], with_warmup[key], "--", label="beta rises from 0 to 1")
        panel.set(xscale="log", xlabel="images seen", title=title)
        panel.grid(alpha=0.3)
    middle = np.median(without[keys[0]])
    panels[0].set_ylim(middle - 60, max(without[keys[0]]) + 5)
    panels[0].legend(fontsize=8)
    return written(figure, "vae_warmup")


def manifold_picture(model, steps=16):
    """What every place of a code of two numbers decodes to, evenly in the prior's probability."""
    from scipy.stats import norm

    places = norm.ppf((np.arange(steps) + 0.5) / steps)
    first, second = np.meshgrid(places, places[::-1])
    codes = np.stack([first.ravel(), second.ravel()], axis=1).astype("float32")
    return grid_picture(model.decode(codes).reshape(steps, steps, *model.item_shape), "vae_manifold")


def scatter_picture(model, images, labels):
    """Codes of held-out images, coloured by digit."""
    from audiozoo.plots import latent_scatter

    path = PICTURES / "vae_scatter.png"
    latent_scatter(model.encode(images), labels=labels, path=path)
    return path


def samples_picture(models):
    """Draws from the prior: a block of digits for each size of code."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.4 * len(models), 2.7), dpi=90, layout="constrained")
    for panel, (dims, model) in zip(figure.subplots(1, len(models)), models.items(), strict=True):
        size = model.image_size
        drawn = model.sample(36, seed=1).reshape(6, 6, size, size)
        panel.imshow(mosaic(drawn), cmap="gray", vmin=0.0, vmax=1.0)
        panel.set_title(f"{dims} numbers", fontsize=10)
        panel.set_axis_off()
    return written(figure, "vae_samples")


def interpolation_picture(model, images, labels, pairs=(("3", "8"), ("1", "0")), steps=11):
    """From one digit to another along the straight line and along the arc."""
    from audiozoo.plots import image_rows

    rows, titles = [], []
    for pair in pairs:
        ends = [images[labels.index(label)] for label in pair]
        for spherical in (False, True):
            rows.append(model.interpolate(*ends, steps, spherical=spherical))
            titles.append(f"{pair[0]} to {pair[1]}, {'arc' if spherical else 'straight line'}")
    path = PICTURES / "vae_interpolation.png"
    image_rows(rows, titles=titles, path=path)
    return path


def mosaic(grid):
    """A grid of images ``(rows, columns, size, size)`` as one image."""
    rows, columns, height, width = grid.shape
    return grid.transpose(0, 2, 1, 3).reshape(rows * height, columns * width)


def grid_picture(grid, name):
    """A grid of images, a pixel a pixel."""
    from PIL import Image

    path = PICTURES / f"{name}.png"
    Image.fromarray((255.0 * mosaic(grid)).round().astype("uint8")).save(path, optimize=True)
    return path


def written(figure, name):
    """Path of the figure, written as a PNG."""
    path = PICTURES / f"{name}.png"
    figure.savefig(path)
    return path
