"""Hyper-parameter search with Ray Tune, on validation data alone."""
