"""Training and evaluation of one run, and its folder."""
