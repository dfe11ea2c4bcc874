"""Defaults of *_SDA models that depend on the family of the base model: where they apply, and what wins over them."""

import pytest
import yaml

from recbole_sda.config.defaults import SDA, defaults_of_earlier_run, sda_defaults
from recbole_sda.config.run_config import RunConfig
from recbole_sda.engine import experiment
from recbole_sda.engine.run import open_run
from recbole_sda.engine.run_folder import CONFIG
from recbole_sda.io.yaml import properties_dir, read_yaml
from recbole_sda.model.model_table import BASE_MODELS, MULTIMODAL
from recbole_sda.model.settings import SDASettings

from ..conftest import WAYS_OFF

ALL = read_yaml(properties_dir() / SDA)
FAMILIES = {
    family: read_yaml(properties_dir() / f"sda_{family}.yaml") for family in ("sequential", "general", "multimodal")
}
OF_MODEL = {"VBPR": {"id_start": "features"}}
EXAMPLES = [("SASRec_SDA", "sequential"), ("LightGCN_SDA", "general"), ("BM3_SDA", "multimodal")]


def same(config, expected) -> bool:
    return {key: config[key] for key in expected} == expected


def usual(family) -> dict:
    """The values that sda.yaml has for the keys of a family."""
    return {key: ALL[key] for key in FAMILIES[family]}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_file_changes_keys_of_sda_yaml_and_nothing_else(family):
    own = FAMILIES[family]
    assert own and set(own) <= set(ALL) and "id_embedding" not in own
    assert all(ALL[key] != value for key, value in own.items())  # another value, or the line says nothing


def test_tests_with_all_ways_off_know_every_way_of_the_families():
    """The encoder's scale and learning rate are no way: without an encoder nothing reads them; base_fallback is none either."""
    ways = {key for own in FAMILIES.values() for key in own} - {"encoder_scale", "encoder_lr_factor", "base_fallback"}
    assert ways <= set(WAYS_OFF) and {key: ALL[key] for key in WAYS_OFF} == WAYS_OFF


@pytest.mark.parametrize("name", BASE_MODELS)
def test_models_have_the_defaults_of_their_family(build, name):
    config = build.config(f"{name}_SDA")
    own = FAMILIES[BASE_MODELS[name].family]
    assert same(config, {**ALL, **own})
    SDASettings.from_config(config)
    assert [build.config(name)[key] for key in own] == [None] * len(own)


@pytest.mark.parametrize("name", MULTIMODAL)
def test_multimodal_models_have_the_defaults_of_their_family(build, name):
    own = {**FAMILIES["multimodal"], **OF_MODEL.get(name, {})}
    assert sda_defaults(f"{name}_SDA") == own and sda_defaults(name) == {}
    config = build.config(f"{name}_SDA")
    assert same(config, {**ALL, **own}) and build.config(name)["sda"] is None
    SDASettings.from_config(config)


@pytest.mark.parametrize("name, family", EXAMPLES)
def test_without_an_id_table_the_defaults_are_those_of_sda_yaml(build, tmp_path, name, family):
    """However the table is turned off: by --key=value, by a file, or by a preset, whose own values stand."""
    path = tmp_path / "file.yaml"
    path.write_text("id_embedding: none\n")
    in_file = RunConfig(name, "tiny", [str(path)], {"data_path": str(build.data_path)})
    for config in (build.config(name, id_embedding="none"), in_file):
        assert config["id_embedding"] == "none" and same(config, usual(family))
    paper = read_yaml(properties_dir() / "preset/paper.yaml")
    config = build.config(name, preset="paper")
    assert config["id_embedding"] == "none"
    assert same(config, {**usual(family), **{key: paper[key] for key in FAMILIES[family] if key in paper}})


@pytest.mark.parametrize("name, family", EXAMPLES)
def test_with_the_table_back_a_preset_s_values_win_over_the_family_s(build, name, family):
    paper = read_yaml(properties_dir() / "preset/paper.yaml")
    config = build.config(name, preset="paper", id_embedding="add")
    both = [key for key in FAMILIES[family] if key in paper]
    assert {"id_smoothing"} <= set(both)
    assert same(config, {key: paper[key] for key in both})
    assert same(config, {key: value for key, value in FAMILIES[family].items() if key not in paper})


@pytest.mark.parametrize("name, family", EXAMPLES)
def test_given_keys_win_over_the_family_s(build, tmp_path, name, family):
    """One alone: the other defaults of the family stay."""
    path = tmp_path / "file.yaml"
    for key in FAMILIES[family]:
        path.write_text(yaml.safe_dump({key: ALL[key]}))
        in_file = RunConfig(name, "tiny", [str(path)], {"data_path": str(build.data_path)})
        for config in (build.config(name, **{key: ALL[key]}), in_file):
            assert same(config, {**FAMILIES[family], key: ALL[key]})


def without_the_keys(run_dir, keys) -> None:
    """Make a run folder one of a version that did not have the keys."""
    values = read_yaml(run_dir / CONFIG)
    (run_dir / CONFIG).write_text(yaml.safe_dump({key: value for key, value in values.items() if key not in keys}))


@pytest.mark.parametrize(
    "name, family", [("SASRec_SDA", "sequential"), ("BPR_SDA", "general"), ("VBPR_SDA", "multimodal")]
)
def test_a_run_of_an_earlier_version_opens_with_the_values_of_sda_yaml(tiny_keys, tmp_path, name, family):
    """A run of this version has the keys in its folder and keeps them, and so does what is given when it is opened."""
    folder, own = tmp_path / "run", sda_defaults(name)
    earlier = {**tiny_keys, **{key: ALL[key] for key in own}, "epochs": 1}
    tested = experiment.run(name, "tiny", (), {**earlier, "run_dir": str(folder)})["test"]
    without_the_keys(folder, own)
    run = open_run(folder)
    assert same(run.config, usual(family)) and same(run.config, {key: ALL[key] for key in ALL if key not in tiny_keys})
    key = "id_smoothing"
    assert open_run(folder, {key: own[key]}).config[key] == own[key] != ALL[key]
    loaded = experiment.load(folder)
    assert dict(loaded.trainer.evaluate(loaded.data.test, load_best_model=False)) == pytest.approx(tested)
    experiment.resume(folder, {"epochs": 2})
    assert same(read_yaml(folder / CONFIG), {**usual(family), "epochs": 2})


def test_only_keys_that_a_run_lacks_get_the_earlier_values():
    values = {"model": "SASRec_SDA", **FAMILIES["sequential"]}
    assert defaults_of_earlier_run(values) == {}
    del values["id_start"]
    assert defaults_of_earlier_run(values) == {"id_start": ALL["id_start"]}
    for model in ("SASRec", "VBPR", "SequenceKNN"):
        assert defaults_of_earlier_run({"model": model}) == {}
