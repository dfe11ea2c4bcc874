"""SMORE: modalities denoised and fused in the frequency domain (Ong and Khong, WSDM 2025)."""

from typing import Any, List

import torch
from torch import Tensor, nn

from recbole_sda.graphs.knn import elementwise_max
from recbole_sda.graphs.sparse import SparseMatrix
from recbole_sda.model.multimodal.view_recommender import ViewRecommender, gate


class SMORE(ViewRecommender):
    """Spectrum-based Modality Representation Fusion Graph Convolutional Network (Ong and Khong, WSDM 2025).

    Spectrum modality fusion, graphs of each modality and of all, and modality-aware preferences (the paper's sections):

        F_m = FFT(W1 x_m + b1)      x_m' = IFFT(F_m * c_m)      x_f = IFFT(c_f * prod_m F_m)       c learned, complex
        e_m = id * sigmoid(W2 x_m' + b2) over the graph of m, e_f likewise over the elementwise maximum of all graphs; then to users
        side = mean( p_m * softmax(Q_m(e_f)) * e_m for each m, p_f * e_f )      p = dropout(sigmoid(W4 behaviour + b4))

    with the FFT and the softmax along a vector's values. An item that lacks a modality has no view of it; the product and the mean
    leave it out.

    Note:
        The formulas are those of the authors' code, with two exceptions. That code also trains the features; here they are frozen.
        And it keeps negative similarities among an item's neighbours, in the row sums and in the maximum; here they are zero in the
        graph of each modality, and an edge that one graph lacks counts as zero in the maximum.
    """

    def __init__(self, config: Any, dataset: Any):
        super().__init__(config, dataset)
        dim, names = self.embedding_size, self.modality_names
        graphs = self.item_graphs(weighted=True)
        self.graphs = nn.ModuleList(SparseMatrix(graph) for graph in [*graphs, elementwise_max(graphs)])
        self.filters = nn.Parameter(torch.randn(len(names) + 1, dim // 2 + 1, 2))
        self.gates.append(gate(dim))
        self.preferences.append(gate(dim))
        self.queries = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, dim), nn.Tanh(), nn.Linear(dim, dim, bias=False)) for _ in names
        )
        self.dropout = nn.Dropout(self.number("dropout_rate", 0, 1))

    def spectral(self, mapped: Tensor, present: Tensor) -> Tensor:
        """Return the denoised modalities and, last, their fusion.

        Args:
            mapped: (n_modalities, n_items, dim).
            present: (n_modalities, n_items, 1), bool.

        Returns:
            (n_modalities + 1, n_items, dim).
        """
        spectra = torch.fft.rfft(mapped, dim=-1, norm="ortho")
        fused = torch.where(present, spectra, torch.ones_like(spectra)).prod(dim=0)
        filtered = torch.cat([spectra, fused.unsqueeze(0)]) * torch.view_as_complex(self.filters).unsqueeze(1)
        return torch.fft.irfft(filtered, n=mapped.shape[-1], dim=-1, norm="ortho")

    def item_views(self) -> List[Tensor]:
        """Return the id embeddings gated by each denoised modality and by the fusion, zero where an item lacks the features."""
        ids, present = self.item_embedding.weight, self.item_features.present.unsqueeze(-1)
        denoised = self.spectral(torch.stack(self.mapped()), present)
        present = torch.cat([present, present.any(dim=0, keepdim=True)])
        return [ids * gate(x) * mask for x, gate, mask in zip(denoised, self.gates, present)]

    def side(self, behaviour: Tensor, views: Tensor, present: Tensor) -> Tensor:
        """Return the mean of the preferred parts of the views, see the class."""
        *modality_views, fused = views
        side = self.dropout(self.preferences[-1](behaviour)) * fused
        for view, query, preference, mask in zip(modality_views, self.queries, self.preferences, present):
            side = side + self.dropout(preference(behaviour)) * query(fused).softmax(dim=-1) * view * mask
        return side / (1 + present.sum(dim=0))
