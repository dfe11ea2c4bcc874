"""Users' own classes that files name."""

import sys

import pytest

from recbole_sda.cli.run import main
from recbole_sda.cli.user_models import allow_user_models
from recbole_sda.comparison.read_plan import read_plan
from recbole_sda.engine.run import settings_of
from recbole_sda.errors import InputError
from recbole_sda.model import named_models
from recbole_sda.model.named_models import check_named

EVIL = "raise SystemExit('code of a file was run')"


@pytest.fixture
def evil(tmp_path, monkeypatch):
    (tmp_path / "evil_module.py").write_text(EVIL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(named_models, "_named", set())
    return tmp_path


def test_configuration_files_run_folders_and_plans_do_not_name_code(evil, capsys):
    (evil / "config.yaml").write_text("model: evil_module:M_SDA\ndataset: D\n")
    assert main(["--config_files=config.yaml"]) == 2
    assert "model evil_module:M is Python code outside this package" in capsys.readouterr().err
    with pytest.raises(InputError, match="--user_models=evil_module:M"):
        settings_of(evil)
    for models in ("{a: {model: 'evil_module:M'}}", "{'evil_module:M': }"):
        (evil / "plan.yaml").write_text(f"datasets: [D]\nseeds: [1]\nmodels: {models}\n")
        with pytest.raises(InputError, match="plan.yaml: model evil_module:M is Python code"):
            read_plan("plan.yaml")


def test_the_user_names_code(evil, monkeypatch):
    keys = {"user_models": ["evil_module:M"], "epochs": 1}
    allow_user_models(keys, "other:N_SDA")
    assert keys == {"epochs": 1}
    check_named("evil_module:M_SDA", "x")
    check_named("other:N", "x")
    with pytest.raises(InputError, match="third:O"):
        check_named("third:O", "x")
    monkeypatch.setitem(sys.modules, "third", sys)
    check_named("third:O", "x")
    with pytest.raises(InputError, match="expected classes"):
        allow_user_models({"user_models": "SASRec"})
