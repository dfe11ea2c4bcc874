"""Evaluation dataloaders against RecBole's, and the sampled protocol against ranks counted by hand."""

import numpy as np
import pytest
import torch

from recbole_sda.config.run_config import RunConfig
from recbole_sda.data import eval_loaders
from recbole_sda.data.eval_loaders import SampleLoader, UserLoader
from recbole_sda.engine import experiment
from recbole_sda.errors import InputError
from recbole_sda.recbole_patches.scoped import base_model_name, tensorboard_folder

from recbole.data import create_dataset, data_preparation  # isort: skip
from recbole.data.interaction import Interaction  # isort: skip
from recbole.evaluator.collector import Collector  # isort: skip
from recbole.trainer import Trainer  # isort: skip
from recbole.utils.case_study import full_sort_topk  # isort: skip

RATIO = {"split": {"RS": [0.6, 0.2, 0.2]}}


def evaluated(run, phase="test"):
    run.trainer.eval_collector.data_collect(run.data.train)
    return run.trainer.evaluate(getattr(run.data, phase), load_best_model=False)


@pytest.mark.parametrize("block", [2**24, 100])
@pytest.mark.parametrize(
    "name, keys",
    [
        *((name, {"mask_history": False}) for name in ("SASRec", "BERT4Rec", "NARM", "Caser")),
        *((name, {}) for name in ("BPR", "LightGCN_SDA", "ConvNCF", "MultiVAE")),
        *((name, {"repeatable": False}) for name in ("BPR", "ENMF", "ItemKNN")),
        *((name, {"repeatable": False, "eval_args": RATIO}) for name in ("BPR", "SimpleX_SDA")),
        ("SASRec", {"mask_history": False, "eval_args": RATIO}),
    ],
)
@pytest.mark.parametrize("phase", ["valid", "test"])
def test_full_sort_equals_recboles(build, name, keys, phase, block, tmp_path, monkeypatch):
    """In blocks, in the order of length, and with our collector. RecBole masks no history of a sequential model."""
    monkeypatch.setattr(eval_loaders, "BLOCK_SCORES", block)
    keys = {"metrics": ["Hit", "NDCG", "MRR", "Recall", "MAP", "Precision"], "topk": [1, 5, 10], **keys}
    config = build.config(name, **keys)
    run = experiment.build(config, tmp_path)
    ours = evaluated(run, phase)
    with tensorboard_folder(tmp_path / "plain"):
        plain = Trainer(config, run.model)
    plain.eval_collector = Collector(config)
    with base_model_name(config, name.removesuffix("_SDA")):
        parts = data_preparation(config, create_dataset(config))
    plain.eval_collector.data_collect(parts[0])
    theirs = plain.evaluate(parts[1 if phase == "valid" else 2], load_best_model=False)
    assert dict(theirs) == pytest.approx(dict(ours), abs=1e-6)
    assert 0 < ours["hit@10"] < 1


