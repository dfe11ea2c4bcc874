"""Pixtral's processor, for Pixtral and Mistral 3; that of transformers needs torchvision, of which it uses nothing."""

from typing import Any, List, Optional

from transformers import BatchFeature, ProcessorMixin


class PixtralProcessor(ProcessorMixin):
    """Makes inputs in which an image is its rows of patches: a token per patch, one after each row, and one at the end.

    Args:
        image_processor: resizes images to whole patches.
        tokenizer: the model's tokenizer.
        patch_size: side of a patch of the vision tower in pixels.
        spatial_merge_size: side of the square of patches that becomes one token.
        chat_template: the model's chat template.
        image_token: token of a patch.
        image_break_token: token after each row but the last.
        image_end_token: token after the last row.
    """

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        patch_size: int = 16,
        spatial_merge_size: int = 1,
        chat_template: Optional[str] = None,
        image_token: str = "[IMG]",
        image_break_token: str = "[IMG_BREAK]",
        image_end_token: str = "[IMG_END]",
        **kwargs: Any,
    ):
        super().__init__(image_processor, tokenizer, chat_template=chat_template)
        self.patch_size, self.spatial_merge_size = patch_size, spatial_merge_size
        self.image_token, self.image_break_token, self.image_end_token = image_token, image_break_token, image_end_token
        self.image_token_id = tokenizer.convert_tokens_to_ids(image_token)

    def __call__(self, images: Any = None, text: Any = None, **kwargs: Any) -> BatchFeature:
        """Return the model's inputs for prompts with one placeholder per image; further arguments go to the tokenizer."""
        prompts: List[str] = list(text)
        values = {}
        if images is not None:
            side = self.patch_size * self.spatial_merge_size
            flat = [image for of_prompt in images for image in of_prompt]
            values = dict(
                self.image_processor(images=flat, patch_size={"height": side, "width": side}, return_tensors="pt")
            )
            rows = iter([(int(height) // side, int(width) // side) for height, width in values["image_sizes"]])
            prompts = [self._expand(prompt, rows) for prompt in prompts]
        return BatchFeature({**self.tokenizer(prompts, **kwargs), **values})

    def _expand(self, prompt: str, rows: Any) -> str:
        first, *rest = prompt.split(self.image_token)
        for part in rest:
            height, width = next(rows)
            row = self.image_token * width
            first += self.image_break_token.join([row] * height) + self.image_end_token + part
        return first
