"""Comparison: what changed between two sets of samples, and whether it became slower."""
