"""Metrics from ranks: overall, by groups of items and users, and how sure a difference is."""
