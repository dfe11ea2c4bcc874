"""Layers that know torch only: low-rank experts, fusion, item encoders, the encoded item embedding."""
