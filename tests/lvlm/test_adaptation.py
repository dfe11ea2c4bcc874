import json

import pytest
import torch
import yaml
from safetensors.torch import load_file

from recbole_sda.errors import InputError
from recbole_sda.lvlm import adapters
from recbole_sda.lvlm.adaptation import Adaptation, resume_adaptation, run_adaptation
from recbole_sda.tracking.tracker import Tracker

WEIGHTS = "adapter/adapter_model.safetensors"


def evaluations(folder):
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return [line for line in lines if line["phase"] == "evaluation"]


def equal(one, two):
    a, b = load_file(one / WEIGHTS), load_file(two / WEIGHTS)
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("method", ["moda", "lora", "two_lora"])
def test_a_run_writes_adapter_record_and_log(stage, tmp_path, method):
    best = run_adaptation(stage(method=method), tmp_path / "run")
    assert [line["step"] for line in evaluations(tmp_path / "run")] == [0, 2, 4]
    record = yaml.safe_load((tmp_path / "run/adapt.yaml").read_text())
    assert record["best"] == best and record["settings"]["method"] == method
    assert record["items"] == {
        "items": 40, "image": 36, "text": 40, "both": 36, "unreadable_images": 0, "train": 29, "held_out": 7
    }  # fmt: skip
    assert ("gates" in record) == (method == "moda")
    adapters.folder_of(tmp_path / "run")


def test_training_finds_pairs(stage, tmp_path):
    """Colours decide: with some training images find texts of their colour."""
    settings = stage(steps=60, eval_every=60, batch_size=16, loss="infonce", dropout=0.0, learning_rate=1e-2)
    run_adaptation(settings, tmp_path / "run")
    before, after = evaluations(tmp_path / "run")
    assert after["alignment"] < before["alignment"] - 0.3


def test_what_is_overwritten_leaves_nothing_of_the_old(stage, tmp_path):
    """Neither its adapter, which would be found first, nor curves of an adaptation that was killed before its first checkpoint."""
    run_adaptation(stage(steps=1), tmp_path / "run")
    run_adaptation(stage(steps=1, method="two_lora"), tmp_path / "run", overwrite=True)
    assert adapters.fingerprint(adapters.folder_of(tmp_path / "run"))["method"] == "two_lora"
    assert len({path.name for path in (tmp_path / "run/tensorboard").iterdir()}) == 1
    (tmp_path / "killed/tensorboard").mkdir(parents=True)
    run_adaptation(stage(steps=1), tmp_path / "killed")


@pytest.mark.parametrize("keys", [{}, {"workers": 2}, {"gradient_checkpointing": True}])
def test_a_run_repeats_itself(stage, tmp_path, keys):
    run_adaptation(stage(), tmp_path / "one")
    run_adaptation(stage(**keys), tmp_path / "two")
    last = [torch.load(tmp_path / name / "last.pt")["training"]["adapter"] for name in ("one", "two")]
    for name, value in last[0].items():
        assert torch.allclose(value, last[1][name], atol=0 if "gradient_checkpointing" not in keys else 1e-5)


class Stop(Exception):
    pass


