"""An ensemble of general models, with a list per user and any split."""

from typing import Any, Sequence

from recbole.data.interaction import Interaction
from recbole.utils import ModelType

from recbole_sda.model.ensemble.member import Member
from recbole_sda.model.ensemble.model import Ensemble
from recbole_sda.model.known_items import training_histories


class GeneralEnsemble(Ensemble):
    """An :class:`Ensemble` whose runs are all of general models: it is evaluated as they are, under any split.

    Neighbourhoods take a user's last training items as the history, in every phase: what the general models were trained on. A
    batch with histories of its own, such as those of ``recommend``, is scored with these.

    Args:
        config, dataset, members: see :class:`Ensemble`.
    """

    type = ModelType.GENERAL

    def __init__(self, config: Any, dataset: Any, members: Sequence[Member]):
        super().__init__(config, dataset, members)
        self.histories = training_histories(dataset)

    def member_input(self, member: Member, interaction: Any) -> Any:
        """Return what a member's model takes of a batch."""
        if member.longest and self.ITEM_SEQ not in interaction:
            users = interaction[self.USER_ID]
            items, length = self.histories.last(users.cpu().numpy(), member.longest)
            histories = {self.ITEM_SEQ: items.to(users.device), self.ITEM_SEQ_LEN: length.to(users.device)}
            interaction = Interaction({**interaction.interaction, **histories})
        return super().member_input(member, interaction)
