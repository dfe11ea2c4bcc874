"""`min_content_lift`: an SDA version whose features have nothing to do with who buys what is its base model, bit for bit."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from recbole.utils import init_seed

from recbole_sda.config.run_config import RunConfig
from recbole_sda.data.datasets import load_data
from recbole_sda.engine import experiment
from recbole_sda.engine.summary import result_table
from recbole_sda.errors import InputError
from recbole_sda.features.store import write_store
from recbole_sda.model.registry import model_class

from ..conftest import SMALL

N_USERS, N_ITEMS, N_GROUPS = 120, 90, 3


@pytest.fixture(scope="module")
def data_path(tmp_path_factory):
    """Users who keep to one of three groups of items, with a store that knows the groups and one that does not."""
    root, rng = tmp_path_factory.mktemp("lift"), np.random.default_rng(0)
    folder = root / "groups"
    folder.mkdir()
    lines = ["user_id:token\titem_id:token\ttimestamp:float"]
    for user in range(N_USERS):
        of_group = np.arange(N_ITEMS)[np.arange(N_ITEMS) % N_GROUPS == user % N_GROUPS]
        items = np.concatenate([rng.choice(of_group, 12, replace=False), rng.choice(N_ITEMS, 3, replace=False)])
        lines += [f"u{user}\ti{item}\t{t}" for t, item in enumerate(dict.fromkeys(items.tolist()))]
    (folder / "groups.inter").write_text("\n".join(lines) + "\n")
    noise = rng.normal(size=(N_ITEMS, 12)).astype(np.float32)
    known = 0.3 * noise
    known[np.arange(N_ITEMS), np.arange(N_ITEMS) % N_GROUPS] += 3
    ids = [f"i{item}" for item in range(N_ITEMS)]
    for name, vectors in (("known", known), ("noise", noise)):
        write_store(folder / "features" / name, ids, {"text": vectors, "image": vectors[:, ::-1].copy()}, {}, {})
    return root


@pytest.fixture
def build(data_path, tmp_path):
    def make(name, **keys):
        lift = {"min_content_lift": 1.1} if name.endswith("_SDA") else {}
        given = {**SMALL, "data_path": str(data_path), "checkpoint_dir": str(tmp_path), "knn_k": 5, **lift, **keys}
        given = given if name in ("VBPR", "VBPR_SDA") else {k: v for k, v in given.items() if k != "knn_k"}
        config = RunConfig(name, "groups", (), given)
        init_seed(3, True)
        data = load_data(config)
        batch = next(iter(data.train))
        init_seed(7, True)
        return SimpleNamespace(model=model_class(name)(config, data.train._dataset), batch=batch)

    return make


def loss(built):
    init_seed(5, True)
    value = built.model.calculate_loss(built.batch)
    return [part.item() for part in (value if isinstance(value, tuple) else (value,))]


@pytest.mark.parametrize("name", ["SASRec", "BPR", "LightGCN", "VBPR"])
def test_features_that_say_nothing_leave_the_base_model(build, name, caplog):
    features = {"features": "noise"} if name == "VBPR" else {}
    base = build(name, **features)
    with caplog.at_level(logging.WARNING):
        ours = build(f"{name}_SDA", features="noise")
    assert "content is not used" in caplog.text and "--min_content_lift=0" in caplog.text
    assert ours.model.feature_record["used"] is False
    assert loss(base) == loss(ours)
    values = list(ours.model.state_dict().values())
    assert len(values) == len(base.model.state_dict())
    assert all(torch.equal(one, other) for one, other in zip(base.model.state_dict().values(), values))


@pytest.mark.parametrize("name", ["SASRec_SDA", "BPR_SDA", "VBPR_SDA"])
@pytest.mark.parametrize(
    "keys",
    [
        {"features": "known"},
        {"features": "noise", "min_content_lift": 0.0},
        {"features": "noise", "shuffle_features": True},
    ],
    ids=["known", "off", "control"],
)
def test_content_is_used_where_it_says_something_and_where_it_is_asked_for(build, name, keys, caplog):
    with caplog.at_level(logging.INFO):
        model = build(name, **keys).model
    assert "content is not used" not in caplog.text and model.feature_record["used"]
    assert model.items.encoder is not None
    assert ("share users" in caplog.text) == (keys == {"features": "known"})


def test_a_small_training_part_decides_nothing(build, monkeypatch):
    monkeypatch.setattr("recbole_sda.model.id_content.MIN_EXPECTED", 10**9)
    assert build("SASRec_SDA", features="noise").model.feature_record["used"]


def test_the_run_says_so_and_is_read_again(data_path, tmp_path, capsys):
    keys = {**SMALL, "epochs": 1, "data_path": str(data_path), "features": "noise", "run_dir": str(tmp_path / "run")}
    keys["min_content_lift"] = 1.1
    result = experiment.run("SASRec_SDA", "groups", (), keys)
    assert result["features"]["used"] is False
    assert "content is not used" in result_table(result)
    loaded = experiment.load(tmp_path / "run")
    assert dict(loaded.trainer.evaluate(loaded.data.test, load_best_model=False)) == pytest.approx(result["test"])
    with pytest.raises(InputError, match="does not fit"):  # the checkpoint is one of the base model
        experiment.load(tmp_path / "run", {"min_content_lift": 0.0})
