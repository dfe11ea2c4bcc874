"""Help and errors in names and keys come at once: before torch, RecBole and pandas are imported."""

import subprocess
import sys

import pytest

CODE = """
import resource, sys
from recbole_sda.cli.main import main
try:
    status = main(sys.argv[1:])
except SystemExit as error:
    status = error.code
heavy = sorted({"torch", "recbole", "pandas", "scipy", "sklearn", "transformers", "ray"} & sys.modules.keys())
print("status", status, "heavy", heavy, "seconds", resource.getrusage(resource.RUSAGE_SELF).ru_utime)
"""
RUN = ["run", "--dataset=Amazon_Sports"]


@pytest.mark.parametrize(
    "arguments, status, text",
    [
        (["--help"], 0, "usage"),
        (["--version"], 0, "recbole_sda"),
        (["run", "--help"], 0, "cmsa_weight"),
        (["run", "--help", "--model=SASRec_SDA"], 0, "keys of SASRec"),
        ([*RUN, "--model=SASRek"], 2, "Did you mean"),
        ([*RUN, "--model=SASRek_SDA"], 2, "Did you mean"),
        ([*RUN, "--model=SASRec_SDA", "--learning_rat=1"], 2, "'learning_rate'"),
        ([*RUN, "--model=SASRec", "--knn_k=3"], 2, "'knn_k' is a key of other models, not of SASRec"),
        ([*RUN, "--model=SASRec", "--config_files=nosuch.yaml"], 2, "nosuch.yaml"),
        (["features", "--help"], 0, "import"),
        (["lvlm", "adapt", "--help"], 0, "usage"),
        (["compare", "--help"], 0, "usage"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_nothing_heavy_is_imported(arguments, status, text, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CODE, *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
    )
    last = done.stdout.strip().splitlines()[-1].split()
    assert text in done.stdout + done.stderr
    assert last[:4] == ["status", str(status), "heavy", "[]"], done.stdout[-500:] + done.stderr[-2000:]
    assert float(last[-1]) < 1  # of processor time
    assert list(tmp_path.iterdir()) == []
