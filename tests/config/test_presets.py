"""Presets: of *_SDA models, and by data set and base model; their place among the defaults, and what is refused."""

import shutil

import pytest
import yaml

from recbole_sda.comparison.read_plan import read_plan
from recbole_sda.config.presets import BY_DATASET, read_preset
from recbole_sda.config.run_config import RunConfig
from recbole_sda.engine import experiment
from recbole_sda.errors import InputError
from recbole_sda.io.yaml import properties_dir, read_yaml
from recbole_sda.tune.search import Search
from recbole_sda.tune.space import Domain, Space

STRONG = read_yaml(properties_dir() / "preset/strong.yaml")[BY_DATASET]
SECTIONS = [(dataset, model) for dataset, models in STRONG.items() for model in models]


@pytest.fixture
def properties(tmp_path, monkeypatch):
    """A copy of properties/ in place of the package's; a function writes a preset ``mine`` into it."""
    folder = tmp_path / "properties"
    shutil.copytree(properties_dir(), folder)
    modules = ("defaults", "known_keys", "dataset_files", "run_config")
    for module in (*(f"config.{name}" for name in modules), "validation"):
        monkeypatch.setattr(f"recbole_sda.{module}.properties_dir", lambda: folder)

    def write(content) -> None:
        (folder / "preset/mine.yaml").write_text(yaml.safe_dump(content))

    write.folder = folder
    return write


def config(model, dataset="tiny", files=(), **keys):
    return RunConfig(model, dataset, files, keys)


@pytest.mark.parametrize("dataset, model", SECTIONS)
def test_every_section_of_strong_makes_a_configuration_for_base_and_sda(dataset, model):
    names = [model] if model.endswith("_SDA") else [model, f"{model}_SDA"]
    for name in names:
        made = config(name, dataset, preset="strong")
        expected = {**STRONG[dataset].get(model.removesuffix("_SDA"), {}), **STRONG[dataset][model]}
        if name == model or f"{model}_SDA" not in STRONG[dataset]:
            assert {key: made[key] for key in expected} == expected
        assert made["preset"] == "strong" and not made.ignored_keys


def test_strong_is_the_base_model_s_settings_in_both():
    base, ours = (config(name, "Amazon_Sports", preset="strong") for name in ("SASRec", "SASRec_SDA"))
    assert base["hidden_size"] == ours["hidden_size"] == 128
    assert config("SASRec", "Amazon_Sports")["hidden_size"] == 64


def test_without_a_preset_it_is_empty():
    assert config("SASRec")["preset"] is None and config("SASRec_SDA", preset=None)["preset"] is None


def test_the_default_of_the_key_is_no_preset():
    """Comparisons take it for runs that lack the key, so that a run without a preset is not taken for one with it."""
    assert config("SASRec", "Amazon_Sports", preset="strong").internal_config_dict["preset"] is None


def test_an_sda_section_comes_on_top_of_the_base_s(properties):
    base = {"learning_rate": 0.1, "hidden_size": 32}
    properties({BY_DATASET: {"tiny": {"SASRec": base, "SASRec_SDA": {"hidden_size": 16, "moda_rank": 4}}}})
    ours = config("SASRec_SDA", preset="mine")
    assert (ours["learning_rate"], ours["hidden_size"], ours["moda_rank"]) == (0.1, 16, 4)
    assert config("SASRec", preset="mine")["hidden_size"] == 32
    names = [section.model for section in read_preset("mine", "SASRec_SDA", "tiny").sections]
    assert names == ["SASRec", "SASRec_SDA"]


def test_a_preset_by_dataset_wins_over_all_defaults_and_yields_to_what_is_given(properties, tmp_path):
    """Over the file of the data set and over the published settings of the model's file; a flat preset yields to both."""
    (properties.folder / "dataset/tiny.yaml").write_text("learning_rate: 0.3\ntrain_batch_size: 7\n")
    model = properties.folder / "model/BM3.yaml"
    model.write_text(model.read_text().replace("published:", "published:\n  tiny: {n_layers: 5, dropout: 0.7}", 1))
    assert config("BM3")["n_layers"] == 5 and config("BM3")["train_batch_size"] == 7
    keys = {"learning_rate": 0.2, "n_layers": 3, "train_batch_size": 8, "epochs": 9}
    properties({BY_DATASET: {"tiny": {"BM3": keys}}})
    file = tmp_path / "file.yaml"
    file.write_text("preset: mine\ntrain_batch_size: 64\nepochs: 11\n")
    made = config("BM3", files=[str(file)], epochs=12)
    assert [made[key] for key in ("learning_rate", "n_layers", "dropout", "train_batch_size", "epochs")] == [
        0.2, 3, 0.7, 64, 12,
    ]  # fmt: skip
    properties(keys)
    flat = config("BM3_SDA", preset="mine")
    assert [flat[key] for key in ("learning_rate", "n_layers", "epochs")] == [0.3, 5, 9]


@pytest.mark.parametrize("model", ["SASRec", "VBPR", "SequenceKNN", "Pop"])
def test_a_flat_preset_is_for_sda_models(model):
    with pytest.raises(InputError, match=f"^preset='paper': has settings of .*_SDA models only; {model} is not one$"):
        config(model, preset="paper")


