"""From a preset and a folder of recordings to a new preset that plays them."""

import inspect
import json
import pathlib
import time

import keras
import pydantic

from audiozoo import registry
from audiozoo.atomic import make_folder, replacing
from audiozoo.data.audio_io import read_audio
from audiozoo.data.pipelines import HeldOut, training_stream
from audiozoo.errors import AudioError, DataError, InvalidPreset, TrainingError, one_line
from audiozoo.foreign import json_object, refused
from audiozoo.models import VAE, AdversarialModel, AudioModel
from audiozoo.models.base import jit_choice
from audiozoo.training.averaging import AveragedValidation, averaged_weights
from audiozoo.training.callbacks import (
    AdversarialFrom,
    BetaWarmup,
    FiniteLoss,
    LatentScatter,
    Listening,
    Progress,
    Sampling,
    Viewing,
)
from audiozoo.training.checkpoint import Checkpoint
from audiozoo.training.devices import Devices, check_divisible, devices_for
from audiozoo.training.material import MATERIALS
from audiozoo.training.schedule import WarmupThenDecay
from audiozoo.zoo import load

ADAPT_BATCHES = 64  # whose statistics a model that standardises its input takes
# By the ``trains_on`` of a model.
MAKES_NOTHING_OF_A_RECORDING = {"images": "makes images", "classes": "makes sound from noise"}
# Of what is held out: images are many and cheap to encode; a clip is many points by itself.
SCATTERED_IMAGES, SCATTERED_CLIPS = 1000, 48


