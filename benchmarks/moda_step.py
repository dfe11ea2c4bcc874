"""Cost of MoDA against a LoRA of the same rank: time of a training step and activations saved for the backward pass.

The model is a random decoder with the architecture of Qwen2, all linear layers adapted. A step is an image pass, a text
pass and one backward pass. "Looped" computes every expert separately, as the formula is written. The forms are measured
in turn; ratios are medians over rounds.

    python benchmarks/moda_step.py --size=small --rounds=7
    python benchmarks/moda_step.py --size=7b --device=cuda --dtype=bfloat16
"""

import argparse
import statistics
import time

import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from torch.nn import functional as F
from transformers import Qwen2Config, Qwen2Model

from recbole_sda.lvlm.moda import MoDAConfig, MoDALinear
from recbole_sda.lvlm.modality_context import current_modality, modality

SIZES = {  # hidden, intermediate, layers, heads, key-value heads
    "small": (512, 1408, 4, 8, 2),
    "medium": (1024, 2816, 8, 16, 4),
    "7b": (3584, 18944, 28, 28, 4),
}
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def decoder(size: str, device: str, dtype: torch.dtype) -> nn.Module:
    """Return a frozen random decoder."""
    hidden, intermediate, layers, heads, kv_heads = SIZES[size]
    config = Qwen2Config(
        vocab_size=1000,
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
    )
    torch.manual_seed(0)
    with torch.device(device):
        model = Qwen2Model(config).to(dtype)
    return model.requires_grad_(False)


def looped_forward(self: MoDALinear, x, *args, **kwargs):
    """Compute the experts one by one, each with its own dropout, as the formula is written."""
    result, (name,) = self.base_layer(x, *args, **kwargs), self.active_adapters
    gate, size = self.gate(name, current_modality()), self.expert_rank[name]
    a, b = self.moda_A[name], self.moda_B[name]
    x = self._cast_input_dtype(x, a.dtype)
    for e in range(len(gate)):
        part = slice(e * size, (e + 1) * size)
        hidden = F.linear(self.dropout[name](x), a[part])
        result = result + (self.scaling[name] * gate[e] * F.linear(hidden, b[:, part])).to(result.dtype)
    return result


def forms(args) -> dict:
    """Return the models to compare, by name; their decoders are equal."""
    dtype = getattr(torch, args.dtype)
    shared = {"r": args.rank, "target_modules": TARGETS}
    configs = (
        ("LoRA", LoraConfig(lora_alpha=32, lora_dropout=0.1, **shared), None),
        ("MoDA, 4 experts", MoDAConfig(experts=4, **shared), None),
        ("MoDA, 8 experts", MoDAConfig(experts=8, **shared), None),
        ("MoDA looped, 4 experts", MoDAConfig(experts=4, **shared), looped_forward),
        ("MoDA looped, 8 experts", MoDAConfig(experts=8, **shared), looped_forward),
    )
    return {name: build(args, dtype, config, forward) for name, config, forward in configs}


def build(args, dtype, config, forward) -> nn.Module:
    """Return a decoder with an adapter, ready to train."""
    model = get_peft_model(decoder(args.size, args.device, dtype), config).train()
    if forward is not None:
        for module in model.modules():
            if isinstance(module, MoDALinear):
                module.forward = forward.__get__(module)
    return model


def step(model: nn.Module, batches) -> None:
    """Run two passes, one of each modality, and the backward pass of both."""
    total = 0.0
    for m, ids in enumerate(batches):
        with modality(m):
            total = total + model(input_ids=ids, use_cache=False).last_hidden_state.float().pow(2).mean()
    total.backward()
    model.zero_grad(set_to_none=True)


def saved_bytes(model: nn.Module, batches) -> int:
    """Return the bytes of distinct activations that a step saves for its backward pass."""
    sizes, weights = {}, {p.untyped_storage().data_ptr() for p in model.parameters()}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        step(model, batches)
    return sum(sizes.values())


def seconds(model: nn.Module, batches, device: str) -> float:
    """Return the time of a step."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    start = time.perf_counter()
    step(model, batches)
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    """Measure all forms and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    batches = [torch.randint(1000, (args.batch, args.tokens), device=args.device) for _ in range(2)]
    models = forms(args)
    saved = {name: saved_bytes(model, batches) for name, model in models.items()}
    times = {name: [] for name in models}
    for _ in range(args.rounds):
        for name, model in models.items():
            times[name].append(seconds(model, batches, args.device))
    print("| form | s per step | ratio | saved activations, MiB | ratio |")
    print("| --- | --- | --- | --- | --- |")
    for name in models:
        ratio = statistics.median(t / base for t, base in zip(times[name], times["LoRA"]))
        memory = saved[name] / saved["LoRA"]
        print(
            f"| {name} | {statistics.median(times[name]):.3f} | {ratio:.3f} | {saved[name] / 2**20:.1f} | {memory:.2f} |"
        )
    where = torch.cuda.get_device_name() if args.device.startswith("cuda") else f"{args.threads} thread(s)"
    print(f"\n{args.size}, {args.batch} x {args.tokens} tokens a pass, rank {args.rank}, {args.dtype}, {where}")


if __name__ == "__main__":
    main()
