import json

from recbole_sda.lvlm.train_log import TrainLog


def test_lines_and_cut(tmp_path):
    log = TrainLog(tmp_path)
    for step in (1, 2, 3):
        log.add(step, "train", {"cmsa": 1.0 / step})
    log.add(2, "evaluation", {"recall@10": 0.5})
    log.add_gates(2, {"layer": [[0.5, 0.5], [0.4, 0.6]]})
    log.truncate_after(2)
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [(line["step"], line["phase"]) for line in lines] == [(1, "train"), (2, "train"), (2, "evaluation")]
    assert list((tmp_path / "tensorboard").iterdir())
