"""The stacked experts equal the sum over experts, values and gradients; initial values; the gate."""

import pytest
import torch

from recbole_sda.layers.low_rank import ModalityExperts, ModalityGate

IN, OUT, MODALITIES = 5, 4, 3


def random_experts(n_experts: int, rank: int, dropout: float = 0.0) -> ModalityExperts:
    torch.manual_seed(0)
    experts = ModalityExperts(IN, OUT, MODALITIES, n_experts, rank, alpha=32.0, dropout=dropout).double()
    torch.nn.init.normal_(experts.lora_A)
    torch.nn.init.normal_(experts.lora_B)
    return experts


def sum_over_experts(experts: ModalityExperts, x, modality: int, n_experts: int, rank: int):
    """The formula of the docstring: E separate maps, mixed by the gate."""
    scores = experts.gate.projection.weight @ experts.gate.embedding.weight[modality]
    gate = torch.exp(scores) / torch.exp(scores).sum()
    part, y = rank // n_experts, 0
    for e in range(n_experts):
        ranks = slice(e * part, (e + 1) * part)
        y = y + gate[e] * (experts.lora_B[:, ranks] @ (experts.lora_A[ranks] @ x.T)).T
    return 32.0 / rank * y


@pytest.mark.parametrize("n_experts, rank", [(1, 8), (2, 8), (4, 8), (8, 8), (3, 6)])
@pytest.mark.parametrize("modality", range(MODALITIES))
def test_fused_form_equals_the_sum_over_experts(n_experts, rank, modality):
    experts = random_experts(n_experts, rank)
    x = torch.randn(7, IN, dtype=torch.float64)
    expected = sum_over_experts(experts, x, modality, n_experts, rank)
    torch.testing.assert_close(experts(x, modality), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(x @ experts.delta_weight(modality).T, expected, rtol=1e-12, atol=1e-12)


def test_gradients_equal_those_of_the_sum_over_experts():
    experts, x = random_experts(4, 8), torch.randn(7, IN, dtype=torch.float64)
    parameters = list(experts.parameters())
    fused = torch.autograd.grad(experts(x, 1).square().sum(), parameters)
    loop = torch.autograd.grad(sum_over_experts(experts, x, 1, 4, 8).square().sum(), parameters)
    for one, other in zip(fused, loop):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_starts_as_the_zero_map_with_small_a():
    torch.manual_seed(0)
    experts = ModalityExperts(2000, OUT, MODALITIES)
    assert not experts(torch.randn(3, 2000), 0).any()
    assert experts.lora_A.std().item() == pytest.approx(0.01, rel=0.05)
    assert experts.scaling == 4.0  # alpha 32 over rank 8


def test_narrow_input_uses_the_leading_columns():
    experts, x = random_experts(4, 8), torch.randn(3, 2, dtype=torch.float64)
    padded = torch.cat([x, torch.zeros(3, IN - 2, dtype=torch.float64)], dim=1)
    torch.testing.assert_close(experts(x, 2), experts(padded, 2))


def test_dropout_acts_while_training_only():
    experts, x = random_experts(4, 8, dropout=0.5), torch.randn(3, IN, dtype=torch.float64)
    assert not torch.equal(experts(x, 0), experts(x, 0))
    experts.eval()
    assert torch.equal(experts(x, 0), experts(x, 0))


def test_gate_rows_are_distributions_that_differ_by_modality():
    gate = ModalityGate(MODALITIES, 4)
    gates = gate()
    assert gates.shape == (MODALITIES, 4)
    torch.testing.assert_close(gates.sum(dim=1), torch.ones(MODALITIES))
    assert not torch.equal(gates[0], gates[1])
    torch.testing.assert_close(gate(2), gates[2])
    torch.testing.assert_close(gate(torch.tensor([2, 0])), gates[[2, 0]])


@pytest.mark.parametrize("n_experts, rank", [(3, 8), (4, 0), (0, 8)])
def test_rank_must_be_a_multiple_of_the_experts(n_experts, rank):
    with pytest.raises(ValueError, match=f"rank={rank}: must be a positive multiple of n_experts={n_experts}"):
        ModalityExperts(IN, OUT, MODALITIES, n_experts, rank)