def test_blocks_follow_the_catalogue_and_models_without_full_sort_keep_recboles(build, monkeypatch):
    monkeypatch.setattr(eval_loaders, "BLOCK_SCORES", 1000)
    n_items = build("BPR").data.dataset.item_num
    steps = {name: build(name, eval_batch_size=64).data.test.step for name in ("BPR", "ConvNCF", "SASRec")}
    assert steps == {"BPR": 1000 // n_items, "ConvNCF": max(1, 64 // n_items), "SASRec": min(64, 1000 // n_items)}


def ranks_by_hand(run, rows_of, cases):
    """Rank of each case's positive among itself and its negatives, by `predict`."""
    model, ranks = run.model.eval(), []
    for case, (positive, negatives) in enumerate(cases):
        candidates = torch.cat([positive.view(1), negatives])
        rows = rows_of(case, len(candidates))
        rows.update(Interaction({"item_id": candidates}))
        with torch.no_grad():
            scores = model.predict(rows)
        ranks.append(int((scores > scores[0]).sum()))
    return np.array(ranks)


def agree(found, ranks):
    for k in (1, 3, 5):
        assert found[f"hit@{k}"] == pytest.approx((ranks < k).mean(), abs=1e-6)
        assert found[f"ndcg@{k}"] == pytest.approx(np.where(ranks < k, 1 / np.log2(ranks + 2), 0).mean(), abs=1e-6)


def test_sampled_protocol_of_a_sequential_model(build, tmp_path):
    run = experiment.build(
        build.config("SASRec", eval_args={"mode": "uni10"}, topk=[1, 3, 5], valid_metric="NDCG@5"), tmp_path
    )
    loader = run.data.test
    assert isinstance(loader, SampleLoader)
    samples = loader._dataset.inter_feat
    cases = list(zip(samples["item_id"], loader._candidates))
    assert all(positive not in negatives for positive, negatives in cases)
    agree(evaluated(run), ranks_by_hand(run, lambda case, n: samples[[case] * n], cases))


def test_sampled_protocol_of_a_general_model(build, tmp_path):
    """Leave-one-out: each user's positive among ten items that the user never had, in any phase up to the test."""
    keys = {"eval_args": {"mode": "uni10"}, "repeatable": False, "topk": [1, 3, 5], "valid_metric": "NDCG@5"}
    run = experiment.build(build.config("BPR", **keys), tmp_path)
    loader = run.data.test
    assert isinstance(loader, UserLoader)
    users = loader.user_df["user_id"]
    cases = []
    for k, user in enumerate(users):
        _, positive = loader._positives.take(np.array([k]))
        _, negatives = loader._negatives.take(np.array([k]))
        had = {
            int(item)
            for part in (run.data.train, run.data.valid, run.data.test)
            for item in part._dataset.inter_feat["item_id"][part._dataset.inter_feat["user_id"] == user]
        }
        assert len(set(negatives.tolist())) == 10 and not had & set(negatives.tolist())
        cases.append((positive, negatives))
    found = evaluated(run)
    agree(found, ranks_by_hand(run, lambda k, n: Interaction({"user_id": users[[k] * n]}), cases))


def test_sampled_protocol_with_several_positives(build, tmp_path):
    """Every positive of a user is ranked among all of the user's positives and negatives."""
    keys = {
        "eval_args": {"mode": "uni5", **RATIO},
        "repeatable": False,
        "topk": [5],
        "metrics": ["Recall"],
        "valid_metric": "Recall@5",
    }
    run = experiment.build(build.config("BPR", **keys), tmp_path)
    loader, recalls = run.data.test, []
    for k, user in enumerate(loader.user_df["user_id"]):
        _, positives = loader._positives.take(np.array([k]))
        _, negatives = loader._negatives.take(np.array([k]))
        assert len(negatives) == 5 * len(positives)
        candidates = torch.cat([positives, negatives.unique()])
        with torch.no_grad():
            rows = Interaction({"user_id": user.repeat(len(candidates)), "item_id": candidates})
            top = run.model.eval().predict(rows).topk(5).indices
        recalls.append((top < len(positives)).sum().item() / len(positives))
    assert max(len(loader._positives.take(np.array([k]))[1]) for k in range(len(recalls))) > 1
    assert evaluated(run)["recall@5"] == pytest.approx(np.mean(recalls), abs=1e-6)


def test_negatives_are_the_same_for_every_model_and_seed_and_differ_by_phase(build):
    def drawn(name, phase, **keys):
        loader = getattr(build(name, eval_args={"mode": "uni10"}, **keys).data, phase)
        return loader._candidates[loader._dataset.inter_feat["user_id"].argsort()]

    first = drawn("SASRec", "test")
    assert torch.equal(first, drawn("NARM_SDA", "test", seed=9))
    assert not torch.equal(first, drawn("SASRec", "valid"))
    assert not torch.equal(first, drawn("SASRec", "test", eval_negatives_seed=1))
    assert any((build.data_path / "tiny" / "negatives").glob("uni10-test-*.npz"))
    with pytest.raises(InputError, match="uni100: 100 negatives are required, but a case has only 25 items"):
        build("SASRec", eval_args={"mode": "uni100"})
    with pytest.raises(InputError, match="save_dataloaders=True"):
        build("SASRec", save_dataloaders=True)


@pytest.mark.parametrize("metrics", [["AUC"], ["AUC", "LogLoss"]])
@pytest.mark.parametrize("mode", ["uni10", "pop10"])
def test_metrics_of_values_have_recboles_loaders(build, mode, metrics):
    loader = build("BPR", eval_args={"mode": mode}, metrics=metrics, valid_metric="AUC").data.test
    assert type(loader).__name__ == "NegSampleEvalDataLoader"


def by_user(build, model, mode="pop8", **keys):
    """Token of each user -> tokens of the negatives of the test case."""
    data = build(model, eval_args={"mode": mode}, **keys).data
    users, items = (data.dataset.field2id_token[field] for field in ("user_id", "item_id"))
    cases = np.unique(data.test.dataset.inter_feat["user_id"].numpy())
    return {users[user]: sorted(items[negatives_of(data.test, user)]) for user in cases}


@pytest.mark.parametrize("mode", ["uni8", "pop8"])
@pytest.mark.parametrize("masked", [True, False])
def test_negatives_and_known_items(build, mode, masked):
    """Masked, no negative is an item of the user in any part; unmasked, some are, but never the case's own item."""
    data = build("SASRec", eval_args={"mode": mode}, mask_history=masked).data
    users, items = (np.asarray(build("BPR").data.dataset.inter_feat[field]) for field in ("user_id", "item_id"))
    test = data.test.dataset.inter_feat
    known = 0
    for user, own in zip(test["user_id"].tolist(), test["item_id"].tolist()):
        negatives = negatives_of(data.test, user)
        assert len(set(negatives)) == 8 and own not in negatives and 0 not in negatives
        known += len(set(negatives) & set(items[users == user]))
    assert (known == 0) == masked


def test_negatives_by_popularity_are_the_same_for_models_of_both_kinds_and_all_seeds(build):
    first = by_user(build, "SASRec")
    assert len(first) == 43 and first == by_user(build, "BPR_SDA", seed=5) == by_user(build, "NARM", seed=9)
    assert first == by_user(build, "ItemKNN")
    assert first != by_user(build, "SASRec", eval_negatives_seed=1) and first != by_user(build, "SASRec", "uni8")


@pytest.mark.parametrize("model", ["BPR", "SASRec"])
def test_popularity_counts_training_interactions_alone(tiny_keys, tmp_path, write_tiny, model):
    """The last items of all users are the same one, which has no training interaction and is never a negative."""
    path = write_tiny(tmp_path / "data") / "tiny.inter"
    header, *lines = path.read_text().splitlines()
    rows = [line.split("\t") for line in lines]
    last = {user: t for user, _, t in rows}
    rows = [[user, "new" if t == last[user] and user != "u1" else item, t] for user, item, t in rows]
    path.write_text("\n".join([header, *map("\t".join, rows)]) + "\n")
    keys = {**tiny_keys, "data_path": str(tmp_path / "data"), "eval_args": {"mode": "pop5"}}
    data = experiment.build(RunConfig(model, "tiny", (), keys), tmp_path / "run").data
    new, user = data.dataset.token2id("item_id", "new"), data.dataset.token2id("user_id", "u1")
    assert data.counts.items[new] == 0 and data.test.dataset.inter_feat["item_id"].tolist().count(new) == 42
    assert new not in negatives_of(data.test, user) and len(negatives_of(data.test, user)) == 5
    often = np.concatenate([negatives_of(data.test, user) for user in range(1, 44)])
    counts = data.counts.items
    popular = counts >= np.median(counts[1:])
    assert popular[often].mean() > counts[popular].sum() / counts.sum() - 0.1 > 0.5


@pytest.mark.parametrize("phase", ["valid", "test"])
def test_modes_by_phase(build, phase, tmp_path):
    mode = {"valid": "uni5", "test": "pop7"}
    run = experiment.build(build.config("SASRec", eval_args={"mode": mode}), tmp_path)
    assert getattr(run.data, phase)._candidates.shape[1] == {"valid": 5, "test": 7}[phase]


@pytest.mark.parametrize("model", ["SASRec", "BPR"])
def test_metrics_by_popularity_are_those_counted_by_hand(build, tmp_path, model):
    keys = {"eval_args": {"mode": "pop10"}, "topk": [1, 3, 5], "valid_metric": "NDCG@5"}
    run = experiment.build(build.config(model, **keys), tmp_path)
    samples, cases = run.data.test.dataset.inter_feat, []
    for user, item in zip(samples["user_id"].tolist(), samples["item_id"]):
        cases.append((item, torch.tensor(negatives_of(run.data.test, user))))
    agree(evaluated(run), ranks_by_hand(run, lambda case, n: samples[[case] * n], cases))


@pytest.mark.parametrize("phase", ["valid", "test"])
@pytest.mark.parametrize(
    "keys", [{"repeatable": False}, {"repeatable": False, "mask_validation": False}, {"repeatable": True}]
)
def test_recboles_case_study_of_a_general_model(build, tmp_path, keys, phase):
    """Top k of all items but the padding and what each user had before the phase, by the model's own scores."""
    run = experiment.build(build.config("BPR", **keys), tmp_path)
    loader, users = getattr(run.data, phase), [5, 2, 40]
    before = [run.data.train, run.data.valid][: 2 if phase == "test" and "mask_validation" not in keys else 1]
    with torch.no_grad():
        scores = run.model.eval().full_sort_predict(Interaction({"user_id": torch.tensor(users)})).view(3, -1)
    scores[:, 0] = -torch.inf
    for row, user in enumerate(users):
        seen = [part.dataset.inter_feat["item_id"][part.dataset.inter_feat["user_id"] == user] for part in before]
        assert len(torch.cat(seen)) > 2
        if not keys["repeatable"]:
            scores[row, torch.cat(seen)] = -torch.inf
    expected = scores.topk(5)
    found = full_sort_topk(users, run.model, loader, 5)
    assert torch.equal(found[0], expected.values) and torch.equal(found[1], expected.indices)


def test_a_case_study_includes_users_without_an_interaction_in_the_phase(build, tmp_path):
    run = experiment.build(build.config("BPR", repeatable=False, eval_args=RATIO), tmp_path)
    train = run.data.train.dataset.inter_feat
    feat = run.data.test.dataset.inter_feat
    run.data.test.dataset.inter_feat = feat[feat["user_id"] != 5]
    loader = UserLoader(run.config, run.data.test.dataset, eval_loaders.pair_keys(run.data.train.dataset), None)
    assert 5 not in loader.user_df["user_id"]
    assert sorted(loader.uid2history_item[5].tolist()) == sorted(set(train["item_id"][train["user_id"] == 5].tolist()))


@pytest.mark.parametrize("model", ["SASRec", "SASRec_SDA"])
def test_recboles_case_study_of_a_sequential_model(build, tmp_path, model):
    run = experiment.build(build.config(model), tmp_path)
    samples, users = run.data.test.dataset.inter_feat, [5, 2, 40]
    rows = [int((samples["user_id"] == user).nonzero()) for user in users]
    with torch.no_grad():
        scores = run.model.eval().full_sort_predict(samples[rows].to("cpu"))
    scores[:, 0] = -torch.inf
    expected = scores.topk(5)
    found = full_sort_topk(users, run.model, run.data.test, 5)
    torch.testing.assert_close(found[0], expected.values)
    assert torch.equal(found[1], expected.indices)


@pytest.fixture
def repeated(tiny_keys, tmp_path, write_tiny):
    """Keys of a data set in which the last item of every user is also the user's first."""
    path = write_tiny(tmp_path / "repeated") / "tiny.inter"
    header, *lines = path.read_text().splitlines()
    rows = [line.split("\t") for line in lines]
    first = {user: item for user, item, t in rows if t == "0"}
    last = {user: t for user, _, t in rows}
    rows = [[user, first[user] if t == last[user] else item, t] for user, item, t in rows]
    path.write_text("\n".join([header, *map("\t".join, rows)]) + "\n")
    return {
        **tiny_keys,
        "data_path": str(tmp_path / "repeated"),
        "topk": [5],
        "valid_metric": "NDCG@5",
        "MAX_ITEM_LIST_LENGTH": 20,
    }


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("mode", ["full", "uni5", "pop5"])
@pytest.mark.parametrize("model", ["BPR", "SASRec"])
def test_a_history_never_hides_a_positive(repeated, tmp_path, model, mode, masked):
    """Each positive has its rank among the candidates, by the model's own scores."""
    keys = {"eval_args": {"mode": mode}, "mask_history": masked}
    run = experiment.build(RunConfig(model, "tiny", (), {**repeated, **keys}), tmp_path / "run")
    evaluated(run)
    cases, samples = run.trainer.eval_collector.ranking.cases, run.data.test.dataset.inter_feat
    assert len(cases.rank) == 43
    for user, item, rank in zip(cases.user, cases.item, cases.rank):
        batch = samples[[int((samples["user_id"] == user).nonzero())]].to("cpu")
        with torch.no_grad():
            scores = run.model.eval().full_sort_predict(batch).flatten()
        candidates = set(range(1, len(scores)))
        if model == "BPR":
            before = [part.dataset.inter_feat for part in (run.data.train, run.data.valid)]
            seen = {i for feat in before for i in feat["item_id"][feat["user_id"] == user].tolist()}
        else:
            seen = set(batch["item_id_list"].flatten().tolist())
        assert item in seen
        if masked:
            candidates -= seen - {item}
        if mode != "full":
            candidates = {item, *negatives_of(run.data.test, user)}
            assert len(candidates) == 6
        assert rank == sum(bool(scores[other] >= scores[item]) for other in candidates)


def negatives_of(loader, user):
    """Item ids that were drawn for the case of a user."""
    if isinstance(loader, SampleLoader):
        return loader._candidates[int((loader.dataset.inter_feat["user_id"] == user).nonzero())].tolist()
    return loader._negatives.take(np.flatnonzero(loader.user_df["user_id"].numpy() == user))[1].tolist()