def train(
    preset,
    data,
    *,
    out,
    epochs=None,
    max_minutes=None,
    monitor=(),
    initial=None,
    validation_files="*",
    seed=None,
    devices=1,
    smoke=False,
    examples=True,
    progress=True,
):
    """Train a preset's architecture, as its YAML says.

    Started again with the same ``out`` the run goes on where its last whole epoch ended, killed
    or not, with the same optimizer state and the same batches as if it had not stopped.

    Args:
        preset: name or path of a preset with a ``train`` section, or a ``registry.Preset``.
        data: folder of recordings of one instrument, or for a model that trains on clips of any sound files;
            either may be a folder of records (``data.records``) made of them; for one that trains on classes
            a folder of folders of files; for one that trains on images see
            ``audiozoo.data.images.load_images``.
        out: folder of the run: ``preset/`` (best epoch so far, or the last one of a model that no loss
            judges; ``audiozoo.load`` opens it),
            ``checkpoint.npz``, ``history.jsonl``, ``examples/``, ``logs/`` for TensorBoard.
        epochs: total number, instead of the preset's.
        max_minutes: end after the epoch in which this much time has passed.
        monitor: audio files to transfer after each epoch, where the model plays sound.
        initial: name or path of a preset of the same configuration whose weights to begin with, such as one
            that was trained on more recordings of the instrument; None begins with random weights.
        validation_files: shell pattern of the recordings by whose end the best epoch is chosen. The end
            of the others is not trained on either, so that it can be judged too. For a model that trains on
            clips every file that is held out counts.
        seed: of the initial weights and the batches, instead of the preset's.
        devices: how many GPUs of this machine share every batch, or TPUs, or CPU devices where there is
            neither (``devices.available``); their number divides the preset's ``batch_size``. It may change
            when a run is resumed.
        smoke: one step, everything else as in a real run, in the folder ``smoke`` within ``out``.
        examples: write something to hear and to see after each epoch; False where many short runs are judged
            by numbers.
        progress: show Keras's progress bar.

    Returns:
        Dict: ``loss`` and ``val_loss`` of the last epoch, ``epochs`` trained in all, ``seconds``
        of this call, ``preset_folder``.

    Raises:
        InvalidPreset: the preset has no ``train`` section, or its architecture no recipe.
        DataError: no usable recording, none long enough, or none named by ``validation_files``.
        TrainingError: ``epochs`` or ``seed`` is out of range, ``initial`` has another configuration, there is
            a ``monitor`` for a model that makes nothing of a recording, ``out`` holds a run with other
            settings or a damaged checkpoint, the loss is not finite, or this cannot be trained on so many
            ``devices``.
        OutputError: ``out`` cannot be written.
    """
    began = time.monotonic()
    preset = preset if isinstance(preset, registry.Preset) else registry.info(preset)
    check_recipe(preset)
    if preset.train is None:
        raise InvalidPreset(f"preset {preset.name!r} has no train section, so it cannot be trained. Add one.")
    changes = {"epochs": epochs, "seed": seed} | ({"epochs": 1, "steps_per_epoch": 1} if smoke else {})
    settings = changed_settings(preset.train, changes)
    spread = devices_for(devices, settings)  # before anything is computed
    config = full_config(preset)
    kind = AudioModel.architectures[preset.architecture].trains_on
    if kind in MAKES_NOTHING_OF_A_RECORDING and monitor:
        raise TrainingError(
            f"monitor must be left out: {preset.architecture} {MAKES_NOTHING_OF_A_RECORDING[kind]}; got "
            f"{monitor[0]!r}. What it makes is in the folder examples."
        )
    monitors = {  # numbered, since two files in different folders may share a name
        f"{number}_{pathlib.Path(path).stem}": read_audio(path, sample_rate=config["sample_rate"])
        for number, path in enumerate(monitor, start=1)
    }
    material = material_for(preset, data, settings, validation_files=validation_files, progress=progress)
    crops = material.crops
    out = make_folder(pathlib.Path(out) / "smoke" if smoke else out)

    keras.utils.set_random_seed(settings.seed)
    model = new_model(preset, data, material, spread)
    if initial is not None:
        begin_with(model, initial, given=material.config)
    claim_folder(out, preset, settings, material.files, initial, validation_files)

    with spread.building():
        compile_for_training(model, settings)
        checkpoint = Checkpoint(out / "checkpoint.npz", model)
    restored = checkpoint.restore()

    def save_best(logs):
        card = trained_card(preset, material, logs, initial)
        with averaged_weights(model):
            model.save_to_preset(out / "preset", name=preset.name, card=card, train=settings)

    held_out = HeldOut(crops, multiple_of=spread.count)
    if not len(held_out) and len(HeldOut(crops)):
        raise TrainingError(
            f"devices is {devices}, more than the {len(crops.validation_places())} items that are held out. "
            "Train on fewer devices, or hold out more."
        )
    example = held_out[0] if len(held_out) else None
    keeper = Progress(
        out,
        checkpoint,
        restored,
        save_best=save_best,
        judged_by_loss=model.judged_by_loss,
        max_minutes=max_minutes,
    )
    shown = []
    if examples and kind == "images":
        shown.append(Viewing(out, example))
    elif examples and kind == "classes":
        shown.append(Sampling(out, crops))
    elif examples:
        shown.append(Listening(out, example, monitors))
    if examples and isinstance(model, VAE):
        items = SCATTERED_IMAGES if kind == "images" else SCATTERED_CLIPS
        shown.append(LatentScatter(out, crops, items=items))
    # An epoch is kept before it is drawn.
    callbacks = [*spread.callbacks, *callbacks_of_learning(settings), keeper, *shown]
    done = keeper.done
    if done < settings.epochs:
        with spread.running():
            model.fit(
                training_stream(crops, first_step=done * settings.steps_per_epoch),
                validation_data=held_out if len(held_out) else None,
                epochs=settings.epochs,
                initial_epoch=done,
                steps_per_epoch=settings.steps_per_epoch,
                callbacks=callbacks,
                shuffle=False,
                verbose="auto" if progress else 0,
            )
    last = keeper.history[-1]
    return {
        "loss": last["loss"],
        "val_loss": last.get("val_loss"),
        "epochs": last["epoch"],
        "seconds": round(time.monotonic() - began, 1),
        "preset_folder": str(out / "preset"),
    }


