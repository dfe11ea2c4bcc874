"""Alignment of encoded items with a frozen collaborative item table (second stage of the paper's reference code)."""

from torch import Tensor, nn

from recbole_sda.losses.cmsa import CMSALoss


class CollaborativeAlignment(nn.Module):
    """CMSA between encoded items and the item table of the same backbone trained on ids only.

    As in the reference code, one temperature serves the logits and the targets, and the gradient passes through the targets.

    Args:
        table: frozen item embeddings, (n_items, dim); row 0 is padding.
        known: (n_items,), bool; items that are False have no row in the table and are left out.
        temperature: tau, > 0, a constant; the reference code uses 2 on vectors that are not normalised.
        normalize: whether each vector is divided by its L2 norm first.

    Example:
        >>> import torch
        >>> table = torch.zeros(6, 4)  # a table of five items without information
        >>> alignment = CollaborativeAlignment(table, known=torch.tensor([False, True, True, True, True, False]))
        >>> round(alignment(torch.tensor([1, 2, 5]), torch.zeros(3, 4)).item(), 4)  # item 5 is left out: log 2
        0.6931
    """

    table: Tensor
    known: Tensor

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
