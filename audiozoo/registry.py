"""What a preset is, and which ones there are.

A preset is a YAML file: the name of an architecture, its constructor arguments, perhaps released
weights, and a card that says where the sound comes from and what it costs. The classes below are its
schema; a file that breaks it is refused with the key, what came and what is allowed. Reading presets
needs neither Keras nor numpy.
"""

import difflib
import fnmatch
import itertools
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

import zoo_configs
from audiozoo.atomic import replacing
from audiozoo.errors import InvalidPreset, UnknownPreset
from audiozoo.foreign import content, refused

ZOO = Path(zoo_configs.__file__).parent

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
MOST_BYTES = 1 << 18  # of a preset's YAML
LARGEST_NUMBER, MOST_ITEMS = 10**7, 4096  # in a configuration: far more than a constructor has use for

Number = Annotated[float, Field(allow_inf_nan=False)]
PositiveNumber = Annotated[float, Field(gt=0, allow_inf_nan=False)]
PositiveInteger = Annotated[int, Field(gt=0)]


class _Section(BaseModel):
    """Part of a preset: cannot be changed, no further keys, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, values):
        # Before pydantic's own refusal, which names neither the close match nor what is allowed.
        for key in values if isinstance(values, dict) else ():
            if key not in cls.model_fields:
                allowed = ", ".join(cls.model_fields)
                raise ValueError(
                    f"unknown key {key!r}.{did_you_mean(key, cls.model_fields)} Allowed: {allowed}"
                )
        return values


class Weights(_Section):
    """Released weights.

    Args:
        file: name of the file, which lies in ``weights/`` beside the YAML, beside the YAML itself, or
            in the cache.
        sha256: of the file, 64 hexadecimal digits.
        size: bytes.
        url: where to download it from; left out where the file is packaged.
    """

    file: Annotated[str, Field(pattern=r"^[\w-][\w.-]*\.weights\.h5$")]  # a name, never a path
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: PositiveInteger
    url: Annotated[str, Field(pattern=r"^https?://")] | None = None


class Card(_Section):
    """What a user has to know before using a preset; a card in the zoo leaves nothing open but the last two.

    Args:
        summary: one sentence.
        weights_license: of the weights; that of the code is Apache-2.0.
        training_data: what the weights were, or would be, trained on.
        training_data_license: of that.
        paper: where the architecture comes from.
        parameters: number of weights, as ``model.count_params()`` counts them.
        limits: what it cannot do.
        results: measured values by name, with the unit in the name.
        command: what reproduces them.
    """

    summary: str
    weights_license: str
    training_data: str | None = None
    training_data_license: str | None = None
    paper: str | None = None
    parameters: PositiveInteger | None = None
    limits: str | None = None
    results: dict[str, Number] | None = None
    command: str | None = None


class Train(_Section):
    """How a preset is trained.

    Args:
        learning_rate: of Adam, in the first epoch.
        warmup_steps: batches over which the learning rate rises to that.
        decay_per_epoch: factor on the learning rate after each epoch.
        adam_beta_1, adam_beta_2: decay of Adam's averages of the gradient and of its square.
        gradient_norm: of all weights together, to which a longer gradient is cut; 0 for no limit.
        discriminator_rate: learning rate of the discriminator as a multiple of the generator's, where there
            is one.
        adversarial_from_epoch: epochs in which such a model learns to reconstruct alone, before its
            discriminator takes part.
        batch_size: clips, or images.
        clip_seconds: length of a clip.
        average_momentum: of the running average of the weights that is validated and kept, such as 0.999;
            0 for the weights themselves.
        steps_per_epoch: batches.
        epochs: in all.
        validation_seconds: end of every file that is kept out of training, where whole recordings of one
            instrument are trained on.
        test_share: of the files that is kept out, where many files are trained on; of the images, where a set
            has no test part.
        recording_pattern: regular expression that finds, as its first group in the path of a file, the
            recording that the file was cut from. Files of one recording are trained on or held out together.
            Without it, and where it finds nothing, every file is a recording.
        binarize: images: each pixel is drawn anew, on or off, every time that it is used.
        beta_warmup_epochs: over which the weight of a VAE's divergence rises to its ``beta``.
        seed: of crops and initial weights.
    """

    learning_rate: Annotated[PositiveNumber, Field(le=1)] = 1e-3
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    decay_per_epoch: Annotated[PositiveNumber, Field(le=1)] = 0.99
    adam_beta_1: Annotated[Number, Field(ge=0, lt=1)] = 0.9
    adam_beta_2: Annotated[Number, Field(ge=0, lt=1)] = 0.999
    gradient_norm: Annotated[Number, Field(ge=0)] = 0.0
    discriminator_rate: PositiveNumber = 1.0
    adversarial_from_epoch: Annotated[int, Field(ge=0)] = 0
    batch_size: PositiveInteger = 16
    clip_seconds: Annotated[PositiveNumber, Field(le=600)] = 4.0
    average_momentum: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    steps_per_epoch: PositiveInteger = 100
    epochs: PositiveInteger = 100
    validation_seconds: Annotated[Number, Field(ge=0)] = 20.0
    test_share: Annotated[Number, Field(ge=0, lt=1)] = 0.2
    recording_pattern: str | None = None
    binarize: bool = False
    beta_warmup_epochs: Annotated[int, Field(ge=0)] = 0
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @field_validator("recording_pattern")
    @classmethod
    def _check_pattern(cls, pattern):
        if pattern is not None:
            try:
                groups = re.compile(pattern).groups
            except re.error as error:
                raise ValueError(f"must be a regular expression ({error})") from error
            if groups != 1:
                raise ValueError(
                    f"must have one group in parentheses, which finds the recording; it has {groups}"
                )
        return pattern


Values = list[bool] | list[int] | list[float] | list[str]


class _HyperParameter(_Section):
    """What a search may move.

    Args:
        when: name of another hyper-parameter to values of it, with which this one has a meaning: with any
            other value of it a trial leaves this one as the preset has it.
    """

    when: dict[str, Annotated[Values, Field(min_length=1)]] | None = None

    @field_validator("when", mode="before")
    @classmethod
    def _list_of_one(cls, when):
        if not isinstance(when, dict):
            return when
        return {name: values if isinstance(values, list) else [values] for name, values in when.items()}


class _Range(_HyperParameter):
    @model_validator(mode="after")
    def _check_range(self):
        if self.min >= self.max:
            raise ValueError(f"min must be below max; got min={self.min}, max={self.max}")
        if self.sampling != "linear" and self.min <= 0:
            raise ValueError(f"sampling: {self.sampling} needs min above 0; got min={self.min}")
        if self.sampling != "linear" and self.step is not None and self.step <= 1:
            raise ValueError(
                f"sampling: {self.sampling} multiplies by step, which must be above 1; got {self.step}"
            )
        if self.step is not None:
            second = self.min + self.step if self.sampling == "linear" else self.min * self.step
            if second > self.max:
                raise ValueError(
                    f"step must leave a second value up to max; got step={self.step} from min={self.min} to "
                    f"max={self.max}"
                )
        return self


class FloatRange(_Range):
    """A hyper-parameter between ``min`` and ``max``; ``step`` adds, or multiplies under ``sampling: log``."""

    type: Literal["float"]
    min: Number
    max: Number
    step: PositiveNumber | None = None
    sampling: Literal["linear", "log", "reverse_log"] = "linear"


class IntRange(_Range):
    """A whole hyper-parameter between ``min`` and ``max``, both included."""

    type: Literal["int"]
    min: int
    max: int
    step: PositiveInteger | None = None
    sampling: Literal["linear", "log", "reverse_log"] = "linear"


class Choice(_HyperParameter):
    """A hyper-parameter that is one of ``values``, all of one type."""

    type: Literal["choice"]
    values: Annotated[Values, Field(min_length=1)]

    @field_validator("values")
    @classmethod
    def _check_values(cls, values):
        if len(set(values)) < len(values):
            raise ValueError(f"values must differ from each other; got {values}")
        return values


class Switch(_HyperParameter):
    """A hyper-parameter that is true or false."""

    type: Literal["bool"]


class Preset(_Section):
    """A model that can be loaded by name.

    Args:
        name: of the preset; in the zoo also the name of its file.
        version: raised whenever its sound changes.
        architecture: name of a model class; looked up in our own table, never imported.
        config: constructor arguments of that class, verbatim.
        weights: released weights; without them a preset is a recipe to train.
        card: what to know before using it.
        train: how to train it.
        tune: hyper-parameters that a search may move, each a constructor argument or a key of ``train``;
            where a name is both, as in ``train.clip_seconds`` or ``config.clip_seconds``.
    """

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    version: PositiveInteger
    architecture: Annotated[str, Field(pattern=r"^[A-Za-z]\w*$")]
    config: dict[str, JsonValue]
    weights: Weights | None = None
    card: Card
    train: Train | None = None
    tune: (
        Annotated[
            dict[str, Annotated[FloatRange | IntRange | Choice | Switch, Field(discriminator="type")]],
            Field(min_length=1),
        ]
        | None
    ) = None

    _folder: Path | None = PrivateAttr(default=None)

    @property
    def folder(self) -> Path | None:
        """Where the YAML lies; None for a preset that was not read from one."""
        return self._folder

    @field_validator("config", mode="before")
    @classmethod
    def _lists_for_tuples(cls, config):
        # Models keep sequences as tuples (Keras wraps lists); YAML has only lists.
        return _lists_for_tuples(config)

    @field_validator("config")
    @classmethod
    def _check_config(cls, config):
        check_config(config)
        return config

    @field_validator("tune")
    @classmethod
    def _check_conditions(cls, tune):
        above = {}  # a condition names what stands above it, so no two can wait for each other
        for name, parameter in (tune or {}).items():
            for other, wanted in (parameter.when or {}).items():
                if other not in above:
                    raise ValueError(
                        f"{name}.when must name a hyper-parameter that stands above it; got {other!r}. Those "
                        f"are: {', '.join(above) or 'none'}"
                    )
                allowed = _values(above[other])
                strange = [value for value in wanted if allowed is None or value not in allowed]
                if strange:
                    raise ValueError(
                        f"{name}.when.{other} must be among the values of {other}, "
                        f"{list(allowed[:20]) if allowed else 'a choice, a bool or an int'}; got {strange}"
                    )
            above[name] = parameter
        return tune


def _values(parameter):
    """All that a hyper-parameter can be; None where it can be any number of a range."""
    match parameter:
        case Choice():
            return parameter.values
        case Switch():
            return [False, True]
        case IntRange(sampling="linear"):
            return range(parameter.min, parameter.max + 1, parameter.step or 1)  # of any length
    return None


def check_config(value: JsonValue) -> None:
    """Raise ValueError for what no constructor takes, and what would be computed with for ever.

    Args:
        value: of an argument, or all of them by name.
    """
    if isinstance(value, dict | list):
        if len(value) > MOST_ITEMS:
            raise ValueError(f"holds {len(value)} items, where {MOST_ITEMS} are allowed")
        for item in value.values() if isinstance(value, dict) else value:
            check_config(item)
    elif isinstance(value, int | float) and not -LARGEST_NUMBER <= value <= LARGEST_NUMBER:  # false for NaN
        shown = f"{value:g}" if isinstance(value, float) else f"one of {value.bit_length()} bits"
        raise ValueError(f"numbers must be finite and at most {LARGEST_NUMBER}; got {shown}")


def list_models(pattern: str = "*") -> list[str]:
    """Return the names in the zoo that match, as a human would sort them (``x2`` before ``x10``).

    Args:
        pattern: with shell wildcards, as in ``"ddsp*"``.
    """
    names = fnmatch.filter((path.stem for path in ZOO.glob("*.yaml")), pattern)
    return sorted(
        names, key=lambda name: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
    )


def info(preset: str | os.PathLike) -> Preset:
    """Return everything that is known about a preset, without loading it.

    Args:
        preset: a name in the zoo, or a path as ``is_path`` defines it: a preset YAML, or a folder with a
            ``preset.yaml`` as written by ``model.save_to_preset``.

    Raises:
        UnknownPreset: there is none of that name, or at that path.
        InvalidPreset: its YAML breaks the schema.
    """
    if is_path(preset):
        return read_preset(_preset_file(Path(preset)))
    names = list_models()
    if preset not in names:
        raise UnknownPreset(
            f"no preset {preset!r} in the zoo.{did_you_mean(preset, names)} There are: "
            f"{', '.join(names) or 'none'}. A path needs a separator, as in './{preset}'."
        )
    found = read_preset(ZOO / f"{preset}.yaml")
    if found.name != preset:
        raise InvalidPreset(
            f"{ZOO / preset}.yaml: name must be that of the file, {preset!r}; got {found.name!r}."
        )
    return found


def is_path(preset: str | os.PathLike) -> bool:
    """Whether ``preset`` is a path: a PathLike, or a string that holds a separator or ends in ``.keras``.

    Anything else is a name in the zoo, whatever happens to lie in the working directory.
    """
    if isinstance(preset, os.PathLike):
        return True
    if not isinstance(preset, str):
        raise UnknownPreset(
            f"preset must be a name or a path; got {preset!r} of type {type(preset).__name__}."
        )
    separators = {"/", os.sep, os.altsep or os.sep}
    return preset.endswith(".keras") or any(separator in preset for separator in separators)


def read_preset(path: str | os.PathLike) -> Preset:
    """Return the preset in a YAML file.

    Raises:
        UnknownPreset: there is no such file.
        InvalidPreset: it is not YAML, breaks the schema, holds a key twice, or holds a number as text.
    """
    path = Path(path)
    with refused(InvalidPreset, f"{path} is not a readable YAML file", "Correct it, or copy it again."):
        if not path.exists():
            raise UnknownPreset(f"no preset at {path}: there is no such file.")
        return _preset_of(path)


def _preset_of(path):
    values = yaml.load(content(path, most_bytes=MOST_BYTES).decode("utf-8"), Loader=_Loader)
    if not isinstance(values, dict):
        raise InvalidPreset(
            f"{path} must hold keys and values, such as 'name: ...'; got {type(values).__name__}."
        )
    texts = [
        f"{key:.80} is the text {text!r:.80}; write {_as_number(text):.80}"
        for key, text in itertools.islice(_numbers_as_text(values), 10)
    ]
    if texts:
        raise InvalidPreset(f"{path}: {'; '.join(texts)} (YAML takes 1e-4, and numbers in quotes, for text).")
    try:
        preset = Preset.model_validate(values)
    except ValidationError as error:
        raise InvalidPreset(f"{path}: {'; '.join(map(_describe, error.errors()[:10]))}.") from error
    preset._folder = path.parent
    return preset


def write_preset(preset: Preset, path: str | os.PathLike) -> None:
    """Write a preset as YAML, whole or not at all, in the order of the schema.

    Raises:
        OutputError: ``path`` cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(as_yaml(preset), encoding="utf-8")


