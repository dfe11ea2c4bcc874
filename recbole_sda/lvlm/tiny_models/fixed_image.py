"""Configurations of vision-language models that read images without a chat template, or by rows of patches."""

from typing import Any, Dict

import transformers as hf

from recbole_sda.lvlm.tiny_models.base import EOS, PAD, TEXT, VISION, WIDTH, Token

SIGLIP: Dict[str, Any] = {
    **VISION,
    "model_type": "siglip_vision_model",
    "image_size": 56,
    "patch_size": 14,
    "vision_use_head": False,
}


def paligemma(vocab: int, token: Token) -> Any:
    """Return a configuration of PaliGemma; its processor adds tokens of places and segments to the tokenizer."""
    text = {**TEXT, "model_type": "gemma", "vocab_size": vocab + 1152, "num_key_value_heads": 1, "head_dim": 8}
    vision = {**SIGLIP, "projection_dim": WIDTH}
    both: Dict[str, Any] = {"text_config": text, "vision_config": vision, "projection_dim": WIDTH, "hidden_size": WIDTH}
    return hf.PaliGemmaConfig(**both, image_token_index=token("<image>"))


def florence2(vocab: int, token: Token) -> Any:
    """Return a configuration of Florence-2, an encoder-decoder of BART over a vision tower of four stages."""
    vision: Dict[str, Any] = {"depths": [1, 1, 1, 1], "embed_dim": [8, 16, 16, WIDTH], "num_heads": [1, 2, 2, 4]}
    vision |= {"num_groups": [1, 2, 2, 4], "window_size": 4, "projection_dim": WIDTH, "drop_path_rate": 0.0}
    text: Dict[str, Any] = {
        "model_type": "bart",
        "vocab_size": vocab,
        "d_model": WIDTH,
        "max_position_embeddings": 1024,
    }
    text |= {
        f"{part}_{name}": value
        for part in ("encoder", "decoder")
        for name, value in (("layers", 2), ("attention_heads", 4))
    }
    text |= {"encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "pad_token_id": PAD, "bos_token_id": 1, "eos_token_id": EOS}
    text |= {"decoder_start_token_id": EOS, "forced_eos_token_id": EOS}
    return hf.Florence2Config(text_config=text, vision_config=vision, image_token_id=token("<image>"))


def pixtral_vision() -> Dict[str, Any]:
    """Return a configuration of Pixtral's vision tower, whose images keep their aspect ratio."""
    return {**VISION, "model_type": "pixtral", "image_size": 112, "patch_size": 14, "head_dim": 8}


def mistral3(vocab: int, token: Token) -> Any:
    """Return a configuration of Mistral Small 3, with Pixtral's vision tower and 2 x 2 patches per token."""
    text = {**TEXT, "model_type": "mistral", "vocab_size": vocab, "num_key_value_heads": 2, "head_dim": 8}
    both: Dict[str, Any] = {"text_config": text, "vision_config": pixtral_vision()}
    return hf.Mistral3Config(**both, image_token_index=token("[IMG]"), spatial_merge_size=2)


def pixtral(vocab: int, token: Token) -> Any:
    """Return a configuration of Pixtral: the model type is LLaVA's, the processor is its own."""
    text = {**TEXT, "model_type": "mistral", "vocab_size": vocab, "num_key_value_heads": 2, "head_dim": 8}
    both: Dict[str, Any] = {"text_config": text, "vision_config": pixtral_vision(), "vision_feature_layer": -1}
    return hf.LlavaConfig(**both, image_token_index=token("[IMG]"), vision_feature_select_strategy="full")


def cohere2_vision(vocab: int, token: Token) -> Any:
    """Return a configuration of Cohere2-Vision."""
    text = {**TEXT, "model_type": "cohere2", "vocab_size": vocab, "num_key_value_heads": 2, "head_dim": 8}
    both: Dict[str, Any] = {"text_config": text, "vision_config": SIGLIP, "alignment_intermediate_size": 64}
    return hf.Cohere2VisionConfig(**both, image_token_id=token("<image>"), downsample_factor=2)
