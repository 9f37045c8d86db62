"""The conditional MelGAN: how real its spectrograms are, and how fast it and its layers train."""

if not __package__:
    import as_module  # noqa: F401


import json
import pathlib
import warnings
from typing import Annotated

import numpy as np
import typer

from benchmarks import results, stopwatch

PICTURES = pathlib.Path(__file__).parents[1] / "docs" / "images"
JUDGE_STEPS = 400  # of the classifier, each on 32 crops and as many that are no music
JUDGED = 600  # spectrograms of each kind, a third of each class where there are three
SHOWN = 6  # of each class on the sheet


# --- Quality ---


def quality(
    data: Annotated[
        pathlib.Path, typer.Option(help="Folder of class folders that the models were trained on.")
    ],
    model: Annotated[str, typer.Option(help="Preset, or folder of one.")] = "cmelgan",
    control: Annotated[
        str, typer.Option(help="Preset folder of the published recipe, trained as long on the same; or none.")
    ] = "",
    seed: Annotated[int, typer.Option(help="Of noise, crops and classifier.")] = 0,
):
    """Judge spectrograms by a classifier that was trained on real ones, and draw a sheet of them.

    The classifier learns the classes from the files that the models were trained on, and to tell those from
    what is no music though it has their bands: noise, and their own frames in another order. By its last
    hidden layer, sets are compared with as many of those files: others that nobody was trained on, what the
    models make, and the noise. Histories of both runs among the results say how long they were trained.
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
        clips, clip_frames=made_by.clip_frames, batch_size=32, test_share=settings.test_share, seed=seed
    )
    if crops.classes != made_by.classes:
        raise ValueError(f"data must hold the classes {made_by.classes}; it holds {crops.classes}.")
    judge = Judge(crops, seed=seed)
    sets = {"training": training_set(crops), "held_out": held_out_set(crops)}
    sets |= {"noise": noise_set(crops, seed=seed), "samples": samples_of(made_by, seed=seed)}
    if control:
        sets["control"] = samples_of(audiozoo.load(control), seed=seed)
    found = {name: judge.judgement(*spectrograms) for name, spectrograms in sets.items()}
    recordings = {clips[index].recording for index in crops.held_out}
    values = {
        "model": model,
        "parameters": made_by.count_params(),
        "training": {"model": effort(made_by.preset.name)}
        | ({"control": effort("cmelgan_control")} if control else {}),
        "held_out_files": len(crops.held_out),
        "held_out_recordings": len(recordings),
        "judge_steps": JUDGE_STEPS,
        "sets": found,
    }
    for name, row in found.items():
        print(name, row)
    print(f"written: {results.write('cmelgan_quality', values, seed=seed)}")
    print(f"written: {sheet(made_by, sets)}")


def effort(name):
    """How long a run took whose history lies among the results."""
    path = results.FOLDER / f"{name}_history.jsonl"
    last = json.loads(path.read_text().splitlines()[-1])
    return {"epochs": last["epoch"], "core_minutes": last["core_seconds"] / 60.0}


def training_set(crops):
    """Crops of the training files as they are, classes in equal shares: spectrograms and labels."""
    from audiozoo.data.mels import MelCrops

    plain = MelCrops(crops.clips, clip_frames=crops.clip_frames, batch_size=JUDGED, gain_range_db=0.0)
    plain.training = crops.training
    batch = plain.batch(1_000_000)  # a step that nothing is trained with
    return batch["log_mel"], batch["label"]


def held_out_set(crops):
    """All crops of the held-out files, in equal shares of the classes: the fewest of a class count."""
    places = np.array(crops.validation_places())
    labels = np.array(crops.labels(places))
    counts = [int(np.sum(labels == name)) for name in crops.classes]
    chosen = [
        np.flatnonzero(labels == name)[np.linspace(0, count - 1, min(counts)).round().astype(int)]
        for name, count in zip(crops.classes, counts, strict=True)
    ]
    batch = crops.collate(*places[np.concatenate(chosen)].T)
    return batch["log_mel"], batch["label"]


def noise_set(crops, *, seed):
    """Noise with the bands of the training set; see ``band_noise``."""
    log_mel, labels = training_set(crops)
    return band_noise(log_mel, labels, np.random.default_rng(seed)), labels


def band_noise(log_mel, labels, random):
    """Independent numbers with the mean and deviation that each band has in the spectrograms of a class."""
    made = np.empty_like(log_mel)
    for label in np.unique(labels):
        own = log_mel[labels == label]
        drawn = random.standard_normal(own.shape)
        made[labels == label] = own.mean(axis=(0, 1)) + own.std(axis=(0, 1)) * drawn
    return np.maximum(made, 0.0)


def samples_of(model, *, seed):
    """As many spectrograms of each class, in levels as the data have them."""
    each = JUDGED // len(model.classes)
    made = [model.log_mel(model.sample(name, each, seed=seed)) for name in model.classes]
    return np.maximum(np.concatenate(made), 0.0), np.repeat(np.arange(len(model.classes)), each)


class Judge:
    """A small network that was trained to tell the classes of real spectrograms, and what is none of them.

    A network that learns the classes alone hears the bands and no time: it accepts noise that has them. So
    half of what this one learns from is wrong, and to be called that: noise with the bands of a class, and
    spectrograms with their frames in another order.

    Args:
        crops: ``MelCrops``.
        seed: of its first weights.
    """

    def __init__(self, crops, *, seed):
        import keras
        from keras import layers, ops

        keras.utils.set_random_seed(seed)
        real, self.real_labels = training_set(crops)
        self.mean, self.deviation = real.mean(axis=(0, 1)), real.std()
        picture = keras.Input((crops.clip_frames, crops.num_mels, 1))
        maps = picture
        for channels in (16, 32, 64):
            maps = layers.Conv2D(channels, 3, strides=2, padding="same", activation="relu")(maps)
        # Where in time a sound is does not matter; at what height it is does.
        pooled = layers.Flatten()(ops.mean(maps, axis=1))
        features = layers.Dense(32, activation="relu")(layers.Dropout(0.3)(pooled))
        scores = layers.Dense(len(crops.classes) + 1)(features)
        learner = keras.Model(picture, scores)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        learner.compile(keras.optimizers.Adam(1e-3), loss)
        random = np.random.default_rng(seed)
        for step in range(JUDGE_STEPS):
            batch = crops.batch(step)
            log_mel, labels = batch["log_mel"], batch["label"]
            half = len(log_mel) // 2
            noise = band_noise(log_mel, labels, random)[:half]
            shuffled = [item[random.permutation(len(item))] for item in log_mel[half:]]
            items = np.concatenate([log_mel, noise, shuffled])
            wrong = np.full(len(log_mel), len(crops.classes))
            learner.train_on_batch(self.pictures(items), np.concatenate([labels, wrong]))
        self.network = keras.Model(picture, {"features": features, "scores": scores})
        self.real, self.real_features = real, self.outputs(real)["features"]

    def pictures(self, log_mel):
        """Spectrograms as the network sees them, ``(n, frames, bands, 1)``."""
        return ((log_mel - self.mean) / self.deviation)[..., None].astype("float32")

    def outputs(self, log_mel):
        """Dict: ``features`` and ``scores`` of each spectrogram."""
        return self.network.predict(self.pictures(log_mel), batch_size=64, verbose=0)

    def judgement(self, log_mel, labels):
        """How often the class is recognised, how far the set is from the real one, how far it spreads.

        ``accuracy`` is that among the classes, ``accuracy_as_music`` what is not taken for wrong either. The
        spread is that within a class relative to the real one's, of features and of the spectrograms.
        """
        from audiozoo.metrics import frechet_distance

        found = self.outputs(log_mel)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of few clips: as many for all that are compared
            distance = frechet_distance(self.real_features, found["features"])
        return {
            "spectrograms": len(log_mel),
            "accuracy": float(np.mean(found["scores"][:, :-1].argmax(axis=1) == labels)),
            "accuracy_as_music": float(np.mean(found["scores"].argmax(axis=1) == labels)),
            "frechet_distance": float(distance),
            "spread_of_features": self.spread(found["features"], self.real_features, labels),
            "spread_of_spectrograms": self.spread(log_mel, self.real, labels),
        }

    def spread(self, items, real, labels):
        """Deviation within a class relative to that of real items, mean over classes."""
        ratios = [
            items[labels == label].var(axis=0).sum() / real[self.real_labels == label].var(axis=0).sum()
            for label in np.unique(self.real_labels)
        ]
        return float(np.mean(np.sqrt(ratios)))


def sheet(model, sets, path=None):
    """Real spectrograms above what was made, class by class, as a picture; returns its path."""
    from audiozoo.plots import mel_sheet

    path = PICTURES / "cmelgan_sheet.png" if path is None else path
    rows, titles = [], []
    for label, name in enumerate(model.classes):
        for kind, title in (("held_out", "real"), ("samples", "made")):
            log_mel, labels = sets[kind]
            own = log_mel[labels == label]
            rows.append(own[np.linspace(0, len(own) - 1, SHOWN).round().astype(int)])
            titles.append(f"{name}\n{title}")
    mel_sheet(rows, titles=titles, frame_rate=model.sample_rate / model.hop, path=path)
    return path


# --- Speed ---

# Of the published discriminators, and of a vocoder's: shape of the input and arguments of the layer.
GROUPED = {
    "2-D, 32 to 64 channels, 16 groups, 22 x 22, stride 4": ((4, 64, 64, 32), (64, 22, 4, 16)),
    "1-D, 16 to 64 channels, 4 groups, 41, stride 4": ((2, 8192, 16), (64, 41, 4, 4)),
    "1-D, 64 to 256 channels, 16 groups, 41, stride 4": ((2, 2048, 64), (256, 41, 4, 16)),
}
WITHOUT_WASTE = (1, 4, 4, 4, 4, 1)  # of the discriminator's factors, with the same weights


def speed(
    repeats: Annotated[int, typer.Option(help="Timed rounds of all in turns.")] = 2,
    batch_size: Annotated[int, typer.Option(help="Spectrograms of ten seconds in a training step.")] = 2,
    train: Annotated[bool, typer.Option(help="Time training steps as well.")] = True,
):
    """Time a training step of the published model, with its arithmetic and without waste; and grouped layers.

    Both steps train the large generator and discriminator on spectrograms of ten seconds; the one has the
    second layer padded by 393 on every side and runs the generator again, as published, the other does not.
    Grouped convolutions are timed with the gradients of input and kernel, beside the stock layer.
    """
    results.one_core()
    import keras

    backend = keras.backend.backend()
    values = {"backend": backend, "grouped": {}}
    for name, (shape, arguments) in GROUPED.items():
        values["grouped"][name] = stopwatch.compare(grouped_rivals(shape, *arguments), repeats)
        print(name, values["grouped"][name], flush=True)
    if train:
        values["train_step"] = stopwatch.compare(train_rivals(batch_size), repeats)
        seconds_of_sound = batch_size * 256 * 864 / 22050
        for row in values["train_step"].values():
            row["kilohertz"] = 22.05 * seconds_of_sound / row["median_seconds"]
        values["batch_size"] = batch_size
        print(values["train_step"], flush=True)
    print(f"written: {results.write(f'cmelgan_speed_{backend}', values)}")


def grouped_rivals(shape, filters, kernel_size, stride, groups):
    """A training step of the stock layer and of ours, with the gradient of their input."""
    from keras import layers

    from audiozoo.layers import Convolution

    stock = layers.Conv2D if len(shape) == 4 else layers.Conv1D
    return {
        "baseline": layer_step(stock(filters, kernel_size, strides=stride, groups=groups), shape),
        "ours": layer_step(
            Convolution(filters, kernel_size, stride=stride, groups=groups, padding="none"), shape
        ),
    }


def layer_step(layer, shape):
    """A function that trains a layer, and something before it, by one step."""
    import keras

    class Scaled(keras.Model):
        def build(self, input_shape):
            self.scale = self.add_weight(shape=(shape[-1],), initializer="ones")
            layer.build(input_shape)
            self.layer = layer

        def call(self, signal):
            return self.layer(signal * self.scale)

    model = Scaled()
    model.compile(keras.optimizers.SGD(1e-6), "mse", jit_compile="auto")
    random = np.random.default_rng(0)
    signal = random.standard_normal(shape, dtype="float32")
    target = np.zeros(layer.compute_output_shape(shape), "float32")
    return lambda: model.train_on_batch(signal, target)


def train_rivals(batch_size):
    """A training step of the published arithmetic, and of the same weights without waste.

    The published code runs the generator again in the discriminator's step, on the same noise, and takes its
    gradient there too, since nothing is detached.
    """
    import keras

    import audiozoo
    from audiozoo.data.pipelines import training_pairs

    def step_of(model, optimizer, **settings):
        model.compile(optimizer, **settings)
        random = np.random.default_rng(0)
        shape = (batch_size, model.clip_frames, model.num_mels)
        batch = {
            "log_mel": random.uniform(0.0, 5.0, shape).astype("float32"),
            "noise": random.standard_normal((batch_size, model.latent_dim), dtype="float32"),
            "label": np.zeros(batch_size, "int32"),
        }
        inputs, target = training_pairs(batch)
        return lambda: model.train_on_batch(inputs, target)

    def made(**changes):
        return audiozoo.load("cmelgan_seed_large", weights=False, **changes)

    class GeneratorAlone(keras.Model):
        def __init__(self, model):
            super().__init__()
            self.generator, self.clip_frames = model.generator, model.clip_frames
            self.num_mels, self.latent_dim = model.num_mels, model.latent_dim

        def call(self, inputs, training=False):
            return self.generator(inputs["noise"], inputs["label"], training=training)

    published = step_of(made(), keras.optimizers.Adam(1e-6))
    again = step_of(GeneratorAlone(made()), keras.optimizers.SGD(1e-9), loss="mse")
    without_waste = step_of(made(discriminator_factors=WITHOUT_WASTE), keras.optimizers.Adam(1e-6))
    return {"baseline": lambda: (published(), again()), "ours": without_waste}
