"""A run's result in words: the protocol behind its figures, and the table that the command prints."""

import re
from math import isnan
from typing import Any, Dict, List, Optional

from texttable import Texttable

from recbole_sda.config.split_checks import GIVEN, GLOBAL_TIME, is_share
from recbole_sda.data.history_rule import HistoryRule

NO_SELECTION = "no validation, the last is kept"  # in place of the metric that selected the epoch
SHOWN_GROUPS = (
    ("items", "tail"), ("items", "head"), ("items", "cold"), ("items", "warm"), ("users", "short"), ("users", "long"),
)  # fmt: skip


def describe_split(eval_args: Dict[str, Any]) -> str:
    """Return the description of a split, from ``eval_args``.

    Example:
        >>> describe_split({"split": {"RS": [0.8, 0.1, 0.1]}, "group_by": "user", "order": "TO"})
        'ratio 0.8:0.1:0.1, per user, in time order'
    """
    split, group_by = eval_args["split"], eval_args["group_by"]
    if GIVEN in split:
        return f"given parts (column {split[GIVEN]})"
    if GLOBAL_TIME in split:
        value = split[GLOBAL_TIME]
        if len(value) == 2:
            return f"global time, validation from {value[0]}, test from {value[1]}"
        return "global time " + ":".join(f"{share:g}" for share in value)
    order = {"TO": "in time order", "RO": "in random order"}.get(eval_args["order"], eval_args["order"])
    if "LS" in split:
        names = {"valid_and_test": "leave-one-out for validation and test"}
        kind = names.get(split["LS"], f"leave one out ({split['LS']})")
    else:
        kind = "ratio " + ":".join(f"{share:g}" for share in split["RS"])
    return f"{kind}, per {group_by}, {order}" if group_by and group_by != "none" else f"{kind}, {order}"


def describe_cold_items(config: Any) -> str:
    """Return the description of the key ``cold_items``, as it follows that of the split; empty without it."""
    cold = config["cold_items"]
    if cold is None:
        return ""
    if is_share(cold):
        return f", {cold:.0%} of the items cold (drawn by seed {config['cold_items_seed']})"
    return f", items first seen from {cold} on cold"


def describe_mode(mode: str) -> str:
    """Return the description of the candidates that an item is ranked among, from RecBole's ``mode``.

    Example:
        >>> describe_mode("uni100")
        '100 uniform negatives'
    """
    if mode == "full":
        return "full sort"
    kinds = {"uni": "uniform", "pop": "popularity-drawn"}
    return f"{mode[3:]} {kinds[mode[:3]]} negatives" if mode[:3] in kinds else mode


def describe_loss(config: Any) -> str:
    """Return the description of a run's recommendation loss."""
    loss = "the model's own" if "loss_type" in config.ignored_keys else config["loss_type"] or "the model's own"
    if config["popularity_adjustment"]:
        loss += f" with popularity adjustment {config['popularity_adjustment']:g}"
    if config["softmax_negatives"] is None:
        return loss
    return f"{loss} against {config['softmax_negatives']} sampled items ({config['softmax_proposal']}), log-Q corrected"


def protocol(config: Any, n_items: int, selection: str, history: HistoryRule) -> Dict[str, Any]:
    """Return what a reader needs to know to compare the figures of a run with those of another.

    Args:
        config: configuration of the run.
        n_items: number of items, without padding.
        selection: what selected the epoch.
        history: whether known items are candidates.
    """
    mode = config["eval_args"]["mode"]
    if config["benchmark_filename"]:
        split = f"given files ({', '.join(config['benchmark_filename'])})"
    else:
        split = describe_split(config["eval_args"]) + describe_cold_items(config)
    return {
        "loss": describe_loss(config),
        "split": split,
        "evaluation": {phase: describe_mode(mode[phase]) for phase in ("valid", "test")},
        "history": history.describe(),
        "history_reason": history.reason,
        "items": n_items,
        "selection": selection,
        "seed": config["seed"],
    }


