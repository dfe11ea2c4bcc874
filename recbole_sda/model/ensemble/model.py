"""An ensemble as a recommender: nothing is trained but the weights of its members, which validation data choose."""

from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch
from torch import Tensor

from recbole_sda.errors import InputError
from recbole_sda.metrics.groups import tail_items
from recbole_sda.model.ensemble.member import Member, in_cache, scores_of, standardise_
from recbole_sda.model.untrained import UntrainedRecommender
from recbole_sda.validation import NOT_NEGATIVE, check_choice

GROUPS = ("none", "tail")


class Ensemble(UntrainedRecommender):
    """Score of item i for a user: ``sum_m w[g(i), m] z_m(i)``.

    z_m are the scores of member m for the user, standardised over all items (mean 0, standard deviation 1); g(i) is the group of
    item i by its training interactions, of which there is one with ``ensemble_groups: none``. Standardisation uses all items
    under every protocol of evaluation, so that the score of an item does not depend on the other candidates.

    An ensemble with one member of positive weight has that member's scores, unchanged. Models that are trained independently keep
    what each knows (EnsRec, arXiv 2512.17820); co-occurrence counts and content find rare items that trained tables do not.

    Args:
        config: keys ``ensemble_weights``, ``ensemble_groups``, ``tail_items``.
        dataset: RecBole's training part, with ``training_counts``.
        members: the members; they are no submodules, and no part of a checkpoint.

    Attributes:
        weights: (n_groups, n_members).
        groups: group of each item, (n_items,).
    """

    weights: Tensor
    groups: Tensor

    def __init__(self, config: Any, dataset: Any, members: Sequence[Member]):
        super().__init__(config, dataset)
        self.members: Tuple[Member, ...] = tuple(members)
        self.given = given_weights(config["ensemble_weights"], len(members))
        check_choice("ensemble_groups", config["ensemble_groups"], GROUPS)
        by_group = config["ensemble_groups"] == "tail"
        tail = torch.from_numpy(tail_items(dataset.training_counts.items, config["tail_items"]))
        self.register_buffer("groups", (tail & by_group).long())
        n_groups = 2 if by_group else 1
        weights = torch.ones(len(members)) if self.given is None else torch.tensor(self.given)
        self.register_buffer("weights", weights.repeat(n_groups, 1))
        records = [getattr(member.model, "feature_record", None) for member in self.members]
        self.feature_record: Optional[Dict[str, Any]] = next((record for record in records if record), None)

    @property
    def record(self) -> Dict[str, Any]:
        """The members with their weights, for ``metrics.json``."""
        names = ("head", "tail") if len(self.weights) > 1 else ("all",)
        return {
            "members": [member.record for member in self.members],
            "weights": {name: [round(w, 6) for w in row.tolist()] for name, row in zip(names, self.weights)},
        }

    @property
    def used(self) -> List[int]:
        """Numbers of the members with a positive weight."""
        numbers: List[int] = self.weights.any(dim=0).nonzero().flatten().tolist()
        return numbers

    @property
    def only(self) -> Optional[int]:
        """Number of the member whose scores are those of the ensemble, unchanged; None where there is none."""
        used = self.used
        alone = len(used) == 1 and bool((self.weights[:, used[0]] == self.weights[0, used[0]]).all())
        return used[0] if alone else None

    def member_input(self, member: Member, interaction: Any) -> Any:
        """Return what a member's model takes of a batch."""
        return member.input(interaction, self.ITEM_SEQ, self.ITEM_SEQ_LEN)

    def member_scores(self, member: Member, interaction: Any) -> Tensor:
        """Return a member's own scores of all items, (batch, n_items)."""
        return scores_of(member.model, self.member_input(member, interaction))

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Return the scores of all items, (batch, n_items)."""
        only = self.only
        if only is not None:
            return self.member_scores(self.members[only], interaction)
        first, *others = self.used
        total = standardise_(self.member_scores(self.members[first], interaction)).mul_(
            self.weights[self.groups, first]
        )
        for m in others:
            weight = self.weights[self.groups, m]
            for sums, scores in in_cache(total, self.member_scores(self.members[m], interaction)):
                sums.addcmul_(standardise_(scores), weight.expand_as(scores))
        total[:, 0] = -torch.inf  # of the padding item, where a weight of 0 gives no number
        return total


def given_weights(value: Any, n_members: int) -> Optional[Tuple[float, ...]]:
    """Return the value of ``ensemble_weights``, checked; None if it is empty."""
    if value is None:
        return None
    if not isinstance(value, (list, tuple)) or len(value) != n_members:
        raise InputError(f"ensemble_weights={value!r}: expected a list of {n_members} weights, one for each member")
    weights = tuple(float(NOT_NEGATIVE.check("ensemble_weights", weight)) for weight in value)
    if not any(weights):
        raise InputError(f"ensemble_weights={value!r}: expected a positive weight")
    return weights
