"""Encoding by an endpoint with OpenAI's form of requests for embeddings, such as OpenAI, vLLM, TEI, Ollama or Infinity.

Texts are sent as ``{"model", "input": [...]}``. vLLM also embeds conversations, ``{"model", "messages": [...]}``, in the model's
chat template; images are sent in this form, as data in the request.
"""

import base64
import io
import math
from typing import Any, Dict, List, Optional, Tuple

import torch
from torch import Tensor

from recbole_sda.errors import InputError
from recbole_sda.lvlm.backends.endpoint import Endpoint
from recbole_sda.lvlm.backends.threads import in_threads
from recbole_sda.lvlm.embedders import table_embedder, with_embedder
from recbole_sda.lvlm.inputs import Inputs, open_image
from recbole_sda.lvlm.items import Size
from recbole_sda.lvlm.processor import fitted_size
from recbole_sda.lvlm.settings import LVLMSettings

PATH = "/embeddings"
CHARACTERS = 4  # of a token, roughly, where no tokenizer is at hand
MESSAGES = ("qwen3-vl-embedding",)  # entries of the table whose chat template makes the prompt


class OpenAIEncoder:
    """Vectors from an endpoint.

    Args:
        settings: settings of the stage; ``backbone`` is the model's name at the endpoint ``url``.

    Attributes:
        settings: the settings, with the embedder's values where keys were empty.
        modalities: what the endpoint reads: images only in the form of messages.

    Raises:
        InputError: a setting is missing or contradicts the endpoint, or see :class:`~recbole_sda.lvlm.backends.endpoint.Endpoint`.
    """

    def __init__(self, settings: LVLMSettings):
        if not settings.backbone:
            raise InputError("backbone is missing: give the model's name at the endpoint, --backbone=NAME")
        if not settings.url:
            raise InputError("url is missing: give the endpoint's address, --url=http://localhost:8000/v1")
        self.embedder = table_embedder(settings)
        self.settings = with_embedder(settings, self.embedder, "server")
        self.endpoint = Endpoint(settings.url, settings.key_variable, settings.timeout, settings.deadline)
        self.form = settings.request_form or ("messages" if self.embedder.source in MESSAGES else "input")
        self.modalities: Tuple[str, ...] = ("image", "text") if self.form == "messages" else ("text",)
        self._dim: Optional[int] = None

    def describe(self) -> Dict[str, Any]:
        """Return what identifies the vectors: backend, model, revision, form of requests. Neither key nor address is part of it."""
        s = self.settings
        return {"backend": "openai", "model": s.backbone, "revision": s.revision, "request_form": self.form}

    def render(self, text: str, with_image: bool) -> str:
        """Return the text of an input: with the instruction as a prefix or in a template, or as it is in the form of messages."""
        if self.form == "messages":
            return text
        if self.embedder.text_template:
            return self.embedder.text_template.format(instruction=self.settings.instruction, prompt=text)
        return f"{self.settings.instruction}{text}"

    def shorten(self, text: str, max_tokens: int) -> str:
        """Return a prompt cut to the characters of about ``max_tokens`` tokens; the endpoint's tokenizer is not known."""
        return text[: CHARACTERS * max_tokens]

    def length(self, rendered: str, size: Optional[Size] = None) -> int:
        """Return 1: requests are limited by their number of inputs."""
        return 1

    def encode(self, inputs: Inputs, chosen: List[int]) -> Tensor:
        """Return the vectors of the chosen inputs, (n_chosen, dim), float32.

        Raises:
            InputError: the endpoint refuses a request, keeps failing, or its answer is not as many finite vectors of one width.
        """
        per_request = 1 if self.form == "messages" else self.settings.request_items
        groups = [chosen[k : k + per_request] for k in range(0, len(chosen), per_request)]
        try:
            return torch.cat(
                list(in_threads(lambda group: self._request(inputs, group), groups, self.settings.connections))
            )
        except BaseException:
            self.endpoint.closed.set()
            raise

    def _request(self, inputs: Inputs, group: List[int]) -> Tensor:
        body: Dict[str, Any] = {"model": self.settings.backbone, "encoding_format": "float"}
        if self.form == "messages":
            body |= {
                "messages": self._messages(inputs, group[0]),
                "add_generation_prompt": self.embedder.generation_prompt,
            }
        else:
            body["input"] = [inputs.rendered[k] for k in group]
        return self._vectors(self.endpoint.post(PATH, body), len(group))

    def _messages(self, inputs: Inputs, k: int) -> List[Dict[str, Any]]:
        content: List[Dict[str, Any]] = []
        if inputs.images is not None:
            content.append({"type": "image_url", "image_url": {"url": self._data_url(inputs, k)}})
        if inputs.rendered[k]:
            content.append({"type": "text", "text": inputs.rendered[k]})
        user = {"role": "user", "content": content}
        if not self.settings.instruction:
            return [user]
        return [{"role": "system", "content": [{"type": "text", "text": self.settings.instruction}]}, user]

    def _data_url(self, inputs: Inputs, k: int) -> str:
        assert inputs.images is not None
        image = open_image(inputs.images[k])
        size = fitted_size(image.size, self.settings.min_pixels, self.settings.max_pixels)
        buffer = io.BytesIO()
        (image if size == image.size else image.resize(size)).save(buffer, format="PNG")
        return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()

    def _vectors(self, answer: Any, n: int) -> Tensor:
        """Return the vectors of an answer in the order of the request, (n, dim)."""
        where = f"the answer of {self.endpoint.url}{PATH}"
        data = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(data, list) or not all(isinstance(entry, dict) for entry in data):
            raise InputError(f"{where} has no list of vectors under 'data'; is the model one for embeddings?")
        indices = [entry.get("index") for entry in data]
        if len(data) != n or sorted(i for i in indices if isinstance(i, int)) != list(range(n)):
            raise InputError(
                f"{where}: expected {n} vectors with the indices 0 to {n - 1}, found {len(data)}: {indices[:5]}"
            )
        rows: List[List[float]] = [[]] * n
        for entry in data:
            vector = entry.get("embedding")
            if not isinstance(vector, list) or not vector or not all(_finite(value) for value in vector):
                raise InputError(f"{where}: vector {entry['index']} is no list of finite numbers")
            rows[entry["index"]] = vector
        widths = sorted({len(row) for row in rows} | ({self._dim} if self._dim else set()))
        if len(widths) > 1:
            raise InputError(f"{where}: vectors have different widths: {', '.join(map(str, widths))}")
        self._dim = widths[0]
        return torch.tensor(rows, dtype=torch.float32)


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
