"""From a model to a file that runs without audiozoo and without Keras, and proof that it does.

An architecture says by its method ``exported`` what of it is written: a function of named arrays, in
operations that every format has. It is traced by TensorFlow for any length and converted; the file is then
run on real features and compared with the model, and only one that agrees is handed over.
"""

import contextlib
import dataclasses
import importlib.metadata
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiozoo import __version__, backend
from audiozoo.arguments import check_choice
from audiozoo.atomic import replacing_folder
from audiozoo.data.audio_io import read_audio
from audiozoo.errors import AudioZooError, ExportError, MissingDependency, OutputError, one_line
from audiozoo.registry import info, is_path
from audiozoo.zoo import load

if TYPE_CHECKING:
    from audiozoo.models.base import AudioModel

TOLERANCE = 1e-4  # of the loudest number of an output: 80 dB below it
ONNX_OPSET = 18
SIGNATURE = "serving_default"
DESCRIPTION = "export.json"
SINGING = Path(__file__).parent / "assets" / "singing_vocadito_14.flac"
EXAMPLE_SECONDS = 2.0


def export(
    preset: "str | os.PathLike | AudioModel",
    *,
    format: str,  # noqa: A002  the word that Keras uses, and the command line
    out: str | os.PathLike | None = None,
) -> dict:
    """Write a model to a file that TensorFlow, ONNX Runtime or LiteRT runs by itself.

    The file takes inputs of any length. It was run on real features, and its outputs differ from the model's
    by at most ``TOLERANCE`` of the loudest; otherwise there is no file. Beside it lie ``README.md`` and
    ``export.json``: names, shapes and units of inputs and outputs, the licence of the weights, and the
    difference that was measured.

    TensorFlow writes it. Under another backend it does so in a process of its own, from the same weights.

    Args:
        preset: as for ``audiozoo.load``; or a model, whose weights are written as they are.
        format: ``"saved_model"``, ``"onnx"`` or ``"litert"``.
        out: folder to write, new, empty, or an earlier export; by default ``exports/PRESET_FORMAT``.

    Returns:
        What ``export.json`` holds, and ``folder``, where it lies.

    Raises:
        MissingDependency: what the format needs is not installed.
        ExportError: the architecture or one of its operations cannot be exported, or the file does not agree.
        OutputError: the folder cannot be written, or holds something else.
        ValueError: no such format.
        UnknownPreset, InvalidPreset, WeightsUnavailable, WeightsCorrupt, IncompatiblePreset: as ``load``.
    """
    check_choice("format", format, tuple(FORMATS))
    check_installed(format)
    named = isinstance(preset, str | os.PathLike)
    name = _name_of(preset) if named else _name_of_model(preset)
    folder = Path(out or Path("exports") / f"{name}_{format}")
    _check_free(folder)
    if backend.active() != "tensorflow":
        return _export_on_tensorflow(preset, name, format, folder)
    with _single_precision(), _without_chatter():
        model = load(preset) if named else preset.fresh_copy()
        exported = model.exported()
        with replacing_folder(folder) as draft:
            path = draft / f"{name}{FORMATS[format].suffix}"
            _write(exported, format, path)
            difference = largest_difference(opened(path, format), exported, model)
            found = _description(model, exported, name, format, path, difference)
            (draft / DESCRIPTION).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
            (draft / "README.md").write_text(_page(found), encoding="utf-8")
    return found | {"folder": str(folder)}


def opened(path: str | os.PathLike, format: str) -> Callable:  # noqa: A002
    """The function in an exported file: dict of arrays to dict of arrays, both by name.

    Args:
        path: of the file, or of the folder of a SavedModel.
        format: that it was written in.
    """
    return FORMATS[format].opened(str(path))


def check_installed(format: str) -> None:  # noqa: A002
    """Raise MissingDependency unless all that a format needs is there."""
    missing = [package for package, module in FORMATS[format].needs.items() if not find_spec(module)]
    if missing:
        raise MissingDependency(
            f"format {format!r} needs {' and '.join(missing)}, which is not installed. "
            "pip install 'audiozoo[export]'"
        )


