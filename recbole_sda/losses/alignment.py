"""Alignment of encoded items with a frozen collaborative item table (the reference's second stage)."""

from torch import Tensor, nn

from recbole_sda.losses.cmsa import CMSALoss


class CollaborativeAlignment(nn.Module):
    """The form of CMSA between encoded items and the item table of the same backbone trained on ids alone.

    Args:
        table: frozen item embeddings, (n_items, dim), row 0 padding.
        known: (n_items,), bool; items without a row in the table are left out.
        temperature: tau; the reference uses 2 on vectors that are not normalised.
        normalize: whether rows are divided by their L2 norm first.
    """

    def __init__(self, table: Tensor, known: Tensor, temperature: float = 2.0, normalize: bool = False):
        super().__init__()
        self.register_buffer("table", table.detach().float())
        self.register_buffer("known", known.detach().bool())
        self.contrast = CMSALoss(
            temperature, learnable=False, teacher_scale=None, normalize=normalize, detach_teacher=False
        )

    def forward(self, items: Tensor, embeddings: Tensor) -> Tensor:
        """Return the loss of ``embeddings`` (batch, dim), the encoded rows of the item ids ``items`` (batch,)."""
        known = self.known[items]
        return self.contrast(embeddings[known], self.table[items[known]])
