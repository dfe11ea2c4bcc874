"""Configurations of vision-language models that read images by a chat template."""

from typing import Any, Callable, Dict

import transformers as hf

from recbole_sda.lvlm.tiny_models.base import PAD, ROPE, TEXT, VISION, WIDTH, Token, qwen_tokens

PINPOINTS = [[56, 56], [56, 112], [112, 56], [112, 112]]


def qwen2_5_vl(vocab: int, token: Token) -> Any:
    """Return a configuration of Qwen2.5-VL."""
    text = {**TEXT, "vocab_size": vocab, "num_key_value_heads": 2, "rope_parameters": ROPE}
    vision: Dict[str, Any] = {
        "depth": 2,
        "hidden_size": WIDTH,
        "intermediate_size": 48,
        "num_heads": 4,
        "out_hidden_size": WIDTH,
    }
    vision |= {"window_size": 56, "fullatt_block_indexes": [1]}
    return hf.Qwen2_5_VLConfig(text_config=text, vision_config=vision, **qwen_tokens(token))


def qwen3_vl(vocab: int, token: Token) -> Any:
    """Return a configuration of Qwen3-VL."""
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
    return hf.Qwen3VLConfig(text_config=text, vision_config=vision, **qwen_tokens(token))


def mllama(vocab: int, token: Token) -> Any:
    """Return a configuration of Llama 3.2 Vision."""
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


def idefics(kind: Any) -> Callable[[int, Token], Any]:
    """Return a configuration of SmolVLM or Idefics3."""

    def config(vocab: int, token: Token) -> Any:
        text = {**TEXT, "model_type": "llama", "vocab_size": vocab, "num_key_value_heads": 2}
        vision = {**VISION, "image_size": 56, "patch_size": 14}
        both = {"text_config": text, "vision_config": vision, "pad_token_id": PAD}
        return kind(**both, image_token_id=token("<image>"), scale_factor=2, tie_word_embeddings=False)

    return config


def llava_onevision(vocab: int, token: Token) -> Any:
    """Return a configuration of LLaVA-OneVision."""
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


def gemma3(vocab: int, token: Token) -> Any:
    """Return a configuration of Gemma 3."""
    text = {**TEXT, "vocab_size": vocab, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 64}
    vision = {**VISION, "image_size": 56, "patch_size": 14, "vision_use_head": False}
    tokens: Dict[str, Any] = {
        "image_token_index": token("<image_soft_token>"),
        "boi_token_index": token("<start_of_image>"),
    }
    tokens |= {"eoi_token_index": token("<end_of_image>")}
    return hf.Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4, **tokens)
