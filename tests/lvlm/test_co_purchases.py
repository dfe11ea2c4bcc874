import numpy as np
import pytest
import torch

from recbole_sda.errors import InputError
from recbole_sda.lvlm.co_purchases import co_purchases_among, count_co_purchases


def test_co_purchases_are_of_the_training_part_alone(tmp_path):
    file = tmp_path / "x.inter"
    rows = [("u", "a", 1), ("u", "b", 2), ("u", "c", 3), ("u", "d", 4), ("v", "b", 9), ("v", "a", 7), ("v", "z", 8)]
    rows += [("v", "c", 10), ("v", "d", 11), ("w", "c", 1), ("w", "d", 2)]
    file.write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "\n".join("\t".join(map(str, r)) for r in rows))
    counts = count_co_purchases(file, ["d", "c", "b", "a"]).toarray()
    expected = np.zeros((4, 4))
    expected[2, 3] = expected[3, 2] = 2  # u: a, b; v: a, z, b; c and d are validation and test of all three
    assert (counts == expected).all()
    assert torch.equal(
        co_purchases_among(count_co_purchases(file, ["d", "c", "b", "a"]), np.array([3, 2])),
        torch.tensor([[0.0, 2], [2, 0]]),
    )


def test_interactions_that_do_not_fit_are_refused(tmp_path):
    file = tmp_path / "x.inter"
    with pytest.raises(InputError, match="does not exist"):
        count_co_purchases(file, ["a"])
    file.write_text("user_id:token\titem_id:token\nu\ta\n")
    with pytest.raises(InputError, match="column timestamp is missing; the columns are user_id, item_id"):
        count_co_purchases(file, ["a"])
    file.write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "".join(f"u\ti{k}\t{k}\n" for k in range(5)))
    with pytest.raises(InputError, match="training part holds none of the items"):
        count_co_purchases(file, ["a"])


def test_quotation_marks_are_characters(tmp_path):
    path = tmp_path / "a.inter"
    lines = [f"u{u}\t{item}\t{t}\n" for u in range(2) for t, item in enumerate(['"7 inch', "b", "c", "d"])]
    path.write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "".join(lines))
    assert count_co_purchases(path, ['"7 inch', "b", "c"])[0, 1] == 2


def test_files_of_other_software(tmp_path):
    path = tmp_path / "a.inter"
    lines = [f"u{u}\t{item}\t{t}\n" for u in range(2) for t, item in enumerate(["a ", "b", "c", "d"])]
    path.write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "".join(lines), encoding="utf-8-sig")
    assert count_co_purchases(path, ["a", "b", "c"])[0, 1] == 2


@pytest.mark.parametrize("time", ["", "nan", "inf", "noon"])
def test_times_that_are_no_numbers(tmp_path, time):
    path = tmp_path / "a.inter"
    path.write_text(f"user_id:token\titem_id:token\ttimestamp:float\nu\ta\t1\nu\tb\t{time}\n")
    with pytest.raises(InputError, match=f"line 3: timestamp '{time}' is not a number"):
        count_co_purchases(path, ["a", "b"])
