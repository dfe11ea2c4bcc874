"""The import hook next to other finders, and after a reload of the package; each in its own process."""

import subprocess
import sys

import pytest

ASK = "from recbole.utils import get_model\nassert get_model('BPR_SDA').__name__ == 'BPR_SDA'"


@pytest.mark.parametrize(
    "before",
    [
        "import importlib, recbole_sda\nimportlib.reload(recbole_sda)",
        "import recbole.utils, importlib, recbole_sda\nimportlib.reload(recbole_sda)",
        "import sys, recbole_sda\nfor n in [n for n in sys.modules if n.startswith('recbole_sda')]: del sys.modules[n]\n"
        "import recbole_sda",
        "import sys\nsys.meta_path.insert(0, type('Old', (), {'find_module': lambda *names: None})())\nimport recbole_sda",
    ],
    ids=["reload", "reload after recbole", "imported anew", "finder without find_spec"],
)
def test_recbole_is_patched_all_the_same(before):
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", f"{before}\n{ASK}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
