"""``recbole_sda.models``: real classes, one per name."""

import pytest

import recbole_sda.models
from recbole_sda.model.registry import list_models
from recbole_sda.models import SASRec_SDA


def test_one_class_per_name():
    from recbole.model.sequential_recommender import SASRec

    assert SASRec_SDA is recbole_sda.models.SASRec_SDA and issubclass(SASRec_SDA, SASRec)
    assert SASRec_SDA.__module__ == "recbole_sda.models" and SASRec_SDA.__qualname__ == "SASRec_SDA"


def test_dir_lists_the_models_and_other_names_are_attribute_errors():
    assert dir(recbole_sda.models) == sorted(list_models())
    with pytest.raises(AttributeError, match="Did you mean 'SASRec_SDA'"):
        getattr(recbole_sda.models, "SASRek_SDA")
    with pytest.raises(ImportError):
        from recbole_sda.models import Nothing_SDA  # noqa: F401
