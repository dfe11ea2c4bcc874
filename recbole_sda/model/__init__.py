"""The *_SDA models, the multimodal recommenders, and the registry that names both."""
