"""Packages of each kind, pushed to a stand-in of the Hub and pulled from it."""

import hashlib
import json
import re

import pytest
import torch
import yaml
from hub_server import TOKEN

from recbole_sda.cli.main import main
from recbole_sda.comparison.compare import compare
from recbole_sda.engine import experiment
from recbole_sda.engine.run import load
from recbole_sda.errors import InputError
from recbole_sda.features.store import FeatureStore
from recbole_sda.hub.package import INDEX
from recbole_sda.hub.pull import pull
from recbole_sda.hub.push import preview, push
from recbole_sda.io.checkpoint import load_checkpoint
from recbole_sda.io.content_hash import content_hash


@pytest.fixture(scope="module")
def store(data_path):
    return data_path / "tiny/features/random"


@pytest.fixture(scope="module")
def run_dir(short_keys, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "trained"
    experiment.run("SASRec_SDA", "tiny", overrides={**short_keys, "run_dir": str(folder), "features": "random"})
    return folder


def write_adapter(folder, modality=""):
    from safetensors.torch import save_file

    part = folder / modality
    part.mkdir(parents=True)
    config = {"peft_type": "LORA", "r": 2, "base_model_name_or_path": "/models/tiny", "target_modules": ["q_proj"]}
    (part / "adapter_config.json").write_text(json.dumps(config))
    save_file({"x.lora_A.weight": torch.ones(2, 3)}, part / "adapter_model.safetensors")
    return folder


def header_of(hub, repo_type, name):
    card = hub.files(repo_type, name)["README.md"].decode()
    return card, yaml.safe_load(card.split("---\n")[1])


def test_feature_store(hub, store, tmp_path):
    name = push(store, "shop/vectors", license_name="CC-BY-4.0")
    assert re.fullmatch(r"hf://shop/vectors@[0-9a-f]{40}", name)
    card, header = header_of(hub, "dataset", "shop/vectors")
    assert header["license"] == "cc-by-4.0" and header["library_name"] == "recbole-sda"
    assert {"recbole", "item-features"} <= set(header["tags"])
    assert (
        re.search(r"\| image +\| 6 +\| float32 ", card)
        and FeatureStore(store).manifest["sha256"]["features.safetensors"] in card
    )
    folder = pull("shop/vectors", tmp_path / "pulled")
    assert FeatureStore(folder).sha256 == FeatureStore(store).sha256
    assert {path.name for path in folder.iterdir()} == {*hub.files("dataset", "shop/vectors")}


def test_run(hub, run_dir, tmp_path, data_path):
    push(run_dir, "shop/sasrec", license_name="mit")
    files = hub.files("model", "shop/sasrec")
    assert not any(content[:2] in (b"PK", b"\x80\x02") for content in files.values())  # torch's zip, pickle
    assert str(data_path).encode() not in b"".join(files.values())
    folder = pull("hf://shop/sasrec", tmp_path / "pulled", data_path=str(data_path))
    before, after = (load_checkpoint(path / "checkpoint/best.pt") for path in (run_dir, folder))
    assert content_hash(before) == content_hash(after)
    ours, theirs = (load(path).model for path in (folder, run_dir))
    for (name, value), (_, expected) in zip(ours.named_parameters(), theirs.named_parameters()):
        assert torch.equal(value, expected), name
    again = experiment.evaluate(folder)
    assert again["test"] == json.loads((run_dir / "metrics.json").read_text())["test"]
    assert main(["recommend", str(folder), f"--out={tmp_path / 'top.csv'}"]) == 0
    assert len((tmp_path / "top.csv").read_text().splitlines()) == 43 * 10 + 1
    with pytest.raises(InputError, match="is finished and has no state of its training"):
        experiment.resume(folder, {"epochs": 9})


def test_card_of_a_run(run_dir):
    card = preview(run_dir, "shop/sasrec", None, None)
    result = json.loads((run_dir / "metrics.json").read_text())
    assert "license" not in yaml.safe_load(card.split("---\n")[1])
    assert "has not named a license" in card
    assert (
        f"{result['test']['ndcg@10']:.4f}" in card
        and "full sort over 37 items" in card
        and "NDCG@10 on validation" in card
    )
    assert result["inputs"]["interactions"] in card and result["environment"]["torch"] in card
    assert "## Significance" not in card


def test_significance_of_a_compared_run(tiny_keys, tmp_path):
    plan = {
        "datasets": ["tiny"],
        "seeds": [1],
        "models": {"BPR": {}, "My row": {"model": "BPR", "base": "BPR", "keys": {"learning_rate": 0.1}}},
        "keys": {**tiny_keys, "epochs": 1},
    }  # fmt: skip
    comparison = compare(plan, out=tmp_path / "c")
    test = comparison["rows"][1]["tests"]["all"]["ndcg@10"]
    run = tmp_path / "c/tiny/My-row/seed1"
    for given in (None, str(tmp_path / "c")):
        card = preview(run, "a/b", None, given)
        assert "Row My row against BPR, seeds 1: Wilcoxon signed-rank test over users, holm correction" in card
        assert f"{test['low']:+.4f} to {test['high']:+.4f}" in card
        assert ("| yes" if test["wilcoxon_corrected"] < 0.05 else "| no") in card
    with pytest.raises(InputError, match="has no row of the run"):
        other = tmp_path / "elsewhere"
        (tmp_path / "c/tiny/BPR/seed1").rename(other)
        preview(other, "a/b", None, str(tmp_path / "c"))


@pytest.mark.parametrize("modalities", [("",), ("image", "text")])
def test_adapter(hub, tmp_path, modalities):
    for modality in modalities:
        write_adapter(tmp_path / "adapter", modality)
    push(tmp_path / "adapter", "shop/adapter", license_name="mit")
    folder = pull("shop/adapter", tmp_path / "pulled")
    for modality in modalities:
        weights = (path / modality / "adapter_model.safetensors" for path in (folder, tmp_path / "adapter"))
        assert len({path.read_bytes() for path in weights}) == 1
        assert json.loads((folder / modality / "adapter_config.json").read_text())["base_model_name_or_path"] is None


def test_adaptation_folder(hub, tmp_path):
    write_adapter(tmp_path / "adapted/adapter")
    record = {
        "settings": {"loss": "cmsa", "items": "/home/someone/items.jsonl"},
        "best": {"step": 8, "recall@10": 0.25},
    }
    (tmp_path / "adapted/adapt.yaml").write_text(yaml.safe_dump(record))
    (tmp_path / "adapted/last.pt").write_bytes(b"state")
    push(tmp_path / "adapted", "shop/adapter", license_name="mit")
    card, _ = header_of(hub, "model", "shop/adapter")
    assert "step 8" in card and "| recall@10 | 0.2500" in card
    assert "/home/someone" not in json.dumps(
        [content.decode("latin1") for content in hub.files("model", "shop/adapter").values()]
    )
    folder = pull("shop/adapter", tmp_path / "pulled")
    names = {"README.md", INDEX, "adapt.yaml", "adapter/adapter_config.json", "adapter/adapter_model.safetensors"}
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == names


def test_a_second_push_removes_what_is_gone_and_keeps_other_files(hub, tmp_path):
    for modality in ("image", "text"):
        write_adapter(tmp_path / "two", modality)
    first = push(tmp_path / "two", "shop/adapter", license_name="mit")
    hub.files("model", "shop/adapter")["NOTES.md"] = b"by hand"
    second = push(write_adapter(tmp_path / "one"), "shop/adapter", license_name="mit")
    assert "image/adapter_config.json" not in hub.files("model", "shop/adapter")
    assert hub.files("model", "shop/adapter")["NOTES.md"] == b"by hand"
    assert not (pull(second, tmp_path / "new") / "NOTES.md").exists()
    assert (pull(first, tmp_path / "old") / "image/adapter_config.json").is_file()


def test_branch_message_and_visibility(hub, store):
    push(store, "shop/vectors", private=True, license_name="mit")
    push(store, "shop/vectors", license_name="other", revision="next", message="Better vectors")
    repository = hub.repositories["dataset", "shop/vectors"]
    assert repository.private and set(repository.branches) == {"main", "next"}
    assert b"license: other" in repository.at("next")[1]["README.md"]
    assert b"license: mit" in repository.at("main")[1]["README.md"]


def change(hub, repo_type, name, file, content):
    """Replace a file of a repository, as its owner or somebody at the host can."""
    repository = hub.repositories[repo_type, name]
    repository.commit("main", {**repository.at("main")[1], file: content})
    hub.large[hashlib.sha256(content).hexdigest()] = content


@pytest.mark.parametrize("file", ["features.safetensors", "manifest.json", "item_ids.txt"])
def test_a_file_that_is_not_the_one_of_the_index(hub, store, tmp_path, file):
    push(store, "shop/vectors", license_name="mit")
    content = bytearray(hub.files("dataset", "shop/vectors")[file])
    content[len(content) // 2] ^= 1
    change(hub, "dataset", "shop/vectors", file, bytes(content))
    with pytest.raises(InputError, match=f"{file} is damaged or changed: its SHA-256 is not the one of {INDEX}"):
        pull("shop/vectors", tmp_path / "pulled")
    assert not (tmp_path / "pulled").exists()


def test_a_damaged_file_is_named_without_the_draft(hub, store, tmp_path):
    push(store, "shop/vectors", license_name="mit")
    files = hub.files("dataset", "shop/vectors")
    index = json.loads(files[INDEX])
    index["sha256"]["manifest.json"] = hashlib.sha256(b"{").hexdigest()
    change(hub, "dataset", "shop/vectors", "manifest.json", b"{")
    change(hub, "dataset", "shop/vectors", INDEX, json.dumps(index).encode())
    with pytest.raises(InputError, match="^hf://shop/vectors: manifest.json is damaged"):
        pull("shop/vectors", tmp_path / "pulled")
    assert {path.name for path in tmp_path.iterdir()} == {"hub-cache"}


@pytest.mark.parametrize(
    "file", ["../evil.txt", "/etc/passwd", "checkpoint/best.pt", "pytorch_model.bin", "manifest.json\n", "a\\..\\b"]
)
def test_only_expected_files_are_taken(hub, store, tmp_path, file):
    push(store, "shop/vectors", license_name="mit")
    index = json.loads(hub.files("dataset", "shop/vectors")[INDEX])
    index["sha256"][file] = "0" * 64
    change(hub, "dataset", "shop/vectors", INDEX, json.dumps(index).encode())
    with pytest.raises(InputError, match="which is no file of the kind features"):
        pull("shop/vectors", tmp_path / "pulled")


@pytest.mark.parametrize(
    "index, message",
    [
        ({"kind": "virus"}, "has format 1 and kind 'virus'"),
        ({"format": 9}, "has format 9"),
        ({"sha256": {"manifest.json": "0"}}, "lacks item_ids.txt"),
        ({"sha256": []}, "expected an object"),
        ({"kind": "run"}, "which is no file of the kind run"),
    ],
)
def test_wrong_indexes(hub, store, tmp_path, index, message):
    push(store, "shop/vectors", license_name="mit")
    wrong = {**json.loads(hub.files("dataset", "shop/vectors")[INDEX]), **index}
    change(hub, "dataset", "shop/vectors", INDEX, json.dumps(wrong).encode())
    with pytest.raises(InputError, match=message):
        pull("shop/vectors", tmp_path / "pulled")


def test_what_cannot_be_pushed(hub, store, run_dir, tmp_path, capsys):
    assert main(["hub", "push", str(tmp_path / "none"), "a/b"]) == 2
    assert main(["hub", "push", str(tmp_path), "a/b"]) == 2
    assert main(["hub", "push", str(store), "vectors"]) == 2
    assert main(["hub", "push", str(store), "a/b@main"]) == 2
    assert main(["hub", "push", str(store), "a/b", "--license=my own"]) == 2
    assert main(["hub", "push", str(store), "a/b", f"--comparison={tmp_path}"]) == 2
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished/config.yaml").write_text((run_dir / "config.yaml").read_text())
    assert main(["hub", "push", str(tmp_path / "unfinished"), "a/b"]) == 2
    lines = capsys.readouterr().err.splitlines()
    for line, text in zip(lines, ["does not exist", "expected a feature store", "expected owner/name", "given by --revision",
                                  "expected an identifier", "is no run", "the run is not finished"]):  # fmt: skip
        assert line.startswith("error: ") and text in line
    assert len(lines) == 7 and not hub.repositories


def test_errors_of_the_hub_are_one_line_without_the_token(hub, store, tmp_path, monkeypatch, capsys, caplog):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    assert main(["hub", "push", str(store), "a/b"]) == 2
    monkeypatch.setenv("HF_TOKEN", "hf_wrongwrongwrongwrong")
    assert main(["hub", "push", str(store), "a/b"]) == 2
    assert main(["hub", "pull", "a/b", f"--out={tmp_path / 'x'}"]) == 2
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert main(["hub", "push", str(store), "a/b"]) == 0
    assert main(["hub", "pull", "a/b@v2", f"--out={tmp_path / 'x'}"]) == 2
    assert main(["hub", "pull", "a/b", f"--out={tmp_path}"]) == 2
    assert main(["hub", "pull", "a/b", "--data-path=d", f"--out={tmp_path / 'x'}"]) == 2
    assert main(["hub", "pull", "a/b", "--max-gib=0.000001", f"--out={tmp_path / 'x'}"]) == 2
    hub.close()
    assert main(["hub", "push", str(store), "a/b"]) == 2
    assert main(["hub", "pull", "c/d", f"--out={tmp_path / 'x'}"]) == 2
    output = capsys.readouterr()
    errors = [line for line in output.err.splitlines() if line.startswith("error: ")]
    expected = ["no token", "refuses it", "no such repository", "no revision 'v2'", "exists already", "not a run",
                "more than the limit", "cannot be reached", "cannot be reached"]  # fmt: skip
    assert len(errors) == len(expected)
    for line, text in zip(errors, expected):
        assert text in line
    assert "hf_" not in output.err + output.out.replace("hf://", "") + caplog.text.replace("hf_hub", "")
    assert "Traceback" not in output.err


def test_a_repository_with_another_kind(hub, run_dir, tmp_path):
    push(write_adapter(tmp_path / "adapter"), "shop/model", license_name="mit")
    with pytest.raises(InputError, match="has a package of the kind adapter, not run"):
        push(run_dir, "shop/model", license_name="mit")


def test_a_changed_run_or_adapter_is_not_pushed(hub, run_dir, tmp_path):
    import shutil

    copy = shutil.copytree(run_dir, tmp_path / "copy")
    content = bytearray((copy / "checkpoint/best.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "checkpoint/best.pt").write_bytes(content)
    with pytest.raises(InputError, match="damaged|changed"):
        push(copy, "shop/run")
    write_adapter(tmp_path / "adapted/adapter")
    record = {"settings": {}, "adapter": {"method": "lora", "sha256": "0" * 64}}
    (tmp_path / "adapted/adapt.yaml").write_text(yaml.safe_dump(record))
    with pytest.raises(InputError, match="the adapter was changed after"):
        push(tmp_path / "adapted", "shop/adapter")
    assert not hub.repositories
