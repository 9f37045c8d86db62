import copy
import re

import pytest
import yaml
from fuzz.hostile import damaged, fuzzed, misspelt, no_files, read_or_refused, refusal, twisted
from hypothesis import example, given
from hypothesis import strategies as st

from audiozoo.errors import AudioZooError, InvalidPreset, UnknownPreset
from audiozoo.registry import ZOO, Preset, info, list_models, read_preset

TEXT = """\
name: tone
version: 1
architecture: ToneMaker
config:
  sample_rate: 16000
  widths: [1, 2, 4]
  envelope: linear
weights:
  file: tone.weights.h5
  sha256: 0000000000000000000000000000000000000000000000000000000000000000
  size: 100
  url: https://example.org/tone.weights.h5
card:
  summary: A tone.
  weights_license: CC0-1.0
  parameters: 100
  results: {mss: 0.5}
train:
  learning_rate: 1.0e-3
  recording_pattern: ^([^.]*)
tune:
  widths: {type: choice, values: [1, 2]}
  depth: {type: int, min: 1, max: 8, when: {widths: [1]}}
  rate: {type: float, min: 1.0e-4, max: 1.0, sampling: log, step: 10.0, when: {depth: 3}}
  dropout: {type: bool}
"""
# Text in quotes, or YAML takes the zeros for a number.
TEXT = TEXT.replace("0" * 64, "a" * 64)
VALUES = yaml.safe_load(TEXT)


def assert_preset(result):
    assert isinstance(result, AudioZooError) or (isinstance(result, Preset) and result.model_dump_json())


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("presets") / "tone.yaml"


def write(path, **changes):
    """The preset with other values, given as the path of keys to them: ``config__widths=...``."""
    values = copy.deepcopy(VALUES)
    for place, value in changes.items():
        *above, key = place.split("__")
        inner = values
        for name in above:
            inner = inner[name]
        inner[key] = value
    path.write_text(yaml.safe_dump(values), encoding="utf-8")


def test_the_preset_is_right_before_it_is_spoilt(path):
    path.write_text(TEXT)
    assert read_preset(path).name == "tone"


@fuzzed(60)
@given(damaged(TEXT.encode()))
def test_damaged_bytes_are_read_or_refused(path, data):
    path.write_bytes(data)
    assert_preset(read_or_refused(read_preset, path, InvalidPreset))


@fuzzed(60)
@given(misspelt(TEXT))
@example("a: 2020-99-99")
@example("a: " + "9" * 5000)
@example("a: 0x" + "f" * 10_000)
@example("? [a]\n: 1")
@example("- " * 1000)
@example("{" * 5000)
@example("name: !!binary x")
def test_a_misspelt_text_is_read_or_refused(path, text):
    path.write_text(text, encoding="utf-8")
    assert_preset(read_or_refused(read_preset, path, InvalidPreset))


@fuzzed(100)
@given(twisted(VALUES))
def test_other_values_are_read_or_refused(path, values):
    try:
        text = yaml.safe_dump(values, allow_unicode=True)
    except ValueError:  # Python's own limit on the digits of a number
        return
    path.write_text(text, encoding="utf-8", errors="replace")
    assert_preset(read_or_refused(read_preset, path, InvalidPreset))


def test_no_tag_runs_code(path, tmp_path):
    for tag in (
        "!!python/object/apply:os.system",
        "!!python/object/new:os.system",
        "!!python/name:os.system",
        "!!python/module:os",
        "!os.system",
        "!!python/object/apply:subprocess.check_output",
    ):
        path.write_text(f"name: {tag} ['touch {tmp_path}/ran']\n" + TEXT)
        assert "not a readable YAML file" in refusal(read_preset, path, InvalidPreset)
        path.write_text(TEXT.replace("linear", f"{tag} ['touch {tmp_path}/ran']"))
        assert "not a readable YAML file" in refusal(read_preset, path, InvalidPreset)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "bomb",
    [
        "a: &a [x, x]\n"
        + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        "a: &a [*a]",
        "a: &a {b: *a}",
        "base: &base {x: 1}\nconfig: {<<: *base}",
    ],
)
def test_aliases_which_unfold_to_any_size_are_refused(path, bomb):
    path.write_text(bomb)
    assert "write it out" in refusal(read_preset, path, InvalidPreset)


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("[" * 20_000, "RecursionError|recursion"),
        ("a: " * 50_000, "not a readable YAML"),
        ("# " + "x" * (1 << 18), "has more than 262144 bytes"),
        ("\n".join(f"k{i}: {i}" for i in range(8_000)), "unknown key 'k0'"),
        ("summary: '" + "1" * 200_000 + "x'", "unknown key|name: Field required"),
        ("k" * 200_000 + ": 1", "unknown key|readable"),
    ],
)
def test_what_is_large_is_refused_in_time(path, text, sentence):
    path.write_text(text)
    assert re.search(sentence, refusal(read_preset, path, InvalidPreset))


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"weights__file": "../../etc/x.weights.h5"}, "weights.file"),
        ({"weights__file": "/etc/x.weights.h5"}, "weights.file"),
        ({"weights__file": "x/../y.weights.h5"}, "weights.file"),
        ({"weights__file": "x\\y.weights.h5"}, "weights.file"),
        ({"weights__file": "x.weights.h5\n"}, "weights.file"),
        ({"weights__url": "file:///etc/passwd"}, "weights.url"),
        ({"weights__size": -1}, "weights.size"),
        ({"weights__sha256": "A" * 64}, "weights.sha256"),
        ({"architecture": "os.system"}, "architecture"),
        ({"architecture": "audiozoo.models.ddsp:DDSPDecoder"}, "architecture"),
        ({"name": "../x"}, "name"),
        (
            {"config__sample_rate": float("nan")},
            "config: .*numbers must be finite and at most 10000000; got nan",
        ),
        ({"config__sample_rate": float("-inf")}, "config: .*must be finite"),
        ({"config__sample_rate": 10**7 + 1}, "config: .*got one of 24 bits"),
        ({"config__widths": [[1, [2**70]]]}, "config: .*got one of 71 bits"),
        ({"config__widths": [1] * 5000}, "config: .*holds 5000 items, where 4096 are allowed"),
        ({"train__learning_rate": float("nan")}, "train.learning_rate"),
        ({"train__epochs": -1}, "train.epochs"),
        ({"train__recording_pattern": "(" * 10_000}, "recording_pattern|readable"),
        ({"train__recording_pattern": "(a{99999999999999999999})"}, "recording_pattern|readable"),
        (
            {"tune__depth": {"type": "int", "min": 1, "max": 2**70}, "tune__rate__when": {"depth": [0]}},
            "rate.when.depth",
        ),
        ({"tune__rate__min": -1.0}, "tune"),
        ({"card__results": {"x": float("inf")}}, "card.results"),
    ],
)
def test_what_a_preset_may_not_say(path, changes, sentence):
    write(path, **changes)
    message = refusal(read_preset, path, InvalidPreset)
    assert re.search(sentence, message), message


@pytest.mark.parametrize("kind", ["folder", "fifo", "device", "zero byte", "name too long"])
def test_what_is_no_file_is_refused_at_once(kind, tmp_path):
    for path in no_files(tmp_path / "preset.yaml", kind):
        refusal(read_preset, path, (InvalidPreset, UnknownPreset), named="preset.yaml")


@fuzzed(30)
@given(st.sampled_from(list_models()).flatmap(lambda name: damaged((ZOO / f"{name}.yaml").read_bytes())))
def test_the_zoos_own_files_damaged(path, data):
    path.write_bytes(data)
    assert_preset(read_or_refused(info, path, InvalidPreset))
