"""The table of families in ``docs/lvlm.md``: what each family's tests prove, on tiny random models."""

from importlib.util import find_spec
from typing import List

from recbole_sda.lvlm.families import family_of
from recbole_sda.lvlm.family_table import FAMILIES as KNOWN
from recbole_sda.lvlm.tiny_models.table import FAMILIES

BATCH, DIFFER, LEARN = "batch", "differ", "learn"
MODELS = {
    "qwen2_5_vl": "Qwen2.5-VL, jina-embeddings-v4 with merged adapters",
    "qwen3_vl": "Qwen3-VL, Qwen3-VL-Embedding",
    "mllama": "Llama 3.2 Vision",
    "smolvlm": "SmolVLM",
    "idefics3": "Idefics3",
    "llava_onevision": "LLaVA-OneVision",
    "gemma3": "Gemma 3",
    "qwen3": "Qwen3, Qwen3-Embedding, jina-embeddings-v5-text with merged adapters",
    "clip": "CLIP",
    "siglip": "SigLIP, SigLIP 2 with a fixed resolution",
    "qwen2_vl": "Qwen2-VL, GME",
    "paligemma": "PaliGemma",
    "florence2": "Florence-2 (its encoder)",
    "mistral3": "Mistral Small 3",
    "pixtral": "Pixtral (model type llava)",
    "cohere2_vision": "Cohere2-Vision",
    "colpali": "ColPali, one vector per input",
    "colqwen2": "ColQwen2, one vector per input",
    "embedding_gemma2": "EmbeddingGemma 2",
    "embeddinggemma": "EmbeddingGemma, with its Dense layers",
    "bge": "BGE and other masked language models",
    "siglip2": "SigLIP 2 with a variable aspect ratio (NaFlex)",
}


def available() -> List[str]:
    """Return the families whose packages are installed."""
    return [name for name, family in FAMILIES.items() if not family.needs or find_spec(family.needs)]


def proofs(name: str) -> List[str]:
    """Return what the tests of a family prove.

    ``batch``: a batch gives what its inputs give alone. ``differ``: two images, and two texts, give different vectors.
    ``learn``: adaptation raises Recall@10 between the images and the texts of held-out items.
    """
    return [BATCH, DIFFER, *([LEARN] if FAMILIES[name].image_processor else [])]


def family_lines() -> List[str]:
    """Return the table as lines of Markdown; families that are refused come last, with the reason."""
    lines = ["| Model type | Models | Reads | Needs | Tests |", "| --- | --- | --- | --- | --- |"]
    for name, family in FAMILIES.items():
        model_type = family.config(500, lambda _: 5).model_type
        reads = "texts" if family_of(model_type).kind == "text" else "images, texts"
        needs = f"`[{family.needs}]`" if family.needs else ""
        lines.append(f"| `{model_type}` | {MODELS[name]} | {reads} | {needs} | {', '.join(proofs(name))} |")
    for model_type, known in KNOWN.items():
        if known.refusal:
            lines.append(f"| `{model_type}` | refused | | | {known.refusal} |")
    return lines
