"""Maximal marginal relevance against a loop, its ends, and what the command says about it."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from recbole_sda.cli.main import main
from recbole_sda.errors import InputError
from recbole_sda.features.store import FeatureStore, write_store
from recbole_sda.recommend import rerank
from recbole_sda.recommend.recommender import Recommender
from recbole_sda.recommend.rerank import MMR
from recbole_sda.recommend.rerank_effect import rerank_effect


@pytest.fixture
def scores() -> torch.Tensor:
    values = torch.randn(9, 40, generator=torch.Generator().manual_seed(0))
    values[:, 0] = -torch.inf
    values[2, 5:] = -torch.inf  # four candidates
    values[3] = -torch.inf  # none
    values[4, 1:] = 2.0  # all alike
    return values


@pytest.fixture
def vectors() -> torch.Tensor:
    rows = torch.randn(40, 6, generator=torch.Generator().manual_seed(1))
    rows[7] = 0
    rows[10] = rows[9]
    return F.normalize(rows, dim=1)


def by_loop(scores: torch.Tensor, vectors: torch.Tensor, weight: float, candidates: int, k: int) -> list:
    """The definition, one user and one place at a time."""
    lists = []
    for row in scores.tolist():
        pool = [
            item for item in np.argsort([-value for value in row], kind="stable")[:candidates] if row[item] > -np.inf
        ]
        low, high = (min(row[i] for i in pool), max(row[i] for i in pool)) if pool else (0, 0)
        chosen: list = []
        while pool and len(chosen) < k:
            best = max(
                pool,
                key=lambda i: (
                    weight * ((row[i] - low) / (high - low) if high > low else 1.0)
                    - (1 - weight) * max((float(vectors[i] @ vectors[j]) for j in chosen), default=-1.0)
                ),
            )
            chosen.append(best)
            pool.remove(best)
        lists.append(chosen)
    return lists


@pytest.mark.parametrize("block", [None, 500])
@pytest.mark.parametrize("weight", [0.0, 0.3, 0.7, 0.95])
def test_against_a_loop(scores, vectors, weight, block, monkeypatch):
    if block:
        monkeypatch.setattr(rerank, "BLOCK", block)
    scores = scores[[0, 1, 2, 3, 5, 6, 7, 8]]
    values, columns = MMR(vectors, weight, 20).best(scores.clone(), 6)
    found = [[c for c, v in zip(*rows) if v > -np.inf] for rows in zip(columns.tolist(), values.tolist())]
    assert found == by_loop(scores, vectors, weight, 20, 6)
    finite = values.isfinite()
    assert torch.equal(values[finite], scores.gather(1, columns)[finite]) and finite.sum(dim=1).tolist() == [
        6, 6, 4, 0, 6, 6, 6, 6,
    ]  # fmt: skip


def test_equal_scores_are_ordered_by_diversity_alone(scores, vectors):
    some = MMR(vectors, 0.7, 39).best(scores[4:5], 5)[1]
    assert torch.equal(some, MMR(vectors, 0.2, 39).best(scores[4:5], 5)[1])


def test_weight_one_is_the_plain_list(scores, vectors):
    plain = scores.topk(6, dim=1)
    values, columns = MMR(vectors, 1.0, 20).best(scores, 6)
    assert torch.equal(values, plain.values) and torch.equal(columns, plain.indices)


def test_no_user(vectors):
    assert MMR(vectors, 0.5, 20).best(torch.empty(0, 40), 3)[1].shape == (0, 3)


def test_recommender(trained):
    recommender = Recommender(trained("BPR"))
    plain = pd.concat(recommender.top(k=5))
    pd.testing.assert_frame_equal(pd.concat(recommender.top(k=5, rerank=recommender.mmr(1.0))), plain)
    mmr = recommender.mmr(0.3, features="random/image")
    table = pd.concat(recommender.top(k=5, rerank=mmr))
    assert list(table.columns) == list(plain.columns) and len(table) == len(plain)
    assert not table["item_id"].equals(plain["item_id"])
    row_of = {token: row for row, token in enumerate(recommender.item_tokens)}
    user = "u3"
    all_scores = recommender.scores([user]).drop(columns=recommender.history(user)).iloc[0]
    scores = torch.full((1, len(row_of)), -torch.inf)
    scores[0, [row_of[token] for token in all_scores.index]] = torch.tensor(all_scores.to_numpy())
    expected = by_loop(scores, mmr.vectors, 0.3, 100, 5)[0]
    assert [row_of[token] for token in table[table["user_id"] == user]["item_id"]] == expected


def test_effect_on_validation_against_the_run(trained):
    recommender = Recommender(trained("BPR"))
    metrics = recommender.run.trainer.evaluate(recommender.run.data.valid, load_best_model=False)
    same = rerank_effect(recommender.run, recommender.mmr(1.0), 10)
    assert same.ndcg[0] == same.ndcg[1] == pytest.approx(metrics["ndcg@10"], abs=1e-5)
    assert same.hit[0] == pytest.approx(metrics["hit@10"], abs=1e-5) and same.diversity[0] == same.diversity[1]
    changed = rerank_effect(recommender.run, recommender.mmr(0.0), 10)
    assert changed.ndcg[0] == same.ndcg[0] and changed.diversity[1] > changed.diversity[0] + 0.03
    assert str(changed).startswith("ndcg@10 ")


def test_new_items_have_vectors(trained, data_path, tmp_path):
    store = FeatureStore(data_path / "tiny/features/random")
    more = {name: torch.cat([store.matrix(name), store.matrix(name)[:3] + 1]) for name in store.modalities}
    path = write_store(
        tmp_path / "more",
        [*store.item_ids, "n1", "n2", "n3"],
        more,
        {},
        store.manifest and {"encoder": {"model": "random"}},
    )
    recommender = Recommender(trained("BPR_SDA"), path)
    mmr = recommender.mmr(0.2)
    assert len(mmr.vectors) == len(recommender.item_tokens) + 3 and (mmr.vectors[-3:].norm(dim=1) > 0.99).all()
    assert pd.concat(recommender.top(k=8, rerank=mmr))["new"].any()


def test_command(trained, tmp_path, capsys):
    words = ["recommend", str(trained("BPR")), "--k", "5", "--out", str(tmp_path / "top.csv"), "--rerank=mmr"]
    assert main([*words, "--mmr-lambda", "0.4", "--rerank-features", "random/text"]) == 0
    assert "re-ranking, lambda 0.4, on 43 validation lists: ndcg@5 " in capsys.readouterr().err
    recommender = Recommender(trained("BPR"))
    expected = pd.concat(recommender.top(k=5, rerank=recommender.mmr(0.4)))
    assert pd.read_csv(tmp_path / "top.csv")["item_id"].tolist() == expected["item_id"].tolist()


@pytest.mark.parametrize(
    "words, message",
    [
        (["--rerank=mmr", "--mmr-lambda", "1.5"], "mmr_lambda=1.5: expected a number at least 0 and at most 1"),
        (["--rerank=mmr", "--mmr-lambda", "nan"], "mmr_lambda=nan: expected a finite number"),
        (["--rerank=mmr", "--rerank-candidates", "0"], "rerank_candidates=0: expected a whole number at least 1"),
        (["--rerank=mmr", "--rerank-candidates", "3"], "--rerank-candidates 3: expected at least --k, 10"),
        (["--rerank=mmr", "--rerank-features", "rando"], "no feature store 'rando'"),
        (["--rerank=mmr", "--rerank-features", "random/txt"], "has no modality 'txt'"),
        (["--mmr-lambda", "0.5"], "--mmr-lambda needs --rerank=mmr"),
    ],
)
def test_wrong_options(trained, tmp_path, capsys, words, message):
    assert main(["recommend", str(trained("BPR")), "--out", str(tmp_path / "x.csv"), *words]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "x.csv").exists()


def test_k_above_the_candidates_in_python(trained):
    recommender = Recommender(trained("BPR"))
    with pytest.raises(InputError, match="k=6: expected at most the number of candidates of the re-ranking, 5"):
        next(recommender.top(k=6, rerank=recommender.mmr(0.5, 5)))
