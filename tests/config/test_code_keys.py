"""Values that RecBole would evaluate as Python."""

import pytest

from recbole_sda.config.code_keys import check_code_keys
from recbole_sda.errors import InputError


@pytest.mark.parametrize("teacher", ["__import__('os').system('id')", "nn.Linear", None, ["CIN"], "DAGFM"])
def test_only_names_of_networks_reach_eval(teacher):
    with pytest.raises(InputError, match="teacher=.*allowed are CrossNet, CIN, CINComp"):
        check_code_keys("KD_DAGFM", {"teacher": teacher})


def test_names_of_networks_and_other_models_pass():
    check_code_keys("KD_DAGFM", {"teacher": "CIN"})
    check_code_keys("BPR", {"teacher": "anything"})
