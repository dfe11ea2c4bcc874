"""Losses of built models, and the run of a base model that the alignment term reads."""

import copy
from types import SimpleNamespace

import pytest
import torch

from recbole_sda.io.checkpoint import BEST, data_identity, save_checkpoint, write_item_tokens
from recbole_sda.model.item_features import item_tokens


def total(loss):
    """The sum of a loss's terms."""
    return sum(loss) if isinstance(loss, tuple) else loss


def loss_of(built):
    """The terms of the loss of the first batch, without dropout."""
    torch.manual_seed(0)
    built.model.eval()
    return built.model.calculate_loss(copy.deepcopy(built.batch))


def encoded_sizes(model):
    """A list that grows by the number of encoded items with each call of the encoder."""
    sizes, project = [], model.items.encoder.project

    def counted(features, present):
        sizes.append(len(features[0]))
        return project(features, present)

    model.items.encoder.project = counted
    return sizes


@pytest.fixture
def base_run(build, tmp_path):
    """A function that writes the run folder of a BPR on ``tiny``; by default on the data and the split of ``build``."""

    def write(tokens=None, **changes):
        built = build("BPR")
        dataset, state = built.data.train._dataset, built.model.state_dict()
        checkpoint = {"model": "BPR", "state_dict": state, "identity": data_identity(dataset), **changes}
        save_checkpoint(tmp_path / BEST, checkpoint)
        write_item_tokens(tmp_path, tokens or item_tokens(dataset))
        return SimpleNamespace(path=tmp_path, table=state["item_embedding.weight"], dataset=dataset)

    return write
