"""MoDA as a method of PEFT: low-rank experts beside linear layers, mixed by modality (arXiv 2512.06883).

    y = W x + (alpha / r) * sum_e g[m, e] B_e A_e x        g[m] = softmax(W_g emb[m])

computed as ``W x + B diag(repeat(g[m], r / E)) A x`` with the experts stacked: the cost of a LoRA of rank r. Importing this
module registers the method with PEFT, which then loads, saves, merges and switches such adapters as it does its own.
"""

from dataclasses import dataclass, field
from typing import Any, List, Optional, Union

import torch
from peft import PeftConfig, PeftType
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer, check_adapters_to_merge
from peft.utils import register_peft_method
from torch import Tensor, nn
from torch.nn import functional as F

from recbole_sda.layers.low_rank import ModalityGate, mixture
from recbole_sda.lvlm.modality_context import Modality, current_modality

NAME = "MODA"


def _extend_peft_type() -> None:
    """Add MODA to PEFT's enumeration of methods, which has no door for methods from outside."""
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
    """Configuration of MoDA; rank, experts and alpha as in the paper."""

    r: int = field(default=8, metadata={"help": "Total rank over all experts."})
    experts: int = field(default=4, metadata={"help": "Number of experts; divides r."})
    n_modalities: int = field(default=2, metadata={"help": "Number of modalities."})
    alpha: float = field(default=32.0, metadata={"help": "The low-rank part is multiplied by alpha / r."})
    dropout: float = field(default=0.1, metadata={"help": "Dropout of the inputs of the low-rank part."})
    target_modules: Optional[Union[List[str], str]] = field(
        default=None, metadata={"help": "Names or a regular expression of the linear layers."}
    )
    exclude_modules: Optional[Union[List[str], str]] = field(default=None, metadata={"help": "Layers to leave out."})
    layers_to_transform: Optional[Union[List[int], int]] = field(default=None, metadata={"help": "Layer numbers."})
    layers_pattern: Optional[Union[List[str], str]] = field(default=None, metadata={"help": "Name of the layer list."})

    def __post_init__(self):
        super().__post_init__()
        self.peft_type = PeftType(NAME)
        if isinstance(self.target_modules, list):
            self.target_modules = set(self.target_modules)
        if self.r <= 0 or self.experts <= 0 or self.r % self.experts:
            raise ValueError(f"r must be a positive multiple of experts, got r={self.r}, experts={self.experts}")


