import json
from pathlib import Path

import pytest
import yaml

from audiozoo import registry
from audiozoo.errors import InvalidPreset, OutputError, UnknownPreset
from audiozoo.registry import Card, Preset, Train, info, list_models, read_preset, write_preset

GOOD = """\
name: tone
version: 2
architecture: ToneMaker
config: {sample_rate: 16000, widths: [4, 8], room: null}
weights:
  file: tone.weights.h5
  sha256: "{sha256}"
  size: 1234
card:
  summary: A tone.
  weights_license: CC0-1.0
  parameters: 12
  results: {loss: 6.1, error_cents: 3}
train: {learning_rate: 1.0e-4}
tune:
  learning_rate: {type: float, min: 1.0e-4, max: 1.0e-2, sampling: log}
  widths: {type: choice, values: [1, 2]}
  layers: {type: int, min: 1, max: 4}
  biased: {type: bool}
""".replace("{sha256}", "a" * 64)


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "ZOO", tmp_path)
    return tmp_path


@pytest.fixture
def write(tmp_path):
    def write_text(text, name="tone"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        return path

    return write_text


def changed(old, new):
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


CONDITIONAL = "{type: float, min: 0.0, max: 0.5, when: %s}"


@pytest.mark.parametrize(
    "when, sentence",
    [
        (
            "{depth: [1]}",
            "dropout.when must name a hyper-parameter that stands above it; got 'depth'. Those are: l",
        ),
        ("{dropout: [0.1]}", "must name a hyper-parameter that stands above it; got 'dropout'"),
        ("{widths: [1, 3]}", "dropout.when.widths must be among the values of widths, [1, 2]; got [3]"),
        (
            "{learning_rate: [0.001]}",
            "among the values of learning_rate, a choice, a bool or an int; got [0.001]",
        ),
        ("{layers: [5]}", "among the values of layers, [1, 2, 3, 4]; got [5]"),
    ],
)
def test_a_condition_that_can_never_be_met_is_refused(write, when, sentence):
    with pytest.raises(InvalidPreset) as caught:
        read_preset(write(GOOD + f"  dropout: {CONDITIONAL % when}\n"))
    assert sentence in str(caught.value)


def test_a_condition_is_a_value_or_a_list_of_them(write):
    for when in ("{biased: true, widths: 2}", "{biased: [true], widths: [2]}"):
        preset = read_preset(write(GOOD + f"  dropout: {CONDITIONAL % when}\n"))
        assert preset.tune["dropout"].when == {"biased": [True], "widths": [2]}


@pytest.mark.parametrize(
    "old, new, sentence",
    [
        (
            "min: 1, max: 4",
            "min: 1, max: 4, step: 4",
            "tune.layers: step must leave a second value up to max",
        ),
        ("sampling: log}", "sampling: log, step: 200}", "tune.learning_rate: step must leave a second value"),
        (
            "values: [1, 2]",
            "values: [1, 1]",
            "tune.widths.values: values must differ from each other; got [1, 1]",
        ),
    ],
)
def test_a_range_with_a_single_value_is_refused(write, old, new, sentence):
    with pytest.raises(InvalidPreset) as caught:
        read_preset(write(changed(old, new)))
    assert sentence in str(caught.value)


def test_a_preset_is_read_as_written(write):
    path = write(GOOD)
    preset = read_preset(path)
    assert preset.config == {"sample_rate": 16000, "widths": [4, 8], "room": None}
    assert preset.train == Train(learning_rate=1e-4)
    assert preset.train.batch_size == 16
    assert preset.card.results == {"loss": 6.1, "error_cents": 3.0}
    assert preset.tune["learning_rate"].sampling == "log"
    assert preset.folder == path.parent


def test_written_and_read_again_is_the_same_in_the_order_of_the_schema(write, tmp_path):
    preset = read_preset(write(GOOD))
    write_preset(preset, tmp_path / "again.yaml")
    assert read_preset(tmp_path / "again.yaml") == preset
    assert list(yaml.safe_load((tmp_path / "again.yaml").read_text())) == list(Preset.model_fields)
    assert json.loads(json.dumps(registry.as_dict(preset)))["config"]["room"] is None


def test_tuples_of_a_model_config_become_lists():
    card = Card(summary="", weights_license="")
    preset = Preset(name="x", version=1, architecture="X", config={"kernels": ((3, 1), (5, 2))}, card=card)
    assert preset.config == {"kernels": [[3, 1], [5, 2]]}
    assert preset.folder is None


def test_a_preset_cannot_be_changed(write):
    with pytest.raises(ValueError, match="frozen"):
        read_preset(write(GOOD)).version = 3


@pytest.mark.parametrize(
    "old, new, sentence",
    [
        ("version: 2", "verson: 2", "unknown key 'verson'. Did you mean version? Allowed: name, version"),
        ("learning_rate: 1.0e-4}", "learning_rte: 1.0}", "train: unknown key 'learning_rte'. Did you mean"),
        ("summary:", "summery:", "card: unknown key 'summery'. Did you mean summary?"),
        ("{type: bool}", "{type: bool, min: 0}", "unknown key 'min'. Allowed: when, type"),
        ("version: 2", "version: 2\nfolder: /tmp", "unknown key 'folder'"),
        ("1.0e-4}", "1e-4}", "train.learning_rate is the text '1e-4'; write 1.0e-4 "),
        ("min: 1.0e-4", "min: 5E4", "tune.learning_rate.min is the text '5E4'; write 5.0e+4 "),
        ("[4, 8]", "[4, '8']", "config.widths[1] is the text '8'; write 8 "),
        ("16000", "'16_000'", "config.sample_rate is the text '16_000'"),
        ("version: 2", "version: '-2.5'", "version is the text '-2.5'; write -2.5 "),
        ("version: 2", "version: 2\nversion: 3", "key 'version' stands twice"),
        ("{sample_rate: 16000,", "{room: 1,", "key 'room' stands twice"),
        ("version: 2", "version: two", "version: Input should be a valid integer; got 'two'"),
        ("version: 2", "version: true", "version: Input should be a valid integer; got True"),
        ("version: 2", "version: 0", "version: Input should be greater than 0; got 0"),
        ("version: 2\n", "", "version: Field required"),
        ("architecture: ToneMaker", "architecture: os.system", "architecture: String should match"),
        ("name: tone", "name: ../tone", "name: String should match"),
        ("file: tone.weights.h5", "file: ../tone.weights.h5", "weights.file: String should match"),
        ("file: tone.weights.h5", "file: tone.pickle", "weights.file: String should match"),
        ("a" * 64, "a" * 63, "weights.sha256: String should match"),
        ("size: 1234", "size: 1234\n  url: ftp://x", "weights.url: String should match"),
        ("room: null", "room: 2020-01-01", "config.room: input was not a valid JSON value"),
        ("loss: 6.1", "loss: .nan", "card.results.loss: Input should be a finite number"),
        (
            "learning_rate: 1.0e-4}",
            "learning_rate: -1.0}",
            "train.learning_rate: Input should be greater than 0",
        ),
        (
            "learning_rate: 1.0e-4}",
            "decay_per_epoch: 1.5}",
            "train.decay_per_epoch: Input should be less than",
        ),
        (
            "learning_rate: 1.0e-4}",
            "batch_size: 0}",
            "train.batch_size: Input should be greater than 0; got 0",
        ),
        ("learning_rate: 1.0e-4}", "epochs: 2.5}", "train.epochs: Input should be a valid integer; got 2.5"),
        ("learning_rate: 1.0e-4}", "seed: -1}", "train.seed: Input should be greater than or equal to 0"),
        ("min: 1.0e-4, max: 1.0e-2", "min: 1.0, max: 1.0e-2", "min must be below max; got min=1.0, max=0.01"),
        ("min: 1.0e-4, max", "min: 0.0, max", "sampling: log needs min above 0; got min=0.0"),
        ("sampling: log", "sampling: log, step: 0.5", "multiplies by step, which must be above 1; got 0.5"),
        ("values: [1, 2]", "values: []", "tune.widths.values: Value should have at least 1 item"),
        ("{type: bool}", "{type: boolean}", "tune.biased: Input tag 'boolean' found"),
    ],
)
def test_a_wrong_key_or_value_is_refused_by_name(write, old, new, sentence):
    path = write(changed(old, new))
    with pytest.raises(InvalidPreset) as caught:
        read_preset(path)
    assert str(path) in str(caught.value)
    assert sentence in str(caught.value)


def test_all_mistakes_are_reported_at_once(write):
    with pytest.raises(InvalidPreset, match=r"version: .*weights.size: "):
        read_preset(write(changed("version: 2", "version: 0").replace("size: 1234", "size: -1")))


@pytest.mark.parametrize(
    "text", ["name: [", "- a\n- b", "", "just words", "!!python/object/apply:os.getcwd []"]
)
def test_what_is_no_yaml_of_keys_is_refused(write, text):
    with pytest.raises(InvalidPreset, match="tone.yaml"):
        read_preset(write(text))


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "tone.yaml").write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(InvalidPreset, match="not a readable YAML file"):
        read_preset(tmp_path / "tone.yaml")


