"""Names of files and folders that come from outside."""

import pytest

from dataset_prep.__main__ import main as prepare
from recbole_sda.comparison.read_plan import read_plan
from recbole_sda.config.run_config import RunConfig
from recbole_sda.data.dataset_choice import choose_dataset
from recbole_sda.errors import InputError
from recbole_sda.io.names import safe_name

BAD = [
    "..",
    ".",
    "",
    "../../evil",
    "/etc/evil",
    "a/b",
    "a\\b",
    "a\nb",
    "a\0b",
    ".hidden",
    " a",
    "a ",
    "C:x",
    "a" * 151,
    None,
    3,
    "*",
]


@pytest.mark.parametrize("name", BAD)
def test_bad_names(name):
    with pytest.raises(InputError, match="^modality=.*expected a name"):
        safe_name("modality", name)


@pytest.mark.parametrize("name", ["Amazon_Sports", "ml-100k", "Ü b.c", "商品", "a" * 150])
def test_good_names(name):
    assert safe_name("x", name) == name


@pytest.mark.parametrize("name", ["../../evil", "..", "/tmp/evil"])
def test_every_entry_refuses_them(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("user_id,item_id\na,b\n")
    for read in (lambda: RunConfig("BPR", name), lambda: choose_dataset(name, tmp_path)):
        with pytest.raises(InputError, match="dataset="):
            read()
    assert prepare(["table", "--name", name, "--inter", "t.csv"]) == 2
    assert prepare(["sample", "--name", name]) == 2
    assert capsys.readouterr().err.count("--name=") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_long_names_of_rows():
    with pytest.raises(InputError, match="plan: models=.*expected a name of at most"):
        read_plan({"datasets": ["D"], "seeds": [1], "models": {"x" * 300: {"model": "BPR"}}})