def check_recipe(preset):
    """Raise InvalidPreset if there is nothing that a preset's architecture could be trained on here."""
    if AudioModel.architectures[preset.architecture].trains_on is None:
        raise InvalidPreset(
            f"preset {preset.name!r} cannot be trained: there is no recipe for {preset.architecture}, whose "
            "weights come from elsewhere. Use the model's own fit, with batches of yours."
        )


def full_config(preset):
    """All constructor arguments that a preset's architecture gets, its own defaults included."""
    architecture = AudioModel.architectures[preset.architecture]
    arguments = inspect.signature(architecture).parameters
    return {name: arguments[name].default for name in architecture.argument_names()} | preset.config


def material_for(preset, data, settings, *, validation_files="*", progress=True):
    """The ``Material`` that a preset's architecture trains on, of these data. Raises DataError."""
    prepare = MATERIALS[AudioModel.architectures[preset.architecture].trains_on]
    return prepare(data, full_config(preset), settings, validation_files=validation_files, progress=progress)


def new_model(preset, data, material, spread=Devices()):  # noqa: B008  (frozen)
    """An untrained model of a preset, with what its data give. Raises DataError where that is nothing."""
    with spread.building():
        model = AudioModel.architectures[preset.architecture](**(preset.config | material.config))
    model.preset = preset
    check_divisible(model)
    try:
        model.adapt(material.crops.batch(step) for step in range(ADAPT_BATCHES))
    except AudioError as error:
        raise DataError(f"data {str(data)!r} cannot be learned from: {one_line(error)}") from error
    return model


def compile_for_training(model, settings):
    """Give a model its optimizer and loss, as ``registry.Train`` says."""
    momentum = settings.average_momentum
    optimizer = adam(settings, use_ema=momentum > 0.0, ema_momentum=momentum)
    if isinstance(model, AdversarialModel):
        other = adam(settings, rate=settings.discriminator_rate)
        model.compile(optimizer, discriminator_optimizer=other, jit_compile=jit_choice(model))
    else:
        model.compile(optimizer, loss=model.training_loss(), jit_compile=jit_choice(model))


def adam(settings, *, rate=1.0, **average):
    """Adam with the learning rate, times ``rate``, momentum and limit that ``registry.Train`` says."""
    schedule = WarmupThenDecay(
        learning_rate=rate * settings.learning_rate,
        warmup_steps=settings.warmup_steps,
        decay_per_epoch=settings.decay_per_epoch,
        steps_per_epoch=settings.steps_per_epoch,
    )
    momentum = {"beta_1": settings.adam_beta_1, "beta_2": settings.adam_beta_2}
    limit = {"global_clipnorm": settings.gradient_norm or None}
    return keras.optimizers.Adam(schedule, **momentum, **limit, **average)


def callbacks_of_learning(settings):
    """The callbacks that a run cannot do without, in their order; those that only write come after."""
    warmup = [BetaWarmup(settings.beta_warmup_epochs)] if settings.beta_warmup_epochs else []
    start = [AdversarialFrom(settings.adversarial_from_epoch)] if settings.adversarial_from_epoch else []
    return [FiniteLoss(), AveragedValidation(), *warmup, *start]


def begin_with(model, initial, *, given):
    """Give a model the weights of the preset ``initial``, but for arguments ``given`` by the data the same.

    Raises TrainingError, see ``train``.
    """
    source = load(initial)
    differing = list(differences(description(source, given), description(model, given)))
    if differing:
        raise TrainingError(
            f"initial {str(initial)!r} must have the configuration that is trained; it has another "
            f"{'; '.join(differing)}. Choose another preset to begin with, or leave it out."
        )
    try:
        model.set_weights(source.get_weights())
    except ValueError as error:
        arguments = ", ".join(f"{name}={getattr(source, name)!r}" for name in given)
        raise TrainingError(
            f"initial {str(initial)!r} does not fit these data: it has {arguments}. Train on such data as it "
            "was trained on, or leave it out."
        ) from error


