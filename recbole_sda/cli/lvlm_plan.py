"""``lvlm plan``: parameters, memory, tokens, operations and hours of the LVLM stage, as a table and as JSON."""

import json
from pathlib import Path
from typing import Any, Dict, List, Optional

from tabulate import tabulate

from recbole_sda.errors import InputError
from recbole_sda.io.atomic_write import write_text
from recbole_sda.validation import POSITIVE, Range, check_bool

GIB, TERA = 2**30, 10**12
ITEMS, TOKENS = Range(1, 10**7, closed_high=True), Range(1, 10**5, closed_high=True)


def run(options: Dict[str, Any], files: List[str], keys: Dict[str, Any]) -> None:
    """Print a plan; with ``out``, write it as JSON too.

    Args:
        options: ``n_items``, ``text_tokens``, ``tflops``, ``utilisation``, ``measure``, ``out``.
        files: YAML files with keys of properties/lvlm.yaml.
        keys: keys that win over the files.

    Raises:
        InputError: an option is wrong, or see :class:`recbole_sda.lvlm.planner.Planner`.
    """
    from recbole_sda.lvlm.planner import Planner
    from recbole_sda.lvlm.settings import read_settings

    settings = read_settings(files, keys)
    if not settings.backbone:
        raise InputError("backbone is missing: give --backbone=FOLDER_OR_HUB_ID, or a configuration file")
    if settings.method == "none":
        raise InputError("method=none adapts nothing: allowed are moda, lora, two_lora")
    if (options["n_items"] is None) == (settings.items is None):
        raise InputError("give either --items=items.jsonl or --n_items=N")
    n_items = None if options["n_items"] is None else ITEMS.check("n_items", options["n_items"], whole=True)
    text_tokens = TOKENS.check("text_tokens", options["text_tokens"], whole=True)
    tflops = None if options["tflops"] is None else POSITIVE.check("tflops", options["tflops"])
    share = Range(0, 1, closed_low=False, closed_high=True).check("utilisation", options["utilisation"])
    measured = check_bool("measure", options["measure"])
    planner = Planner(settings, n_items, text_tokens)
    plan = planner.plan()
    rates = {} if tflops is None else dict.fromkeys(("adapt", "extract"), tflops * TERA * share)
    source = None if tflops is None else f"{tflops:g} TFLOP/s at a utilisation of {share:g}, which is an assumption"
    if measured:
        from recbole_sda.lvlm.planner_measure import measure

        rates, source = measure(planner, plan, settings), "measured on this machine"
    add_hours(plan, rates, source)
    plan["assumptions"] = assumptions(plan, text_tokens if n_items else None)
    print(as_text(plan))
    if options["out"]:
        write_text(Path(str(options["out"])), json.dumps(plan, indent=1) + "\n")
        print(f"\n{options['out']}")


def add_hours(plan: Dict[str, Any], rates: Dict[str, float], source: Optional[str]) -> None:
    """Add the hours of both parts of a plan at the given operations per second."""
    plan["rates"] = {"operations_per_second": rates, "source": source}
    for name in rates:
        if name in plan:
            plan[name]["hours"] = plan[name]["flops"] / rates[name] / 3600


def assumptions(plan: Dict[str, Any], text_tokens: Optional[int]) -> List[str]:
    """Return what a plan takes for granted, one sentence each."""
    stated = [
        "Memory is that of tensors. A GPU needs 0.5 to 1 GiB more for its context, and the allocator keeps some reserve.",
        "One device. Inputs that occur twice are counted twice in an extraction; extract encodes them once.",
    ]
    if not plan["backbone"]["own_tokenizer"]:
        stated.append(
            "There is no tokenizer: each word and punctuation mark is one token, and there is no chat template."
        )
    if text_tokens is not None:
        stated.append(f"All images are squares of max_pixels, all texts have {text_tokens} tokens.")
    if plan["backbone"]["quantization"]:
        stated.append("Quantised weights are estimated from their number; temporary copies of them are not counted.")
    if plan["rates"]["source"]:
        stated.append(f"Hours: {plan['rates']['source']}. Reading images and loading weights are not in them.")
    else:
        stated.append("No hours: give --tflops=N, the device's peak in TFLOP/s, or --measure=True.")
    return stated


def as_text(plan: Dict[str, Any]) -> str:
    """Return a plan as plain tables."""
    b, parts = plan["backbone"], []
    counts = ", ".join(f"{name} {number:,}" for name, number in plan["items"].items())
    parts.append(
        f"{b['model']} ({b['model_type']}): {b['parameters']:,} parameters, {_gib(b['weights'])} as {b['dtype']}"
    )
    parts.append(f"items: {counts}")
    if "adapters" in plan:
        rows = [
            [name, f"{a['parameters']:,}", _gib(a["weights"]), _gib(a["gradients"]), _gib(a["optimizer"])]
            for name, a in plan["adapters"].items()
        ]
        parts.append(
            tabulate(rows, ["adapter", "trainable", "weights", "gradients", "optimizer"], disable_numparse=True)
        )
        parts.append(_adaptation(plan["adapt"]))
    parts.append(_extraction(plan["extract"]))
    parts.append("\n".join(f"- {line}" for line in plan["assumptions"]))
    return "\n\n".join(parts)


def _adaptation(a: Dict[str, Any]) -> str:
    tokens = a["tokens_per_pair"]
    line = (
        f"adapt, {a['method']}: {a['steps']:,} steps of {a['batch_size']} pairs; tokens per pair: image {tokens['image']:g}, "
        f"text {tokens['text']:g}, with padding {tokens['padded']:g}"
    )
    rows = [
        [name, _gib(m["saved"]), _gib(m["step_peak"]), _gib(m["peak"]), f"{m['flops_per_step'] / TERA:.4g}"]
        for name, m in a["memory"].items()
    ]
    heads = ["activations", "saved for backward", "peak of a step", "peak with weights", "TFLOP per step"]
    return f"{line}\n{tabulate(rows, heads, disable_numparse=True)}\n{_total(a)}"


def _extraction(e: Dict[str, Any]) -> str:
    rows = [
        [name, f"{m['inputs']:,}", f"{m['tokens_per_input']:g}", f"{m['padded_tokens']:,}", _gib(m["batch_peak"])]
        for name, m in e["modalities"].items()
    ]
    heads = ["extract", "inputs", "tokens per input", "tokens with padding", "peak of a batch"]
    copies = f"main memory for the copies of merged weights {_gib(e['copies_of_merged_weights'])}"
    return f"{tabulate(rows, heads, disable_numparse=True)}\npeak with weights {_gib(e['peak'])}, {copies}\n{_total(e)}"


def _total(part: Dict[str, Any]) -> str:
    hours = f", {part['hours']:.3g} hours" if "hours" in part else ""
    return f"total {part['flops'] / TERA:.4g} TFLOP{hours}"


def _gib(size: float) -> str:
    return f"{size / GIB:.2f} GiB" if size >= 0.1 * GIB else f"{size / 2**20:.2f} MiB"
