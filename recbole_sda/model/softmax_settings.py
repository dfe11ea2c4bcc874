"""The keys of the softmax loss of sequential models, checked: sampled items, popularity prior, cosine scores."""

from typing import Any, Optional

import torch
from torch import Tensor

from recbole_sda.errors import InputError, nearest
from recbole_sda.losses.sampled_softmax import ItemSampler
from recbole_sda.model.absent_items import absent_items
from recbole_sda.validation import POSITIVE

PROPOSALS = ("uniform", "popularity")
LEFT_OUT = -1e9  # its exponential is 0 beside any score; finite, because 0 times minus infinity is no number


def item_sampler(config: Any, dataset: Any) -> Optional[ItemSampler]:
    """Return the sampler of ``softmax_negatives`` items per step, or None where the loss is over all items.

    Raises:
        InputError: a key has a wrong value or does not go with another one.
    """
    k, proposal = config["softmax_negatives"], config["softmax_proposal"]
    if k is None:
        return None
    if not isinstance(k, int) or isinstance(k, bool) or k < 1:
        raise InputError(f"softmax_negatives={k!r}: expected a whole number from 1 on, or nothing for all items")
    if proposal not in PROPOSALS:
        allowed = ", ".join(PROPOSALS)
        raise InputError(f"softmax_proposal={proposal!r}: allowed are {allowed}.{nearest(str(proposal), PROPOSALS)}")
    if config["loss_type"] != "CE":
        raise InputError(f"softmax_negatives={k} needs loss_type CE, not {config['loss_type']}")
    counts = None
    if proposal == "popularity":
        counts = torch.bincount(dataset.inter_feat[dataset.iid_field], minlength=dataset.item_num)
    return ItemSampler(dataset.item_num, k, counts, torch.from_numpy(absent_items(dataset)))


def training_prior(config: Any, dataset: Any) -> Optional[Tensor]:
    """Return what training adds to the scores, (n_items, 1), or None where that is nothing.

    :func:`popularity_prior`, and for items that do not exist in training a number that leaves them out of any softmax.
    """
    prior, absent = popularity_prior(config, dataset), absent_items(dataset)
    if not len(absent):
        return prior
    prior = torch.zeros(dataset.item_num, 1) if prior is None else prior
    prior[torch.from_numpy(absent)] = LEFT_OUT
    return prior


def popularity_prior(config: Any, dataset: Any) -> Optional[Tensor]:
    """Return what ``popularity_adjustment`` adds to the scores in training, (n_items, 1), or None where it is 0.

    ``tau * log((n + 1) / sum(n + 1))`` for an item with n training interactions (logit adjustment, Menon et al. 2021). With tau 1
    the prior accounts for an item's popularity, so that its score need not. Evaluation leaves the prior out, so that items with
    few interactions no longer rank low for that reason alone.

    Raises:
        InputError: ``popularity_adjustment`` is no number from 0 to 1, or ``loss_type`` is not CE.
    """
    tau = config["popularity_adjustment"]
    if not isinstance(tau, (int, float)) or isinstance(tau, bool) or not 0 <= tau <= 1:
        raise InputError(f"popularity_adjustment={tau!r}: expected a number from 0 to 1")
    if tau == 0:
        return None
    if config["loss_type"] != "CE":
        raise InputError(f"popularity_adjustment={tau} needs loss_type CE, not {config['loss_type']}")
    weights = torch.from_numpy(dataset.training_counts.items).double() + 1
    return (tau * (weights / weights[1:].sum()).log()).float().unsqueeze(1)


def logit_temperature(config: Any) -> Optional[float]:
    """Return the temperature of cosine scores, or None for inner products.

    Raises:
        InputError: ``logit_temperature`` is no number above 0, or ``loss_type`` is not CE.
    """
    if config["logit_temperature"] is None:
        return None
    temperature: float = POSITIVE.check("logit_temperature", config["logit_temperature"])
    if config["loss_type"] != "CE":
        raise InputError(f"logit_temperature={temperature} needs loss_type CE, not {config['loss_type']}")
    return temperature
