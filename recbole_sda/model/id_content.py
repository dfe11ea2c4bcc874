"""What content does to the id table and the targets of an SDA version: built from the features and the configuration."""

import logging
from functools import cached_property
from pathlib import Path
from typing import Any, List, Optional, Sequence, Tuple, Union

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbole_sda.errors import InputError
from recbole_sda.features.codes import cached_residual_codes
from recbole_sda.features.content import content_vectors, principal_components
from recbole_sda.features.semantic_ids import read_codes
from recbole_sda.graphs.cooccurrence import SHRINKAGE, cached_similarity
from recbole_sda.graphs.item_graphs import as_lists, mean_graph, rows_to_one, scaled_rows, similarity_graph
from recbole_sda.graphs.knn import cached_neighbours
from recbole_sda.graphs.shared_users import shared_users
from recbole_sda.graphs.sparse import SparseMatrix
from recbole_sda.io.ids import id_text
from recbole_sda.layers.id_rows import BoundedRows, CodeRows, IdRows, Smoothing
from recbole_sda.losses.soft_targets import SoftTargets
from recbole_sda.model.absent_items import absent_items
from recbole_sda.model.item_features import item_tokens
from recbole_sda.model.known_items import training_pairs
from recbole_sda.model.settings import SDASettings

logger = logging.getLogger(__name__)

CODE_SEED = 0  # the same codes for all seeds of training
LIFT_NEIGHBOURS, MIN_EXPECTED = 10, 1000  # of min_content_lift; fewer expected pairs decide nothing
START_SCALES = {False: 5.0, True: 1.0}  # of id_start, by whether users start there too


