"""What happens at the end of each epoch: the checkpoint, the best preset, something to hear and to see."""

import json
import math
import pathlib
import re
import time

import keras
import numpy as np

from audiozoo.atomic import replacing
from audiozoo.data.audio_io import write_audio
from audiozoo.errors import TrainingError
from audiozoo.foreign import refused
from audiozoo.metrics import kl_per_dimension
from audiozoo.plots import image_rows, latent_scatter, mel_sheet, spectrogram_comparison
from audiozoo.training.averaging import averaged_weights

# Of what is held out, after each epoch.
SHOWN_IMAGES = 12
SCATTERED_POINTS = 4000
SHOWN_SPECTROGRAMS = 5


class FiniteLoss(keras.callbacks.Callback):
    """Ends a run whose loss is no number, before any other callback keeps or plays what it learned."""

    def on_epoch_end(self, epoch, logs=None):
        broken = {name: float(value) for name, value in logs.items() if not math.isfinite(value)}
        if broken:
            name, value = next(iter(broken.items()))
            raise TrainingError(
                f"{name} became {value} in epoch {epoch + 1}. The checkpoint of the epoch before is kept; "
                "lower train.learning_rate in the preset and train into a new folder."
            )


class BetaWarmup(keras.callbacks.Callback):
    """Raises the weight of a VAE's divergence from 0 to ``model.beta``, evenly from epoch to epoch.

    The value is a function of the epoch alone, so a resumed run goes on with it. It stands in the log as
    ``beta``.

    Args:
        epochs: over which it rises; the first epoch has 0, this many later it is there.
    """

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_begin(self, epoch, logs=None):
        # Here and not at each batch: JAX reads a model's variables at the beginning of an epoch only.
        self.value = self.model.beta * min(1.0, epoch / self.epochs)
        self.model.beta_now.assign(self.value)

    def on_epoch_end(self, epoch, logs=None):
        logs["beta"] = self.value


class AdversarialFrom(keras.callbacks.Callback):
    """Lets a model's discriminator take part from some epoch on, whether the run was interrupted or not.

    Args:
        epoch: number of epochs without it.
    """

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        self.model.set_adversarial(epoch >= self.epoch)


class Progress(keras.callbacks.Callback):
    """Keeps the run: checkpoint, history, and the preset of the best epoch so far.

    Args:
        folder: of the run.
        checkpoint: ``checkpoint.Checkpoint`` of the model.
        restored: what its ``restore`` gave.
        save_best: called with the logs whenever the monitored loss is the lowest so far.
        judged_by_loss: False calls ``save_best`` after every epoch.
        max_minutes: end the run after the epoch in which this much time has passed, or None.
    """

    def __init__(self, folder, checkpoint, restored, *, save_best, judged_by_loss=True, max_minutes=None):
        super().__init__()
        self.checkpoint, self.save_best, self.judged_by_loss = checkpoint, save_best, judged_by_loss
        self.history_path = pathlib.Path(folder) / "history.jsonl"
        with refused(
            TrainingError, f"the checkpoint in {str(folder)!r} is damaged", "Delete it to begin anew."
        ):
            self.done, self.best = int(restored.get("epoch", 0)), float(restored.get("best", math.inf))
            self.history = [dict(entry) for entry in restored.get("history", [])]
            last = self.history[-1] if self.history else {"epoch": 0, "loss": 0.0, "core_seconds": 0.0}
            if last["epoch"] != self.done or not math.isfinite(last["loss"]):
                raise ValueError(f"after {self.done} epochs its history ends with {last}")
            self.core_seconds = float(last["core_seconds"])
        self.deadline = math.inf if max_minutes is None else time.monotonic() + 60.0 * max_minutes

    def on_train_batch_begin(self, batch, logs=None):
        self.began = time.process_time()

    def on_train_batch_end(self, batch, logs=None):
        self.core_seconds += time.process_time() - self.began

    def on_epoch_end(self, epoch, logs=None):
        logs = {name: float(value) for name, value in logs.items()}
        self.history.append({"epoch": epoch + 1, "core_seconds": round(self.core_seconds, 1), **logs})
        monitored = logs.get("val_loss", logs["loss"])
        if monitored < self.best or not self.judged_by_loss:
            self.best = monitored
            self.save_best(logs)
        lines = "".join(json.dumps(entry) + "\n" for entry in self.history)
        with replacing(self.history_path) as draft:  # a copy to read; the checkpoint holds the truth
            draft.write_text(lines)
        self.checkpoint.save(epoch=epoch + 1, best=self.best, history=self.history)
        if time.monotonic() > self.deadline:
            self.model.stop_training = True


