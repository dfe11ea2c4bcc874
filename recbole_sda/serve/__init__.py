"""A run or an ensemble behind HTTP: recommendations for users and sessions, one at a time or in batches."""
