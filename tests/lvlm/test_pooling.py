import pytest
import torch

from recbole_sda.lvlm.pooling import block_average, pool, truncate

STATES = torch.arange(2 * 4 * 3).view(2, 4, 3).to(torch.bfloat16)
MASK = torch.tensor([[False, True, True, True], [True, True, False, False]])


@pytest.mark.parametrize("how", ["mean", "image"])
def test_mean_of_the_masked_positions(how):
    expected = torch.stack([STATES[0, 1:].float().mean(0), STATES[1, :2].float().mean(0)])
    assert torch.equal(pool(STATES, MASK, how), expected)
    assert pool(STATES, MASK, how).dtype == torch.float32


def test_last_of_the_masked_positions_on_either_side_of_the_padding():
    assert torch.equal(pool(STATES, MASK, "last"), torch.stack([STATES[0, 3], STATES[1, 1]]).float())


def test_eos_or_the_last_where_there_is_none():
    ids = torch.tensor([[7, 7, 9, 1], [1, 2, 9, 9]])
    assert torch.equal(pool(STATES, MASK, "eos", ids, 9), torch.stack([STATES[0, 2], STATES[1, 1]]).float())


def test_leading_part_and_norm():
    x = torch.tensor([[3.0, 4.0, 12.0]])
    assert torch.equal(truncate(x, 2, False), x[:, :2])
    assert torch.allclose(truncate(x, 2, True), torch.tensor([[0.6, 0.8]]))
    assert torch.equal(truncate(x, None, False), x)


def test_block_average():
    x = torch.arange(12.0).view(1, 12)
    assert torch.equal(block_average(x, 4), x.view(1, 4, 3).mean(-1))
    assert block_average(x, None) is x
