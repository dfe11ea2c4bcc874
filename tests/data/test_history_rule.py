"""``mask_history``: which items are candidates, for sequential and general models, full sort and sampled, against loops."""

import numpy as np
import pytest
import torch

from recbole_sda.data.datasets import load_data
from recbole_sda.data.history_rule import history_rule, repeated_pairs
from recbole_sda.engine import experiment
from recbole_sda.engine.run import build as build_run
from recbole_sda.errors import InputError
from recbole_sda.io.yaml import read_yaml

RATIO = {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "TO", "group_by": "user"}


def interactions(config) -> dict:
    """User token -> item tokens in time order, read from the file."""
    users: dict = {}
    path = f"{config['data_path']}/{config['dataset']}.inter"
    rows = [line.split("\t") for line in open(path).read().splitlines()[1:]]
    for user, item, _ in sorted(rows, key=lambda row: (row[0], float(row[2]))):
        users.setdefault(user, []).append(item)
    return users


def cases(loader):
    """Yield (user id, masked item ids, positive item ids, candidate item ids or None) of every list of a loader."""
    dataset = loader._dataset
    for batch in loader:
        interaction, history, rows, items, candidates = batch
        for row, user in enumerate(interaction[dataset.uid_field].tolist()):
            masked = set() if history is None else set(history[1][history[0] == row].tolist())
            chosen = None if candidates is None else set(candidates[1][candidates[0] == row].tolist())
            yield user, masked, set(items[rows == row].tolist()), chosen


@pytest.mark.parametrize("model", ["SASRec", "BPR"])
@pytest.mark.parametrize("mode", ["full", "uni10"])
@pytest.mark.parametrize("with_validation", [True, False])
@pytest.mark.parametrize("phase", ["valid", "test"])
def test_leave_one_out(build, model, mode, with_validation, phase):
    """Known are all items before the held-out one, also those that a history of eight items leaves out."""
    config = build.config(model, eval_args={"mode": mode}, mask_validation=with_validation)
    data = load_data(config)
    sequences, dataset = interactions(config), data.dataset
    longest = 0
    for user, masked, positives, candidates in cases(getattr(data, phase)):
        tokens = sequences[dataset.id2token("user_id", user)]
        ids = dataset.token2id("item_id", np.array(tokens)).tolist()
        place = len(ids) - (2 if phase == "valid" else 1)
        known = set(ids[:place])
        if phase == "test" and not with_validation:
            known.discard(ids[-2])
        assert positives == {ids[place]} and masked == known - positives
        longest = max(longest, len(known))
        if mode != "full":
            assert len(candidates) == 11 and not candidates & known and positives <= candidates
    assert longest > 8


@pytest.mark.parametrize("with_validation", [True, False])
def test_ratio_split_of_a_sequential_model(build, with_validation):
    """A later test item has the earlier ones behind it."""
    config = build.config("SASRec", eval_args=RATIO, mask_validation=with_validation)
    data = load_data(config)
    sequences, dataset = interactions(config), data.dataset
    validation = {(user, item) for user, _, positives, _ in cases(load_data(config).valid) for item in positives}
    seen_before = 0
    for user, masked, positives, _ in cases(data.test):
        ids = dataset.token2id("item_id", np.array(sequences[dataset.id2token("user_id", user)])).tolist()
        (target,) = positives
        known = set(ids[: ids.index(target)])
        if not with_validation:
            known -= {item for item in known if (user, item) in validation}
        assert masked == known
        seen_before += len(known)
    assert seen_before


@pytest.mark.parametrize("model", ["SASRec", "BPR"])
def test_false_leaves_everything_among_the_candidates(build, model):
    data = load_data(build.config(model, mask_history=False))
    assert not data.history.masked and all(not masked for _, masked, _, _ in cases(data.test))


@pytest.fixture
def repeating(tmp_path, write_tiny):
    """The data set ``tiny`` below a folder, with one user who takes an item again, which is his last one."""
    path = write_tiny(tmp_path / "dataset") / "tiny.inter"
    header, *lines = path.read_text().splitlines()
    first = next(line for line in lines if line.startswith("u7\t"))
    user, item, _ = first.split("\t")
    path.write_text("\n".join([header, *lines, f"{user}\t{item}\t99"]) + "\n")
    return str(tmp_path / "dataset")


@pytest.mark.parametrize("model", ["SASRec", "BPR"])
def test_auto_does_not_mask_data_with_a_repeated_pair(build, repeating, model):
    data = load_data(build.config(model, data_path=repeating))
    assert not data.history.masked and data.history.reason.startswith("auto: 1 of ")
    assert data.history.describe() == {"valid": "among the candidates", "test": "among the candidates"}


@pytest.mark.parametrize("model", ["SASRec", "BPR"])
def test_the_target_is_a_candidate_also_where_the_user_has_it(build, repeating, model):
    data = load_data(build.config(model, data_path=repeating, mask_history=True))
    user = data.dataset.token2id("user_id", "u7")
    ((masked, positives),) = [(m, p) for u, m, p, _ in cases(data.test) if u == user]
    assert not masked & positives and masked


