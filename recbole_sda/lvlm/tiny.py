"""Tiny random models in the file format of real ones, for tests, demonstrations and trials without weights."""

from pathlib import Path
from typing import Union, cast

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from recbole_sda.errors import InputError, nearest
from recbole_sda.lvlm.devices import quiet
from recbole_sda.lvlm.families import BOS, CONTROL, EOS, FAMILIES, Family
from recbole_sda.lvlm.processor import without_video

VOCABULARY = 400
SAMPLE = ("The product in this picture. title: brand: categories: price: description:", "a red drum and a green flute")
TURN = "<|im_start|>{{ message['role'] }}\n"
IMAGE_PART = "{%% if part['type'] == 'image' %%}%s{%% else %%}{{ part['text'] }}{%% endif %%}"


def make_tiny(family: str, out: Union[str, Path], seed: int = 0) -> Path:
    """Write a tiny random model of a family; it can be loaded like a real one.

    Args:
        family: one of :data:`recbole_sda.lvlm.families.FAMILIES`.
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


def _write(family: Family, out: Path, seed: int) -> None:
    tokenizer = _tokenizer(family)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = family.config(len(tokenizer), lambda token: cast(int, tokenizer.convert_tokens_to_ids(token)))
        family.model(config).eval().save_pretrained(out)
    if family.image_processor is None:
        tokenizer.save_pretrained(out)
        return
    kind = without_video(getattr(transformers, family.processor))
    processor = kind(family.image_processor(), tokenizer, **family.processor_keys)
    if family.image:
        processor.chat_template = _chat_template(family.image)
    processor.save_pretrained(out)


def _tokenizer(family: Family) -> transformers.PreTrainedTokenizerFast:
    special = [*CONTROL, *(token for token in family.special if token not in CONTROL)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    first = special[:-1] if "<|image|>" in special else special
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=first, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(SAMPLE * 3, trainer)
    tokenizer.add_special_tokens(special)  # where Mllama's image token becomes the last
    ends = "$A <|eos|>" if family.processor in ("CLIPProcessor", "SiglipProcessor") else "<|bos|> $A"
    named = [("<|bos|>", BOS), ("<|eos|>", EOS)]
    tokenizer.post_processor = processors.TemplateProcessing(single=ends, special_tokens=named)
    names = {"pad_token": CONTROL[0], "bos_token": CONTROL[1], "eos_token": CONTROL[2]}
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **names,
        model_max_length=48 if not family.image and family.image_processor else 4096,
        extra_special_tokens=family.tokens,
    )


def _chat_template(image: str) -> str:
    part = IMAGE_PART % image
    turns = "{% for message in messages %}" + TURN + "{% for part in message['content'] %}" + part + "{% endfor %}"
    return turns + "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
