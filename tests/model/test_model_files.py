import inspect
import sys
from pathlib import Path

import pytest

from recbole_sda.errors import InputError
from recbole_sda.model import model_table as table
from recbole_sda.model.model_files import defining_files
from recbole_sda.model.registry import check_model_name, model_class, plain_model

NAMES = [
    *table.BASE_MODELS, *table.MULTIMODAL, *table.NEIGHBOURS, *table.ENSEMBLES, table.POPULARITY,
    *table.WITHOUT_SDA, *table.CONTEXT_AWARE, *table.KNOWLEDGE_AWARE,
]  # fmt: skip


@pytest.mark.parametrize("name", dict.fromkeys(NAMES))
def test_the_files_are_those_of_the_classes_that_python_finds(name):
    try:
        kinds = plain_model(name).__mro__
    except InputError as error:
        assert "needs the package" in str(error)
        return
    modules = {kind.__module__ for kind in kinds} - {"builtins", "abc", "recbole.model.abstract_recommender"}
    expected = {inspect.getfile(sys.modules[module]) for module in modules if not module.startswith("torch.")}
    assert {str(path) for path in defining_files(name)} == {str(Path(path)) for path in expected}


@pytest.mark.parametrize("name", ["sasrec", "SASRek", "", "os", "SASRec_SDA_SDA", "Pop_SDA", "DIN_SDA", "SASRecCPR"])
def test_a_name_that_no_model_has_is_refused_as_the_class_would_be(name):
    with pytest.raises(InputError) as early:
        check_model_name(name)
    with pytest.raises(InputError) as late:
        model_class(name)
    assert str(early.value) == str(late.value)
