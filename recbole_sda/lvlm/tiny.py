"""Tiny random models in the file format of real ones, for tests, demonstrations and trials without weights."""

from importlib.util import find_spec
from pathlib import Path
from typing import Union, cast

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from recbole_sda.errors import InputError, nearest
from recbole_sda.lvlm.devices import quiet
from recbole_sda.lvlm.processor import processor_type
from recbole_sda.lvlm.tiny_models.base import BOS, CONTROL, TinyFamily
from recbole_sda.lvlm.tiny_models.table import FAMILIES

VOCABULARY = 400
SAMPLE = ("The product in this picture. title: brand: categories: price: description:", "a red drum and a green flute")
TURN = "<|im_start|>{{ message['role'] }}\n"
IMAGE_PART = "{%% if part['type'] == 'image' %%}%s{%% else %%}{{ part['text'] }}{%% endif %%}"


def make_tiny(family: str, out: Union[str, Path], seed: int = 0) -> Path:
    """Write a tiny random model of a family; it can be loaded like a real one.

    Args:
        family: one of :data:`recbole_sda.lvlm.tiny_models.table.FAMILIES`.
        out: folder for the model; it must be empty or not exist.
        seed: seed of the weights.

    Returns:
        The folder.

    Raises:
        InputError: the family is unknown, or the folder is not empty.
    """
    if family not in FAMILIES:
        raise InputError(f"family={family!r}: allowed are {', '.join(FAMILIES)}.{nearest(family, FAMILIES)}")
    out = Path(out)
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} exists and is not empty: choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    with quiet():
        _write(FAMILIES[family], out, seed)
    return out


def _write(family: TinyFamily, out: Path, seed: int) -> None:
    if family.needs and not find_spec(family.needs):
        raise InputError(
            f"this family's image processor needs {family.needs}: pip install 'recbole-sda[{family.needs}]'"
        )
    tokenizer = _tokenizer(family)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = family.config(len(tokenizer), lambda token: cast(int, tokenizer.convert_tokens_to_ids(token)))
        model = family.model(config).eval()
        if family.strong:
            strengthen(model)
        model.save_pretrained(out)
    if family.finish is not None:
        family.finish(out)
    if family.image_processor is None:
        tokenizer.save_pretrained(out)
        return
    kind = processor_type(family.processor)
    processor = kind(image_processor=family.image_processor(), tokenizer=tokenizer, **family.processor_keys)
    if family.image and family.chat:
        processor.chat_template = _chat_template(family.image)
    processor.save_pretrained(out)


def strengthen(model: torch.nn.Module) -> None:
    """Draw weights so large that images and texts matter for the last hidden state.

    transformers starts gates and some projections of a new model at zero, and all weights so small that a tiny model hardly
    changes what it reads. Matrices get a standard deviation of 1 / sqrt(inputs), gates and other single values that are zero get 1.
    """
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() > 1:
                torch.nn.init.normal_(p, std=1.0 if "embed" in name and p.dim() == 2 else p[0].numel() ** -0.5)
            elif "gate" in name and not p.any():
                p.fill_(1.0)


def _tokenizer(family: TinyFamily) -> transformers.PreTrainedTokenizerFast:
    special = [*CONTROL, *(token for token in family.special if token not in CONTROL)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    first = [token for token in special if token not in family.last]
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=first, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(SAMPLE * 3, trainer)
    tokenizer.add_special_tokens(special)
    dual = family.image_processor is not None and not family.image
    ends = f"$A {family.end}" if dual else "<|bos|> $A"
    named = [("<|bos|>", BOS), (family.end, tokenizer.token_to_id(family.end))]
    tokenizer.post_processor = processors.TemplateProcessing(single=ends, special_tokens=named)
    names = {"pad_token": CONTROL[0], "bos_token": CONTROL[1], "eos_token": family.end}
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **names,
        model_max_length=48 if dual else 4096,
        extra_special_tokens=family.tokens,
    )


def _chat_template(image: str) -> str:
    part = IMAGE_PART % image
    turns = "{% for message in messages %}" + TURN + "{% for part in message['content'] %}" + part + "{% endfor %}"
    return turns + "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
