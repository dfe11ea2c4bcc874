"""What a tiny random model of a family is made of, and the parts that families share."""

from pathlib import Path
from typing import Any, Callable, Dict, NamedTuple, Optional, Tuple

WIDTH, LAYERS, HEADS = 32, 2, 4
CONTROL = ("<|pad|>", "<|bos|>", "<|eos|>", "<|im_start|>", "<|im_end|>")  # in every tiny tokenizer, ids 0 to 4
PAD, BOS, EOS = 0, 1, 2
TEXT: Dict[str, Any] = {
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "max_position_embeddings": 4096,
    "pad_token_id": PAD,
    "bos_token_id": BOS,
    "eos_token_id": EOS,
}
VISION: Dict[str, Any] = {
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
ROPE: Dict[str, Any] = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}

Token = Callable[[str], int]  # special token -> its id


class TinyFamily(NamedTuple):
    """How to create a tiny model of a family.

    Attributes:
        model: class of the model.
        config: returns the model's configuration for a vocabulary size and the ids of special tokens.
        special: special tokens of the tokenizer in addition to CONTROL.
        image: text that represents an image in a prompt; empty for models that read no images in the sequence.
        tokens: attribute of the tokenizer -> special token.
        image_processor: creates the image processor; None for models that read text only.
        processor: name of the processor's class in transformers; empty for models that read text only.
        processor_keys: further arguments of the processor.
        chat: whether the processor has a chat template.
        strong: whether weights are drawn so large that inputs matter; transformers starts gates and some projections at zero.
        needs: a package that the family's processor needs.
        end: the tokenizer's end-of-sequence token.
        last: special tokens that take the last ids, as Mllama's image token and CLIP's end token do.
        finish: writes further files into the model's folder.
    """

    model: Any
    config: Callable[[int, Token], Any]
    special: Tuple[str, ...] = ()
    image: str = ""
    tokens: Dict[str, str] = {}
    image_processor: Any = None
    processor: str = ""
    processor_keys: Dict[str, Any] = {}
    chat: bool = True
    strong: bool = False
    needs: str = ""
    end: str = CONTROL[2]
    last: Tuple[str, ...] = ()
    finish: Optional[Callable[[Path], None]] = None


def qwen_tokens(token: Token) -> Dict[str, Any]:
    """Return the ids of Qwen's special tokens as its configurations name them."""
    names = {"image_token_id": "image_pad", "video_token_id": "video_pad"}
    names |= {"vision_start_token_id": "vision_start", "vision_end_token_id": "vision_end"}
    return {key: token(f"<|{name}|>") for key, name in names.items()}
