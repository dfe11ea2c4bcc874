"""Metrics computed from ranks: over all users, by groups of items and users, and tests of differences."""
