"""The whole LVLM stage on a miniature: invented products and a tiny random model, in about a minute."""

from pathlib import Path
from typing import Any, Dict, List

from recbole_sda.config.dataset_files import SAMPLE_SUFFIX
from recbole_sda.data.miniature.generate import generate
from recbole_sda.lvlm.adaptation import adapt
from recbole_sda.lvlm.export import export_lora
from recbole_sda.lvlm.extraction import extract
from recbole_sda.lvlm.settings import read_settings
from recbole_sda.lvlm.tiny import make_tiny

# A random model of 100,000 weights learns nothing at rates that suit a trained one.
SHORT = {"steps": 150, "eval_every": 50, "batch_size": 32, "learning_rate": 5e-3, "dtype": "float32", "threads": 1}
STORE = "lvlm-tiny"


def run(dataset: str, data_path: str, family: str, out: str, files: List[str], keys: Dict[str, Any]) -> None:
    """Make the miniature of a data set and a tiny model, adapt, extract and export; say how to train on the result.

    Args:
        dataset: full data set's name; the miniature is ``<dataset>-sample``.
        data_path: folder of data sets.
        family: of the tiny model.
        out: folder of model, adapter and export.
        files, keys: settings that win over the demonstration's own.
    """
    name, folder = dataset + SAMPLE_SUFFIX, Path(out)
    items = Path(data_path) / name / "items.jsonl"
    if not items.is_file():
        generate(dataset, data_path)
    model = folder / family
    if not model.exists():
        make_tiny(family, model)
    settings = read_settings(files, keys, {**SHORT, "backbone": str(model), "items": str(items)})
    adapted = folder / f"{family}-{settings.method}"
    adapt(settings, adapted, overwrite=True)
    export_lora(adapted, folder / f"{family}-{settings.method}-lora", overwrite=True)
    base = {**settings.plain(), "adapter": str(adapted)}
    extract(read_settings((), {}, base), items.parent / "features" / STORE, overwrite=True)
    print(
        f"\nTrain on the vectors:\n  python run_recbole_sda.py --model=SASRec_SDA --dataset={name} --features={STORE}"
    )
