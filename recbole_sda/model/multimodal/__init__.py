"""Multimodal recommenders on the feature store, one module per model."""
