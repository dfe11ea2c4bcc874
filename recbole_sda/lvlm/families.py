"""Families of backbones: how models of one type are loaded, fed and read, and how to add a family from outside the package."""

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple, Union

import torch
from PIL import Image
from torch import Tensor, nn
from transformers.models.auto import modeling_auto

from recbole_sda.errors import InputError, one_line

if TYPE_CHECKING:
    from recbole_sda.lvlm.processor import Processor

VLM, TEXT, DUAL = "vlm", "text", "dual"
GROUP = "recbole_sda.lvlm_families"  # entry points: name = model type, object = a ModelFamily, or its class


class ModelFamily:
    """A family of models that read images and texts in one sequence; subclasses change what differs.

    Attributes:
        kind: ``vlm`` (one decoder reads images and texts), ``text`` (texts only) or ``dual`` (one encoder per modality).
        loader: name of the class of transformers whose ``from_pretrained`` loads the model.
        unused: beginnings of the names of weights that no vector depends on, and which a checkpoint may lack.
        refusal: why models of this family cannot be used; empty where they can.
        placeholder: attribute of the processor that represents an image in a prompt without a chat template.
        pooling: pooling of the family where neither the user nor the checkpoint names one.

    Example:
        Models of another type that are loaded and read as CLIP is:

        >>> from recbole_sda.lvlm.families import DualEncoder, family_of, register_family
        >>> class MyEncoder(DualEncoder):
        ...     unused = ("classifier.",)
        >>> register_family("my-encoder", MyEncoder())
        >>> family_of("my-encoder").kind
        'dual'
    """

    kind: str = VLM
    loader: str = "AutoModelForImageTextToText"
    unused: Tuple[str, ...] = ()
    refusal: str = ""
    placeholder: str = "image_token"
    pooling: str = "mean"

    def adapted_parts(self, model: Any) -> List[nn.Module]:
        """Return the modules whose linear layers are adapted."""
        return [model.get_decoder()]

    def states(self, model: Any, batch: Dict[str, Tensor], modality: str) -> Tuple[Tensor, Tensor]:
        """Return the last hidden states, (batch, seq_len, dim), and their attention mask, (batch, seq_len), bool."""
        output = model.model(**batch, use_cache=False)
        return output.last_hidden_state, batch["attention_mask"].bool()

    def dim(self, config: Any) -> int:
        """Return the dimension of a hidden state."""
        return int(config.get_text_config().hidden_size)

    def patches(self, config: Any) -> int:
        """Return how many positions an image takes in a dual encoder."""
        return 1

    def render(self, processor: "Processor", text: str, with_image: bool) -> str:
        """Return what the model reads for a prompt: by default the prompt in the model's chat template, if it has one."""
        return processor.chat(text, with_image)

    def inputs(
        self,
        processor: "Processor",
        rendered: List[str],
        images: Optional[List[Image.Image]],
        max_tokens: Optional[int],
    ) -> Dict[str, Tensor]:
        """Return the model's inputs for rendered prompts and, in an image pass, one image each."""
        with_images = {} if images is None else {"images": [[image] for image in images]}
        # where the chat template has written the special tokens of the beginning, the tokenizer must not add them
        encoding = processor.processor(
            text=list(rendered),
            **with_images,
            padding=True,
            add_special_tokens=not processor.has_begin(rendered[0]),
            return_tensors="pt",
        )
        return {name: value for name, value in encoding.items() if isinstance(value, Tensor)}

    def image_token_id(self, processor: "Processor") -> int:
        """Return the id of the tokens whose states are those of an image."""
        return int(processor.processor.image_token_id)

    def text_length(self, processor: "Processor", rendered: str) -> int:
        """Return the number of tokens of a rendered prompt, without those of its image."""
        special = not processor.has_begin(rendered)
        return len(processor.tokenizer(rendered, add_special_tokens=special)["input_ids"])


