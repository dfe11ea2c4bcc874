"""The built-in miniature of invented products."""
