"""Pre-training of a tiny vision-language model, for benchmarks/lvlm_chain.py and its test.

The tiny model of recbole_sda/lvlm/tiny_models, wider, learns to continue pictures with their captions, and texts without pictures.
So it knows pictures and words, but not which text belongs to which picture: that is what adaptation learns. The corpora:

- ``invented``: pictures of the miniatures' renderer, "a red disc", and texts of invented products of all categories;
- ``of_items``: the images and texts of an items file. A caption names the colours that are seen, "top black, middle red, bottom
  brown", and nothing that the text says.
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import numpy as np
import torch
import transformers
from PIL import Image

from recbole_sda.data.miniature.generate import _products
from recbole_sda.data.miniature.render import COLOURS, SILHOUETTES, render
from recbole_sda.data.miniature.words import PRODUCTS
from recbole_sda.io.atomic_folder import atomic_folder
from recbole_sda.io.images import open_image, to_upright_rgb
from recbole_sda.lvlm.devices import quiet
from recbole_sda.lvlm.items import read_item_content
from recbole_sda.lvlm.processor import without_video
from recbole_sda.lvlm.settings import LVLMSettings
from recbole_sda.lvlm.tiny import make_tiny
from recbole_sda.lvlm.tiny_models.table import FAMILIES

FAMILY = "qwen2_5_vl"
NAMES = ("red", "orange", "yellow", "green", "blue", "purple")  # of the renderer's colours
TEXT = {"hidden_size": 96, "intermediate_size": 192, "num_hidden_layers": 3, "head_dim": 24}
VISION = {"hidden_size": 64, "intermediate_size": 128, "out_hidden_size": 96}
ROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 4, 4]}
PALETTE = {
    "black": (20, 20, 20), "grey": (128, 128, 128), "white": (235, 235, 235), "red": (200, 30, 30), "orange": (230, 130, 30),
    "yellow": (235, 215, 60), "green": (50, 140, 60), "cyan": (70, 180, 190), "blue": (40, 70, 180), "purple": (120, 50, 140),
    "pink": (230, 140, 170), "brown": (110, 70, 40),
}  # fmt: skip


@dataclass
class Corpus:
    """What a model is pre-trained on.

    Attributes:
        texts: texts without pictures.
        captions: captions for the tokenizer.
        pictures: returns n pictures and their captions.
        vocabulary: size of the tokenizer's vocabulary.
    """

    texts: List[str]
    captions: List[str]
    pictures: Callable[[np.random.Generator, int], Tuple[List[Image.Image], List[str]]]
    vocabulary: int = 800


def invented() -> Corpus:
    """Return pictures of the miniatures' renderer and texts of invented products."""
    return Corpus(product_texts(), [f"a {name} {shape}" for name in NAMES for shape in SILHOUETTES], pictures)


def of_items(settings: LVLMSettings) -> Corpus:
    """Return the images of an items file with captions of their colours, and its texts, as the settings' prompt shows them."""
    content = read_item_content(settings, True)
    images = []
    for path in filter(None, content.images):
        with open_image(path) as image:
            images.append(to_upright_rgb(image))
    captions = [colours(image) for image in images]

    def drawn(rng: np.random.Generator, n: int) -> Tuple[List[Image.Image], List[str]]:
        chosen = rng.integers(len(images), size=n)
        return [images[k] for k in chosen], [captions[k] for k in chosen]

    return Corpus([text for text in content.text_prompts if text], captions, drawn, vocabulary=2000)


def colours(image: Image.Image) -> str:
    """Return the most frequent colour of each third of an image, by the nearest colour of the palette."""
    pixels = np.asarray(image.resize((30, 45)), dtype=np.int64).reshape(3, -1, 1, 3)
    nearest = ((pixels - np.array(list(PALETTE.values()))) ** 2).sum(-1).argmin(-1)
    named = [list(PALETTE)[np.bincount(third).argmax()] for third in nearest]
    return ", ".join(f"{part} {colour}" for part, colour in zip(("top", "middle", "bottom"), named))


