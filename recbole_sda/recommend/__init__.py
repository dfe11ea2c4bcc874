"""Recommendations of a trained model for users, as a table or as an HTML page."""
