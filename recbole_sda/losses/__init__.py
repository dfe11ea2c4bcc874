"""Losses on tensors; none of them knows a model."""