class Listening(keras.callbacks.Callback):
    """After each epoch, what the model makes of a held-out clip and of recordings, to hear and to see.

    Written as WAV and PNG files into ``folder/examples``, and to TensorBoard in ``folder/logs``
    where TensorFlow is installed.

    Args:
        folder: of the run.
        held_out: batch ``(inputs, target)`` whose first clip is the example; None where nothing is.
        monitors: dict name -> ``(audio, sample_rate)`` to be performed as well.
    """

    def __init__(self, folder, held_out, monitors):
        super().__init__()
        self.folder = pathlib.Path(folder)
        self.held_out, self.monitors = held_out, monitors
        self.board = TensorBoardWriter.if_possible(self.folder / "logs")

    def on_epoch_end(self, epoch, logs=None):
        if self.board:
            self.board.scalars(epoch + 1, logs or {})
        with averaged_weights(self.model):
            pairs = self.sounds()
        sample_rate = self.model.sample_rate
        for name, (source, result) in pairs.items():
            stem = self.folder / "examples" / f"epoch_{epoch + 1:04d}_{name}"
            result = result / max(1.0, float(np.abs(result).max()))  # an early epoch may be too loud
            write_audio(stem.with_suffix(".wav"), result, sample_rate)
            figure = spectrogram_comparison(
                source, result, sample_rate=sample_rate, path=stem.with_suffix(".png")
            )
            if self.board:
                self.board.example(epoch + 1, name, result, sample_rate, figure)

    def sounds(self):
        """Dict name -> ``(source, what the model makes of it)``."""
        pairs = {}
        if self.held_out:
            inputs, target = self.held_out
            first = {name: value[:1] for name, value in inputs.items()}
            pairs["held_out"] = (target[0], self.model.render(first)[0])
        for name, (audio, sample_rate) in self.monitors.items():
            pairs[name] = (audio, self.model.perform(audio, sample_rate))
        return pairs


class Viewing(keras.callbacks.Callback):
    """After each epoch, held-out images and what the model makes of them, to see.

    Written and shown as by ``Listening``.

    Args:
        folder: of the run.
        held_out: batch ``(inputs, target)`` whose first images are the examples; None where nothing is.
    """

    def __init__(self, folder, held_out):
        super().__init__()
        self.folder, self.held_out = pathlib.Path(folder), held_out
        self.board = TensorBoardWriter.if_possible(self.folder / "logs")

    def on_epoch_end(self, epoch, logs=None):
        if self.board:
            self.board.scalars(epoch + 1, logs or {})
        if not self.held_out:
            return
        inputs, target = self.held_out
        few = {name: value[:SHOWN_IMAGES] for name, value in inputs.items()}
        with averaged_weights(self.model):
            rebuilt = self.model.render(few)
        figure = image_rows(
            [target[:SHOWN_IMAGES], rebuilt],
            titles=("held out", "reconstruction"),
            path=self.folder / "examples" / f"epoch_{epoch + 1:04d}_held_out.png",
        )
        if self.board:
            self.board.picture(epoch + 1, "held_out/images", figure)


class Sampling(keras.callbacks.Callback):
    """After each epoch, real spectrograms of every class above some that the model makes, and one to hear.

    The real ones are held out where anything is. Written and shown as by ``Listening``; the noise is the same
    after each epoch.

    Args:
        folder: of the run.
        crops: ``MelCrops`` of the training.
    """

    def __init__(self, folder, crops):
        super().__init__()
        self.folder = pathlib.Path(folder)
        places = crops.validation_places()
        labels = np.array(crops.labels(places))
        self.real = {}
        for name in crops.classes:
            own = [places[index] for index in np.flatnonzero(labels == name)]
            own = [own[index] for index in evenly(len(own), SHOWN_SPECTROGRAMS)]
            if own:
                self.real[name] = crops.collate(*zip(*own, strict=True))["log_mel"]
        self.classes = crops.classes
        self.board = TensorBoardWriter.if_possible(self.folder / "logs")

    def on_epoch_end(self, epoch, logs=None):
        if self.board:
            self.board.scalars(epoch + 1, logs or {})
        model, rows, titles = self.model, [], []
        stem = f"epoch_{epoch + 1:04d}"
        with averaged_weights(model):
            made = {name: model.sample(name, SHOWN_SPECTROGRAMS) for name in self.classes}
        for name in self.classes:
            if name in self.real:
                rows.append(self.real[name])
                titles.append(f"{name}\nheld out")
            rows.append(model.log_mel(made[name]))
            titles.append(f"{name}\nmade")
        figure = mel_sheet(
            rows,
            titles=titles,
            frame_rate=model.sample_rate / model.hop,
            path=self.folder / "examples" / f"{stem}_classes.png",
        )
        if self.board:
            self.board.picture(epoch + 1, "classes/spectrograms", figure)
        for number, name in enumerate(self.classes, start=1):  # numbered, since a name may be no file's name
            audio = model.sound(made[name][0])
            audio = audio / max(1.0, float(np.abs(audio).max()))
            safe = re.sub(r"[^\w-]+", "_", name)
            write_audio(self.folder / "examples" / f"{stem}_{number}_{safe}.wav", audio, model.sample_rate)
            if self.board:
                self.board.sound(epoch + 1, name, audio, model.sample_rate)