def product_texts() -> List[str]:
    """Return texts of invented products of all categories, as the prompt ``{fields}`` shows them."""
    texts = []
    for number, category in enumerate(PRODUCTS):
        for p in _products(category, np.random.default_rng([7, number]))[:400]:
            fields = {"title": p.title, "brand": p.brand, "categories": category, "description": p.description}
            texts.append("\n".join(f"{name}: {value}" for name, value in fields.items()))
    return texts


def pictures(rng: np.random.Generator, n: int) -> Tuple[List[Image.Image], List[str]]:
    """Return pictures and their captions."""
    colours, silhouettes = rng.integers(len(COLOURS), size=n), rng.integers(len(SILHOUETTES), size=n)
    images = [render(int(s), int(c), rng) for s, c in zip(silhouettes, colours)]
    return images, [f"a {NAMES[c]} {SILHOUETTES[s]}" for s, c in zip(silhouettes, colours)]


def write_model(folder: Path, corpus: Corpus, seed: int) -> None:
    """Write the untrained model with a tokenizer of the corpus."""
    with quiet(), tempfile.TemporaryDirectory() as temporary:
        base = make_tiny(FAMILY, Path(temporary) / FAMILY, seed)
        tokenizer = transformers.AutoTokenizer.from_pretrained(base).train_new_from_iterator(
            corpus.texts + corpus.captions, corpus.vocabulary
        )
        config = FAMILIES[FAMILY].config(len(tokenizer), tokenizer.convert_tokens_to_ids)
        values: Dict[str, Any] = config.to_dict()
        values["text_config"].pop("layer_types", None)  # one for each layer
        values["text_config"] |= {**TEXT, "rope_parameters": ROPE}
        values["vision_config"] |= VISION
        torch.manual_seed(seed)
        model = FAMILIES[FAMILY].model(type(config)(**values))
        processor = without_video(transformers.Qwen2_5_VLProcessor).from_pretrained(base)
        processor.tokenizer = tokenizer
        model.save_pretrained(folder)
        processor.save_pretrained(folder)


def batches(processor: Any, corpus: Corpus, steps: int, size: int, seed: int) -> Iterator[Dict[str, torch.Tensor]]:
    """Yield batches of pictures with captions and of texts, in turn."""
    rng, texts = np.random.default_rng(seed), corpus.texts
    for step in range(steps):
        if step % 2:
            chosen = [texts[k] + "<|im_end|>" for k in rng.integers(len(texts), size=size)]
            encoded = processor(text=chosen, padding=True, return_tensors="pt")
        else:
            images, captions = corpus.pictures(rng, size)
            chosen = ["<|vision_start|><|image_pad|><|vision_end|>" + caption + "<|im_end|>" for caption in captions]
            encoded = processor(text=chosen, images=[[image] for image in images], padding=True, return_tensors="pt")
        yield dict(encoded)


def pretrain(folder: Path, corpus: Corpus, steps: int = 800, size: int = 32, seed: int = 0) -> List[float]:
    """Write a trained model to a folder; return the mean losses of captions and of texts over the last 50 steps of each."""
    losses: List[float] = []
    with atomic_folder(folder) as draft:
        write_model(draft, corpus, seed)
        with quiet():
            model = FAMILIES[FAMILY].model.from_pretrained(draft, dtype=torch.float32)
            processor = without_video(transformers.Qwen2_5_VLProcessor).from_pretrained(draft)
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        schedule = transformers.get_cosine_schedule_with_warmup(optimizer, steps // 20, steps)
        for batch in batches(processor, corpus, steps, size, seed):
            labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
            special = [
                model.config.image_token_id,
                model.config.vision_start_token_id,
                model.config.vision_end_token_id,
            ]
            labels = labels.masked_fill(torch.isin(labels, torch.tensor(special)), -100)
            loss = model(**batch, labels=labels).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        model.save_pretrained(draft)
    last = [float(np.mean(losses[start::2][-50:])) for start in (0, 1)]
    (folder / "pretraining.json").write_text(
        json.dumps({"steps": steps, "caption_loss": last[0], "text_loss": last[1]})
    )
    return last
