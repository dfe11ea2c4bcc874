"""Each work-around: the fault without it, and that it mends it."""

import subprocess
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import scipy.sparse as sp

from recbole_sda.recbole_patches import compat


def in_new_python(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)


CONFIG = "from recbole.config import Config; Config('BPR', 'ml-100k')"


def test_recbole_needs_the_numpy_aliases():
    without = in_new_python(f"import sys; sys.argv = ['x']; {CONFIG}")
    assert "np.float_" in without.stderr and without.returncode
    code = f"import sys; sys.argv = ['x']; from recbole_sda.recbole_patches import compat; compat.restore_numpy_aliases(); {CONFIG}"
    with_aliases = in_new_python(code)
    assert with_aliases.returncode == 0, with_aliases.stderr
    assert np.float_ is np.float64 and np.complex_ is np.complex128 and np.unicode_ is np.str_


def test_scipy_lost_dok_update():
    without = in_new_python("import scipy.sparse as sp; sp.dok_matrix((2, 2))._update({(0, 1): 3.0})")
    assert "_update" in without.stderr
    matrix = sp.dok_matrix((2, 2))
    matrix._update({(0, 1): 3.0})
    assert matrix.toarray().tolist() == [[0, 3], [0, 0]]


def test_apply_twice_changes_nothing_more():
    before = sp.dok_matrix._update
    compat.apply()
    assert sp.dok_matrix._update is before


def test_deprecations_of_recbole_are_silent_and_others_are_not():
    with warnings.catch_warnings(record=True) as caught:
        warnings.resetwarnings()
        compat.silence_deprecations()
        warnings.warn_explicit("old", FutureWarning, "x.py", 1, module="recbole.data.dataset")
        warnings.warn_explicit("old", FutureWarning, "x.py", 1, module="somebody.else")
    assert [str(w.message) for w in caught] == ["old"]


def test_anomaly_detection_is_off_after_a_model_was_found():
    code = "import sys, torch; sys.argv = ['x']; from recbole_sda.recbole_patches import compat; compat.apply(); "
    code += "from recbole_sda.model.registry import recbole_model; {}; print(torch.is_anomaly_enabled())"
    own = "from recbole.utils import get_model; get_model('SASRec')"
    assert in_new_python(code.format(own)).stdout.strip() == "True"
    assert in_new_python(code.format("recbole_model('SASRec')")).stdout.strip() == "False"


def test_base_name_inside_own_name_outside():
    config = {"model": "SASRec_SDA"}
    try:
        with compat.base_model_name(config, "SASRec"):
            assert config["model"] == "SASRec"
            raise KeyError
    except KeyError:
        pass
    assert config["model"] == "SASRec_SDA"


def test_tensorboard_goes_to_the_run_folder(tmp_path):
    from recbole.trainer import trainer

    own = trainer.get_tensorboard
    with compat.tensorboard_folder(tmp_path / "tb"):
        writer = trainer.get_tensorboard(SimpleNamespace())
    writer.close()
    assert trainer.get_tensorboard is own and any((tmp_path / "tb").iterdir())