class MoDALinear(nn.Module, BaseTunerLayer):
    """A linear layer, perhaps quantised, with low-rank experts beside it.

    Args:
        base_layer: the frozen layer, (..., in) -> (..., out).
        adapter_name: of the first adapter.
        config: of the first adapter.
    """

    adapter_layer_names = ("moda_A", "moda_B", "moda_embedding", "moda_projection")
    other_param_names = ("scaling", "expert_rank", "dropout")

    def __init__(self, base_layer: nn.Module, adapter_name: str, config: MoDAConfig):
        super().__init__()
        self.base_layer = base_layer
        self.in_features, self.out_features = base_layer.in_features, base_layer.out_features
        self.moda_A, self.moda_B = nn.ParameterDict(), nn.ParameterDict()
        # PEFT names saved tensors by the last or the last but one part, so the gate's two are not in a module of their own
        self.moda_embedding, self.moda_projection = nn.ParameterDict(), nn.ParameterDict()
        self.dropout = nn.ModuleDict()
        self.scaling: dict = {}
        self.expert_rank: dict = {}
        self._disable_adapters = False
        self.merged_adapters: List[str] = []
        self._merged_with: List[Optional[Modality]] = []
        self._active_adapter = adapter_name
        self.update_layer(adapter_name, config)

    def update_layer(self, adapter_name: str, config: MoDAConfig, inference_mode: bool = False) -> None:
        """Add an adapter: A from N(0, 0.01^2), B zero, so that the layer stays as it is."""
        self.scaling[adapter_name] = config.alpha / config.r
        self.expert_rank[adapter_name] = config.r // config.experts
        self.moda_A[adapter_name] = nn.Parameter(torch.randn(config.r, self.in_features) * 0.01)
        self.moda_B[adapter_name] = nn.Parameter(torch.zeros(self.out_features, config.r))
        gate = ModalityGate(config.n_modalities, config.experts)
        self.moda_embedding[adapter_name], self.moda_projection[adapter_name] = (
            gate.embedding.weight,
            gate.projection.weight,
        )
        self.dropout[adapter_name] = nn.Dropout(config.dropout) if config.dropout else nn.Identity()
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=inference_mode)

    def gate(self, adapter_name: str, m: Optional[Modality] = None) -> Tensor:
        """Return the mixture of the experts: see :func:`recbole_sda.layers.low_rank.mixture`."""
        return mixture(self.moda_embedding[adapter_name], self.moda_projection[adapter_name], m)

    def rank_weights(self, adapter_name: str, m: Modality) -> Tensor:
        """Return ``alpha / r`` times the gate of each rank, (rank,), or (batch, 1, rank) for a modality per sample."""
        weights = self.scaling[adapter_name] * self.gate(adapter_name, m)
        weights = weights.repeat_interleave(self.expert_rank[adapter_name], dim=-1)
        return weights if weights.dim() == 1 else weights.unsqueeze(1)

    def get_delta_weight(self, adapter_name: str, m: Optional[Modality] = None) -> Tensor:
        """Return the low-rank map of a modality, by default the present one, as a matrix, (out, in), float32."""
        weights = self.rank_weights(adapter_name, current_modality() if m is None else m)
        return (self.moda_B[adapter_name] * weights).float() @ self.moda_A[adapter_name].float()

    def merge(self, safe_merge: bool = False, adapter_names: Optional[List[str]] = None) -> None:
        """Add the map of the present modality, a number, to the layer's weight.

        Raises:
            TypeError: the layer is quantised.
        """
        weight = self.get_base_layer().weight
        if not weight.dtype.is_floating_point:
            raise TypeError("MoDA does not merge into a quantised layer")
        for name in check_adapters_to_merge(self, adapter_names):
            if name not in self.moda_A:
                continue
            merged = (weight.data.float() + self.get_delta_weight(name)).to(weight.dtype)
            if safe_merge and not merged.isfinite().all():
                raise ValueError(f"merging adapter {name} makes weights that are not finite")
            self._merged_with.append(current_modality())
            weight.data = merged
            self.merged_adapters.append(name)

    def unmerge(self) -> None:
        """Take back what was merged, but for rounding: the maps are computed again, as keeping them costs what the weights cost."""
        weight = self.get_base_layer().weight
        while self.merged_adapters:
            delta = self.get_delta_weight(self.merged_adapters.pop(), self._merged_with.pop())
            weight.data = (weight.data.float() - delta).to(weight.dtype)

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Map x (..., in) to (..., out)."""
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
            # One modality scales B, so that no activation is kept for the gate's gradient; several scale the hidden states.
            low_rank = F.linear(hidden, b * weights) if weights.dim() == 1 else F.linear(hidden * weights, b)
            result = result + low_rank.to(result.dtype)
        return result


class MoDAModel(BaseTuner):
    """Puts :class:`MoDALinear` in the place of a model's target layers."""

    prefix = "moda_"
    tuner_layer_cls = MoDALinear
    target_module_mapping: dict = {}

    def _create_and_replace(self, config, adapter_name, target, target_name, parent, current_key, **kwargs):
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
    def _prepare_adapter_config(peft_config, model_config):
        if peft_config.target_modules is None:
            raise ValueError("MoDA needs target_modules: the names of the linear layers to adapt")
        return peft_config


register_peft_method(name=NAME.lower(), config_cls=MoDAConfig, model_cls=MoDAModel)