def largest_difference(run: Callable, exported, model: "AudioModel") -> float:
    """How far an exported function is from the model, relative to its loudest output.

    On one item, and on two shorter ones.

    Args:
        run: as ``opened`` returns it.
        exported: ``models.exported.Exported`` of the model.
        model: says the sample rate.

    Raises:
        ExportError: further than ``TOLERANCE``, another shape, or not finite.
    """
    sample_rate = getattr(model, "sample_rate", 16000)
    samples = round(EXAMPLE_SECONDS * sample_rate)
    singing, _ = read_audio(SINGING, sample_rate=sample_rate)
    largest = 0.0
    for items, length in ((1, samples), (2, round(0.6 * samples))):
        inputs = exported.example(singing[: 2 * samples].reshape(2, samples)[:, :length])
        inputs = {name: array[:items] for name, array in inputs.items()}
        expected, found = exported.reference(inputs), run(inputs)
        for name, array in expected.items():
            largest = max(largest, _difference(name, found[name], array))
    return largest


def _difference(name, found, expected):
    if found.shape != expected.shape:
        raise ExportError(
            f"the file's output {name!r} has shape {found.shape}, the model's {expected.shape}. Report this, "
            "and use another format or the model itself."
        )
    difference = float(np.max(np.abs(found - expected)) / max(np.max(np.abs(expected)), 1e-9))
    if not difference <= TOLERANCE:  # false for NaN too
        raise ExportError(
            f"the file's output {name!r} differs from the model's by {difference:.2g} of its largest number; "
            f"allowed is {TOLERANCE:g}. Report this, and use another format or the model itself."
        )
    return difference


# --- Formats ---


@dataclasses.dataclass(frozen=True)
class Format:
    """A kind of file.

    Args:
        suffix: of its name.
        needs: names of packages to the modules that they bring.
        write: takes ``Exported``, a ``tf.TensorSpec`` for each of its inputs, and a path.
        opened: path to a function, dict of arrays to dict of arrays.
        batch: items in an input, or None for any number.
        runtime: the package that runs it.
        code: how to run it, in Python.
    """

    suffix: str
    needs: dict[str, str]
    write: Callable
    opened: Callable
    batch: int | None
    runtime: str
    code: str


def _write(exported, format, path):  # noqa: A002
    import tensorflow as tf

    batch = FORMATS[format].batch
    specs = [
        tf.TensorSpec(
            [batch if axis == "batch" else None if isinstance(axis, str) else axis for axis in array.shape],
            array.dtype,
            name=name,
        )
        for name, array in exported.inputs.items()
    ]
    try:
        FORMATS[format].write(exported, specs, str(path))
    except (AudioZooError, OSError):
        raise
    except Exception as error:  # converters raise whatever they stumble over
        raise ExportError(
            f"{format!r} cannot hold this model: {one_line(error)[:1000]}. {_way_round(format)}"
        ) from error


def _positional(exported):
    """The function of as many tensors as there are inputs, in their order."""
    return lambda *arrays: exported.function(dict(zip(exported.inputs, arrays, strict=True)))


def _unsupported(format, operations):  # noqa: A002
    return ExportError(
        f"{format!r} has no operation {', '.join(sorted(operations))}, which this model computes with. "
        f"{_way_round(format)}"
    )


def _way_round(format):  # noqa: A002
    others = "write it in operations that the format has" if format == "saved_model" else "Use 'saved_model'"
    return f"{others[0].upper()}{others[1:]}, or let the architecture's method 'exported' do without it."


def write_saved_model(exported, specs, path):
    """A SavedModel with one signature. It holds no gradients: it is not trained."""
    import tensorflow as tf

    traced = tf.function(_positional(exported), autograph=False).get_concrete_function(*specs)
    module = tf.Module()
    module.weights = list(traced.variables)
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, path, signatures={SIGNATURE: traced}, options=options)


def opened_saved_model(path):
    """A SavedModel's function."""
    import tensorflow as tf

    loaded = tf.saved_model.load(path)

    def run(inputs):
        # ``loaded`` must live as long as its function is called.
        outputs = loaded.signatures[SIGNATURE](**{name: tf.constant(array) for name, array in inputs.items()})
        return {name: tensor.numpy() for name, tensor in outputs.items()}

    return run


