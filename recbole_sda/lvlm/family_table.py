"""Families of this package that are not read as transformers' tables suggest, and those that are refused."""

from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from PIL import Image
from torch import Tensor, nn

from recbole_sda.lvlm.families import DualEncoder, ModelFamily

if TYPE_CHECKING:
    from recbole_sda.lvlm.processor import Processor


class Mllama(ModelFamily):
    """Llama 3.2 Vision, whose processor adds the begin-of-sequence token after the image tokens are counted."""

    def render(self, processor: "Processor", text: str, with_image: bool) -> str:
        rendered, begin = super().render(processor, text, with_image), processor.tokenizer.bos_token
        return begin + rendered if begin and begin not in rendered else rendered


class Gemma3(ModelFamily):
    """Gemma 3, whose processor expects the token before an image in its place."""

    placeholder = "boi_token"

    def image_token_id(self, processor: "Processor") -> int:
        return int(processor.tokenizer.image_token_id)  # the processor's own is that of its placeholder


class FixedImageTokens(ModelFamily):
    """Families whose image is a fixed number of tokens before the prompt; their processors write special tokens themselves.

    PaliGemma's processor takes no text without an image, and that of Florence-2 writes the image token into every prompt and
    refuses some texts, so tokenizer and image processor are called one by one. The prompt has no chat template.
    """

    end = ""

    def n_image_tokens(self, processor: Any) -> int:
        """Return the number of tokens of an image."""
        return int(processor.image_seq_length)

    def render(self, processor: "Processor", text: str, with_image: bool) -> str:
        image = processor.processor.image_token * self.n_image_tokens(processor.processor) if with_image else ""
        end = processor.tokenizer.eos_token if self.end == "eos" else self.end
        return f"{image}{processor.tokenizer.bos_token}{processor.instruction}{text}{end}"

    def inputs(
        self,
        processor: "Processor",
        rendered: List[str],
        images: Optional[List[Image.Image]],
        max_tokens: Optional[int],
    ) -> Dict[str, Tensor]:
        batch = processor.processor.tokenizer(
            list(rendered), add_special_tokens=False, padding=True, return_tensors="pt"
        )
        values = {name: batch[name] for name in ("input_ids", "attention_mask")}
        if images is not None:
            values["pixel_values"] = processor.processor.image_processor(images=images, return_tensors="pt")[
                "pixel_values"
            ]
        return values

    def text_length(self, processor: "Processor", rendered: str) -> int:
        text = rendered.replace(processor.processor.image_token, "")
        return len(processor.tokenizer(text, add_special_tokens=False)["input_ids"])


class PaliGemma(FixedImageTokens):
    """PaliGemma: the prompt is a prefix that ends with a line break, in which attention is bidirectional."""

    end = "\n"

    def states(self, model: Any, batch: Dict[str, Tensor], modality: str) -> Tuple[Tensor, Tensor]:
        prefix = batch["attention_mask"].new_zeros(batch["attention_mask"].shape)
        return super().states(model, {**batch, "token_type_ids": prefix}, modality)


class Florence2(FixedImageTokens):
    """Florence-2, an encoder-decoder: vectors are those of the encoder, which is also the adapted part."""

    end = "eos"

    def n_image_tokens(self, processor: Any) -> int:
        return int(processor.num_image_tokens)

    def adapted_parts(self, model: Any) -> List[nn.Module]:
        return [model.model.language_model.encoder]

    def states(self, model: Any, batch: Dict[str, Tensor], modality: str) -> Tuple[Tensor, Tensor]:
        output = model.model(**batch, use_cache=False)
        return output.encoder_last_hidden_state, batch["attention_mask"].bool()


class LateInteraction(ModelFamily):
    """ColPali and its kin, whose vectors per token become one vector; their processors write the prompts of both passes."""

    loader = "AutoModelForPreTraining"

    def adapted_parts(self, model: Any) -> List[nn.Module]:
        return [model.vlm.language_model]

    def states(self, model: Any, batch: Dict[str, Tensor], modality: str) -> Tuple[Tensor, Tensor]:
        return model(**batch).embeddings, batch["attention_mask"].bool()

    def dim(self, config: Any) -> int:
        return int(config.embedding_dim)

    def render(self, processor: "Processor", text: str, with_image: bool) -> str:
        return "" if with_image else text

    def inputs(
        self,
        processor: "Processor",
        rendered: List[str],
        images: Optional[List[Image.Image]],
        max_tokens: Optional[int],
    ) -> Dict[str, Tensor]:
        given: Dict[str, Any] = {"text": list(rendered)} if images is None else {"images": images}
        encoding = processor.processor(**given, padding="longest", return_tensors="pt")
        kept = ("input_ids", "attention_mask", "pixel_values", "image_grid_thw")
        return {name: encoding[name] for name in kept if name in encoding}

    def text_length(self, processor: "Processor", rendered: str) -> int:
        return int(self.inputs(processor, [rendered], None, None)["input_ids"].shape[1]) if rendered else 0


class ColPali(LateInteraction):
    """ColPali: as PaliGemma, attention is bidirectional in the whole prompt."""

    def states(self, model: Any, batch: Dict[str, Tensor], modality: str) -> Tuple[Tensor, Tensor]:
        prefix = batch["attention_mask"].new_zeros(batch["attention_mask"].shape)
        return super().states(model, {**batch, "token_type_ids": prefix}, modality)


class EmbeddingGemma2(ModelFamily):
    """EmbeddingGemma 2: an encoder with a projection of each token; the model has no output layer around it."""

    loader = "AutoModel"

    def adapted_parts(self, model: Any) -> List[nn.Module]:
        return [model.language_model]

    def states(self, model: Any, batch: Dict[str, Tensor], modality: str) -> Tuple[Tensor, Tensor]:
        return model(**batch).last_hidden_state, batch["attention_mask"].bool()

    def dim(self, config: Any) -> int:
        return int(config.text_config.embedding_dim)


class Siglip(DualEncoder):
    """SigLIP, trained on texts padded to the full length, without an attention mask."""

    padding = "max_length"


class Siglip2(Siglip):
    """SigLIP 2: checkpoints of this type are those with a variable aspect ratio (NaFlex), padded to a number of patches."""

    def patches(self, config: Any) -> int:
        return int(config.vision_config.num_patches)


class Refused(ModelFamily):
    """A family that cannot be used, with the reason."""

    def __init__(self, refusal: str):
        self.refusal = refusal


FAMILIES: Dict[str, ModelFamily] = {
    "mllama": Mllama(),
    "gemma3": Gemma3(),
    "shieldgemma2": Gemma3(),
    "paligemma": PaliGemma(),
    "florence2": Florence2(),
    "colpali": ColPali(),
    "colqwen2": LateInteraction(),
    "embedding_gemma2": EmbeddingGemma2(),
    "siglip": Siglip(),
    "siglip2": Siglip2(),
    "phi4_multimodal": Refused(
        "Phi-4-multimodal switches LoRA weights of its own per modality, which is not supported, and without them neither "
        "its images nor its texts are read as in training"
    ),
}
