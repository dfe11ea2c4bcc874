"""The card of a repository, README.md: a header that the Hub reads, then data, settings, results, files and versions."""

import re
from typing import Any, Callable, Dict, List, Optional, Tuple

import pandas as pd
import yaml

from recbole_sda.comparison.tables import LEVEL, metric_title
from recbole_sda.engine.summary import protocol_lines
from recbole_sda.errors import InputError
from recbole_sda.hub.package import INDEX, Package
from recbole_sda.io.escape import markdown, markdown_table

LIBRARY = "recbole-sda"
TAGS = ("recommendation", "recbole")
KIND_TAGS = {
    "features": ("item-features", "multimodal"),
    "adapter": ("lora", "multimodal"),
    "run": ("recommender-system",),
}
Section = Tuple[str, str]  # title and text


def check_license(name: Optional[str]) -> Optional[str]:
    """Return a license as the Hub writes it, such as ``apache-2.0``; an InputError for anything else.

    Example:
        >>> check_license("Apache-2.0")
        'apache-2.0'
    """
    if name is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.+-]{1,40}", name.lower()):
        raise InputError(
            f"--license={name[:60]!r}: expected an identifier of the Hub, as mit, apache-2.0, cc-by-4.0 or other"
        )
    return None if name is None else name.lower()


def card_text(package: Package, repo: str, license_name: Optional[str]) -> str:
    """Return the card of a package.

    Args:
        package: what is pushed.
        repo: ``owner/name``.
        license_name: identifier of the license; None: the card says that none is given.
    """
    make: Callable[[Dict[str, Any], str], Tuple[Dict[str, Any], str, List[Section]]]
    make = {"features": _features, "adapter": _adapter, "run": _run}[package.kind.name]
    more, title, sections = make(package.facts, repo)
    header = {
        **({"license": license_name} if license_name else {}),
        "library_name": LIBRARY,
        "tags": [*TAGS, *KIND_TAGS[package.kind.name]],
        **more,
    }
    sections += [("Files", _files(package)), ("Versions", _table(package.index["versions"], ("package", "version")))]
    if license_name is None:
        sections.append(("License", "The owner of this repository has not named a license."))
    text = "\n\n".join(f"## {name}\n\n{content}" for name, content in sections)
    return f"---\n{_yaml(header)}---\n\n# {markdown(title)}\n\n{text}\n"


def _features(facts: Dict[str, Any], repo: str) -> Tuple[Dict[str, Any], str, List[Section]]:
    manifest = facts["manifest"]
    encoder = manifest.get("encoder") or {}
    rows = [
        {"modality": name, **{key: str(entry[key]) for key in ("dim", "dtype", "present", "missing")}}
        for name, entry in manifest["modalities"].items()
    ]
    about = {key: value for key, value in manifest.items() if key not in ("sha256", "modalities", "versions")}
    use = f"```sh\npython -m recbole_sda run --model=SASRec_SDA --dataset=DATASET --features=hf://{repo}\n```"
    return (
        {"size_categories": [_size(facts["items"])]},
        f"Item features of {facts['items']:,} items, made with {encoder.get('model') or 'an encoder that is not recorded'}",
        [
            ("Use", use),
            (
                "Data",
                f"One vector per item and modality.\n\n{markdown_table(pd.DataFrame(rows), disable_numparse=True)}",
            ),
            ("Settings", _block(about)),
            ("Versions of the extraction", _table(manifest.get("versions", {}), ("package", "version"))),
        ],
    )


def _adapter(facts: Dict[str, Any], repo: str) -> Tuple[Dict[str, Any], str, List[Section]]:
    record, config = facts["record"], facts["config"]
    base = config.get("base_model_name_or_path") or (record.get("backbone") or {}).get("model") or "not recorded"
    best = {key: f"{value:.4f}" for key, value in (record.get("best") or {}).items() if isinstance(value, float)}
    results = f"Best evaluation on held-out items, step {record['best']['step']}.\n\n" if best else "Not recorded."
    shown = {
        key: value for key, value in record.items() if key not in ("gates", "best", "before", "versions", "adapter")
    }
    pull = f"python -m recbole_sda hub pull {repo} --out=adapter"
    use = f"{pull}\npython -m recbole_sda lvlm extract --backbone={base} --adapter=adapter --items=items.jsonl --out=STORE"
    header = {"base_model": base} if re.fullmatch(r"[\w.-]+/[\w.-]+", str(base)) else {}
    return (
        header,
        f"Adapter of {base} for the images and texts of items",
        [
            ("Use", f"```sh\n{use}\n```"),
            ("Data", _block(record.get("items") or {"items": "not recorded"})),
            ("Results", results + (_table(best, ("metric", "held-out items")) if best else "")),
            ("Settings", _block(shown or config)),
            ("Versions of the training", _table(record.get("versions", {}), ("package", "version"))),
        ],
    )


