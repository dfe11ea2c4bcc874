"""The trackers with the real libraries, without a network."""

import json
import struct

import pytest

from recbole_sda.engine import experiment


@pytest.fixture
def keys(tiny_keys, tmp_path):
    return {**tiny_keys, "run_dir": str(tmp_path / "run"), "epochs": 1}


def run_and_resume(keys, folder):
    experiment.run("BPR", "tiny", overrides=keys)
    return experiment.resume(folder, {"epochs": 2})


@pytest.mark.parametrize("store", ["file", pytest.param("sqlite", marks=pytest.mark.slow)])
def test_mlflow(keys, tmp_path, monkeypatch, store):
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = f"file://{tmp_path / 'mlruns'}" if store == "file" else f"sqlite:///{tmp_path / 'mlflow.db'}"
    options = {"tracking_uri": uri, "experiment": "shop", "run_name": "first"}
    result = run_and_resume({**keys, "track": ["mlflow"], "track_options": options}, tmp_path / "run")
    client = MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("shop").experiment_id])
    assert run.info.run_id == json.loads((tmp_path / "run/tracking.json").read_text())["mlflow"]
    assert (run.info.status, run.info.run_name) == ("FINISHED", "first")
    assert run.data.params["learning_rate"] == "0.001" and run.data.params["model"] == "BPR"
    assert run.data.metrics["test/ndcg_at_10"] == result["test"]["ndcg@10"]
    assert [m.step for m in client.get_metric_history(run.info.run_id, "train/loss/recommendation")] == [1, 2]
    assert "full sort over 37 items" in run.data.tags["protocol"]
    assert run.data.tags["run_folder"] == str(tmp_path / "run")


def test_mlflow_without_a_server(keys, tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    from recbole_sda.tracking.trackers import TrackerError

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    options = {"tracking_uri": "http://127.0.0.1:9"}
    with pytest.raises(TrackerError, match="track: mlflow cannot be started: .*127.0.0.1") as caught:
        experiment.run("BPR", "tiny", overrides={**keys, "track": ["mlflow"], "track_options": options})
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_search_in_mlflow(tiny_keys, tmp_path):
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    from recbole_sda.tune.search import tune_settings
    from recbole_sda.tune.space import Domain, Space

    options = {"tracking_uri": f"sqlite:///{tmp_path / 'mlflow.db'}"}
    space = Space({"learning_rate": Domain("choice", [0.01, 0.1])}, samples=None)
    keys = {**tiny_keys, "track": ["mlflow"], "track_options": options}
    result = tune_settings("BPR", "tiny", space, (), keys, out=tmp_path / "search")
    client = MlflowClient(options["tracking_uri"])
    runs = client.search_runs([client.get_experiment_by_name("recbole_sda").experiment_id])
    (parent,) = [run for run in runs if run.data.tags["kind"] == "search"]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert {run.data.params["learning_rate"] for run in children} == {"0.01", "0.1"} and len(runs) == 3
    assert parent.data.metrics["test/ndcg_at_10"] == result["test"]["ndcg@10"]


def wandb_records(path):
    """Yield the records of a file of an offline run: blocks of 32 KiB as in LevelDB's log, after a header of 7 bytes."""
    data, position, record = path.read_bytes(), 7, b""
    while position + 7 <= len(data):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        _, size, part = struct.unpack("<IHB", data[position : position + 7])
        record += data[position + 7 : position + 7 + size]
        position += 7 + size
        if part in (1, 4):  # a whole record, or the last part of one
            yield record
            record = b""


def test_wandb_offline(keys, tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2

    monkeypatch.setenv("WANDB_MODE", "offline")
    result = run_and_resume({**keys, "log_wandb": True, "wandb_project": "shop"}, tmp_path / "run")
    wandb.teardown()  # its process writes the files, and may still do so after the run
    id_ = json.loads((tmp_path / "run/tracking.json").read_text())["wandb"]
    files = sorted((tmp_path / "run/wandb").glob("offline-run-*/*.wandb"))
    assert {path.name for path in files} == {f"run-{id_}.wandb"} and len(files) == 2  # begun, and resumed
    rows, summary, projects = [], {}, set()
    for path in files:
        for content in wandb_records(path):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(content)
            if record.HasField("run"):
                projects.add(record.run.project)
            for item in record.summary.update:
                summary["/".join(item.nested_key) or item.key] = json.loads(item.value_json)
            row = {"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in record.history.item}
            rows += [row] if row else []
    assert projects == {"shop"}
    assert {row["_step"] for row in rows} == {1, 2}
    assert summary["test/ndcg@10"] == result["test"]["ndcg@10"] and "full sort" in summary["protocol"]


def test_wandb_without_a_key(keys, tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    from recbole_sda.tracking.trackers import TrackerError

    wandb.teardown()  # settings are read once per process
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    with pytest.raises(TrackerError, match="track: wandb cannot be started: .*wandb login"):
        experiment.run("BPR", "tiny", overrides={**keys, "track": ["wandb"]})


def test_trackio(keys, tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio")
    from trackio.sqlite_storage import SQLiteStorage

    options = {"project": f"shop{tmp_path.parent.name[-4:]}", "run_name": "first"}
    result = run_and_resume({**keys, "track": ["trackio"], "track_options": options}, tmp_path / "run")
    assert SQLiteStorage.get_runs(options["project"]) == ["first"]
    rows = SQLiteStorage.get_logs(options["project"], "first")
    assert [row["step"] for row in rows if "valid/ndcg@10" in row] == [1, 2]
    assert rows[-1]["test/ndcg@10"] == result["test"]["ndcg@10"] and "full sort" in rows[-1]["protocol"]
    config = SQLiteStorage.get_run_config(options["project"], "first")
    assert config["learning_rate"] == 0.001 and config["run_folder"] == str(tmp_path / "run")
