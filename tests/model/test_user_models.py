"""A user's own model class in the user's own file: run by name, given an SDA version, pickled."""

import pickle
import sys
from pathlib import Path

import pytest

from recbole_sda.comparison.compare import compare
from recbole_sda.config.defaults import sda_defaults
from recbole_sda.config.run_config import RunConfig
from recbole_sda.engine import experiment
from recbole_sda.errors import InputError
from recbole_sda.model.registry import base_spec, model_class
from recbole_sda.model.settings import SDASettings

MODULE = '''
from recbole.model.general_recommender import BPR
from recbole.model.sequential_recommender import GRU4Rec
from recbole_sda.model.multimodal.vbpr import VBPR
from recbole_sda.model.model_table import BaseModelSpec


class MyBPR(BPR):
    """BPR with another name."""


class MyGRU(GRU4Rec):
    sda_spec = BaseModelSpec("sequential", sequences="packed", loss="product")


class MyVBPR(VBPR):
    pass


class NoTable(BPR):
    sda_spec = BaseModelSpec("general", item_table="nothing")


class NotAModel:
    pass
'''


@pytest.fixture(scope="module", autouse=True)
def user_file(tmp_path_factory):
    """A module of models in a folder that Python searches."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "shop").mkdir()
    (folder / "shop/__init__.py").write_text("")
    (folder / "shop/mymodels.py").write_text(MODULE)
    sys.path.append(str(folder))
    yield
    sys.path.remove(str(folder))


@pytest.mark.parametrize("kind", ["MyBPR", "MyGRU", "MyVBPR"])
@pytest.mark.parametrize("suffix", ["", "_SDA"])
def test_it_runs_by_name(kind, suffix, tiny_keys, tmp_path):
    keys = {**tiny_keys, "runs_path": str(tmp_path / "runs"), "epochs": 1}
    if kind != "MyGRU":
        keys.pop("MAX_ITEM_LIST_LENGTH")
    name = f"shop.mymodels:{kind}{suffix}"
    result = experiment.run(name, "tiny", (), keys)
    assert result["model"] == name and f"/{kind}{suffix}-tiny-" in result["run_dir"]
    again = experiment.evaluate(result["run_dir"])
    assert again["test"] == result["test"]


def test_the_user_s_model_equals_the_one_it_inherits(tiny_keys, tmp_path):
    keys = {**tiny_keys, "runs_path": str(tmp_path / "runs")}
    own = experiment.run("shop.mymodels:MyGRU_SDA", "tiny", (), keys)
    ours = experiment.run("GRU4Rec_SDA", "tiny", (), keys)
    assert own["test"] == ours["test"] and own["training_batches"] == ours["training_batches"] == "packed"


def test_defaults_are_those_of_the_family_of_the_inherited_class():
    """A multimodal one has none, as in the package."""
    for kind, base in (("MyBPR", "BPR"), ("MyGRU", "GRU4Rec")):
        assert sda_defaults(f"shop.mymodels:{kind}_SDA") == sda_defaults(f"{base}_SDA") != {}
    assert sda_defaults("shop.mymodels:MyVBPR_SDA") == sda_defaults("VBPR_SDA") != {}


@pytest.fixture
def own_yaml(user_file):
    """The file of a user's class, as a function that writes it."""
    path = Path(sys.path[-1]) / "shop/MyBPR.yaml"
    yield path.write_text
    path.unlink()


def test_a_user_s_file_gives_defaults_to_the_sda_version_alone(own_yaml, build):
    own_yaml("embedding_size: 8\nsda: {id_smoothing: 0.25, id_graph: content}\n")
    name = "shop.mymodels:MyBPR"
    assert sda_defaults(f"{name}_SDA") == {**sda_defaults("BPR_SDA"), "id_smoothing": 0.25, "id_graph": "content"}
    assert build.config(f"{name}_SDA")["id_smoothing"] == 0.25 and build.config(name)["id_smoothing"] is None
    assert build.config(f"{name}_SDA", id_smoothing=0.5)["id_smoothing"] == 0.5
    assert build.config(f"{name}_SDA", id_embedding="none")["id_smoothing"] == 0.0
    with pytest.raises(InputError, match="'sda' is not a key that anything reads"):
        build.config(f"{name}_SDA", sda={"id_smoothing": 0.5})


