"""What a trace on the meta device counts, against the same computation on the CPU."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from recbole_sda.lvlm.meta_trace import MetaTrace, fused_attention


def allocated(action):
    """Return the peak of the CPU's allocations and frees during an action, from torch's profiler."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        action()
    live = peak = 0
    for event in profiler.profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    return peak


def test_memory_and_operations_are_those_of_the_cpu():
    def step(net, x):
        net(x).pow(2).mean().backward()

    nets = {
        device: nn.Sequential(nn.Linear(64, 128), nn.GELU(), nn.Linear(128, 16)).to(device)
        for device in ("cpu", "meta")
    }
    x = torch.randn(32, 64)
    with MetaTrace(list(nets["meta"].parameters())) as trace:
        step(nets["meta"], x)
    assert abs(trace.peak - allocated(lambda: step(nets["cpu"], x))) <= 64  # scalars
    gradients = sum(p.grad.nbytes for p in nets["cpu"].parameters())
    assert trace.live == gradients
    with FlopCounterMode(display=False) as counter:
        step(nets["cpu"], x)
    assert trace.flops == counter.get_total_flops()


def test_whole_numbers_and_masks_keep_their_values():
    table = torch.empty(10, 4, device="meta")
    with MetaTrace([table]):
        ids = torch.arange(3, device="meta").unsqueeze(0)  # code creates them on the device of the weights
        rows = F.embedding(ids, table)
        kept = rows[ids.to("meta") > 0]
    assert ids.tolist() == [[0, 1, 2]] and kept.shape == (2, 4) and kept.is_meta


def test_attention_saves_no_matrix_of_scores():
    q = torch.empty(2, 4, 64, 8, device="meta", requires_grad=True)
    with fused_attention(), MetaTrace([q]) as trace:
        result = F.scaled_dot_product_attention(q, q[:, :2], q[:, :2], is_causal=True, enable_gqa=True)
    assert result.shape == q.shape and trace.peak < 2 * 4 * 64 * 64 * 4
    assert trace.flops == 2 * 2 * (2 * 4 * 64 * 64 * 8)  # two products of 64 x 64 x 8
    ordinary = torch.randn(1, 1, 3, 2)
    with fused_attention():
        inside = F.scaled_dot_product_attention(ordinary, ordinary, ordinary)
    assert torch.equal(inside, F.scaled_dot_product_attention(ordinary, ordinary, ordinary))
