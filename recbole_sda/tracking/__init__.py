"""Trackers of experiments: MLflow, Weights & Biases and Trackio behind one small interface."""
