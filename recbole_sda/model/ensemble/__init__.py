"""Ensembles of finished runs and neighbourhoods: weighted sums of their scores."""
