"""SDA, structural and disentangled adaptation of LVLMs for multimodal recommendation, as a RecBole extension."""

__version__ = "0.1.0"
