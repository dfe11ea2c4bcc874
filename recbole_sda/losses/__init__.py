"""Losses that take tensors, not models."""
