"""What may import what. The picture is in CONTRIBUTING.md; a breach is reported with its line.

Imports are read from the syntax tree, those inside functions too: nothing is executed.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FOUNDATION = {"arguments", "errors", "atomic", "foreign", "progress"}
NUMERICAL = FOUNDATION | {"dsp"}
BACKENDS = {"tensorflow", "jax", "torch"}
HEAVY = BACKENDS | {"keras", "numpy", "scipy", "librosa", "matplotlib", "soundfile", "h5py"}

# A part of audiozoo, and the parts that it may import besides itself. A dotted entry admits that module only.
MAY_IMPORT = {
    "arguments": set(),
    "errors": set(),
    "atomic": {"errors"},
    "foreign": {"errors"},
    "backend": {"errors"},
    "progress": set(),
    "registry": FOUNDATION,
    "weights": FOUNDATION | {"registry"},
    "keras2_weights": FOUNDATION | {"weights"},
    "dsp": {"errors"},
    "layers": NUMERICAL,
    "losses": NUMERICAL,
    "metrics": {"errors", "foreign", "data.audio_io"},
    # A code is described by what is heard of it: by descriptors and distances of sound, in pictures.
    "latent": NUMERICAL | {"metrics", "plots", "data.audio_io", "data.clips", "data.images", "data.pitch"},
    # One pitch tracker is a preset, which data.pitch loads by its name, as a user would.
    "data": NUMERICAL
    | {"weights.cache_folder", "weights.network_is_forbidden", "weights.sha256_of", "zoo.load"},
    "plots": NUMERICAL | {"data.audio_io"},
    "models.base": NUMERICAL | {"registry", "weights"},
    # Changing the sound of a recording, or of a voice while it sings, needs its samples and features, no more
    # of data.
    "models": NUMERICAL
    | {"registry", "weights", "layers", "losses", "data.audio_io", "data.features", "data.feature_stream"}
    | {"latent.analysis", "latent.paths"},
    "zoo": FOUNDATION | {"backend", "registry", "weights", "models"},
    "training": NUMERICAL
    | {"registry", "weights", "layers", "losses", "metrics", "data", "models", "zoo", "plots"},
    "tuning": NUMERICAL
    | {"registry", "weights", "losses", "metrics", "data", "models", "zoo", "training", "plots"},
    "exporting": FOUNDATION | {"backend", "registry", "models", "zoo", "data.audio_io", "facade"},
    "doctor": FOUNDATION | {"backend", "registry", "weights", "zoo", "facade"},
    "demo": FOUNDATION | {"registry", "zoo", "data", "plots", "facade"},
}
# The doors: they may import everything, and nothing behind them may import them.
DOORS = {"facade", "cli", "cli_latent", "cli_options", "__main__", "demo"}

# Answering `audiozoo list` must not wait for a numerical library, so these import none at all.
NOTHING_INSTALLED = HEAVY | {"pydantic", "yaml", "typer", "rich", "pooch"}
LIGHT = {
    "arguments": NOTHING_INSTALLED,
    "errors": NOTHING_INSTALLED,
    "atomic": NOTHING_INSTALLED,
    "progress": HEAVY,
    "backend": NOTHING_INSTALLED,
    "registry": HEAVY,
    "weights": BACKENDS | {"keras"},
    "keras2_weights": BACKENDS | {"keras"},
}
# These are at work before a command is known: light at the top, anything inside a function.
LIGHT_AT_THE_TOP = {"facade", "cli", "cli_latent", "cli_options", "__main__", "foreign", "weights", "doctor"}
LIGHT_PARTS = LIGHT_AT_THE_TOP | set(LIGHT)

# tf.data, distribution, TensorBoard, converters, devices: always lazily.
ONE_BACKEND_MAY_BE_NAMED = {"data", "training", "tuning", "exporting", "doctor"}
ALSO_BY = {"layers/native_gru.py"}  # a kernel that Keras does not call
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "core", "misc"}


def modules(folder):
    return sorted((ROOT / folder).rglob("*.py"))


def dotted(path):
    """``audiozoo/dsp/filters.py`` -> ``audiozoo.dsp.filters``; a package is its folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path, source):
    """Yield ``(line, dotted name, whether it is lazy)`` for every import of a file."""
    package = dotted(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]

    def visit(node, lazy):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:  # "from audiozoo import dsp" imports audiozoo.dsp
                yield node.lineno, f"{origin}.{alias.name}", lazy
        lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            lazy = True  # for editors alone: not executed
        for child in ast.iter_child_nodes(node):
            yield from visit(child, lazy)

    yield from visit(ast.parse(source), False)


def inside(name, prefix):
    return name == prefix or name.startswith(prefix + ".")


def part_of_file(path):
    """The part of audiozoo that a file is."""
    inner = path.relative_to(ROOT / "audiozoo")
    if inner.parts[0] == "__init__.py":
        return "facade"
    return "models.base" if inner == Path("models/base.py") else inner.with_suffix("").parts[0]


def part_of(name):
    """The part of audiozoo that a dotted name leads to; what is no part is a name of the facade."""
    inner = name.removeprefix("audiozoo").lstrip(".")
    if inside(inner, "models.base"):
        return "models.base"
    first = inner.split(".")[0]
    return first if first in MAY_IMPORT or first in DOORS else "facade"


def allowed(part, name):
    target = part_of(name)
    if target == part or (part.startswith("models") and target == "models.base"):
        return True
    if part in DOORS - {"demo"}:
        return True
    inner = name.removeprefix("audiozoo.")
    return any(inside(inner, entry) for entry in MAY_IMPORT[part]) or target in MAY_IMPORT[part]