@pytest.mark.parametrize(
    "text, message",
    [
        (
            "sda: {id_smothing: 1}",
            "MyBPR.yaml: sda: 'id_smothing' is not a key of .*sda.yaml. Did you mean 'id_smoothing'",
        ),
        ("sda: {learning_rate: 1}", "MyBPR.yaml: sda: 'learning_rate' is not a key of properties/sda.yaml"),
        ("sda: features", "MyBPR.yaml: sda is 'features'; it maps keys of properties/sda.yaml to values"),
        ("sda: [id_start]", r"MyBPR.yaml: sda is \['id_start'\]; it maps keys of properties/sda.yaml to values"),
        ("sda: {id_smoothing: much}", "id_smoothing"),
    ],
)
def test_what_it_cannot_give_is_refused(own_yaml, build, text, message):
    own_yaml(text)
    with pytest.raises(InputError, match=message):
        SDASettings.from_config(build.config("shop.mymodels:MyBPR_SDA"))


def test_classes_and_spec():
    kind = model_class("shop.mymodels:MyGRU_SDA")
    assert pickle.loads(pickle.dumps(kind)) is kind is model_class("shop.mymodels:MyGRU_SDA")
    assert (
        base_spec("shop.mymodels:MyGRU").loss == "product" and base_spec("shop.mymodels:MyBPR_SDA").family == "general"
    )


@pytest.mark.parametrize(
    "name, message",
    [
        ("nowhere.models:A", "module 'nowhere.models' cannot be imported"),
        ("shop.mymodels:MyBRP", "no RecBole model 'MyBRP'; it has MyBPR, MyGRU, MyVBPR, NoTable, NotAModel"),
        ("shop.mymodels:NotAModel", "no RecBole model 'NotAModel'"),
        (":MyBPR", "module '' cannot be imported"),
    ],
)
def test_what_is_refused(name, message):
    with pytest.raises(InputError, match=message):
        model_class(name)


def test_its_keys_are_checked(tiny_keys):
    with pytest.raises(
        InputError, match="'embeding_size' is not a key that anything reads. Did you mean 'embedding_size'"
    ):
        RunConfig("shop.mymodels:MyBPR", "tiny", (), {**tiny_keys, "embeding_size": 8})


def test_the_working_directory_is_searched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    (tmp_path / "here_alone.py").write_text(
        "from recbole.model.general_recommender import BPR\n\n\nclass Here(BPR):\n    pass\n"
    )
    assert model_class("here_alone:Here").__name__ == "Here"


def test_it_is_compared_with_its_sda_version(tiny_keys, tmp_path):
    plan = {
        "datasets": ["tiny"],
        "seeds": [1],
        "keys": {**{k: v for k, v in tiny_keys.items() if k != "MAX_ITEM_LIST_LENGTH"}, "epochs": 1},
        "models": {
            "mine": {"model": "shop.mymodels:MyBPR"},
            "mine, SDA": {"model": "shop.mymodels:MyBPR_SDA", "base": "mine"},
        },
        "metrics": ["hit@10"],
    }
    found = compare(plan, out=tmp_path / "compared")
    assert [row["row"] for row in found["rows"]] == ["mine", "mine, SDA"] and "hit@10" in found["rows"][1]["gain"][
        "all"
    ]


def test_a_missing_item_table_is_named(tiny_keys, tmp_path):
    with pytest.raises(
        InputError, match="NoTable_SDA: the base model has no embedding table 'nothing'; a class of your own names"
    ):
        experiment.run("shop.mymodels:NoTable_SDA", "tiny", (), {**tiny_keys, "run_dir": str(tmp_path / "run")})