@pytest.mark.parametrize("dataset", ["tiny", "Amazon_Sports-sample", "Amazon_Toys"])
def test_data_sets_without_a_section(dataset):
    with pytest.raises(InputError, match=f"no settings for the data set {dataset}; it has some for .*Amazon_Sports"):
        config("SASRec", dataset, preset="strong")


@pytest.mark.parametrize("model, base", [("NGCF", "NGCF"), ("NGCF_SDA", "NGCF"), ("SequenceKNN", "SequenceKNN")])
def test_models_without_a_section(model, base):
    with pytest.raises(InputError, match=f"no settings for the model {base} on Amazon_Sports; it has some for SASRec"):
        config(model, "Amazon_Sports", preset="strong")


def test_an_unknown_preset():
    with pytest.raises(InputError, match="preset='Strong': there is .*strong. Did you mean 'strong'"):
        config("SASRec", preset="Strong")


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"hidden_siz": 3}, "tiny: SASRec: 'hidden_siz' is not a key .*Did you mean 'hidden_size'"),
        ({"ssl_tau": 3}, "tiny: SASRec: 'ssl_tau' is a key of other models, not of SASRec"),
        ({"moda_rank": 4}, "mine.yaml: by_dataset: tiny: SASRec: SASRec does not read moda_rank from a preset"),
        ({"preset": "paper"}, "SASRec does not read preset from a preset"),
        ({"model": "BPR", "dataset": "x"}, "SASRec does not read dataset, model from a preset"),
        ({}, "mine.yaml: by_dataset: tiny: SASRec: expected `key: value`"),
        ({"epochs": 0}, "epochs=0: expected a whole number at least 1"),
    ],
)
@pytest.mark.parametrize("model", ["SASRec", "SASRec_SDA"])
def test_wrong_sections(properties, keys, message, model):
    """Also a key of SDA alone in the base model's section, which both models read."""
    properties({BY_DATASET: {"tiny": {"SASRec": keys}}})
    with pytest.raises(InputError, match=message):
        config(model, preset="mine")


@pytest.mark.parametrize(
    "content, message",
    [
        ({BY_DATASET: {"tiny": {"SASRec": {"epochs": 1}}}, "moda_rank": 4}, "by_dataset must be the only key, found"),
        ({BY_DATASET: None}, "mine.yaml: by_dataset: expected `key: value`, found None"),
        ({BY_DATASET: {"tiny": ["SASRec"]}}, r"by_dataset: tiny: expected `key: value`, found \['SASRec'\]"),
        ({BY_DATASET: {"tiny": {"SASRec_SDA": {"moda_rank": 4}}}}, "no settings for the model SASRec on tiny"),
    ],
)
def test_wrong_files(properties, content, message):
    properties(content)
    with pytest.raises(InputError, match=message):
        config("SASRec_SDA", preset="mine")


def test_runs_with_a_preset_are_resumed_and_loaded(properties, tiny_keys, tmp_path):
    """Their folder has the preset's values, which win over those that the preset has later."""
    properties({BY_DATASET: {"tiny": {"BPR": {"learning_rate": 0.02, "embedding_size": 24}}}})
    keys = {**tiny_keys, "epochs": 1, "preset": "mine", "run_dir": str(tmp_path / "run")}
    experiment.run("BPR_SDA", "tiny", (), keys)
    properties({BY_DATASET: {"tiny": {"BPR": {"learning_rate": 0.5, "embedding_size": 8}}}})
    assert experiment.resume(tmp_path / "run", {"epochs": 2})["epochs_run"] == 2
    loaded = experiment.load(tmp_path / "run")
    assert (loaded.config["learning_rate"], loaded.model.items.embedding_dim) == (0.02, 24)
    with pytest.raises(InputError, match="preset is 'mine' in this run and cannot become 'paper'"):
        experiment.resume(tmp_path / "run", {"epochs": 3, "preset": "paper"})


def test_comparisons_and_searches_take_a_preset(properties, tiny_keys, tmp_path):
    properties({BY_DATASET: {"tiny": {"BPR": {"learning_rate": 0.02}}}})
    models = {"BPR": {}, "other": {"model": "BPR_SDA", "keys": {"preset": "paper"}}, "GRU4Rec": {}}
    plan = {"datasets": ["tiny"], "seeds": [1], "keys": {**tiny_keys, "preset": "mine"}, "models": models}
    base, other, unknown = read_plan(plan, tmp_path).runs()
    assert base.configuration()["learning_rate"] == 0.02
    assert (other.configuration()["preset"], other.configuration()["item_encoder"]) == ("paper", "linear")
    with pytest.raises(InputError, match="models: GRU4Rec: preset='mine': has no settings for the model GRU4Rec"):
        unknown.check()
    space = Space({"embedding_size": Domain("choice", [8, 16])})
    search = Search("BPR_SDA", "tiny", space, (), {**tiny_keys, "preset": "mine"}, tmp_path / "search")
    trial = search.trial({"embedding_size": 16})
    made = config(trial.model, trial.dataset, **trial.keys)
    assert (made["learning_rate"], made["embedding_size"]) == (0.02, 16)
