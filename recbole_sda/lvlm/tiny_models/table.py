"""The families of which :mod:`recbole_sda.lvlm.tiny` makes tiny random models."""

from typing import Any, Dict

import transformers as hf

from recbole_sda.lvlm.tiny_models import encoders
from recbole_sda.lvlm.tiny_models import fixed_image as fixed
from recbole_sda.lvlm.tiny_models import vision_language as vl
from recbole_sda.lvlm.tiny_models.base import TinyFamily

SQUARE: Dict[str, Any] = {"size": {"height": 56, "width": 56}}
QWEN = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
QWEN_NAMES = {"image_token": QWEN[2], "video_token": QWEN[3], "vision_bos_token": QWEN[0], "vision_eos_token": QWEN[1]}
QWEN_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
IDEFICS = ("<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>")
IDEFICS_SIZES: Dict[str, Any] = {"size": {"longest_edge": 112}, "max_image_size": {"longest_edge": 56}}
GEMMA = ("<start_of_image>", "<end_of_image>", "<image_soft_token>")
GEMMA_NAMES = {"boi_token": GEMMA[0], "eoi_token": GEMMA[1], "image_token": GEMMA[2]}
LLAVA = {"num_image_tokens": 16, "vision_feature_select_strategy": "full"}

ROWS = ("[IMG]", "[IMG_BREAK]", "[IMG_END]")
PALI = ("<image>",)


def _with_length(image_processor: Any, n_tokens: int) -> Any:
    image_processor.image_seq_length = n_tokens
    return image_processor