class LanguageModel(ModelFamily):
    """Causal and masked language models, which read texts only."""

    kind = TEXT
    unused: Tuple[str, ...] = ("pooler.",)  # checkpoints of masked language models have no pooler
    padding: Union[bool, str] = True

    def __init__(self, loader: str = "AutoModelForCausalLM"):
        self.loader = loader

    def adapted_parts(self, model: Any) -> List[nn.Module]:
        return [model.base_model]

    def states(self, model: Any, batch: Dict[str, Tensor], modality: str) -> Tuple[Tensor, Tensor]:
        return model.base_model(**batch).last_hidden_state, batch["attention_mask"].bool()

    def render(self, processor: "Processor", text: str, with_image: bool) -> str:
        return "" if with_image else processor.instruction + text

    def inputs(
        self,
        processor: "Processor",
        rendered: List[str],
        images: Optional[List[Image.Image]],
        max_tokens: Optional[int],
    ) -> Dict[str, Tensor]:
        longest = processor.tokenizer.model_max_length
        limit = min(max_tokens or longest, longest)
        truncation = {"truncation": True, "max_length": limit} if limit < 10**9 else {}
        return dict(processor.tokenizer(list(rendered), padding=self.padding, return_tensors="pt", **truncation))

    def text_length(self, processor: "Processor", rendered: str) -> int:
        return int(self.inputs(processor, [rendered], None, None)["input_ids"].shape[1])


class DualEncoder(LanguageModel):
    """Encoders of images and of texts with a common space, such as CLIP; a vector is a sequence of length 1."""

    kind = DUAL
    unused = ("logit_scale", "logit_bias")

    def __init__(self, loader: str = "AutoModel"):
        super().__init__(loader)

    def adapted_parts(self, model: Any) -> List[nn.Module]:
        return [model.text_model.encoder, model.vision_model.encoder]

    def states(self, model: Any, batch: Dict[str, Tensor], modality: str) -> Tuple[Tensor, Tensor]:
        encode = model.get_image_features if modality == "image" else model.get_text_features
        vector = encode(**batch).pooler_output.unsqueeze(1)
        return vector, torch.ones(vector.shape[:2], dtype=torch.bool, device=vector.device)

    def dim(self, config: Any) -> int:
        return int(getattr(config, "projection_dim", None) or config.text_config.hidden_size)

    def patches(self, config: Any) -> int:
        return (config.vision_config.image_size // config.vision_config.patch_size) ** 2 + 1

    def inputs(
        self,
        processor: "Processor",
        rendered: List[str],
        images: Optional[List[Image.Image]],
        max_tokens: Optional[int],
    ) -> Dict[str, Tensor]:
        if images is not None:
            return dict(processor.image_processor(images=images, return_tensors="pt"))
        return super().inputs(processor, rendered, None, max_tokens)


_registered: Dict[str, ModelFamily] = {}


def register_family(model_type: str, family: ModelFamily) -> None:
    """Make models of a type available to ``adapt`` and ``extract``; it wins over what the package knows about the type.

    A package registers its families without a call by an entry point of the group ``recbole_sda.lvlm_families``, whose name is
    the model type. Worker processes and Ray actors know the families of entry points only.

    Args:
        model_type: ``model_type`` in the configuration of the models.
        family: an instance of :class:`ModelFamily` or of a subclass.

    Raises:
        InputError: ``family`` is no :class:`ModelFamily`, or ``model_type`` is no text.
    """
    if not isinstance(model_type, str) or not model_type:
        raise InputError(f"register_family: model_type={model_type!r}: expected a text such as 'qwen3_vl'")
    if not isinstance(family, ModelFamily):
        raise InputError(f"register_family: family={family!r}: expected an instance of ModelFamily")
    _registered[model_type] = family


def family_of(model_type: str) -> ModelFamily:
    """Return the family of a model type: a registered one, one of an entry point, one of this package, or by transformers' tables.

    Raises:
        InputError: the type is not supported, or its entry point cannot be loaded.
    """
    from recbole_sda.lvlm.family_table import FAMILIES

    known = _registered.get(model_type) or _of_entry_point(model_type) or FAMILIES.get(model_type)
    if known is not None:
        return known
    if model_type in modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        return ModelFamily()
    if model_type in modeling_auto.MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING_NAMES:
        return DualEncoder()
    if model_type in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return LanguageModel()
    if model_type in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return LanguageModel("AutoModel")
    raise InputError(
        f"of type {model_type!r}; supported are image-text-to-text models, language models and dual encoders such as CLIP and "
        "SigLIP, and types that register_family adds"
    )


def _of_entry_point(model_type: str) -> Optional[ModelFamily]:
    for entry in entry_points(group=GROUP, name=model_type):
        try:
            loaded = entry.load()
            family = loaded() if isinstance(loaded, type) else loaded
        except Exception as error:  # code of another package
            raise InputError(f"entry point {entry.value} of {GROUP} cannot be loaded: {one_line(error)}") from None
        register_family(model_type, family)
        return _registered[model_type]
    return None