def write_onnx(exported, specs, path):
    """An ONNX file. The converter writes what it does not know as it finds it: that is looked for."""
    import onnx
    import tensorflow as tf
    import tf2onnx

    traced = tf.function(_positional(exported), autograph=False, input_signature=specs)
    program, _ = tf2onnx.convert.from_function(traced, input_signature=specs, opset=ONNX_OPSET)
    unknown = {node.op_type for node in _nodes(program.graph) if not onnx.defs.has(node.op_type, node.domain)}
    if unknown:
        raise _unsupported("onnx", unknown)
    for value in (*program.graph.input, *program.graph.output):
        shape = (exported.inputs | exported.outputs)[value.name].shape
        for dimension, axis in zip(value.type.tensor_type.shape.dim, shape, strict=True):
            if isinstance(axis, str):
                dimension.dim_param = axis
    onnx.save(program, path)


def _nodes(graph):
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)


def opened_onnx(path):
    """An ONNX file's function."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, inputs), strict=True))


def write_litert(exported, specs, path):
    """A LiteRT file, of operations that every LiteRT has: none of TensorFlow's own."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        write_saved_model(exported, specs, folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        try:
            program = converter.convert()
        except Exception as error:
            unknown = re.findall(r"(?:TF Select|Custom) ops: (.+)", str(error))
            if not unknown:
                raise
            raise _unsupported("litert", {name for names in unknown for name in names.split(", ")}) from error
    Path(path).write_bytes(program)


def opened_litert(path):
    """A LiteRT file's function, which takes the items of a batch one by one."""
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_path=path).get_signature_runner(SIGNATURE)

    def run(inputs):
        outputs = []
        for item in range(len(next(iter(inputs.values())))):
            found = runner(**{name: array[item : item + 1] for name, array in inputs.items()})
            outputs.append({name: array.copy() for name, array in found.items()})  # not to be overwritten
        return {name: np.concatenate([each[name] for each in outputs]) for name in outputs[0]}

    return run


TENSORFLOW = {"tensorflow": "tensorflow"}
FORMATS = {
    "saved_model": Format(
        suffix="_saved_model",
        needs=TENSORFLOW,
        write=write_saved_model,
        opened=opened_saved_model,
        batch=None,
        runtime="tensorflow",
        code="""\
import tensorflow as tf

model = tf.saved_model.load("{file}")  # to be kept as long as it is called
outputs = model.signatures["serving_default"]({arguments})""",
    ),
    "onnx": Format(
        suffix=".onnx",
        needs=TENSORFLOW | {name: name for name in ("tf2onnx", "onnx", "onnxruntime")},
        write=write_onnx,
        opened=opened_onnx,
        batch=None,
        runtime="onnxruntime",
        code="""\
import onnxruntime

session = onnxruntime.InferenceSession("{file}")
{outputs} = session.run(None, {entries})""",
    ),
    "litert": Format(
        suffix=".tflite",
        needs=TENSORFLOW | {"ai-edge-litert": "ai_edge_litert"},
        write=write_litert,
        opened=opened_litert,
        batch=1,
        runtime="ai-edge-litert",
        code="""\
from ai_edge_litert.interpreter import Interpreter

run = Interpreter(model_path="{file}").get_signature_runner("serving_default")
outputs = run({arguments})""",
    ),
}


# --- What lies beside the file ---


def _description(model, exported, name, format, path, difference):  # noqa: A002
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    batch = FORMATS[format].batch

    def described(array):
        shape = [batch if batch and axis == "batch" else axis for axis in array.shape]
        return {"shape": shape, "dtype": array.dtype, "meaning": array.meaning}

    card = model.preset.card if model.preset else None
    found = {
        "preset": name,
        "version": model.preset.version if model.preset else None,
        "architecture": type(model).__name__,
        "format": format,
        "file": path.name,
        "bytes": sum(each.stat().st_size for each in files),
        "inputs": {key: described(array) for key, array in exported.inputs.items()},
        "outputs": {key: described(array) for key, array in exported.outputs.items()},
        "sample_rate_hz": getattr(model, "sample_rate", None),
        "settings": exported.settings or None,
        "weights_license": card.weights_license if card else "not stated",
        "training_data": card.training_data if card else None,
        "limits": card.limits if card else None,
        "largest_difference": difference,
        "tolerance": TOLERANCE,
        "written_by": f"audiozoo {__version__}",
        "checked_with": f"{FORMATS[format].runtime} {importlib.metadata.version(FORMATS[format].runtime)}",
    }
    return {key: value for key, value in found.items() if value is not None}