FAMILIES: Dict[str, TinyFamily] = {
    "qwen2_5_vl": TinyFamily(
        hf.Qwen2_5_VLForConditionalGeneration,
        vl.qwen2_5_vl,
        QWEN,
        QWEN_IMAGE,
        QWEN_NAMES,
        lambda: hf.Qwen2VLImageProcessorPil(patch_size=14),
        "Qwen2_5_VLProcessor",
    ),
    "qwen3_vl": TinyFamily(
        hf.Qwen3VLForConditionalGeneration,
        vl.qwen3_vl,
        QWEN,
        QWEN_IMAGE,
        QWEN_NAMES,
        lambda: hf.Qwen2VLImageProcessorPil(patch_size=16),
        "Qwen3VLProcessor",
    ),
    "mllama": TinyFamily(
        hf.MllamaForConditionalGeneration,
        vl.mllama,
        ("<|python_tag|>", "<|image|>"),
        "<|image|>",
        {"image_token": "<|image|>"},
        lambda: hf.MllamaImageProcessorPil(**SQUARE, max_image_tiles=2),
        "MllamaProcessor",
        strong=True,
        last=("<|image|>",),
    ),
    "smolvlm": TinyFamily(
        hf.SmolVLMForConditionalGeneration,
        vl.idefics(hf.SmolVLMConfig),
        IDEFICS,
        "<image>",
        {"image_token": "<image>"},
        lambda: hf.SmolVLMImageProcessorPil(**IDEFICS_SIZES),
        "SmolVLMProcessor",
        {"image_seq_len": 4},
    ),
    "idefics3": TinyFamily(
        hf.Idefics3ForConditionalGeneration,
        vl.idefics(hf.Idefics3Config),
        IDEFICS,
        "<image>",
        {"image_token": "<image>"},
        lambda: hf.Idefics3ImageProcessorPil(**IDEFICS_SIZES),
        "Idefics3Processor",
        {"image_seq_len": 4},
    ),
    "llava_onevision": TinyFamily(
        hf.LlavaOnevisionForConditionalGeneration,
        vl.llava_onevision,
        ("<image>", "<video>"),
        "<image>",
        {"image_token": "<image>", "video_token": "<video>"},
        lambda: hf.LlavaOnevisionImageProcessorPil(**SQUARE, image_grid_pinpoints=vl.PINPOINTS),
        "LlavaOnevisionProcessor",
        LLAVA,
    ),
    "gemma3": TinyFamily(
        hf.Gemma3ForConditionalGeneration,
        vl.gemma3,
        GEMMA,
        "<start_of_image>",
        GEMMA_NAMES,
        lambda: hf.Gemma3ImageProcessorPil(**SQUARE),
        "Gemma3Processor",
        {"image_seq_length": 4},
        strong=True,
    ),
    "qwen3": TinyFamily(hf.Qwen3ForCausalLM, encoders.qwen3),
    "clip": TinyFamily(
        hf.CLIPModel,
        encoders.dual(hf.CLIPConfig),
        ("<|endoftext|>",),
        end="<|endoftext|>",
        last=("<|endoftext|>",),
        image_processor=lambda: hf.CLIPImageProcessorPil(size={"shortest_edge": 56}, crop_size=SQUARE["size"]),
        processor="CLIPProcessor",
    ),
    "siglip": TinyFamily(
        hf.SiglipModel,
        encoders.dual(hf.SiglipConfig),
        image_processor=lambda: hf.SiglipImageProcessorPil(**SQUARE),
        processor="SiglipProcessor",
    ),
    "qwen2_vl": TinyFamily(
        hf.Qwen2VLForConditionalGeneration,
        encoders.qwen2_vl,
        (*QWEN, "<|endoftext|>"),
        QWEN_IMAGE,
        QWEN_NAMES,
        lambda: hf.Qwen2VLImageProcessorPil(patch_size=14),
        "Qwen2VLProcessor",
    ),
    "paligemma": TinyFamily(
        hf.PaliGemmaForConditionalGeneration,
        fixed.paligemma,
        PALI,
        "<image>",
        {"image_token": "<image>"},
        lambda: _with_length(hf.SiglipImageProcessorPil(**SQUARE), 16),
        "PaliGemmaProcessor",
        chat=False,
        strong=True,
    ),
    "florence2": TinyFamily(
        hf.Florence2ForConditionalGeneration,
        fixed.florence2,
        PALI,
        "<image>",
        {"image_token": "<image>"},
        lambda: _with_length(hf.CLIPImageProcessorPil(size={"height": 64, "width": 64}, do_center_crop=False), 5),
        "Florence2Processor",
        chat=False,
        strong=True,
    ),
    "mistral3": TinyFamily(
        hf.Mistral3ForConditionalGeneration,
        fixed.mistral3,
        ROWS,
        "[IMG]",
        {"image_token": "[IMG]"},
        lambda: hf.PixtralImageProcessorPil(size={"longest_edge": 112}, patch_size={"height": 14, "width": 14}),
        "PixtralProcessor",
        {"patch_size": 14, "spatial_merge_size": 2},
        strong=True,
    ),
    "pixtral": TinyFamily(
        hf.LlavaForConditionalGeneration,
        fixed.pixtral,
        ROWS,
        "[IMG]",
        {"image_token": "[IMG]"},
        lambda: hf.PixtralImageProcessorPil(size={"longest_edge": 112}, patch_size={"height": 14, "width": 14}),
        "PixtralProcessor",
        {"patch_size": 14},
        strong=True,
    ),
    "cohere2_vision": TinyFamily(
        hf.Cohere2VisionForConditionalGeneration,
        fixed.cohere2_vision,
        ("<image>", "<start_img>", "<end_img>", "<line>"),
        "<image>",
        {
            "image_token": "<image>",
            "boi_token": "<start_img>",
            "eoi_token": "<end_img>",
            "img_line_break_token": "<line>",
        },
        lambda: hf.Cohere2VisionImageProcessor(**{**SQUARE, "patch_size": 2}),
        "Cohere2VisionProcessor",
        strong=True,
        needs="torchvision",
    ),
    "colpali": TinyFamily(
        hf.ColPaliForRetrieval,
        encoders.colpali,
        PALI,
        "<image>",
        {"image_token": "<image>"},
        lambda: _with_length(hf.SiglipImageProcessorPil(**SQUARE), 16),
        "ColPaliProcessor",
        chat=False,
        strong=True,
    ),
    "colqwen2": TinyFamily(
        hf.ColQwen2ForRetrieval,
        encoders.colqwen2,
        QWEN,
        QWEN_IMAGE,
        QWEN_NAMES,
        lambda: hf.Qwen2VLImageProcessorPil(patch_size=14),
        "ColQwen2Processor",
        chat=False,
    ),
    "embedding_gemma2": TinyFamily(
        hf.EmbeddingGemma2Model,
        encoders.embedding_gemma2,
        GEMMA,
        "<image_soft_token>",
        GEMMA_NAMES,
        lambda: hf.Gemma4ImageProcessorPil(patch_size=4, max_soft_tokens=70),
        "EmbeddingGemma2Processor",
        {"image_seq_length": 70, "feature_extractor": hf.Gemma4AudioFeatureExtractor()},
        chat=False,
        strong=True,
        finish=encoders.sentence_transformer("mean_tokens"),
    ),
    "embeddinggemma": TinyFamily(
        hf.Gemma3ForCausalLM,
        encoders.gemma3_text,
        finish=encoders.sentence_transformer("mean_tokens", "title: none | text: ", dense=True),
    ),
    "bge": TinyFamily(
        hf.BertForMaskedLM, encoders.bert, strong=True, finish=encoders.sentence_transformer("cls_token")
    ),
    "siglip2": TinyFamily(
        hf.Siglip2Model,
        encoders.siglip2,
        ("<unk>", "<bos>", "<eos>", "<pad>", "<mask>"),
        image_processor=lambda: hf.Siglip2ImageProcessorPil(patch_size=14, max_num_patches=16),
        processor="Siglip2Processor",
    ),
}
