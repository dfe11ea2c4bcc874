"""MoDA as a method of PEFT: low-rank experts added to linear layers and mixed by modality (arXiv 2512.06883).

    y = W x + (alpha / r) * sum_e g[m, e] B_e A_e x        g[m] = softmax(W_g emb[m])

computed as ``W x + (alpha / r) B diag(repeat(g[m], r / E)) A x`` with the experts stacked, which costs as much as one LoRA of
rank r. Importing this module registers the method with PEFT, which then loads, saves, merges and switches MoDA adapters like
its own.
"""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Set, Union, cast

import torch
from peft import PeftConfig, PeftType
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer, check_adapters_to_merge
from peft.utils import register_peft_method
from torch import Tensor, nn
from torch.nn import functional as F

from recbole_sda.layers.low_rank import ModalityGate, gate_weights
from recbole_sda.lvlm.modality_context import Modality, current_modality

NAME = "MODA"


def _extend_peft_type() -> None:
    """Add MODA to PEFT's enumeration of methods; PEFT offers no function for that."""
    if NAME in PeftType.__members__:
        return
    member = str.__new__(PeftType, NAME)
    member._name_ = member._value_ = NAME
    setattr(PeftType, NAME, member)
    PeftType._member_map_[NAME] = member
    PeftType._member_names_.append(NAME)
    PeftType._value2member_map_[NAME] = member


_extend_peft_type()


@dataclass
class MoDAConfig(PeftConfig):
    """Configuration of MoDA; the defaults of rank, experts and alpha are the paper's (arXiv 2512.06883).

    Args:
        r: total rank over all experts.
        experts: number of experts; divides ``r``.
        n_modalities: number of modalities.
        alpha: scale; the low-rank part is multiplied by ``alpha / r``.
        dropout: dropout probability of the inputs of the low-rank part, in [0, 1).
        target_modules: names of the linear layers to adapt, or a regular expression.
        exclude_modules: names of layers to leave out, or a regular expression.
        layers_to_transform: numbers of the layers to adapt; None: all.
        layers_pattern: name of the model's list of layers, with ``layers_to_transform``.

    Raises:
        ValueError: ``r`` is not a positive multiple of ``experts``.

    Example:
        A new adapter is the zero map, so the model's output does not change before training.

        >>> import torch
        >>> from peft import get_peft_model
        >>> from recbole_sda.lvlm import MoDAConfig
        >>> from recbole_sda.lvlm.modality_context import modality
        >>> net = torch.nn.Sequential(torch.nn.Linear(6, 4))
        >>> x = torch.randn(3, 6)
        >>> before = net(x)
        >>> adapted = get_peft_model(net, MoDAConfig(r=8, experts=4, target_modules=["0"]))
        >>> with modality(0):
        ...     bool(torch.equal(adapted(x), before))
        True
        >>> sum(p.numel() for p in adapted.parameters() if p.requires_grad)  # A, B, and the gate's emb and W_g
        464
    """

    r: int = field(default=8, metadata={"help": "Total rank over all experts."})
    experts: int = field(default=4, metadata={"help": "Number of experts; divides r."})
    n_modalities: int = field(default=2, metadata={"help": "Number of modalities."})
    alpha: float = field(default=32.0, metadata={"help": "The low-rank part is multiplied by alpha / r."})
    dropout: float = field(default=0.1, metadata={"help": "Dropout of the inputs of the low-rank part."})
    target_modules: Optional[Union[List[str], Set[str], str]] = field(
        default=None, metadata={"help": "Names or a regular expression of the linear layers."}
    )
    exclude_modules: Optional[Union[List[str], str]] = field(default=None, metadata={"help": "Layers to leave out."})
    layers_to_transform: Optional[Union[List[int], int]] = field(default=None, metadata={"help": "Layer numbers."})
    layers_pattern: Optional[Union[List[str], str]] = field(default=None, metadata={"help": "Name of the layer list."})

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = PeftType(NAME)
        if isinstance(self.target_modules, list):
            self.target_modules = set(self.target_modules)
        if self.r <= 0 or self.experts <= 0 or self.r % self.experts:
            raise ValueError(f"r must be a positive multiple of experts, got r={self.r}, experts={self.experts}")


