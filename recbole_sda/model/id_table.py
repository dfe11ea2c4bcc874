"""The frozen item table of a base model that was trained on ids alone, for the alignment term."""

import logging
from pathlib import Path
from typing import Any, Tuple, Union

import torch
from torch import Tensor

from recbole_sda.errors import InputError
from recbole_sda.io.checkpoint import BEST, TRAINING, data_identity, load_checkpoint, read_item_tokens
from recbole_sda.model.item_features import item_tokens

logger = logging.getLogger(__name__)


def load_item_table(
    run_dir: Union[str, Path], dataset: Any, base: str, item_table: str, dim: int
) -> Tuple[Tensor, Tensor]:
    """Read the item table of a base model's run, with its rows in the order of a data set's items.

    Args:
        run_dir: run folder of the base model.
        dataset: RecBole's training part.
        base: name of the base model that the run must have trained.
        item_table: name of the base model's attribute that holds the item table.
        dim: required width of the table.

    Returns:
        The table, (n_items, dim), float32, with zeros for an item that the run does not have; and which items the run has,
        (n_items,), bool. Row 0 is padding and counts as absent.

    Raises:
        InputError: the run trained another model or a table of another width, has none of the data set's items, or was trained
            on another part of the same data.
    """
    run = Path(run_dir)
    if not (run / BEST).is_file():
        raise InputError(f"alignment_run={run_dir}: expected the folder of a finished run: {BEST} is missing")
    checkpoint = load_checkpoint(run / BEST, {"model": str, "identity?": dict, "state_dict": {str: torch.Tensor}})
    if checkpoint["model"] != base:
        raise InputError(
            f"alignment_run={run_dir}: a run of {checkpoint['model']}; expected one of {base}, trained on ids alone"
        )
    trained = checkpoint["state_dict"].get(f"{item_table}.weight")
    if trained is None or trained.dim() != 2:
        raise InputError(f"alignment_run={run_dir}: {BEST} has no table {item_table}.weight")
    if trained.shape[1] != dim:
        raise InputError(f"alignment_run={run_dir}: item embeddings are {trained.shape[1]}-d, this model's are {dim}-d")
    _check_training_part(run_dir, checkpoint.get("identity", {}), data_identity(dataset))
    row_of_token = {token: row for row, token in enumerate(read_item_tokens(run)) if row}
    rows = torch.tensor([row_of_token.get(token, -1) for token in item_tokens(dataset)])
    if int(rows.max()) >= len(trained):
        raise InputError(f"alignment_run={run_dir}: its list of items is longer than its table of {len(trained)} rows")
    available = rows >= 0
    if not available.any():
        raise InputError(f"alignment_run={run_dir}: has none of the data set's items")
    table = torch.zeros(len(rows), dim)
    table[available] = trained[rows[available]].float()
    return table, available


def _check_training_part(run_dir: Union[str, Path], of_run: dict, of_dataset: dict) -> None:
    """Refuse a run on another part of the same data; warn about a run on other data."""
    if any(of_run.get(key) != of_dataset[key] for key in ("users", "items")):
        logger.warning(
            "alignment_run=%s: trained on other data; make sure that they do not hold this run's test part", run_dir
        )
    elif of_run.get(TRAINING) != of_dataset[TRAINING]:
        raise InputError(
            f"alignment_run={run_dir}: was trained on another part of the same data, which may hold this run's test part"
        )