def test_resumed_equals_uninterrupted(stage, tmp_path, monkeypatch):
    run_adaptation(stage(), tmp_path / "whole")
    step = torch.optim.AdamW.step
    calls = []

    def failing(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 4:  # after the evaluation of step 2, in the middle of a step
            raise Stop
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", failing)
    with pytest.raises(Stop):
        run_adaptation(stage(), tmp_path / "cut")
    monkeypatch.undo()
    resume_adaptation(tmp_path / "cut")
    states = [torch.load(tmp_path / name / "last.pt") for name in ("whole", "cut")]
    assert states[0]["step"] == states[1]["step"] == 4 and states[0]["best"] == states[1]["best"]
    for name, value in states[0]["training"]["adapter"].items():
        assert torch.equal(value, states[1]["training"]["adapter"][name])
    assert equal(tmp_path / "whole", tmp_path / "cut")
    history = [(tmp_path / name / "history.jsonl").read_text() for name in ("whole", "cut")]
    assert history[0] == history[1]


def test_what_may_change_on_resume(stage, tmp_path):
    run_adaptation(stage(steps=2), tmp_path / "run")
    with pytest.raises(InputError, match="learning_rate cannot change"):
        resume_adaptation(tmp_path / "run", {"learning_rate": 1.0})
    resume_adaptation(tmp_path / "run", {"workers": 1})
    record = tmp_path / "run" / "adapt.yaml"
    lines = record.read_text().splitlines(keepends=True)
    older = [line for line in lines if "bought_together_mask" not in line]  # written before the key existed
    assert len(older) == len(lines) - 1
    record.write_text("".join(older))
    resume_adaptation(tmp_path / "run")


def test_resume_refuses_other_items(stage, tmp_path, catalogue_file):
    run_adaptation(stage(steps=2), tmp_path / "run")
    other = catalogue_file.with_name("other.jsonl")
    other.write_text(catalogue_file.read_text().replace("red", "pink"))
    with pytest.raises(InputError, match="items file is not the one that the adaptation started with"):
        resume_adaptation(tmp_path / "run", {"items": str(other)})


def test_patience_ends_the_run(stage, tmp_path):
    run_adaptation(stage(steps=20, eval_every=1, patience=2, learning_rate=1e-9), tmp_path / "run")
    assert [line["step"] for line in evaluations(tmp_path / "run")] == [0, 1, 2]


def test_bought_together_takes_part(stage, tmp_path):
    file = tmp_path / "x.inter"
    rows = [f"u{u}\ti{(u + k) % 36}\t{k}\n" for u in range(30) for k in range(6)]
    file.write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "".join(rows))
    run_adaptation(stage(bought_together_weight=0.5, interactions=str(file)), tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run/history.jsonl").read_text().splitlines()]
    assert all(line["bought_together"] > 0 for line in lines if line["phase"] == "train")


@pytest.mark.parametrize("family", ["clip", "mllama", "smolvlm", "gemma3"])
def test_other_families(stage, tmp_path, family):
    run_adaptation(stage(family, steps=2), tmp_path / "run")
    assert len(evaluations(tmp_path / "run")) == 2


def test_errors(stage, tmp_path):
    with pytest.raises(InputError, match="reads text only"):
        run_adaptation(stage("qwen3"), tmp_path / "a")
    with pytest.raises(InputError, match="36 items have an image and a text, but 71 are needed.*batch_size=64"):
        run_adaptation(stage(batch_size=64), tmp_path / "b")
    with pytest.raises(InputError, match="method=none"):
        run_adaptation(stage(method="none"), tmp_path / "c")
    (tmp_path / "d").mkdir()
    (tmp_path / "d/file").write_text("")
    with pytest.raises(InputError, match="exists already"):
        run_adaptation(stage(), tmp_path / "d")
    with pytest.raises(InputError, match="not the folder of an adaptation"):
        run_adaptation(stage(), tmp_path / "d", overwrite=True)


def test_two_processes_equal_one(two_processes, tmp_path):
    run_adaptation(two_processes.adaptation, tmp_path / "one")
    one, two = (torch.load(path / "last.pt")["training"] for path in (tmp_path / "one", two_processes.adapted))
    for name, value in one["adapter"].items():
        # Adam divides rounding by rounding where a gradient is near zero, on some processors by more than 1e-5
        assert (value - two["adapter"][name]).norm() < 1e-3 * value.norm(), name
    assert torch.allclose(one["objective"]["pair.temperature"], two["objective"]["pair.temperature"], atol=1e-6)
    for a, b in zip(evaluations(tmp_path / "one"), evaluations(two_processes.adapted)):
        assert a["recall@10"] == b["recall@10"] and abs(a["alignment"] - b["alignment"]) < 1e-4


def test_batch_must_be_shared_out(stage, tmp_path, monkeypatch):
    monkeypatch.setattr("recbole_sda.machine.torchrun.world_size", lambda: 3)
    with pytest.raises(InputError, match="batch_size=8 must be a multiple of the 3 processes"):
        Adaptation(stage(), tmp_path)


@pytest.mark.parametrize("method", ["moda", "lora"])
def test_divergence_is_reported_and_keeps_the_best_adapter(stage, tmp_path, method):
    with pytest.raises(
        InputError, match="the loss or its gradient is not finite .*best adapter of earlier evaluations is kept"
    ):
        run_adaptation(stage(method=method, learning_rate=1e6, steps=20, eval_every=1), tmp_path / "run")
    saved = load_file(tmp_path / "run/adapter/adapter_model.safetensors")
    assert all(value.isfinite().all() for value in saved.values())


def test_trackers(stage, tmp_path, monkeypatch):
    """They get what the log gets, and a resumed adaptation continues its record."""
    calls = []

    class Kept(Tracker):
        def start(self, run, known, parent):
            calls.append(("start", run, known))
            return "record"

        def log(self, step, values):
            calls.append(("log", step, values))

        def describe(self, step, values, notes):
            calls.append(("describe", step, values))

        def end(self, succeeded):
            calls.append(("end", succeeded))

    monkeypatch.setattr("recbole_sda.tracking.mlflow_tracker.MLflowTracker", Kept)
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: True)
    settings = stage(track=["mlflow"], track_options={"run_name": "adapter"})
    best = run_adaptation(settings, tmp_path / "run")
    assert calls[0][0] == "start" and (calls[0][1].name, calls[0][1].kind, calls[0][2]) == (
        "adapter",
        "adaptation",
        None,
    )
    assert calls[0][1].config["method"] == "moda" and "track" not in calls[0][1].config
    logged = [call[1:] for call in calls if call[0] == "log"]
    lines = [json.loads(line) for line in (tmp_path / "run/history.jsonl").read_text().splitlines()]
    assert [step for step, _ in logged] == [line["step"] for line in lines]
    assert logged[-1][1]["evaluation/recall@10"] == lines[-1]["recall@10"]
    assert (
        calls[-2][0] == "describe"
        and calls[-2][2]["best/recall@10"] == best["recall@10"]
        and calls[-1] == ("end", True)
    )
    calls.clear()
    resume_adaptation(tmp_path / "run")
    assert calls[0][2] == "record"


def test_a_pulled_adaptation_is_the_adapter_of_an_extraction(stage, tmp_path, hub):
    from recbole_sda.hub.pull import pull
    from recbole_sda.hub.push import push
    from recbole_sda.lvlm.extraction import run_extraction

    run_adaptation(stage(steps=1), tmp_path / "run")
    push(tmp_path / "run", "shop/adapter", license_name="mit")
    folder = pull("shop/adapter", tmp_path / "pulled")
    assert str(tmp_path) not in (folder / "adapt.yaml").read_text()
    stores = [
        run_extraction(stage(steps=1, adapter=str(adapter)), tmp_path / "features" / name)
        for name, adapter in (("ours", tmp_path / "run"), ("pulled", folder))
    ]
    one, two = (load_file(store / "features.safetensors") for store in stores)
    assert all(torch.equal(one[name], two[name]) for name in one)
