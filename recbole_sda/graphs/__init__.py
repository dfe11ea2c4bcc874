"""Graphs of items and of users and items, as fixed sparse matrices."""