def test_writing_where_nothing_can_be_written_leaves_nothing(write, tmp_path):
    preset = read_preset(write(GOOD))
    (tmp_path / "file").touch()
    for place in (tmp_path / "no_such_folder" / "x.yaml", tmp_path / "file" / "x.yaml"):
        with pytest.raises(OutputError, match="cannot write .*x.yaml.*Choose a place"):
            write_preset(preset, place)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "tone.yaml"]


def test_a_failed_write_keeps_the_old_file(write, tmp_path, monkeypatch):
    path = write(GOOD)
    monkeypatch.setattr(Path, "write_text", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "disk full")))
    with pytest.raises(OutputError, match="disk full"):
        write_preset(read_preset(path), path)
    assert path.read_text() == GOOD
    assert list(tmp_path.iterdir()) == [path]


def test_names_are_listed_as_a_human_sorts_them(zoo, write):
    for name in ("x10", "x2", "tone", "x2_big"):
        write("", name)
    assert list_models() == ["tone", "x2", "x2_big", "x10"]
    assert list_models("x2*") == ["x2", "x2_big"]
    assert list_models("y*") == []


def test_info_takes_a_name_a_folder_or_a_yaml(zoo, write):
    write(GOOD)
    folder = zoo / "saved"
    folder.mkdir()
    (folder / "preset.yaml").write_text(GOOD)
    assert info("tone") == info(zoo / "tone.yaml")
    assert info(folder) == info(f"{folder}/")
    assert info(folder).folder == folder


