"""The package's public functions: lazy import, and where their keys come from."""

import subprocess
import sys

import pytest
import torch
import yaml

from recbole_sda import lvlm
from recbole_sda.errors import InputError
from recbole_sda.features.store import FeatureStore
from recbole_sda.lvlm.extraction import run_extraction
from recbole_sda.lvlm.moda import MoDAConfig
from recbole_sda.lvlm.settings import read_settings

SHORT = {"dtype": "float32", "steps": 2, "eval_every": 2, "batch_size": 8, "held_out": 0.2, "workers": 0}


def test_importing_the_package_is_cheap():
    code = "import sys, recbole_sda.lvlm; print({'torch', 'transformers', 'peft', 'ray'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stdout + done.stderr


def test_public_names():
    assert {"MoDAConfig", "adapt", "extract"} <= set(dir(lvlm))
    assert lvlm.MoDAConfig is MoDAConfig
    with pytest.raises(AttributeError, match="has no attribute 'adopt'"):
        lvlm.adopt  # noqa: B018


@pytest.fixture(scope="module")
def adapted(tiny, catalogue_file, tmp_path_factory):
    """Folder and result of a short adaptation."""
    folder = tmp_path_factory.mktemp("api")
    file = folder / "mine.yaml"
    file.write_text("pooling: last\nrank: 4\nexperts: 2\n")
    best = lvlm.adapt(
        backbone=tiny("qwen2_5_vl"),
        items=catalogue_file,
        out=folder / "run",
        config_files=[file],
        experts=4,
        **SHORT,
    )
    return folder / "run", best


def test_adapt_returns_the_best_evaluation_and_keys_win_over_files(adapted):
    folder, best = adapted
    record = yaml.safe_load((folder / "adapt.yaml").read_text())
    assert best == record["best"] and best["step"] in (0, 2)
    s = record["settings"]
    assert (s["pooling"], s["rank"], s["experts"], s["steps"]) == ("last", 4, 4, 2)


def test_extract_takes_its_defaults_from_the_adapter(adapted, tmp_path):
    folder, _ = adapted
    path = lvlm.extract(adapter=folder, out=tmp_path / "one", store_dtype="float32")
    settings = yaml.safe_load((folder / "adapt.yaml").read_text())["settings"]
    same = read_settings((), {**settings, "adapter": str(folder), "store_dtype": "float32"})
    one, two = FeatureStore(path), FeatureStore(run_extraction(same, tmp_path / "two"))
    assert one.manifest["pooling"] == "last" and one.manifest["encoder"]["adapter"]["method"] == "moda"
    assert all(torch.equal(one.matrix(name), two.matrix(name)) for name in ("image", "text"))
    bare = FeatureStore(lvlm.extract(adapter=folder, out=tmp_path / "bare", method="none", pooling="mean"))
    assert bare.manifest["pooling"] == "mean" and bare.manifest["encoder"]["adapter"] is None


def test_overwrite(tiny, catalogue_file, tmp_path):
    given = {"backbone": tiny("qwen2_5_vl"), "items": catalogue_file}
    for keys in ({}, {"overwrite": True, "rank": 4}):
        lvlm.adapt(out=tmp_path / "run", **given, **SHORT, **keys)
        lvlm.extract(out=tmp_path / "store", adapter=tmp_path / "run", overwrite=keys.get("overwrite", False))
    assert yaml.safe_load((tmp_path / "run/adapt.yaml").read_text())["settings"]["rank"] == 4


def test_errors(adapted, tiny, catalogue_file, tmp_path):
    folder, _ = adapted
    with pytest.raises(InputError, match="method=lora: the method of .*adapter is moda; leave method out"):
        lvlm.extract(adapter=folder, out=tmp_path / "x", method="lora")
    with pytest.raises(InputError, match="actors=0: expected a whole number at least 1"):
        lvlm.extract(adapter=folder, out=tmp_path / "x", actors=0)
    with pytest.raises(InputError, match="'stpes' is not a key of the LVLM stage. Did you mean 'steps'?"):
        lvlm.adapt(backbone=tiny("qwen2_5_vl"), items=catalogue_file, out=tmp_path / "x", stpes=3)
    with pytest.raises(InputError, match="run exists already"):
        lvlm.adapt(backbone=tiny("qwen2_5_vl"), items=catalogue_file, out=folder, **SHORT)
    with pytest.raises(InputError, match="run exists already"):
        lvlm.extract(adapter=folder, out=folder)
    with pytest.raises(InputError, match="backbone is missing"):
        lvlm.extract(out=tmp_path / "x")