def result_table(result: Dict[str, Any]) -> str:
    """Return the text that a run ends with: its protocol, a table of its metrics and a line per group of users or items.

    Args:
        result: content of a ``metrics.json``.
    """
    lines = [
        f"{result['model']} on {result['dataset']}" + ("  (built-in miniature)" if result["miniature"] else ""),
        *(f"  {line}" for line in protocol_lines(result)),
    ]
    if (result.get("features") or {}).get("shuffled"):
        lines.append("  control: shuffled features")
    if (result.get("features") or {}).get("used") is False:
        lines.append(
            "  content is not used: similar items share too few users (min_content_lift); the base model was trained"
        )
    warnings = [f"  warning: {text}" for text in result.get("warnings", ())]
    return "\n".join([*lines, *warnings, _metrics_table(result), *_group_lines(result)])


def protocol_lines(result: Dict[str, Any]) -> List[str]:
    """Return the protocol behind the figures of a ``metrics.json``: loss, split, candidates, known items, seed and epoch."""
    rules = result["protocol"]
    selection = f"chosen by {rules['selection']}" if rules["selection"] != NO_SELECTION else f"({NO_SELECTION})"
    return [
        f"loss {rules['loss']} | {rules['split']} | {_by_phase(rules['evaluation'])} over {rules['items']} items",
        f"known items {_by_phase(rules['history'])} ({rules['history_reason']})",
        f"seed {rules['seed']} | epoch {result['best_epoch']} of {result['epochs_run']} {selection}",
    ]


def _by_phase(texts: Dict[str, str]) -> str:
    """Return a text that is the same in both phases once, else the text of each phase."""
    distinct = set(texts.values())
    return distinct.pop() if len(distinct) == 1 else "; ".join(f"{phase}: {text}" for phase, text in texts.items())


def _metrics_table(result: Dict[str, Any]) -> str:
    table = Texttable(max_width=0)
    table.set_deco(Texttable.HEADER)
    table.set_cols_dtype(["t", "t", "t"])
    table.set_cols_align(["l", "r", "r"])
    table.header(["metric", "validation", "test"])
    for name, value in result["test"].items():
        values = ((result["valid"] or {}).get(name), value)
        table.add_row([name, *map(_shown, values)])
    lists = result.get("lists") or {}
    for name, value in lists.get("test", {}).items():
        values = (lists.get("valid", {}).get(name), value)
        table.add_row([name, *map(_shown, values)])
    return table.draw()


def _shown(number: Optional[float]) -> str:
    return "-" if number is None or isnan(number) else f"{number:.4f}"


def _group_lines(result: Dict[str, Any]) -> List[str]:
    """Return a line per group with its test metrics at the cut-off that selected the epoch, below a line with the groups' limits.

    Where that is none of the cut-offs, it is the middle one.
    """
    groups = (result.get("groups") or {}).get("test") or {}
    shown = [
        (kind, name, groups[kind][name])
        for kind, name in SHOWN_GROUPS
        if groups.get(kind, {}).get(name, {}).get("cases")
    ]
    if not (result.get("split") or {}).get("items_without_training"):  # nearly all items are warm
        shown = [group for group in shown if group[1] != "warm"]
    if not shown:
        return []
    cutoffs = sorted(int(name.partition("@")[2]) for name in shown[0][2] if name.startswith("hit@"))
    selected = re.search(r"@(\d+)", result["protocol"]["selection"])
    k, limits = cutoffs[len(cutoffs) // 2], groups["limits"]
    if selected and int(selected[1]) in cutoffs:
        k = int(selected[1])
    lines = [
        f"  {name + ' ' + kind:12} {row['cases']:>7,} cases   hit@{k} {row[f'hit@{k}']:.4f}   ndcg@{k} {row[f'ndcg@{k}']:.4f}"
        for kind, name, row in shown
    ]
    return [
        f"  test, by training interactions (tail items < {limits['tail_items']:g}, short users < {limits['short_users']:g})",
        *lines,
    ]