class MoDALinear(nn.Module, BaseTunerLayer):
    """A linear layer, possibly quantised, with low-rank experts added to its output.

    Args:
        base_layer: the frozen layer, (..., in) -> (..., out).
        adapter_name: name of the first adapter.
        config: configuration of the first adapter.
    """

    adapter_layer_names = ("moda_A", "moda_B", "moda_embedding", "moda_projection")
    other_param_names = ("scaling", "expert_rank", "dropout")

    def __init__(self, base_layer: nn.Module, adapter_name: str, config: MoDAConfig):
        super().__init__()
        self.base_layer = base_layer
        self.in_features = cast(int, base_layer.in_features)
        self.out_features = cast(int, base_layer.out_features)
        self.moda_A, self.moda_B = nn.ParameterDict(), nn.ParameterDict()
        # The gate's two matrices are not wrapped in a module: PEFT expects the adapter's name in the last or last but one
        # part of a tensor's name.
        self.moda_embedding, self.moda_projection = nn.ParameterDict(), nn.ParameterDict()
        self.dropout = nn.ModuleDict()
        self.scaling: Dict[str, float] = {}
        self.expert_rank: Dict[str, int] = {}
        self._disable_adapters = False
        self.merged_adapters: List[str] = []
        self._merged_modalities: List[Modality] = []
        self._active_adapter = adapter_name
        self.update_layer(adapter_name, config)

    def update_layer(self, adapter_name: str, config: MoDAConfig, inference_mode: bool = False) -> None:
        """Add an adapter. A is drawn from N(0, 0.01^2) and B is zero, so the output of the layer does not change."""
        self.scaling[adapter_name] = config.alpha / config.r
        self.expert_rank[adapter_name] = config.r // config.experts
        self.moda_A[adapter_name] = nn.Parameter(torch.randn(config.r, self.in_features) * 0.01)
        self.moda_B[adapter_name] = nn.Parameter(torch.zeros(self.out_features, config.r))
        gate = ModalityGate(config.n_modalities, config.experts)
        self.moda_embedding[adapter_name] = gate.embedding.weight
        self.moda_projection[adapter_name] = gate.projection.weight
        self.dropout[adapter_name] = nn.Dropout(config.dropout) if config.dropout else nn.Identity()
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=inference_mode)

    def gate(self, adapter_name: str, m: Optional[Modality] = None) -> Tensor:
        """Return the mixture weights of the experts; see :func:`recbole_sda.layers.low_rank.gate_weights`."""
        return gate_weights(self.moda_embedding[adapter_name], self.moda_projection[adapter_name], m)

    def rank_weights(self, adapter_name: str, m: Modality) -> Tensor:
        """Return ``alpha / r`` times the gate of each rank, (rank,), or (batch, 1, rank) for one modality per sample."""
        weights = self.scaling[adapter_name] * self.gate(adapter_name, m)
        weights = weights.repeat_interleave(self.expert_rank[adapter_name], dim=-1)
        return weights if weights.dim() == 1 else weights.unsqueeze(1)

    def get_delta_weight(self, adapter_name: str, m: Optional[Modality] = None) -> Tensor:
        """Return the low-rank map of a modality as a matrix, (out, in), float32; None: the current modality."""
        weights = self.rank_weights(adapter_name, current_modality() if m is None else m)
        return (self.moda_B[adapter_name] * weights).float() @ self.moda_A[adapter_name].float()

    def merge(self, safe_merge: bool = False, adapter_names: Optional[List[str]] = None) -> None:
        """Add the low-rank map of the current modality, which must be a single number, to the layer's weight.

        Args:
            safe_merge: whether to check that the result is finite.
            adapter_names: adapters to merge; None: the active ones.

        Raises:
            TypeError: the layer is quantised.
            ValueError: ``safe_merge`` found weights that are not finite.
        """
        weight = self._base_weight()
        if not weight.dtype.is_floating_point:
            raise TypeError("MoDA does not merge into a quantised layer")
        for name in check_adapters_to_merge(self, adapter_names):
            if name not in self.moda_A:
                continue
            merged = (weight.data.float() + self.get_delta_weight(name)).to(weight.dtype)
            if safe_merge and not merged.isfinite().all():
                raise ValueError(f"merging adapter {name} gives weights that are not finite")
            self._merged_modalities.append(current_modality())
            weight.data = merged
            self.merged_adapters.append(name)

    def unmerge(self) -> None:
        """Subtract what was merged, up to rounding.

        The maps are computed again: storing them would take as much memory as the layer's weights.
        """
        weight = self._base_weight()
        while self.merged_adapters:
            delta = self.get_delta_weight(self.merged_adapters.pop(), self._merged_modalities.pop())
            weight.data = (weight.data.float() - delta).to(weight.dtype)

    def _base_weight(self) -> Tensor:
        return cast(Tensor, self.get_base_layer().weight)

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Map x, (..., in), to (..., out)."""
        if self.disable_adapters and self.merged:
            self.unmerge()
        result = self.base_layer(x, *args, **kwargs)
        if self.disable_adapters or self.merged:
            return result
        m = current_modality()
        for name in self.active_adapters:
            if name not in self.moda_A:
                continue
            a, b, weights = self.moda_A[name], self.moda_B[name], self.rank_weights(name, m)
            hidden = F.linear(self.dropout[name](self._cast_input_dtype(x, a.dtype)), a)
            # With one modality the gate scales B, so no activation is kept for its gradient; with one modality per sample
            # it scales the hidden states.
            low_rank = F.linear(hidden, b * weights) if weights.dim() == 1 else F.linear(hidden * weights, b)
            result = result + low_rank.to(result.dtype)
        return result


class MoDAModel(BaseTuner):
    """PEFT's tuner of MoDA: replaces a model's target layers with :class:`MoDALinear`."""

    prefix = "moda_"
    tuner_layer_cls = MoDALinear
    target_module_mapping: Dict[str, List[str]] = {}

    def _create_and_replace(
        self,
        peft_config: PeftConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: Optional[str] = None,
        **kwargs: Any,
    ) -> None:
        config = cast(MoDAConfig, peft_config)
        if isinstance(target, MoDALinear):
            target.update_layer(adapter_name, config)
            return
        if not (hasattr(target, "in_features") and hasattr(target, "out_features")):
            raise ValueError(f"MoDA adapts linear layers; {current_key} is a {type(target).__name__}")
        layer = MoDALinear(target, adapter_name, config)
        if adapter_name not in self.active_adapters:
            layer.requires_grad_(False)
        self._replace_module(parent, target_name, layer, target)

    @staticmethod
    def _prepare_adapter_config(peft_config: Any, model_config: Any) -> Any:
        if peft_config.target_modules is None:
            raise ValueError("MoDA needs target_modules: the names of the linear layers to adapt")
        return peft_config


register_peft_method(name=NAME.lower(), config_cls=MoDAConfig, model_cls=MoDAModel)