def as_yaml(preset: Preset) -> str:
    """Return a preset as the text of its YAML."""
    return yaml.safe_dump(as_dict(preset), sort_keys=False, allow_unicode=True, width=110)


def as_dict(preset: Preset) -> dict[str, Any]:
    """Return what the YAML of a preset holds, as plain values; what is not stated is left out."""
    return preset.model_dump(mode="json", exclude_none=True)


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, made to refuse the second of two equal keys, and aliases.

    It would keep the last of them. Aliases make a page of text unfold to any size, or hold itself.
    """

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            alias = self.peek_event()
            raise yaml.composer.ComposerError(
                None, None, f"alias *{alias.anchor}: write it out", alias.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key in (key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} stands twice", node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _preset_file(path):
    if path.suffix == ".keras":
        raise UnknownPreset(f"{path} is a .keras file, which has no card; only audiozoo.load takes one.")
    return path if path.suffix in (".yaml", ".yml") else path / "preset.yaml"


def _numbers_as_text(values, key=""):
    """Yield ``(key, text)`` of every text in nested values that Python would read as a number."""
    if isinstance(values, dict):
        for name, value in values.items():
            yield from _numbers_as_text(value, f"{key}.{name}" if key else str(name))
    elif isinstance(values, list):
        for index, value in enumerate(values):
            yield from _numbers_as_text(value, f"{key}[{index}]")
    elif isinstance(values, str) and re.fullmatch(
        r"[-+]?(\d[\d_]*(\.[\d_]*)?|\.\d[\d_]*)(e[-+]?\d+)?", values, re.IGNORECASE
    ):
        yield key, values


def _as_number(text):
    """Return how to write a number so that YAML 1.1 reads it as one: with a point, and a signed exponent."""
    mantissa, e, exponent = text.lower().partition("e")
    if not e:
        return text
    mantissa = mantissa if "." in mantissa else f"{mantissa}.0"
    return f"{mantissa}e{exponent if exponent[0] in '+-' else '+' + exponent}"


def _lists_for_tuples(value):
    if isinstance(value, dict):
        return {key: _lists_for_tuples(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_lists_for_tuples(item) for item in value]
    return value


def _describe(problem):
    """Return one of pydantic's problems as 'key: what is allowed; got what came'."""
    place = list(problem["loc"])
    if place[:1] == ["tune"]:
        del place[2:3]  # pydantic names the type that it tried, which is no key
    key = ".".join(map(str, place))
    message = problem["msg"].removeprefix("Value error, ")
    came = "" if isinstance(problem["input"], dict) else f"; got {problem['input']!r:.200}"
    return f"{key}: {message}{came}" if key else f"{message}{came}"


def did_you_mean(name, names):
    """A sentence that suggests the names that are like this one; nothing where none is."""
    close = difflib.get_close_matches(str(name), list(names))
    return f" Did you mean {' or '.join(close)}?" if close else ""