def description(model, given):
    """Architecture and configuration, without what is no choice: its name, and what the data give."""
    config = {name: getattr(model, name) for name in model.argument_names() if name not in given}
    return {"architecture": type(model).__name__, "config": config}


def trained_card(preset, material, logs, initial):
    """The card of what was trained here: its own data and results, not those of the preset's weights."""
    count = len(material.files)
    names = ", ".join(name for name, _ in material.files[:8])
    more = f" and {count - 8} more" if count > 8 else ""
    what = f"{material.files[0][1]} images" if "image_size" in preset.config else f"{count} recordings"
    before = "" if initial is None else f", beginning with the weights of {registry.info(initial).name}"
    return registry.Card(
        summary=f"{preset.architecture} trained as {preset.name} says, on {what}{before}.",
        weights_license="not stated; see the licence of what it was trained on",
        training_data=names + more,
        training_data_license=", ".join(material.licenses) or None,
        paper=preset.card.paper,
        results={name: float(logs[name]) for name in ("loss", "val_loss") if name in logs},
    )


def changed_settings(settings, changes):
    """The preset's settings with those changes that are not None. Raises TrainingError, see ``train``."""
    changes = {name: value for name, value in changes.items() if value is not None}
    try:
        return registry.Train.model_validate(settings.model_dump() | changes)
    except pydantic.ValidationError as error:
        (problem, *_) = error.errors()
        raise TrainingError(f"{problem['loc'][0]}: {problem['msg']}; got {problem['input']!r}.") from error


def claim_folder(out, preset, settings, files, initial, validation_files):
    """Note in the folder what it trains; refuse a folder that trains something else.

    The number of epochs may change between calls: a finished run can be prolonged.
    """
    run = {
        "architecture": preset.architecture,
        "config": preset.config,
        "train": settings.model_dump(exclude={"epochs"}),
        "recordings": files,
        "initial": None if initial is None else registry.info(initial).weights.sha256,
        "validation_files": validation_files,
    }
    claim(out, "run", run, defaults={"train": registry.Train().model_dump(exclude={"epochs"})})


def claim(out, kind, what, *, defaults=None):
    """Note in ``out / f"{kind}.json"`` what the folder is for; refuse a folder that is for something else.

    Args:
        out: the folder.
        kind: what it holds, for the name of the file and the message.
        what: nested dict.
        defaults: dict of a part of ``what`` to the values that count where the folder, made by an earlier
            version, says nothing of them.

    Raises:
        TrainingError: see ``train``.
    """
    what = json.loads(json.dumps(what))  # tuples become lists, as they do on disk
    path = out / f"{kind}.json"
    if path.exists():
        with refused(TrainingError, f"{str(path)!r} is damaged", "Delete its folder to begin anew."):
            earlier = json_object(path)
            for part, values in (defaults or {}).items():
                earlier[part] = values | earlier[part]
            differing = list(differences(earlier, what))
        if differing:
            raise TrainingError(
                f"out {str(out)!r} holds a {kind} with another {'; '.join(differing[:10])}. "
                "Choose another folder, or delete it to begin anew."
            )
        return
    with replacing(path) as draft:
        draft.write_text(json.dumps(what, indent=2))


def differences(earlier, now, prefix=""):
    """``name (earlier value, now value)`` of every entry of two nested dicts that is not the same."""
    earlier = earlier if isinstance(earlier, dict) else {}
    for key in now | earlier:
        before, after = earlier.get(key), now.get(key)
        if isinstance(after, dict):
            yield from differences(before, after, f"{prefix}{key}.")
        elif before != after:
            yield f"{prefix}{key:.80} (was {before!s:.80}, is {after!s:.80})"
