"""Configurations of language models, dual encoders and embedding models, and the files of sentence-transformers."""

import json
from pathlib import Path
from typing import Any, Callable, Dict

import torch
import transformers as hf
from safetensors.torch import save_file

from recbole_sda.lvlm.tiny_models.base import ROPE, TEXT, VISION, WIDTH, Token, qwen_tokens
from recbole_sda.lvlm.tiny_models.fixed_image import paligemma

EMBEDDING = 24  # values of a vector where a model has a projection


def qwen3(vocab: int, token: Token) -> Any:
    """Return a configuration of Qwen3, a language model."""
    return hf.Qwen3Config(**TEXT, vocab_size=vocab, num_key_value_heads=2, head_dim=8)


def gemma3_text(vocab: int, token: Token) -> Any:
    """Return a configuration of Gemma 3 as EmbeddingGemma has it: attention in both directions."""
    sizes: Dict[str, Any] = {"num_key_value_heads": 1, "head_dim": 8, "sliding_window": 64}
    return hf.Gemma3TextConfig(**TEXT, **sizes, vocab_size=vocab, use_bidirectional_attention=True)


def bert(vocab: int, token: Token) -> Any:
    """Return a configuration of BERT, as BGE and E5 have it."""
    return hf.BertConfig(**{**TEXT, "max_position_embeddings": 512}, vocab_size=vocab)


def dual(kind: Any) -> Callable[[int, Token], Any]:
    """Return a function that makes a configuration of CLIP or SigLIP."""

    def config(vocab: int, token: Token) -> Any:
        text = {**TEXT, "vocab_size": vocab, "max_position_embeddings": 48, "projection_size": WIDTH}
        vision = {**VISION, "image_size": 56, "patch_size": 14}
        return kind(text_config=text, vision_config=vision, projection_dim=WIDTH)

    return config


def siglip2(vocab: int, token: Token) -> Any:
    """Return a configuration of SigLIP 2 with a variable aspect ratio (NaFlex), of at most 16 patches."""
    text = {**TEXT, "vocab_size": vocab, "max_position_embeddings": 48, "projection_size": WIDTH}
    return hf.Siglip2Config(text_config=text, vision_config={**VISION, "num_patches": 16, "patch_size": 14})


def colpali(vocab: int, token: Token) -> Any:
    """Return a configuration of ColPali over PaliGemma."""
    return hf.ColPaliConfig(vlm_config=paligemma(vocab, token).to_dict(), embedding_dim=EMBEDDING)


def colqwen2(vocab: int, token: Token) -> Any:
    """Return a configuration of ColQwen2 over Qwen2-VL."""
    return hf.ColQwen2Config(vlm_config=qwen2_vl(vocab, token).to_dict(), embedding_dim=EMBEDDING)


def qwen2_vl(vocab: int, token: Token) -> Any:
    """Return a configuration of Qwen2-VL, which GME is."""
    text = {**TEXT, "vocab_size": vocab, "num_key_value_heads": 2, "rope_parameters": ROPE}
    vision: Dict[str, Any] = {"depth": 2, "embed_dim": WIDTH, "hidden_size": WIDTH, "num_heads": 4, "mlp_ratio": 2}
    return hf.Qwen2VLConfig(text_config=text, vision_config=vision, **qwen_tokens(token))


def embedding_gemma2(vocab: int, token: Token) -> Any:
    """Return a configuration of EmbeddingGemma 2, which projects every token."""
    text: Dict[str, Any] = {**TEXT, "vocab_size": vocab, "num_key_value_heads": 2, "head_dim": 8, "global_head_dim": 8}
    text |= {"hidden_size_per_layer_input": 8, "embedding_dim": EMBEDDING, "sliding_window": 64}
    text |= {"layer_types": ["sliding_attention", "full_attention"]}
    vision: Dict[str, Any] = {
        **VISION,
        "model_type": "gemma4_vision",
        "num_key_value_heads": 4,
        "head_dim": 8,
        "patch_size": 4,
    }
    tokens: Dict[str, Any] = {"image_token_id": token("<image_soft_token>"), "boi_token_id": token("<start_of_image>")}
    tokens |= {"eoi_token_id": token("<end_of_image>"), "video_token_id": vocab - 1, "audio_token_id": vocab - 2}
    return hf.EmbeddingGemma2Config(text_config=text, vision_config=vision, audio_config=None, **tokens)


def sentence_transformer(
    pooling: str, prompt: str = "", dense: bool = False, messages: bool = False
) -> Callable[[Path], None]:
    """Return a function that writes the files of sentence-transformers into a model's folder.

    Args:
        pooling: ``mean_tokens``, ``cls_token`` or ``lasttoken``.
        prompt: prompt of documents.
        dense: whether a Dense layer follows pooling.
        messages: whether inputs are messages in the model's chat template.
    """

    def write(folder: Path) -> None:
        parts = ["Transformer", "Pooling", *["Dense"] * dense, "Normalize"]
        paths = ["", *(f"{k}_{name}" for k, name in enumerate(parts[1:], start=1))]
        listed = [
            {"idx": k, "name": str(k), "path": path, "type": f"sentence_transformers.models.{name}"}
            for k, (name, path) in enumerate(zip(parts, paths))
        ]
        _json(folder / "modules.json", listed)
        _json(folder / "config_sentence_transformers.json", {"prompts": {"query": "query: ", "document": prompt}})
        if messages:
            output = {"method": "forward", "method_output_name": "last_hidden_state"}
            modality = {"text": output, "image": output, "message": {**output, "format": "structured"}}
            chat = {"chat_template": {"add_generation_prompt": True}}
            whole = {"modality_config": modality, "module_output_name": "token_embeddings", "processing_kwargs": chat}
            _json(folder / "sentence_bert_config.json", whole)
        modes = {f"pooling_mode_{name}": name == pooling for name in ("cls_token", "mean_tokens", "lasttoken")}
        _json(folder / "1_Pooling/config.json", {"word_embedding_dimension": WIDTH, **modes, "include_prompt": True})
        if dense:
            sizes = {"in_features": WIDTH, "out_features": EMBEDDING, "bias": False}
            _json(folder / "2_Dense/config.json", {**sizes, "activation_function": "torch.nn.modules.linear.Identity"})
            weight = torch.randn(EMBEDDING, WIDTH, generator=torch.Generator().manual_seed(0)) * WIDTH**-0.5
            save_file({"linear.weight": weight}, folder / "2_Dense/model.safetensors")

    return write


def _json(path: Path, value: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