def _run(facts: Dict[str, Any], repo: str) -> Tuple[Dict[str, Any], str, List[Section]]:
    metrics, settings = facts["metrics"], facts["settings"]
    rows = [
        {
            "metric": metric_title(name),
            "validation": _number((metrics.get("valid") or {}).get(name)),
            "test": _number(value),
        }
        for name, value in metrics["test"].items()
    ]
    protocol = "\n".join(f"- {markdown(line)}" for line in protocol_lines(metrics))
    control = "\n\nThis run is a control: its features were shuffled." * bool(
        (metrics.get("features") or {}).get("shuffled")
    )
    features, inputs = metrics.get("features"), _table(metrics.get("inputs", {}), ("input", "SHA-256"))
    data = f"Data set: {markdown(metrics['dataset'])}" + " (a built-in miniature, invented data)" * bool(
        metrics["miniature"]
    )
    use = f"python -m recbole_sda hub pull {repo} --out=runs/NAME\npython -m recbole_sda recommend runs/NAME --out=top.csv"
    return (
        {},
        f"{metrics['model']} on {metrics['dataset']}",
        [
            ("Use", f"The data set must be in the folder `dataset/`.\n\n```sh\n{use}\n```"),
            ("Data", f"{data}, {metrics['protocol']['items']:,} items.\n\n{inputs}"),
            ("Results", f"{markdown_table(pd.DataFrame(rows), disable_numparse=True)}\n\n{protocol}{control}"),
            *([("Significance", _significance(facts["comparison"]))] if facts["comparison"] else []),
            *([("Features", _block(features))] if features else []),
            ("Settings", _block(settings)),
            ("Versions of the training", _table(metrics["environment"], ("package", "version"))),
        ],
    )


def _significance(row: Dict[str, Any]) -> str:
    """Return the tests of a run's row against its base, over all seeds of the comparison."""
    tests = row["tests"].get("all")
    if not tests:
        return f"Row {markdown(row['row'])} of a comparison, without a row that it is compared with."
    table = [
        {
            "metric": metric_title(name),
            "mean over seeds": f"{row['metrics']['all'][name]['mean']:.4f}",
            "difference": f"{test['difference']:+.4f}",
            "95 % interval": f"{test['low']:+.4f} to {test['high']:+.4f}",
            "p": f"{test['wilcoxon_corrected']:.2g}",
            f"significant (p < {LEVEL:g})": "yes" if test["wilcoxon_corrected"] < LEVEL else "no",
        }
        for name, test in tests.items()
    ]
    return (
        f"Row {markdown(row['row'])} against {markdown(row['base'])}, seeds {', '.join(map(str, row['seeds']))}: Wilcoxon "
        f"signed-rank test over users, {row['correction']} correction over the {row['comparisons']} comparisons of the table.\n\n"
        f"{markdown_table(pd.DataFrame(table), disable_numparse=True)}"
    )


def _files(package: Package) -> str:
    return f"`{INDEX}` has the hashes, which `hub pull` compares.\n\n{_table(package.index['sha256'], ('file', 'SHA-256'))}"


def _table(values: Dict[str, Any], columns: Tuple[str, str]) -> str:
    if not values:
        return "Not recorded."
    frame = pd.DataFrame([(str(key), str(value)) for key, value in values.items()], columns=list(columns))
    return markdown_table(frame, disable_numparse=True)


def _block(values: Dict[str, Any]) -> str:
    """Return values as a block of YAML; three backticks in them would end it."""
    return f"```yaml\n{_yaml(values).replace('```', '` ` `')}```"


def _yaml(values: Dict[str, Any]) -> str:
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110))


def _number(value: Optional[float]) -> str:
    return "-" if value is None else f"{value:.4f}"


def _size(n_items: int) -> str:
    """Return the category of size that the Hub has for a number of rows."""
    bounds = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
    return next((name for bound, name in bounds if n_items < bound), "n>1M")
