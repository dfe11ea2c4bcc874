import json

from recbole_sda.lvlm.train_log import History


def test_lines_and_cut(tmp_path):
    history = History(tmp_path)
    for step in (1, 2, 3):
        history.add(step, "train", {"cmsa": 1.0 / step})
    history.add(2, "evaluation", {"recall@10": 0.5})
    history.add_gates(2, {"layer": [[0.5, 0.5], [0.4, 0.6]]})
    history.cut(2)
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [(line["step"], line["phase"]) for line in lines] == [(1, "train"), (2, "train"), (2, "evaluation")]
    assert list((tmp_path / "tensorboard").iterdir())
