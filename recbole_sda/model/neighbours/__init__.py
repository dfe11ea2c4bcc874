"""Recommenders that count instead of training: the bar for trained models."""
