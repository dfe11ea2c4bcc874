"""Recommendations of a trained model for users: as a table, and as a page to look at."""
