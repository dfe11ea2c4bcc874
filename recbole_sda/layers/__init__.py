"""Layers that import torch only: low-rank experts, fusion, item encoders, the encoded item embedding."""
