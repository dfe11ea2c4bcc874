"""The built-in miniature data sets of invented products."""
