"""Comparisons: many runs from one plan, and tables with gains and paired tests."""
