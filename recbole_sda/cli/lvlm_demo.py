"""The LVLM stage from end to end on invented products and a tiny random model, in about a minute."""

from pathlib import Path
from typing import Any, Dict, List

from recbole_sda.config.dataset_files import SAMPLE_SUFFIX
from recbole_sda.data.dataset_choice import ensure_sample
from recbole_sda.lvlm.adaptation import run_adaptation
from recbole_sda.lvlm.export import export_lora
from recbole_sda.lvlm.extraction import run_extraction
from recbole_sda.lvlm.settings import read_settings
from recbole_sda.lvlm.tiny import make_tiny

# A random model of 100,000 weights learns nothing at the learning rates of a trained one.
SHORT = {"steps": 150, "eval_every": 50, "batch_size": 32, "learning_rate": 5e-3, "dtype": "float32", "threads": 1}
STORE = "lvlm-tiny"


def run(dataset: str, data_path: str, family: str, out: str, files: List[str], keys: Dict[str, Any]) -> None:
    """Make the miniature of a data set and a tiny model; adapt, export and extract; print how to train on the vectors.

    Args:
        dataset: name of the full data set; the miniature is ``<dataset>-sample``.
        data_path: folder of data sets.
        family: family of the tiny model.
        out: folder for the model, the adapter and its export.
        files: YAML files with keys that win over those of the demonstration.
        keys: keys that win over the files.
    """
    name, folder = dataset + SAMPLE_SUFFIX, Path(out)
    items = Path(data_path) / name / "items.jsonl"
    ensure_sample(name, data_path)
    model = folder / family
    if not model.exists():
        make_tiny(family, model)
    settings = read_settings(files, keys, {**SHORT, "backbone": str(model), "items": str(items)})
    adapted = folder / f"{family}-{settings.method}"
    run_adaptation(settings, adapted, overwrite=True)
    export_lora(adapted, folder / f"{family}-{settings.method}-lora", overwrite=True)
    with_adapter = read_settings((), {}, {**settings.plain(), "adapter": str(adapted)})
    run_extraction(with_adapter, items.parent / "features" / STORE, overwrite=True)
    print(
        f"\nTrain on the vectors:\n  python run_recbole_sda.py --model=SASRec_SDA --dataset={name} --features={STORE}"
    )
