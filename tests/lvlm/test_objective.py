import numpy as np
import pytest
import torch

from recbole_sda.errors import InputError
from recbole_sda.losses.cmsa import CMSALoss
from recbole_sda.losses.infonce import InfoNCELoss
from recbole_sda.lvlm.objective import AdaptationLoss, among, bought_together
from recbole_sda.lvlm.settings import read_settings

X, Y = (torch.randn(5, 12, generator=torch.Generator().manual_seed(k)) for k in (0, 1))


def test_cmsa_on_block_averages():
    objective = AdaptationLoss(read_settings((), {"loss_dim": 4, "center": False}))
    expected = CMSALoss()(X.view(5, 4, 3).mean(-1), Y.view(5, 4, 3).mean(-1))
    assert torch.allclose(objective(X, Y)["cmsa"], expected)
    assert objective.target_entropy > 0


def test_infonce_has_no_target_entropy():
    objective = AdaptationLoss(read_settings((), {"loss": "infonce", "center": False}))
    assert torch.allclose(objective(X, Y)["infonce"], InfoNCELoss()(X, Y))
    assert objective.target_entropy is None


def test_the_mean_of_each_side_is_taken_off():
    objective = AdaptationLoss(read_settings())
    far = objective(X + 100, Y - 50)["cmsa"]
    assert torch.allclose(far, CMSALoss()(X - X.mean(0), Y - Y.mean(0)), atol=1e-3)


def test_bought_together_is_weighted():
    weights = torch.ones(5, 5)
    keys = {"interactions": "x.inter"}
    one, two = (
        AdaptationLoss(read_settings((), {**keys, "bought_together_weight": w}))(X, Y, weights)["bought_together"]
        for w in (1.0, 2.0)
    )
    assert one > 0 and torch.allclose(2 * one, two)


def test_co_purchases_are_of_the_training_part_alone(tmp_path):
    file = tmp_path / "x.inter"
    rows = [("u", "a", 1), ("u", "b", 2), ("u", "c", 3), ("u", "d", 4), ("v", "b", 9), ("v", "a", 7), ("v", "z", 8)]
    rows += [("v", "c", 10), ("v", "d", 11), ("w", "c", 1), ("w", "d", 2)]
    file.write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "\n".join("\t".join(map(str, r)) for r in rows))
    found = bought_together(file, ["d", "c", "b", "a"]).toarray()
    expected = np.zeros((4, 4))
    expected[2, 3] = expected[3, 2] = 2  # u: a, b; v: a, z, b; c and d are validation and test of all three
    assert (found == expected).all()
    assert torch.equal(
        among(bought_together(file, ["d", "c", "b", "a"]), np.array([3, 2])), torch.tensor([[0.0, 2], [2, 0]])
    )


def test_interactions_that_do_not_fit_are_refused(tmp_path):
    file = tmp_path / "x.inter"
    with pytest.raises(InputError, match="does not exist"):
        bought_together(file, ["a"])
    file.write_text("user_id:token\titem_id:token\nu\ta\n")
    with pytest.raises(InputError, match="no column timestamp"):
        bought_together(file, ["a"])
    file.write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "".join(f"u\ti{k}\t{k}\n" for k in range(5)))
    with pytest.raises(InputError, match="knows none of the items"):
        bought_together(file, ["a"])


def test_quotation_marks_are_characters(tmp_path):
    path = tmp_path / "a.inter"
    lines = [f"u{u}\t{item}\t{t}\n" for u in range(2) for t, item in enumerate(['"7 inch', "b", "c", "d"])]
    path.write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "".join(lines))
    assert bought_together(path, ['"7 inch', "b", "c"])[0, 1] == 2
