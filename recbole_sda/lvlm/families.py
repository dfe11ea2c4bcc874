"""Configurations of tiny random models of the supported families: the real structure at about a hundredth of the width."""

from typing import Any, Callable, Dict, NamedTuple, Tuple

import transformers as hf

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


class Family(NamedTuple):
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
    """

    model: Any
    config: Callable[[int, Token], Any]
    special: Tuple[str, ...] = ()
    image: str = ""
    tokens: Dict[str, str] = {}
    image_processor: Any = None
    processor: str = ""
    processor_keys: Dict[str, Any] = {}


def _qwen2_5_vl(vocab: int, token: Token) -> Any:
    text = {**TEXT, "vocab_size": vocab, "num_key_value_heads": 2, "rope_parameters": ROPE}
    vision: Dict[str, Any] = {
        "depth": 2,
        "hidden_size": WIDTH,
        "intermediate_size": 48,
        "num_heads": 4,
        "out_hidden_size": WIDTH,
    }
    vision |= {"window_size": 56, "fullatt_block_indexes": [1]}
    return hf.Qwen2_5_VLConfig(text_config=text, vision_config=vision, **_qwen_tokens(token))


def _qwen3_vl(vocab: int, token: Token) -> Any:
    rope = {**ROPE, "mrope_interleaved": True}
    text = {**TEXT, "vocab_size": vocab, "num_key_value_heads": 2, "head_dim": 8, "rope_parameters": rope}
    vision: Dict[str, Any] = {
        "depth": 2,
        "hidden_size": WIDTH,
        "intermediate_size": 48,
        "num_heads": 4,
        "out_hidden_size": WIDTH,
    }
    vision |= {"num_position_embeddings": 64, "deepstack_visual_indexes": [0]}
    return hf.Qwen3VLConfig(text_config=text, vision_config=vision, **_qwen_tokens(token))


def _qwen_tokens(token: Token) -> Dict[str, Any]:
    names = {"image_token_id": "image_pad", "video_token_id": "video_pad"}
    names |= {"vision_start_token_id": "vision_start", "vision_end_token_id": "vision_end"}
    return {key: token(f"<|{name}|>") for key, name in names.items()}


def _mllama(vocab: int, token: Token) -> Any:
    # the last id is the image token's, which is not part of Mllama's output layer
    rope = {"rope_type": "default", "rope_theta": 10000.0}
    text = {**TEXT, "vocab_size": vocab - 1, "num_key_value_heads": 2, "cross_attention_layers": [1]}
    text |= {"rope_parameters": rope, "tie_word_embeddings": False}
    vision: Dict[str, Any] = {
        "hidden_size": WIDTH,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_global_layers": 1,
    }
    vision |= {"attention_heads": 4, "image_size": 56, "patch_size": 14, "vision_output_dim": 64, "max_num_tiles": 2}
    vision |= {"intermediate_layers_indices": [1], "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]]}
    return hf.MllamaConfig(text_config=text, vision_config=vision, image_token_index=token("<|image|>"))


def _idefics(kind: Any) -> Callable[[int, Token], Any]:
    def config(vocab: int, token: Token) -> Any:
        text = {**TEXT, "model_type": "llama", "vocab_size": vocab, "num_key_value_heads": 2}
        vision = {**VISION, "image_size": 56, "patch_size": 14}
        both = {"text_config": text, "vision_config": vision, "pad_token_id": PAD}
        return kind(**both, image_token_id=token("<image>"), scale_factor=2, tie_word_embeddings=False)

    return config


def _llava_onevision(vocab: int, token: Token) -> Any:
    text = {**TEXT, "model_type": "qwen2", "vocab_size": vocab, "num_key_value_heads": 2}
    vision = {
        **VISION,
        "model_type": "siglip_vision_model",
        "image_size": 56,
        "patch_size": 14,
        "vision_use_head": False,
    }
    tokens: Dict[str, Any] = {"image_token_index": token("<image>"), "video_token_index": token("<video>")}
    return hf.LlavaOnevisionConfig(text_config=text, vision_config=vision, image_grid_pinpoints=PINPOINTS, **tokens)


def _gemma3(vocab: int, token: Token) -> Any:
    text = {**TEXT, "vocab_size": vocab, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 64}
    vision = {**VISION, "image_size": 56, "patch_size": 14, "vision_use_head": False}
    tokens: Dict[str, Any] = {
        "image_token_index": token("<image_soft_token>"),
        "boi_token_index": token("<start_of_image>"),
    }
    tokens |= {"eoi_token_index": token("<end_of_image>")}
    return hf.Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4, **tokens)


def _qwen3(vocab: int, token: Token) -> Any:
    return hf.Qwen3Config(**TEXT, vocab_size=vocab, num_key_value_heads=2, head_dim=8)


def _dual(kind: Any) -> Callable[[int, Token], Any]:
    def config(vocab: int, token: Token) -> Any:
        text = {**TEXT, "vocab_size": vocab, "max_position_embeddings": 48, "projection_size": WIDTH}
        return kind(
            text_config=text, vision_config={**VISION, "image_size": 56, "patch_size": 14}, projection_dim=WIDTH
        )

    return config


PINPOINTS = [[56, 56], [56, 112], [112, 56], [112, 112]]
SQUARE: Dict[str, Any] = {"size": {"height": 56, "width": 56}}
QWEN = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
QWEN_NAMES = {"image_token": QWEN[2], "video_token": QWEN[3], "vision_bos_token": QWEN[0], "vision_eos_token": QWEN[1]}
QWEN_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
IDEFICS = ("<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>")
IDEFICS_SIZES: Dict[str, Any] = {"size": {"longest_edge": 112}, "max_image_size": {"longest_edge": 56}}
GEMMA = ("<start_of_image>", "<end_of_image>", "<image_soft_token>")
GEMMA_NAMES = {"boi_token": GEMMA[0], "eoi_token": GEMMA[1], "image_token": GEMMA[2]}
LLAVA = {"num_image_tokens": 16, "vision_feature_select_strategy": "full"}

FAMILIES: Dict[str, Family] = {
    "qwen2_5_vl": Family(
        hf.Qwen2_5_VLForConditionalGeneration,
        _qwen2_5_vl,
        QWEN,
        QWEN_IMAGE,
        QWEN_NAMES,
        lambda: hf.Qwen2VLImageProcessorPil(patch_size=14),
        "Qwen2_5_VLProcessor",
    ),
    "qwen3_vl": Family(
        hf.Qwen3VLForConditionalGeneration,
        _qwen3_vl,
        QWEN,
        QWEN_IMAGE,
        QWEN_NAMES,
        lambda: hf.Qwen2VLImageProcessorPil(patch_size=16),
        "Qwen3VLProcessor",
    ),
    "mllama": Family(
        hf.MllamaForConditionalGeneration,
        _mllama,
        ("<|python_tag|>", "<|image|>"),
        "<|image|>",
        {"image_token": "<|image|>"},
        lambda: hf.MllamaImageProcessorPil(**SQUARE, max_image_tiles=2),
        "MllamaProcessor",
    ),
    "smolvlm": Family(
        hf.SmolVLMForConditionalGeneration,
        _idefics(hf.SmolVLMConfig),
        IDEFICS,
        "<image>",
        {"image_token": "<image>"},
        lambda: hf.SmolVLMImageProcessorPil(**IDEFICS_SIZES),
        "SmolVLMProcessor",
        {"image_seq_len": 4},
    ),
    "idefics3": Family(
        hf.Idefics3ForConditionalGeneration,
        _idefics(hf.Idefics3Config),
        IDEFICS,
        "<image>",
        {"image_token": "<image>"},
        lambda: hf.Idefics3ImageProcessorPil(**IDEFICS_SIZES),
        "Idefics3Processor",
        {"image_seq_len": 4},
    ),
    "llava_onevision": Family(
        hf.LlavaOnevisionForConditionalGeneration,
        _llava_onevision,
        ("<image>", "<video>"),
        "<image>",
        {"image_token": "<image>", "video_token": "<video>"},
        lambda: hf.LlavaOnevisionImageProcessorPil(**SQUARE, image_grid_pinpoints=PINPOINTS),
        "LlavaOnevisionProcessor",
        LLAVA,
    ),
    "gemma3": Family(
        hf.Gemma3ForConditionalGeneration,
        _gemma3,
        GEMMA,
        "<start_of_image>",
        GEMMA_NAMES,
        lambda: hf.Gemma3ImageProcessorPil(**SQUARE),
        "Gemma3Processor",
        {"image_seq_length": 4},
    ),
    "qwen3": Family(hf.Qwen3ForCausalLM, _qwen3),
    "clip": Family(
        hf.CLIPModel,
        _dual(hf.CLIPConfig),
        image_processor=lambda: hf.CLIPImageProcessorPil(size={"shortest_edge": 56}, crop_size=SQUARE["size"]),
        processor="CLIPProcessor",
    ),
    "siglip": Family(
        hf.SiglipModel,
        _dual(hf.SiglipConfig),
        image_processor=lambda: hf.SiglipImageProcessorPil(**SQUARE),
        processor="SiglipProcessor",
    ),
}
