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


# Each part in the same process; what it prints or raises comes after its name.
PARTS = {
    "anomaly detection": SINE,
    "dok_matrix": DOK,
    "numpy names": f"{CONFIG}; import numpy as np; print(np.float is np.float64)",
}
ALL = f"""
import traceback
for name, code in {PARTS!r}.items():
    print("PART", name)
    try:
        exec(code, {{}})
    except Exception:
        traceback.print_exc(file=sys.stdout)
"""


def parts_of(done: subprocess.CompletedProcess) -> dict:
    assert done.returncode == 0, done.stderr
    return dict(part.split("\n", 1) for part in done.stdout.split("PART ")[1:])


@pytest.fixture(scope="module")
def faults():
    """What the libraries do without the patches, by part."""
    return parts_of(in_new_python(ALL))


@pytest.fixture(scope="module")
def mended():
    """What the libraries do with the patches, by part."""
    return parts_of(in_new_python(f"import recbole_sda\n{ALL}"))


@pytest.mark.parametrize(
    "part, without, patched",
    [
        ("numpy names", "np.float_", "True"),
        ("anomaly detection", "True", "False"),
        ("dok_matrix", "_update", "[[0.0, 3.0], [0.0, 0.0]]"),
    ],
    ids=["numpy names", "anomaly detection", "dok_matrix"],
)
def test_the_fault_and_the_patch(part, without, patched, faults, mended):
    assert without in faults[part]
    assert mended[part].strip() == patched


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
