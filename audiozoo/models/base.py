"""What every model of the zoo is."""

import contextlib
import inspect
import pathlib
import re
import threading
import zipfile

import keras
import numpy as np
from keras import ops

from audiozoo import registry, weights
from audiozoo.atomic import replacing_folder
from audiozoo.errors import ExportError, InvalidPreset, OutputError

MOST_WEIGHTS = 1 << 30  # numbers in a model that is made from a file, twenty times those of our largest
BATCH = 16  # items computed at once: bounds memory, and the number of shapes to compile for


class AudioModel(keras.Model):
    """A Keras model whose keyword-only constructor arguments are its whole configuration.

    A subclass keeps each of them as an attribute of the same name (tuples, never lists: Keras
    wraps lists) and ends its constructor by calling itself on zeros, so that weights can be
    loaded into it. Subclassing is all the registration there is.

    Attributes:
        architectures: every subclass by its name, the table that presets refer to.
        preset: the preset that the model was loaded from, or None.
        trains_on: ``"instrument"``, recordings of one instrument with pitch and loudness, ``"clips"``, files
            of any sound, ``"classes"``, spectrograms of files in folders of classes, ``"images"``, or None
            for a model that has no recipe: its weights come from elsewhere.
        judged_by_loss: whether the epoch with the lowest loss of what is held out is the best one; otherwise
            the last is kept.
        gains_from_xla: whether XLA is worth its compilation under TensorFlow on a CPU.
    """

    architectures: dict[str, type["AudioModel"]] = {}
    preset: registry.Preset | None = None
    trains_on: str | None
    judged_by_loss = True
    gains_from_xla = True

    def __init_subclass__(cls, *, abstract=False, **kwargs):
        super().__init_subclass__(**kwargs)
        if abstract:  # what several architectures share is none itself
            return
        keras.saving.register_keras_serializable("audiozoo")(cls)
        AudioModel.architectures[cls.__name__] = cls

    def __init__(self, **kwargs):
        # No autocast: under a mixed policy Keras would round the inputs, and with them pitch, to 8 bits.
        super().__init__(**({"autocast": False} | kwargs))
        # Past Keras's attribute tracking: it would make each of them a sublayer of this model.
        self.__dict__["_compiled_functions"] = {}

    @classmethod
    def argument_names(cls) -> list[str]:
        """Names of the constructor's own arguments: the keys of a preset's ``config``."""
        parameters = inspect.signature(cls.__init__).parameters.values()
        return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]

    def get_config(self):
        # Not Keras's automatic config: for a Model (unlike a Layer) it records the default
        # values of the arguments, whatever was passed, and says nothing.
        return {"name": self.name} | {name: getattr(self, name) for name in self.argument_names()}

    def training_loss(self):
        """The loss to compile with, or None where the model has a ``batch_loss``."""

    def batch_loss(self, x, y, y_pred, *, training):
        """What is minimised, where that is more than a loss to compile with: a mean over a batch.

        Under TensorFlow's ``MirroredStrategy`` it is called on each device's share of the batch, and the mean
        of the shares counts. What is no sum over items needs ``whole_batch_mean``.

        Args:
            x, y: inputs and target.
            y_pred: what the model returned.
            training: False for what is held out.

        Returns:
            Scalar.
        """
        raise NotImplementedError

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The ``batch_loss`` of a model that has one, otherwise what it was compiled with."""
        if type(self).batch_loss is AudioModel.batch_loss:
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        if sample_weight is not None:
            raise ValueError("sample_weight must be None: every item counts the same. Draw some more often.")
        loss = self.batch_loss(x, y, y_pred, training=training)
        # Keras adds the gradients of all replicas, and divides by their number no loss but its own.
        return loss / self.replicas if self.replicas > 1 else loss

    @property
    def replicas(self):
        """Among how many devices each batch is divided before the model sees it.

        1 but for TensorFlow's strategies: where JAX divides a batch, the model still sees the whole.
        """
        strategy = getattr(self, "distribute_strategy", None)
        return strategy.num_replicas_in_sync if strategy else 1

    def whole_batch_mean(self, mean):
        """Of a mean over a share of a batch, that over the whole batch; gradients flow to every share."""
        return ops.moments(mean[None], axes=[0], synchronized=True)[0] if self.replicas > 1 else mean

    def adapt(self, batches):
        """Measure what the model must know of its training set beforehand; most models nothing.

        Args:
            batches: iterable of training batches, dicts of arrays. It may be left unread.
        """

    def settle(self):
        """Measure again what was measured with other weights than these; most models nothing."""

    def released_weights(self):
        """Values of the weights that a preset holds: those of a model that was just made, in its order."""
        return self.get_weights()

    def render(self, inputs):
        """What a batch of training inputs becomes, to be heard or seen beside its target."""
        raise NotImplementedError

    def perform(self, audio, sample_rate):
        """What the model makes of a recording, ``(samples,)`` at ``self.sample_rate``."""
        raise NotImplementedError

    def exported(self):
        """What ``audiozoo.export`` writes to a file, as an ``exported.Exported``; the model stays as it is.

        Raises:
            ExportError: the architecture says nothing of it.
        """
        able = [n for n, kind in AudioModel.architectures.items() if kind.exported is not AudioModel.exported]
        raise ExportError(
            f"the architecture {type(self).__name__} cannot be exported. These can: "
            f"{', '.join(sorted(able))}. One of your own needs a method 'exported'."
        )

    def save_to_preset(self, folder, *, name, card=None, train=None, half_precision=True):
        """Write a folder that ``audiozoo.load(folder)`` opens: ``preset.yaml`` and the weights.

        The folder appears whole or not at all; a preset that was there before is replaced.

        Args:
            folder: where to write.
            name: the preset's name.
            card: ``registry.Card``; by default the one the model was loaded with.
            train: ``registry.Train``, how it was trained.
            half_precision: of the weights; False keeps every bit of them, in twice the space.

        Returns:
            pathlib.Path of the folder.

        Raises:
            InvalidPreset: the name is no name of a preset.
            OutputError: the folder cannot be written, or holds something that is no preset.
        """
        folder = pathlib.Path(folder)
        if not re.fullmatch(registry.NAME_PATTERN, name):
            raise InvalidPreset(
                f"name must be letters, digits, '-' and '_', such as 'my_violin'; got {name!r}."
            )
        in_the_way = folder.is_file() or (folder.exists() and any(folder.iterdir()))
        if in_the_way and not (folder / "preset.yaml").exists():
            raise OutputError(
                f"folder must be new, empty or an earlier preset; {str(folder)!r} is a file or holds other "
                "files. Choose another folder."
            )
        with replacing_folder(folder) as draft:
            self._write_preset(draft, name=name, card=card, train=train, half_precision=half_precision)
        return folder

    def fresh_copy(self):
        """The same model with weights of its own, as if it had just been loaded: it is not compiled."""
        copy = type(self).from_config(self.get_config())
        copy.set_weights(self.released_weights())
        copy.preset = self.preset
        return copy

    def _write_preset(self, folder, *, name, card, train, half_precision):
        config = {key: value for key, value in self.get_config().items() if key != "name"}
        copy = self.fresh_copy()  # a compiled one would write its optimizer along with its weights
        full, file = folder / "full.weights.h5", folder / f"{name}.weights.h5"
        # Not save_weights: on a full disk HDF5 ends the process. A .keras file is written from memory.
        copy.save(folder / "full.keras")
        with zipfile.ZipFile(folder / "full.keras") as archive:
            full.write_bytes(archive.read("model.weights.h5"))
        (folder / "full.keras").unlink()
        if half_precision:
            weights.halve(full, file)
            full.unlink()
        else:
            full.rename(file)
        previous = self.preset
        card = card or (previous.card if previous else None) or registry.Card(summary="", weights_license="")
        preset = registry.Preset(
            name=name,
            version=1,
            architecture=type(self).__name__,
            config={key: list(v) if isinstance(v, tuple) else v for key, v in config.items()},
            weights=registry.Weights(
                file=file.name, sha256=weights.sha256_of(file), size=file.stat().st_size
            ),
            card=card.model_copy(update={"parameters": self.count_params()}),
            train=train or (previous.train if previous else None),
        )
        registry.write_preset(preset, folder / "preset.yaml")

    def run_compiled(self, function, inputs):
        """Run a method of this model on a dict of arrays, compiled by the active backend.

        Args:
            function: a bound method of this model, dict of tensors to (nested) tensors.
            inputs: (nested) dict of arrays. One shape is one compilation: keep shapes few.

        Returns:
            The method's result as numpy arrays.
        """
        return keras.tree.map_structure(ops.convert_to_numpy, self.compile_function(function, inputs)(inputs))

    def run_in_batches(self, function, inputs, *, most=BATCH):
        """``run_compiled`` on a few items at a time, in batches of 1, 2, 4, 8 or 16 items.

        Args:
            function: as in ``run_compiled``; it keeps items apart.
            inputs: dict of arrays ``(items, ...)``.
            most: items at a time, where each needs much memory.

        Returns:
            The results of all items, as numpy arrays.
        """
        items = len(next(iter(inputs.values())))
        size = min(most, 1 << (items - 1).bit_length())
        pieces = []
        for start in range(0, items, size):
            index = np.minimum(np.arange(start, start + size), items - 1)
            pieces.append(self.run_compiled(function, {name: value[index] for name, value in inputs.items()}))
        return keras.tree.map_structure(lambda *parts: np.concatenate(parts)[:items], *pieces)

    def compile_function(self, function, inputs):
        """A method of this model as one compiled program, from tensors or arrays to tensors.

        What it costs beyond the computation is 0.1 to 0.3 ms a call. Weights are read at every call.

        Args:
            function: as in ``run_compiled``.
            inputs: an example; the program is for dicts of exactly these shapes.

        Returns:
            Callable, the same one for the same function and shapes.
        """
        # One predict function for each shape: given a second one, Keras on TensorFlow would
        # retrace with unknown lengths, and the DSP needs them known.
        names = keras.tree.flatten_with_path(inputs)
        key = (function, *((name, tuple(value.shape)) for name, value in names))
        if key not in self._compiled_functions:
            self._compiled_functions[key] = _Compiled(self, function)
        return self._compiled_functions[key].run


@contextlib.contextmanager
def bounded_weights():
    """Refuse a weight before it is made, with which those of this block would be more than ``MOST_WEIGHTS``.

    A file of three lines may ask for terabytes. A backend finds that out when the memory is full; JAX when
    the model is used.

    Raises:
        ValueError: there would be more.
    """
    add_weight, left = keras.layers.Layer.add_weight, MOST_WEIGHTS

    def counted(layer, *arguments, shape=None, **settings):
        nonlocal left
        left -= np.prod(shape or (), dtype="float64")
        if left < 0:
            raise ValueError(f"the model would have more than {MOST_WEIGHTS} weights")
        return add_weight(layer, *arguments, shape=shape, **settings)

    with _CONSTRUCTING:
        keras.layers.Layer.add_weight = counted
        try:
            yield
        finally:
            keras.layers.Layer.add_weight = add_weight


_CONSTRUCTING = threading.RLock()


def jit_choice(model):
    """The ``jit_compile`` to give to ``model.compile``: True where XLA helps, or Keras's own choice.

    Keras leaves XLA off under TensorFlow where there is no GPU. There it makes a training step of the DDSP
    decoder a quarter faster and its synthesis three times.
    """
    if keras.backend.backend() != "tensorflow" or model.replicas > 1:  # XLA cannot reach other devices there
        return "auto"
    compiles = model.gains_from_xla and all(layer.supports_jit for layer in model._flatten_layers())
    return compiles or "auto"


class _Compiled(keras.Model):
    """One function of a model. Keras has no public jit on three backends; its predict step is one.

    The model is kept past Keras's tracking, or JAX would be handed its variables at every call to
    throw away, and Keras assign them anew, one by one. There the weights are inputs like any other.
    """

    def __init__(self, model, function):
        super().__init__(name="compiled", autocast=False)
        self.__dict__.update(function=function, model_variables=model.variables)
        if jit_choice(model) is True:
            self.jit_compile = True
        self.built = True  # there is nothing to build, and Keras would try at every call
        self.make_predict_function()

    def call(self, data):
        mapping = list(zip(self.model_variables, data["weights"], strict=True)) if data["weights"] else []
        with keras.StatelessScope(state_mapping=mapping):
            return self.function(data["inputs"])

    def run(self, inputs):
        if keras.backend.backend() == "jax":
            data = {"inputs": inputs, "weights": [variable.value for variable in self.model_variables]}
            return self.predict_function(([], []), iter([(data,)]))[0]
        return self.predict_function([({"inputs": inputs, "weights": []},)])
