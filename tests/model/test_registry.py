"""The table of models."""

import importlib.util
import sys
import threading
from pathlib import Path

import pytest
import recbole

from recbole_sda.errors import InputError
from recbole_sda.model import registry
from recbole_sda.model.completed_items import CompletedItems
from recbole_sda.model.model_table import (
    BASE_MODELS,
    CONTEXT_AWARE,
    EXTERNAL,
    KNOWLEDGE_AWARE,
    NEEDED_PACKAGES,
    WITHOUT_SDA,
)
from recbole_sda.model.registry import model_class, plain_model, sda_models
from recbole_sda.model.sda import SDA
from recbole_sda.model.sda_loss import SDALoss


def test_a_model_is_the_mixin_in_front_of_recboles_own():
    kind = model_class("CORE_SDA")
    assert kind.__name__ == "CORE_SDA" and kind.__mro__[1:5] == (SDA, CompletedItems, SDALoss, plain_model("CORE"))
    names = [k.__name__ for k in model_class("SASRec_SDA").__mro__[:7]]
    assert names == ["SASRec_SDA", "SDA", "CompletedItems", "SDALoss", "SASRec", "PackedSoftmaxLoss", "SoftmaxLoss"]
    assert model_class("SASRec").__mro__[3] is plain_model("SASRec") and model_class("CORE") is plain_model("CORE")


def test_every_sequential_and_general_model_of_recbole_is_listed_once():
    root = Path(recbole.__file__).parent / "model"
    files = [p.stem for kind in ("sequential", "general") for p in (root / f"{kind}_recommender").glob("[a-z]*.py")]
    listed = [name.lower() for name in [*BASE_MODELS, *WITHOUT_SDA]]
    assert len(set(listed)) == len(listed)
    assert set(files) - set(listed) == set()


def test_every_other_model_of_recbole_is_listed_once():
    root = Path(recbole.__file__).parent / "model"
    for folder, listed in (("context_aware", CONTEXT_AWARE), ("knowledge_aware", KNOWLEDGE_AWARE), ("exlib", EXTERNAL)):
        files = [p.stem for p in (root / f"{folder}_recommender").glob("[a-z]*.py")]
        assert sorted(files) == sorted(name.lower() for name in listed)
    for name in (*CONTEXT_AWARE, *KNOWLEDGE_AWARE):
        assert model_class(name).__name__ == name


@pytest.mark.parametrize("model", NEEDED_PACKAGES)
def test_a_missing_package_is_named(model, monkeypatch, build):
    package = NEEDED_PACKAGES[model]
    for name in (*NEEDED_PACKAGES.values(), "torch_scatter"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name, *_: None)
    with pytest.raises(InputError, match=f"model {model} needs the package {package}, which is not installed"):
        registry.check_packages(model)


@pytest.mark.parametrize("model", ["XGBoost", "LightGBM"])
def test_models_of_libraries_that_are_not_here(model):
    if importlib.util.find_spec(model.lower()):
        pytest.skip(f"{model} is installed")
    with pytest.raises(InputError, match=f"model {model} needs the package {model.lower()}"):
        model_class(model)


def test_models_of_a_newer_recbole():
    if not recbole.__version__.startswith("1.2.0"):
        pytest.skip("RecBole has them")
    with pytest.raises(InputError, match="model SASRecCPR is in RecBole 1.2.1 only"):
        model_class("SASRecCPR")


def test_reasons_are_given():
    with pytest.raises(InputError, match="there is no SDA version of NeuMF, which holds a second item table"):
        model_class("NeuMF_SDA")
    with pytest.raises(InputError, match="no model named 'GRU4Rek_SDA'.*Did you mean 'GRU4Rec_SDA'"):
        model_class("GRU4Rek_SDA")
    assert {"SASRec_SDA", "BERT4Rec_SDA", "GRU4Rec_SDA", "BPR_SDA", "LightGCN_SDA"} <= set(sda_models())


def test_threads_get_the_same_class(monkeypatch):
    """Both threads are at work on the class before either has made it."""
    monkeypatch.setattr(registry, "_classes", {})
    both, make, made = threading.Barrier(2), registry._make_class, []

    def make_together(name):
        if name == "BPR_SDA":
            both.wait(20)
        return make(name)

    monkeypatch.setattr(registry, "_make_class", make_together)
    threads = [threading.Thread(target=lambda: made.append(model_class("BPR_SDA"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made[0] is made[1]
