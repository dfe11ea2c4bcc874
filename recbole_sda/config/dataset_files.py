"""The data sets that the package knows: their files in properties/dataset/ and their built-in miniatures."""

from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional

from recbole_sda.io.yaml import properties_dir, read_yaml

SAMPLE_SUFFIX = "-sample"  # of a data set's built-in miniature
SOURCE = "source"  # key of a data set's file: the Amazon release and category that it is made from


class AmazonSource(NamedTuple):
    """Where a known data set comes from.

    Attributes:
        category: as in the names of the published files, for example ``Sports_and_Outdoors``.
        release: ``2014``, ``2018`` or ``2023``.
    """

    category: str
    release: str


def _folder() -> Path:
    return properties_dir() / "dataset"


def supported_datasets() -> List[str]:
    """Return the data sets that have a file in properties/dataset/."""
    return sorted(path.stem for path in _folder().glob("*.yaml") if path.stem != "sample")


def dataset_defaults(dataset: str) -> Dict[str, Any]:
    """Return the keys that properties/dataset/ has for a data set.

    A miniature reads the file of the full data set first, then ``sample.yaml``.
    """
    names = [dataset.removesuffix(SAMPLE_SUFFIX)]
    if dataset.endswith(SAMPLE_SUFFIX):
        names.append("sample")
    values: Dict[str, Any] = {}
    for path in (_folder() / f"{name}.yaml" for name in names):
        if path.is_file():
            values.update(read_yaml(path))
    values.pop(SOURCE, None)
    return values


def amazon_sources() -> Dict[str, AmazonSource]:
    """Return the published source of each supported data set that has one."""
    sources = {}
    for name in supported_datasets():
        source = read_yaml(_folder() / f"{name}.yaml").get(SOURCE)
        if source:
            sources[name] = AmazonSource(str(source["category"]), str(source["release"]))
    return sources


def preparation_command(dataset: str, out: Any) -> Optional[str]:
    """Return the command that prepares a data set in the folder ``out``; None where no source is known."""
    source = amazon_sources().get(dataset)
    if source is None:
        return None
    return f"python -m dataset_prep amazon --category {source.category} --release {source.release} --out {out}"
