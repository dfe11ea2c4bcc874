"""Extraction by a backend beside transformers: the same items, plan, shards and store."""

from typing import Any, Callable, Dict, List, Protocol, Sequence, Tuple

from torch import Tensor

from recbole_sda.errors import InputError
from recbole_sda.lvlm.backends.openai import OpenAIEncoder
from recbole_sda.lvlm.backends.sentence_transformer import SentenceTransformerEncoder
from recbole_sda.lvlm.extraction_plan import Shard, make_plan
from recbole_sda.lvlm.inputs import Inputs
from recbole_sda.lvlm.items import read_item_content
from recbole_sda.lvlm.provenance import provenance
from recbole_sda.lvlm.settings import LVLMSettings

ENCODERS: Dict[str, Any] = {"sentence_transformers": SentenceTransformerEncoder, "openai": OpenAIEncoder}


class BackendEncoder(Protocol):
    """What a backend provides; see :class:`~recbole_sda.lvlm.backends.openai.OpenAIEncoder` for its meaning."""

    settings: LVLMSettings
    modalities: Tuple[str, ...]

    def describe(self) -> Dict[str, Any]: ...

    def render(self, text: str, with_image: bool) -> str: ...

    def shorten(self, text: str, max_tokens: int) -> str: ...

    def length(self, rendered: str, size: Any = None) -> int: ...

    def encode(self, inputs: Inputs, chosen: List[int]) -> Tensor: ...


class BackendExtractor:
    """The encoder of a backend, and the plan for all items; the counterpart of :class:`~recbole_sda.lvlm.extraction.Extractor`.

    Args:
        settings: settings of the stage, with another ``backend`` than transformers.

    Raises:
        InputError: the backend or the items cannot be used, or no item has a modality that is read.
    """

    def __init__(self, settings: LVLMSettings):
        self.encoder: BackendEncoder = ENCODERS[settings.backend](settings)
        self.settings = self.encoder.settings
        modalities = self.encoder.modalities
        self.content = read_item_content(self.settings, "image" in modalities)
        self.plan = make_plan(self.content, self.encoder.describe(), self.encoder, modalities, self.settings)
        if not self.plan.modalities:
            raise InputError(f"{settings.items}: no item has a modality that {settings.backbone} reads")

    def encode(self, shards: Sequence[Shard], done: Callable[[Shard, Tensor], None]) -> None:
        """Encode shards; see :meth:`recbole_sda.lvlm.extraction.Extractor.encode`."""
        for shard in shards:
            plan = self.plan.modalities[shard.modality]
            vectors = self.encoder.encode(plan.inputs, [plan.distinct.first[row] for row in shard.rows])
            if vectors.shape[0] != len(shard.rows) or not vectors.isfinite().all():
                raise InputError(f"backend={self.settings.backend}: expected {len(shard.rows)} finite vectors")
            done(shard, vectors)

    def provenance(self) -> Dict[str, Any]:
        """Return what the store's manifest records in addition to counts and hashes."""
        return provenance(self.settings, self.content, self.plan, self.encoder.describe())