class LatentScatter(keras.callbacks.Callback):
    """After each epoch, the codes of what is held out in the two dimensions that say most.

    Those are the dimensions with the largest KL divergence; the points are means of posteriors, one an item
    or frame, coloured by label where there is one. Written and shown as by ``Listening``.

    Args:
        folder: of the run.
        crops: of the training, with ``validation_places``, ``collate`` and ``labels``.
        items: how many are encoded at most, evenly from all that is held out.
    """

    def __init__(self, folder, crops, *, items):
        super().__init__()
        self.folder = pathlib.Path(folder)
        places = crops.validation_places()
        places = [places[index] for index in evenly(len(places), items)]
        self.batch = crops.collate(*zip(*places, strict=True)) if places else None
        self.labels = crops.labels(places)
        self.board = TensorBoardWriter.if_possible(self.folder / "logs")

    def on_epoch_end(self, epoch, logs=None):
        if self.batch is None:
            return
        with averaged_weights(self.model):
            code = self.model.code_distribution(self.batch[self.model.encodes])
        means = np.reshape(code["mean"], (-1, code["mean"].shape[-1]))
        chosen = evenly(len(means), SCATTERED_POINTS)
        kl = kl_per_dimension(**code)
        first, second = np.resize(np.argsort(kl)[::-1], 2)  # of a single dimension, twice that one
        labels = self.labels and np.repeat(self.labels, len(means) // len(self.labels))[chosen]
        figure = latent_scatter(
            means[chosen][:, [first, second]],
            labels=labels,
            axes=[f"dimension {index} ({kl[index]:.2f} nats)" for index in (first, second)],
            path=self.folder / "examples" / f"epoch_{epoch + 1:04d}_codes.png",
        )
        if self.board:
            self.board.picture(epoch + 1, "held_out/codes", figure)


def evenly(count, most):
    """Up to ``most`` whole numbers below ``count``, evenly spread."""
    return np.unique(np.linspace(0, max(0, count - 1), min(count, most)).round().astype(int))


class TensorBoardWriter:
    """Scalars, audio and figures for TensorBoard, through TensorFlow's summary writer."""

    def __init__(self, folder):
        import tensorflow as tf

        self.tf = tf
        self.writer = tf.summary.create_file_writer(str(folder))

    @classmethod
    def if_possible(cls, folder):
        """A writer, or None where TensorFlow is not the backend."""
        return cls(folder) if keras.backend.backend() == "tensorflow" else None

    def scalars(self, step, logs):
        """One epoch's numbers."""
        with self.writer.as_default(step=step):
            for key, value in logs.items():
                self.tf.summary.scalar(key, float(value))
        self.writer.flush()

    def example(self, step, name, audio, sample_rate, figure):
        """One example's sound and picture."""
        self.sound(step, name, audio, sample_rate)
        self.picture(step, f"{name}/spectrogram", figure)

    def sound(self, step, name, audio, sample_rate):
        """One sound."""
        with self.writer.as_default(step=step):
            self.tf.summary.audio(f"{name}/sound", audio[None, :, None], sample_rate)
        self.writer.flush()

    def picture(self, step, name, figure):
        """One figure."""
        figure.canvas.draw()
        with self.writer.as_default(step=step):
            self.tf.summary.image(name, np.asarray(figure.canvas.buffer_rgba())[None, :, :, :3])
        self.writer.flush()