def _page(found):
    inputs, outputs = found["inputs"], found["outputs"]
    code = FORMATS[found["format"]].code.format(
        file=found["file"],
        arguments=", ".join(f"{name}={name}" for name in inputs),
        entries="{" + ", ".join(f'"{name}": {name}' for name in inputs) + "}",
        outputs=", ".join(outputs) + ("," if len(outputs) == 1 else ""),
    )
    known = {"sample_rate_hz": found.get("sample_rate_hz")} | found.get("settings", {})
    known = ", ".join(f"`{name}` {value}" for name, value in known.items() if value is not None)
    known = f"To be known: {known}.\n\n" if known else ""
    data = f"\nTrained on: {found['training_data']}.\n" if "training_data" in found else ""
    limits = f"\nLimits: {found['limits']}.\n" if "limits" in found else ""
    return f"""\
# {found["preset"]}, {found["format"]}

`{found["file"]}` is `{found["preset"]}`, a {found["architecture"]}. It needs no audiozoo.

{_table("input", inputs)}

{_table("output", outputs)}

{known}An axis with a name may have any length. From arrays of these names:

```python
{code}
```

Run with {found["checked_with"]} on real features, its outputs differ from the model's by at most
{found["largest_difference"]:.2g} of the largest number.

Licence of the weights: {found["weights_license"]}. Written by {found["written_by"]}.
{data}{limits}"""


def _table(kind, arrays):
    rows = [
        f"| `{name}` | ({', '.join(map(str, array['shape']))}) {array['dtype']} | {array['meaning']} |"
        for name, array in arrays.items()
    ]
    return "\n".join([f"| {kind} | shape | what it is |", "| --- | --- | --- |", *rows])


# --- Before and around ---


def _name_of(preset):
    if is_path(preset) and Path(preset).suffix == ".keras":
        return Path(preset).stem
    return info(preset).name


def _name_of_model(model):
    if not hasattr(model, "exported"):
        raise ExportError(
            f"preset must be a name, a path or a model of the zoo; got a {type(model).__name__}. Derive its "
            "class from audiozoo.models.AudioModel."
        )
    return model.preset.name if model.preset else re.sub(r"[^\w-]", "_", model.name)


def _check_free(folder):
    in_the_way = folder.is_file() or (folder.is_dir() and any(folder.iterdir()))
    if in_the_way and not (folder / DESCRIPTION).exists():
        raise OutputError(
            f"out must be new, empty or an earlier export; {str(folder)!r} is a file or holds other files. "
            "Choose another folder."
        )


@contextlib.contextmanager
def _without_chatter():
    """Converters log in many lines what they might have done better; what counts is raised."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


@contextlib.contextmanager
def _single_precision():
    """Models that are made meanwhile compute in float32, which every format has, under any policy."""
    import keras

    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def _export_on_tensorflow(preset, name, format, folder):  # noqa: A002
    with tempfile.TemporaryDirectory() as temporary:
        if not isinstance(preset, str | os.PathLike):
            preset = preset.save_to_preset(Path(temporary) / name, name=name, half_precision=False)
        source = os.path.abspath(preset) if is_path(preset) else preset
        words = ["export", source, "--format", format, "--out", os.path.abspath(folder), "--json"]
        path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        finished = subprocess.run(
            [sys.executable, "-m", "audiozoo", *words],
            env=os.environ | {"KERAS_BACKEND": "tensorflow", "PYTHONPATH": path.rstrip(os.pathsep)},
            capture_output=True,
            text=True,
        )
    if finished.returncode:
        said = finished.stderr.strip().splitlines() or ["it said nothing"]
        raise ExportError(f"under TensorFlow: {said[-1].removeprefix('audiozoo: ')}")
    return json.loads(finished.stdout) | {"folder": str(folder)}
