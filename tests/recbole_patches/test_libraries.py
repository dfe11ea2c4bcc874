"""Patches for the libraries below RecBole: the fault without each, and that it is gone with the import hook."""

import subprocess
import sys

import pytest


def in_new_python(code: str) -> subprocess.CompletedProcess:
    code = f"import sys; sys.argv = ['x']\n{code}"
    return subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)


CONFIG = "from recbole.config import Config; Config('BPR', 'ml-100k')"
SINE = "import torch; import recbole.model.sequential_recommender; print(torch.is_anomaly_enabled())"
DOK = "import recbole; import scipy.sparse as sp; m = sp.dok_matrix((2, 2)); m._update({(0, 1): 3.0}); print(m.toarray().tolist())"


@pytest.mark.parametrize(
    "code, without, patched",
    [
        (f"{CONFIG}; import numpy as np; print(np.float is np.float64)", "np.float_", "True"),
        (SINE, "True", "False"),
        (DOK, "_update", "[[0.0, 3.0], [0.0, 0.0]]"),
    ],
    ids=["numpy names", "anomaly detection", "dok_matrix"],
)
def test_the_fault_and_the_patch(code, without, patched):
    fault = in_new_python(code)
    assert without in fault.stdout + fault.stderr
    mended = in_new_python(f"import recbole_sda\n{code}")
    assert mended.returncode == 0 and mended.stdout.strip() == patched, mended.stderr


def test_patches_also_reach_modules_that_are_imported_already():
    code = (
        "import torch; import recbole.model.sequential_recommender, recbole.config.configurator; import recbole_sda\n"
    )
    done = in_new_python(f"{code}{CONFIG}; from recbole.utils import get_model; print(get_model('BPR_SDA').__name__)")
    assert done.stdout.strip() == "BPR_SDA", done.stderr


def test_a_user_s_anomaly_detection_stays_on():
    assert (
        in_new_python(f"import recbole_sda, torch; torch.autograd.set_detect_anomaly(True)\n{SINE}").stdout.strip()
        == "True"
    )
