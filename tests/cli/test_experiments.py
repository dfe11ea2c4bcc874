"""The commands compare, recommend and report."""

import shutil

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