@pytest.mark.parametrize("model", ["SASRec", "BPR"])
def test_an_item_of_training_and_validation_is_masked_without_the_validation_items(build, tmp_path, write_tiny, model):
    path = write_tiny(tmp_path / "dataset") / "tiny.inter"
    header, *lines = path.read_text().splitlines()
    user = [line for line in lines if line.startswith("u7\t")]
    again = user[0].split("\t")[1]
    lines.append(f"u7\t{again}\t{float(user[-1].split(chr(9))[2]) - 0.5}")  # the one before the last: validation
    path.write_text("\n".join([header, *lines]) + "\n")
    keys = {"data_path": str(tmp_path / "dataset"), "mask_history": True, "mask_validation": False}
    data = load_data(build.config(model, **keys))
    number = data.dataset.token2id("user_id", "u7")
    (masked,) = [masked for user, masked, _, _ in cases(data.test) if user == number]
    assert data.dataset.token2id("item_id", again) in masked


def test_auto_masks_otherwise_and_says_why(build):
    config = build.config("SASRec")
    data = load_data(config)
    assert data.history == (True, "auto: no user has an item twice", True)
    assert data.history.describe() == {"valid": "masked", "test": "masked"}
    exempt = load_data(build.config("SASRec", mask_validation=False)).history.describe()
    assert exempt == {"valid": "masked", "test": "masked except the validation items"}


def test_repeated_pairs_are_counted():
    class Table:
        uid_field, iid_field, item_num = "u", "i", 5
        inter_feat = {"u": [1, 1, 2, 1], "i": [3, 4, 3, 3]}

    assert repeated_pairs(Table()) == 1


AUC = {"eval_args": {"mode": "pop10"}, "metrics": ["AUC"], "valid_metric": "AUC"}


@pytest.mark.parametrize(
    "model, keys, message",
    [
        ("SASRec", {"mask_history": "yes"}, "mask_history='yes': expected auto, True or False"),
        ("BPR", {"mask_history": True, "repeatable": True}, "contradicts repeatable=True"),
        (
            "SASRec",
            {"mask_history": True, **AUC},
            "RecBole's loaders decide for metrics of values, and they do not mask known items; use auto",
        ),
        ("BPR", {"mask_history": False, **AUC}, "metrics of values, and they mask known items"),
        (
            "BPR",
            {"mask_history": True, "repeatable": True, **AUC},
            "metrics of values, and they do not mask known items",
        ),
        ("BPR", {"mask_validation": False, **AUC}, "mask_validation=False: RecBole's loaders .* do not read the key"),
    ],
)
def test_what_is_refused(build, model, keys, message):
    with pytest.raises(InputError, match=message):
        load_data(build.config(model, **keys))


def test_other_loaders_decide_by_themselves(build):
    assert not load_data(build.config("SASRec", **AUC)).history.masked
    general = load_data(build.config("BPR", **AUC)).history
    assert general.masked and "metrics of values" in general.reason
    for model in ("SASRec", "BPR"):
        config = build.config(model, eval_args={"mode": "pop10"}, mask_history=False, mask_validation=False)
        assert load_data(config).history == (False, "mask_history: False", False)
    assert load_data(build.config("BPR", repeatable=True)).history == (False, "repeatable: True", True)


def test_metrics_are_those_of_masked_scores(build, tmp_path):
    """Hit@10 of a run, again from the model's own scores with every known item at minus infinity."""
    run = build_run(build.config("SASRec", epochs=1), tmp_path)
    result = run.trainer.evaluate(run.data.test, load_best_model=False)
    sequences, dataset = interactions(run.config), run.data.dataset
    hits = []
    for batch in run.data.test:
        scores = run.model.eval().full_sort_predict(batch[0]).detach()
        scores[:, 0] = -torch.inf
        for row, user in enumerate(batch[0]["user_id"].tolist()):
            ids = dataset.token2id("item_id", np.array(sequences[dataset.id2token("user_id", user)])).tolist()
            scores[row, ids[:-1]] = -torch.inf
            hits.append(bool((scores[row] > scores[row, ids[-1]]).sum() < 10))
    assert result["hit@10"] == pytest.approx(np.mean(hits), abs=1e-6) and 0 < np.mean(hits) < 1


def test_a_finished_run_is_evaluated_under_the_other_rule(tiny_keys, tmp_path):
    run = experiment.run("SASRec", "tiny", (), {**tiny_keys, "run_dir": str(tmp_path / "run")})
    again = experiment.evaluate(run["run_dir"], {"mask_history": False})
    assert run["protocol"]["history"]["test"] == "masked" and run["protocol"]["history_reason"].startswith("auto")
    assert again["protocol"]["history"]["test"] == "among the candidates"
    assert again["protocol"]["history_reason"] == "mask_history: False" and again["test"] != run["test"]
    assert read_yaml(tmp_path / "run/config.yaml")["mask_history"] == "auto"


def test_the_rule_is_a_function_of_the_whole_data_set(build):
    config = build.config("GRU4Rec_SDA")
    assert history_rule(config, load_data(config).dataset).masked
