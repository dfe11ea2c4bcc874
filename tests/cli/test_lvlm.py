import pytest
import yaml

from recbole_sda.cli.main import main
from recbole_sda.data.miniature import generate
from recbole_sda.features.store import FeatureStore
from recbole_sda.features.store_choice import store_path


def lvlm(*arguments):
    return main(["lvlm", *arguments])


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["adpat"], "lvlm adpat: allowed are tiny, families, adapt.*adapt"),
        (["tiny", "--out=x"], "lvlm tiny: --family is missing"),
        (["adapt", "--steps=3"], "--out=FOLDER is missing"),
        (["adapt", "--stpes=3", "--out=x"], "'stpes' is not a key of the LVLM stage"),
        (["adapt", "--resume=nowhere"], "--resume=nowhere: the folder does not exist"),
        (["extract", "--out=x"], "backbone is missing"),
        (["adapt", "--out=x", "--backbone=./none", "--text_prompt={title}"], "the folder does not exist"),
        (["export", "--out=x"], "--adapter=FOLDER is missing"),
        (["extract", "--out=x", "--backbone=b", "--items=i", "--actors=abc"], "actors='abc': expected a whole number"),
        (
            ["gradients", "--out=x", "--backbone=b", "--items=i", "--points=abc"],
            "points='abc': expected a whole number",
        ),
        (
            ["extract", "--out=x", "--backbone=b", "--shard_items=.inf"],
            "shard_items=.inf: not a YAML value .*no finite number",
        ),
        (["export", "--out=x", "--adapter=y", "--steps=2"], "export takes --adapter and --out, not --steps"),
    ],
)
def test_errors_are_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert lvlm(*arguments) == 2
    import re

    error = capsys.readouterr().err.strip()
    assert re.search(message, error) and "\n" not in error


def test_help(capsys):
    assert lvlm("--help") == 0
    text = capsys.readouterr().out
    assert "lvlm adapt" in text and "learning_rate: 2.0e-4" in text


def test_demo_and_what_follows(tmp_path, monkeypatch, capsys):
    """A smaller miniature through the whole stage and then through SASRec_SDA."""
    monkeypatch.setattr(generate, "N_ITEMS", 300)
    monkeypatch.setattr(generate, "N_USERS", 200)
    monkeypatch.chdir(tmp_path)
    short = ["--steps=2", "--eval_every=2", "--workers=0"]
    assert lvlm("demo", *short) == 0
    assert "--features=lvlm-tiny" in capsys.readouterr().out
    store = FeatureStore(tmp_path / "dataset/Amazon_Sports-sample/features/lvlm-tiny")
    assert store.manifest["encoder"]["adapter"]["method"] == "moda"
    assert (tmp_path / "runs/lvlm-demo/qwen2_5_vl-moda-lora/image/adapter_config.json").is_file()
    run = ["--model=SASRec_SDA", "--dataset=Amazon_Sports-sample", "--features=lvlm-tiny", "--epochs=1", "--threads=1"]
    assert main(["run", *run]) == 0
    # the miniature's own features stay those of runs that name none
    assert store_path("dataset/Amazon_Sports-sample").name == "light"
    # extract takes backbone, prompts and pooling from the adaptation
    assert lvlm("extract", "--adapter=runs/lvlm-demo/qwen2_5_vl-moda", "--out=other", "--workers=0") == 0
    assert FeatureStore("other").manifest["encoder"] == store.manifest["encoder"]
    # also if a file names the adapter folder inside; with method none, the prompts without the adapter
    record = yaml.safe_load((tmp_path / "runs/lvlm-demo/qwen2_5_vl-moda/adapt.yaml").read_text())["settings"]
    (tmp_path / "x.yaml").write_text("adapter: runs/lvlm-demo/qwen2_5_vl-moda/adapter\npooling: last\n")
    assert lvlm("extract", "--config_files=x.yaml", "--out=last", "--workers=0", "--method=none") == 0
    bare = FeatureStore("last").manifest
    assert bare["pooling"] == "last" and bare["encoder"]["adapter"] is None
    assert (
        bare["prompt"]["text"] == record["text_prompt"] and bare["image_budget"]["max_pixels"] == record["max_pixels"]
    )
    assert lvlm("extract", "--config_files=x.yaml", "--out=lora", "--method=lora") == 2
    assert "method=lora: " in capsys.readouterr().err