def breaches_in(path, source):
    """Yield one sentence for each import of an audiozoo file that breaks a rule."""
    part = part_of_file(path)
    where = path.relative_to(ROOT)
    if part not in MAY_IMPORT and part not in DOORS:
        yield f"{where}: '{part}' has no place in the picture; add it to MAY_IMPORT and to CONTRIBUTING.md"
        return
    for line, name, lazy in imports(path, source):
        library = name.split(".")[0]
        if library == "audiozoo" and not allowed(part, name):
            yield f"{where}:{line}: {part} may not import {name}; it may import {sorted(MAY_IMPORT[part])}"
        if library in {"tests", "benchmarks"}:
            yield f"{where}:{line}: the package may not import {library}, which is not installed with it"
        if library in LIGHT.get(part, ()):
            yield f"{where}:{line}: {part} may not import {library}; listing models must not wait for it"
        heavy = library in HEAVY or (library == "audiozoo" and part_of(name) not in LIGHT_PARTS)
        if part in LIGHT_AT_THE_TOP and heavy and not lazy:
            yield f"{where}:{line}: {part} may import {name} only inside a function, or commands start slowly"
        if part == "data" and part_of(name) == "zoo" and not lazy:
            yield f"{where}:{line}: models import data; data may import {name} only inside a function"
        if library in BACKENDS:
            if (
                part not in ONE_BACKEND_MAY_BE_NAMED
                and str(path.relative_to(ROOT / "audiozoo")) not in ALSO_BY
            ):
                yield f"{where}:{line}: {part} may not name a backend; write it in keras.ops ({library})"
            elif not lazy:
                yield f"{where}:{line}: {library} may be missing; import it inside the function that needs it"


def test_every_import_follows_the_picture():
    breaches = [breach for path in modules("audiozoo") for breach in breaches_in(path, path.read_text())]
    assert not breaches, "\n" + "\n".join(breaches)


def test_benchmarks_use_public_names_only():
    breaches = []
    for path in modules("benchmarks"):
        for line, name, _ in imports(path, path.read_text()):
            private = [word for word in name.split(".") if word.startswith("_") and not word.startswith("__")]
            if inside(name, "audiozoo") and private:
                breaches.append(
                    f"{path.relative_to(ROOT)}:{line}: {name} is private; benchmarks stand outside"
                )
            if inside(name, "tests"):
                breaches.append(f"{path.relative_to(ROOT)}:{line}: benchmarks may not import tests")
    assert not breaches, "\n" + "\n".join(breaches)


def test_presets_are_data_not_code():
    assert [path.name for path in modules("zoo_configs")] == ["__init__.py"]
    assert not list(imports(ROOT / "zoo_configs/__init__.py", (ROOT / "zoo_configs/__init__.py").read_text()))


def test_every_file_says_what_it_holds():
    files = [
        path for folder in ("audiozoo", "zoo_configs", "benchmarks", "tests") for path in modules(folder)
    ]
    nameless = [
        str(path.relative_to(ROOT))
        for path in files
        if NAMES_THAT_SAY_NOTHING & set(path.relative_to(ROOT).with_suffix("").parts)
    ]
    assert not nameless, f"what fits nowhere names a missing module; rename {nameless}"


@pytest.mark.parametrize(
    "file, source, sentence",
    [
        ("layers/x.py", "from audiozoo.losses import spectral", "1: layers may not import audiozoo.losses"),
        ("layers/x.py", "from ..losses.spectral import Loss", "1: layers may not import audiozoo.losses"),
        ("layers/x.py", "def f():\n    from .. import losses", "2: layers may not import audiozoo.losses"),
        ("data/x.py", "import audiozoo.models.ddsp", "1: data may not import audiozoo.models.ddsp"),
        (
            "models/x.py",
            "from audiozoo.data import pipelines",
            "models may not import audiozoo.data.pipelines",
        ),
        ("models/base.py", "from audiozoo.models import ddsp", "models.base may not import audiozoo.models"),
        ("dsp/x.py", "import audiozoo", "1: dsp may not import audiozoo"),
        ("dsp/x.py", "import tensorflow as tf", "may not name a backend"),
        ("data/x.py", "import tensorflow as tf", "import it inside the function"),
        (
            "data/x.py",
            "from audiozoo.zoo import load",
            "data may import audiozoo.zoo.load only inside a function",
        ),
        (
            "data/x.py",
            "def f():\n    from audiozoo.zoo import download",
            "2: data may not import audiozoo.zoo.download",
        ),
        ("training/x.py", "class A:\n    import tensorflow.data", "2: tensorflow may be missing"),
        ("registry.py", "def f():\n    import numpy", "2: registry may not import numpy"),
        ("cli.py", "from librosa import load", "1: cli may import librosa.load only inside a function"),
        ("zoo.py", "from benchmarks import quality", "may not import benchmarks"),
        ("odds.py", "", "has no place in the picture"),
    ],
)
def test_a_breach_is_named_with_its_line(file, source, sentence):
    (breach,) = breaches_in(ROOT / "audiozoo" / file, source)
    assert breach.startswith(f"audiozoo/{file}:")
    assert sentence in breach


@pytest.mark.parametrize(
    "file, source",
    [
        ("layers/x.py", "import keras\nimport numpy as np\nfrom audiozoo.dsp.filters import fft_convolve"),
        ("models/x.py", "from audiozoo.models.base import AudioModel\nfrom audiozoo.data import audio_io"),
        ("data/x.py", "def f():\n    import tensorflow as tf"),
        ("data/x.py", "def f():\n    from audiozoo.zoo import load"),
        ("cli.py", "import audiozoo\ndef f():\n    from audiozoo.training import train"),
    ],
)
def test_what_the_picture_allows_passes(file, source):
    assert not list(breaches_in(ROOT / "audiozoo" / file, source))
