"""The frozen item table of a base model trained on ids alone, for the alignment term."""

import logging
from pathlib import Path
from typing import Tuple

import torch
from torch import Tensor

from recbole_sda.errors import InputError
from recbole_sda.io.checkpoint import BEST, TRAINING, data_identity, load_checkpoint, read_item_tokens
from recbole_sda.model.item_features import item_tokens

logger = logging.getLogger(__name__)


def load_item_table(run_dir, dataset, base: str, item_table: str, dim: int) -> Tuple[Tensor, Tensor]:
    """Read the item table of a base model's run and bring it into the order of a data set's items.

    Args:
        run_dir: run folder of the base model.
        dataset: RecBole's training part.
        base: name of the base model, which the run must be of.
        item_table: its attribute that holds the item table.
        dim: the width that the table must have.

    Returns:
        The table (n_items, dim), float32, zeros where the run does not know the item; and the mask of those it knows.

    Raises:
        InputError: the run is of another model or width, shares no item with the data set, or was trained on another part
            of the same data.
    """
    where = Path(run_dir)
    state = load_checkpoint(where / BEST)
    if state["model"] != base:
        raise InputError(
            f"alignment_run={run_dir}: a run of {state['model']}; expected one of {base}, trained on ids alone"
        )
    trained = state["state_dict"][f"{item_table}.weight"]
    if trained.shape[1] != dim:
        raise InputError(f"alignment_run={run_dir}: item embeddings are {trained.shape[1]}-d, this model's are {dim}-d")
    theirs, ours, tokens = state.get("identity", {}), data_identity(dataset), item_tokens(dataset)
    same = all(theirs.get(key) == ours[key] for key in ("users", "items"))
    if same and theirs.get(TRAINING) != ours[TRAINING]:
        raise InputError(
            f"alignment_run={run_dir}: was trained on another part of the same data, which may hold this run's test part"
        )
    if not same:
        logger.warning("alignment_run=%s: of other data; see that it has not seen this run's test part", run_dir)
    index = {token: row for row, token in enumerate(read_item_tokens(where)) if row}
    rows = torch.tensor([index.get(token, -1) for token in tokens])
    known = rows >= 0
    if not known.any():
        raise InputError(f"alignment_run={run_dir}: knows none of the data set's items")
    table = torch.zeros(len(tokens), dim)
    table[known] = trained[rows[known]].float()
    return table, known