class IdContent:
    """Builds what the keys ``id_*`` and ``soft_targets*`` ask for, for one id table.

    Args:
        settings: the SDA keys of the configuration.
        dataset: RecBole's training part.
        matrices: the items' features, one matrix (n_items, d_m) per modality.
        present: (n_modalities, n_items), bool.
        store: folder of the feature store, which caches neighbour lists.
    """

    def __init__(
        self, settings: SDASettings, dataset: Any, matrices: Sequence[Tensor], present: Tensor, store: Union[str, Path]
    ):
        self.settings, self.dataset, self.cache = settings, dataset, Path(store) / "graphs"
        self.n_items: int = dataset.item_num
        self.present = present.any(dim=0)
        self.present[0] = False
        self._matrices, self._present = matrices, present
        self.counts = torch.from_numpy(dataset.training_counts.items).float()

    @cached_property
    def vectors(self) -> Tensor:
        """The content vector of each item, (n_items, dim). Most runs need none, and it is a copy of all features."""
        return content_vectors(self._matrices, self._present)

    def says_nothing(self) -> bool:
        """Return, and log, whether similar items have hardly more users in common than ``min_content_lift`` asks for.

        Always False where the features are shuffled, which is a control, and where the training part is too small to tell.
        """
        least = self.settings.min_content_lift
        if least == 0 or self.settings.shuffle_features:
            return False
        users, items = training_pairs(self.dataset)
        shared = shared_users(self._content_graph(LIFT_NEIGHBOURS), users, items, self.dataset.user_num)
        times = f"items with similar features share users {shared.lift:.2f} times as often as items at random"
        if shared.lift >= least or shared.expected < MIN_EXPECTED:
            logger.info("content: %s", times)
            return False
        logger.warning(
            "content is not used: %s, less than min_content_lift=%g; the run is one of the base model. Do the vectors belong to "
            "these items? --min_content_lift=0 uses them",
            times,
            least,
        )
        return True

    def start(self, table: nn.Embedding, users: Optional[nn.Embedding] = None) -> Optional[IdRows]:
        """Give new id tables their initial rows, and return how content takes part in the items' rows; None: it does not.

        Args:
            table: the base model's table; its rows from n_items on stay.
            users: the base model's table of users, if its scores are products of users' and items' rows. Of a wider table
                (VBPR), the first columns belong to the items' rows.
        """
        settings, bounded, codes, smoothing = self.settings, None, None, None
        spread = float(table.weight[1 : self.n_items].detach().std())
        if settings.id_start != "random":
            bounded = self._start_rows(table, users, spread)
        if settings.id_codes is not None:
            sizes, of_items = self._item_codes(settings.id_codes)
            all_codes = F.pad(of_items, (0, 0, 0, table.num_embeddings - self.n_items), value=-1)
            codes = CodeRows(all_codes, sizes, table.embedding_dim, spread)
        if settings.id_smoothing > 0:
            strength = settings.id_smoothing * self._share_of_rare(settings.id_smoothing_kappa)
            graph = scaled_rows(self._graph(), strength.numpy(), table.num_embeddings)
            smoothing = Smoothing(SparseMatrix(graph), *as_lists(graph))
        weight = self._weight(table.num_embeddings)
        ways = (weight, bounded, codes, smoothing)
        return None if all(way is None for way in ways) else IdRows(*ways)

    def _start_rows(self, table: nn.Embedding, users: Optional[nn.Embedding], spread: float) -> Optional[BoundedRows]:
        """Give the tables the rows that ``id_start`` asks for; with ``id_bound``, return them instead, fixed.

        Args:
            spread: standard deviation of the base model's initial rows.
        """
        settings = self.settings
        users = None if users is None or users.embedding_dim < table.embedding_dim else users
        scale = settings.id_start_scale or START_SCALES[users is not None]
        rows = scale * spread * principal_components(self.vectors, self.present, table.embedding_dim)
        if not rows.any():
            if settings.id_bound is not None:
                raise InputError(
                    f"id_bound={settings.id_bound}: the features of all items are the same, which bounds them all at one point"
                )
            logger.warning(
                "id_start=%s: the features of all items are the same; the id table starts at random", settings.id_start
            )
            return None
        if settings.id_start == "both":
            rows[self.present] += table.weight[: self.n_items][self.present].detach().to(rows)
        if users is not None:
            self._start_users(users, rows, scale)
        if settings.id_bound is not None:
            return self._bounded(rows, table.num_embeddings)
        with torch.no_grad():
            table.weight[: self.n_items][self.present] = rows[self.present].to(table.weight)
        return None

    def _weight(self, n_rows: int) -> Optional[Tensor]:
        kappa = self.settings.id_shrinkage
        if kappa == 0:
            return None
        return F.pad(self.counts / (self.counts + kappa), (0, n_rows - self.n_items), value=1.0)

    def _item_codes(self, given: Union[Sequence[int], str]) -> Tuple[Sequence[int], Tensor]:
        """Return the sizes of the levels and the codes of each item, (n_items, n_levels); -1 for an item without codes.

        Args:
            given: sizes of the levels, or a file of semantic ids.
        """
        if not isinstance(given, str):
            codes = torch.full((self.n_items, len(given)), -1)
            codes[self.present] = cached_residual_codes(self.cache, self.vectors[self.present], given, CODE_SEED).codes
            return given, codes
        sizes, of_item = read_codes(given)
        tokens = [id_text(token) for token in item_tokens(self.dataset)]
        found = [row for row, token in enumerate(tokens) if token in of_item]
        if not found:
            raise InputError(f"id_codes={given}: has none of the data set's items, {', '.join(tokens[1:4])}, ...")
        logger.info("id_codes %s: codes of %d of %d items", given, len(found), self.n_items - 1)
        codes = torch.full((self.n_items, len(sizes)), -1)
        codes[found] = torch.tensor([of_item[tokens[row]] for row in found])
        return sizes, codes

    def _start_users(self, users: nn.Embedding, items: Tensor, scale: float) -> None:
        """Give users the mean initial row of their training items, (n_items, dim), so that the first scores are similarities.

        The means get the standard deviation that items get. Users without such an item keep their rows, as does a single user
        with one.
        """
        pairs = np.unique(np.stack(training_pairs(self.dataset)), axis=1)
        shape = (users.num_embeddings, self.n_items)
        history = rows_to_one(sp.csr_matrix((np.ones(pairs.shape[1], np.float32), tuple(pairs)), shape=shape))
        means = torch.from_numpy(history @ items.numpy()).float()
        known = means.abs().sum(dim=1) > 0
        if known.sum() < 2:
            return
        columns = users.weight[:, : items.shape[1]]
        spread = scale * float(columns[1:].detach().std())
        with torch.no_grad():
            columns[known] = (means[known] * (spread / means[known].std())).to(columns)

    def soft_targets(self) -> Optional[SoftTargets]:
        """Return the teacher of the recommender's targets, or None without ``soft_targets``."""
        settings = self.settings
        if settings.soft_targets == 0:
            return None
        index, similarity = as_lists(self._content_graph(settings.soft_targets_neighbours))
        absent = torch.from_numpy(absent_items(self.dataset))  # no targets, as they do not exist in training
        similarity = similarity.masked_fill(torch.isin(index, absent), 0.0)
        logits = (settings.soft_targets_scale * similarity).masked_fill(similarity == 0, -torch.inf)
        probabilities = logits.softmax(dim=1).nan_to_num(0.0)  # an item without neighbours has no distribution
        return SoftTargets(
            index, probabilities, settings.soft_targets * self._share_of_rare(settings.soft_targets_kappa)
        )

    def _bounded(self, content: Tensor, n_rows: int) -> BoundedRows:
        settings = self.settings
        assert settings.id_bound is not None
        length = content[self.present].norm(dim=1)
        bound = settings.id_bound * length.mean() * self._share_of_frequent(settings.id_bound_full)
        bound = torch.where(self.present, bound, torch.inf)
        extra = n_rows - self.n_items
        return BoundedRows(
            F.pad(content, (0, 0, 0, extra)),
            F.pad(bound, (0, extra), value=torch.inf),
        )

    def _share_of_rare(self, kappa: Optional[float]) -> Tensor:
        """Return ``kappa / (n + kappa)`` for items with n training interactions, (n_items,); ones without kappa."""
        return torch.ones(self.n_items) if kappa is None else kappa / (self.counts + kappa)

    def _share_of_frequent(self, full: Optional[float]) -> Tensor:
        """Return ``sqrt(n / full)``, at most 1, for items with n training interactions, (n_items,); ones without ``full``."""
        return torch.ones(self.n_items) if full is None else (self.counts / full).sqrt().clamp(max=1.0)

    def _content_graph(self, k: int) -> sp.csr_matrix:
        neighbours = cached_neighbours(  # an item is its own nearest
            self.cache, self.vectors, self.present, k + 1, self.settings.neighbour_search
        )
        return similarity_graph(neighbours, self.n_items)

    def _cooccurrence_graph(self, k: int) -> sp.csr_matrix:
        users, items = training_pairs(self.dataset)
        return cached_similarity(self.cache, users, items, self.dataset.user_num, self.n_items, SHRINKAGE, k)

    def _graph(self) -> sp.csr_matrix:
        k, kind = self.settings.id_neighbours, self.settings.id_graph
        graphs: List[sp.csr_matrix] = []
        if kind != "cooccurrence":
            graphs.append(rows_to_one(self._content_graph(k)))
        if kind != "content":
            graphs.append(rows_to_one(self._cooccurrence_graph(k)))
        return mean_graph(graphs)
