"""The frozen item table of a base model trained on ids alone, for the alignment term."""

from pathlib import Path
from typing import Sequence, Tuple

import torch
from torch import Tensor

from recbole_sda.checkpoint import BEST, load_checkpoint, read_item_tokens
from recbole_sda.errors import InputError


def load_item_table(run_dir, tokens: Sequence[str], base: str, item_table: str, dim: int) -> Tuple[Tensor, Tensor]:
    """Read the item table of a base model's run and bring it into the order of ``tokens``.

    Args:
        run_dir: run folder of the base model.
        tokens: item tokens, position 0 the padding item.
        base: name of the base model, which the run must be of.
        item_table: its attribute that holds the item table.
        dim: the width that the table must have.

    Returns:
        The table (n_tokens, dim), float32, zeros where the run does not know the item; and the mask of those it knows.

    Raises:
        InputError: the run is of another model or width, or shares no item with ``tokens``.
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
    index = {token: row for row, token in enumerate(read_item_tokens(where)) if row}
    rows = torch.tensor([index.get(token, -1) for token in tokens])
    known = rows >= 0
    if not known.any():
        raise InputError(f"alignment_run={run_dir}: knows none of the data set's items")
    table = torch.zeros(len(tokens), dim)
    table[known] = trained[rows[known]].float()
    return table, known
