"""The commands compare, recommend and report."""

import json
import shutil

import pandas as pd
import pytest

from recbole_sda.cli.experiments import main
from recbole_sda.engine import experiment


def test_compare_writes_tables_and_names_the_way_to_continue(tiny_keys, tmp_path, capsys, monkeypatch):
    path = tmp_path / "mine.yaml"
    path.write_text("datasets: [tiny]\nseeds: [1, 2]\nmodels: {BPR: , BPR_SDA: {base: BPR}}\nmetrics: [hit@5]\n")
    keys = {key: value for key, value in tiny_keys.items() if key != "metrics"}
    words = ["compare", str(path), f"--out={tmp_path / 'out'}", *(f"--{k}={v}" for k, v in keys.items())]
    assert main([*words, "--table"]) == 2 and "no finished run" in capsys.readouterr().err
    assert main([*words, "--list"]) == 0 and capsys.readouterr().out.count("to do") == 4
    with monkeypatch.context() as patch:
        patch.setattr(experiment, "run", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        assert main(words) == 130 and "the same command continues" in capsys.readouterr().err
    assert main(words) == 0
    assert "| BPR_SDA |" in capsys.readouterr().out
    assert sorted(p.name for p in (tmp_path / "out").glob("comparison.*")) == [
        "comparison.json", "comparison.md", "comparison.tex"
    ]  # fmt: skip
    shutil.rmtree(tmp_path / "out/tiny/BPR/seed2")
    assert main([*words, "--list"]) == 0 and capsys.readouterr().out.count("to do") == 1
    assert main(["compare", str(path), "--parallel=0"]) == 2 and "parallel=0" in capsys.readouterr().err


def test_compare_evaluates_finished_runs_under_further_protocols(tiny_keys, tmp_path, capsys, monkeypatch):
    path = tmp_path / "mine.yaml"
    path.write_text("datasets: [tiny]\nseeds: [1]\nmodels: {BPR: , BPR_SDA: {base: BPR}}\nmetrics: [hit@5]\n")
    keys = {key: value for key, value in tiny_keys.items() if key != "metrics"}
    words = ["compare", str(path), f"--out={tmp_path / 'out'}", *(f"--{k}={v}" for k, v in keys.items())]
    assert main(words) == 0 and "uni10" not in capsys.readouterr().out
    words.append("--also={uni10: {eval_args: {mode: uni10}}}")
    assert main([*words, "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  (")[0] for line in lines] == [
        "done   BPR on tiny, seed 1", "to do  uni10 of BPR on tiny, seed 1",
        "done   BPR_SDA on tiny, seed 1", "to do  uni10 of BPR_SDA on tiny, seed 1",
    ]  # fmt: skip
    assert lines[1].endswith(f"({tmp_path / 'out/tiny/BPR/seed1/protocols/uni10'})")
    monkeypatch.setattr(experiment, "run", lambda *a: pytest.fail("trained"))
    assert main([*words, "--table"]) == 0
    assert "Not all finished runs are evaluated under uni10: BPR: none; BPR_SDA: none." in capsys.readouterr().out
    best = tmp_path / "out/tiny/BPR/seed1/checkpoint/best.pt"
    best.rename(tmp_path / "best.pt")
    assert main(words) == 2
    printed = capsys.readouterr()
    assert "1 of 4 runs and evaluations failed" in printed.err and "uni10 of BPR on tiny, seed 1: " in printed.err
    assert "not evaluated" in printed.out
    (tmp_path / "best.pt").rename(best)
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "| uni10 Hit@5" in printed and "not evaluated" not in printed
    assert "The same runs under uni10: " in printed and "over the 2 comparisons" in printed
    assert main([*words[:-1], "--also={uni10: {epochs: 3}}", "--list"]) == 2
    assert "mine.yaml: also: uni10: 'epochs' is not a key of the evaluation" in capsys.readouterr().err


def test_compare_prints_the_finished_rows_when_a_run_fails(tiny_keys, tmp_path, capsys, monkeypatch):
    path = tmp_path / "mine.yaml"
    path.write_text("datasets: [tiny]\nseeds: [1]\nmodels: {BPR: , broken: {model: BPR, keys: {learning_rate: 0.5}}}\n")
    keys = {key: value for key, value in tiny_keys.items() if key != "metrics"}
    run = experiment.run

    def fail(model, dataset, files, keys):
        if keys.get("learning_rate") == 0.5:
            raise RuntimeError("diverged")
        return run(model, dataset, files, keys)

    monkeypatch.setattr(experiment, "run", fail)
    assert main(["compare", str(path), f"--out={tmp_path / 'out'}", *(f"--{k}={v}" for k, v in keys.items())]) == 2
    printed = capsys.readouterr()
    assert "| BPR " in printed.out and "Without a finished run: broken" in printed.out
    assert "1 of 2 runs failed" in printed.err and "RuntimeError: diverged" in printed.err


@pytest.fixture(scope="module")
def run_dir(data_path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    keys = {"data_path": str(data_path), "epochs": 1, "train_batch_size": 64, "use_gpu": False, "topk": [5, 10]}
    experiment.run("BPR_SDA", "tiny", (), {**keys, "threads": 1, "run_dir": str(folder)})
    return folder


def test_recommend_writes_tables_and_pages(run_dir, tmp_path, items_file):
    (tmp_path / "users.txt").write_text("u3\n\nu1\nu3\n")
    assert (
        main(["recommend", str(run_dir), f"--out={tmp_path / 'a.csv'}", f"--users={tmp_path / 'users.txt'}", "--k=4"])
        == 0
    )
    table = pd.read_csv(tmp_path / "a.csv")
    assert table["user_id"].tolist() == ["u3"] * 4 + ["u1"] * 4
    assert main(["recommend", str(run_dir), f"--out={tmp_path / 'a.parquet'}", f"--items={items_file}"]) == 0
    whole = pd.read_parquet(tmp_path / "a.parquet")
    titles = {f"i{k}": json.loads(line)["title"] for k, line in enumerate(items_file.read_text().split("\n")[:6])}
    assert len(whole) == 43 * 10 and set(whole["title"].dropna()) <= set(titles.values())
    assert all(whole.loc[whole["item_id"] == item, "title"].eq(title).all() for item, title in titles.items())
    assert main(["recommend", str(run_dir), f"--out={tmp_path / 'a.html'}", "--repeat"]) == 0
    assert "may be recommended" in (tmp_path / "a.html").read_text()


def test_the_data_of_a_run_may_have_moved(data_path, tmp_path, capsys):
    """From another folder, as after a run was made with a relative data_path."""
    shutil.copytree(data_path, tmp_path / "data")
    keys = {"data_path": str(tmp_path / "data"), "epochs": 1, "train_batch_size": 64, "use_gpu": False, "topk": [5, 10]}
    experiment.run("BPR_SDA", "tiny", (), {**keys, "threads": 1, "run_dir": str(tmp_path / "run")})
    (tmp_path / "data").rename(tmp_path / "moved")
    run, moved = str(tmp_path / "run"), f"--data_path={tmp_path / 'moved'}"
    assert main(["recommend", run, f"--out={tmp_path / 'a.csv'}"]) == 2
    assert "--data_path names another place" in capsys.readouterr().err
    assert main(["recommend", run, f"--out={tmp_path / 'a.csv'}", "--users=u1", moved]) == 0
    assert len(pd.read_csv(tmp_path / "a.csv")) == 10
    assert main(["export", run, f"--out={tmp_path / 'index'}", moved]) == 0
    assert main(["export", run, "--form=recbole", f"--out={tmp_path / 'model.pth'}", moved]) == 2
    assert "--data_path: --form=recbole reads the weights alone" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, message",
    [
        (["--out=a.txt"], "--out=a.txt: expected a file that ends with .parquet, .csv, .html"),
        (["--out=a.csv", "--users=u1,u99"], "user 'u99' is not in tiny"),
        (["--out=a.csv", "--users= ,"], "has no user id"),
        (["--out=a.csv", "--users=" + ",".join(f"u{k}" for k in range(100))], "user 'u43' is not in tiny"),
        (["--out=a.csv", "--k=0"], "k=0: expected a whole number at least 1 and below 38"),
        (["--out=a.csv", "--new-titles=x.jsonl"], "--new-titles needs --new-items"),
        (["--out=a.csv", "--new-items=nowhere"], "nowhere"),
        (["--out=a.csv", "--topk=3"], "--topk is not an option of recommend"),
    ],
)
def test_wrong_options_of_recommend_are_refused(run_dir, words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["recommend", str(run_dir), *words]) == 2
    assert message in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_list_needs_no_features(tiny_keys, tmp_path, write_tiny, capsys):
    folder = write_tiny(tmp_path / "data")
    shutil.rmtree(folder / "features")
    plan = tmp_path / "plan.yaml"
    keys = {**tiny_keys, "data_path": str(tmp_path / "data")}
    plan.write_text(
        json.dumps({"datasets": ["tiny"], "seeds": [1], "models": {"A, shuffled": {"model": "BPR_SDA"}}, "keys": keys})
    )
    words = ["compare", str(plan), "--out", str(tmp_path / "out")]
    assert main([*words, "--list"]) == 0 and "A, shuffled on tiny" in capsys.readouterr().out
    assert main(words) == 2 and "no feature store in" in capsys.readouterr().err
    assert main([*words, "--list", "--models=[A, shuffled]"]) == 2
    assert """Names with commas are quoted: --models='["A, shuffled"]'.""" in capsys.readouterr().err
    assert main([*words, "--list", '--models=["A, shuffled"]']) == 0


def test_export(tiny_keys, tmp_path, capsys):
    folder = experiment.run("BPR", "tiny", (), {**tiny_keys, "epochs": 1, "runs_path": str(tmp_path / "runs")})[
        "run_dir"
    ]
    path = tmp_path / "model.pth"
    assert main(["export", folder, "--form=recbole", f"--out={path}"]) == 0 and path.is_file()
    assert main(["export", folder, "--form=recbole", f"--out={path}"]) == 2
    assert main(["export", folder, "--form=recbole", f"--out={tmp_path / 'y.pth'}", "--users=all"]) == 2
    assert main(["export", str(tmp_path), "--form=recbole", "--out", str(tmp_path / "x.pth")]) == 2