def test_an_unknown_name_suggests_the_close_ones(zoo, write):
    write(GOOD, "ddsp_violin")
    with pytest.raises(UnknownPreset, match="no preset 'ddsp_violn' in the zoo. Did you mean ddsp_violin?"):
        info("ddsp_violn")
    with pytest.raises(UnknownPreset, match="no preset 'zzz' in the zoo. There are: ddsp_violin"):
        info("zzz")


def test_a_name_is_never_taken_for_what_lies_in_the_working_directory(zoo, write, monkeypatch):
    (zoo / "local").mkdir()
    (zoo / "local" / "preset.yaml").write_text(GOOD)
    monkeypatch.chdir(zoo)
    with pytest.raises(UnknownPreset, match=r"as in './local'"):
        info("local")
    assert info("./local").name == "tone"


@pytest.mark.parametrize("preset", ["./nowhere", Path("nowhere"), "./nowhere.yaml"])
def test_a_path_without_a_preset_is_named(zoo, preset):
    with pytest.raises(UnknownPreset, match="no preset at nowhere.*there is no such file"):
        info(preset)


@pytest.mark.parametrize("preset", [None, 3, b"tone"])
def test_what_is_neither_name_nor_path_is_refused(preset):
    with pytest.raises(UnknownPreset, match="must be a name or a path; got"):
        info(preset)


def test_a_keras_file_has_no_card():
    with pytest.raises(UnknownPreset, match="only audiozoo.load takes one"):
        info("model.keras")


def test_a_preset_in_the_zoo_is_called_as_its_file(zoo, write):
    write(GOOD, "other")
    with pytest.raises(InvalidPreset, match="name must be that of the file, 'other'; got 'tone'"):
        info("other")
