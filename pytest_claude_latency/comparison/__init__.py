"""Comparison: what changed between two sets of samples, exactly or statistically."""
