"""Metrics: what each number means and how it is computed from a call."""
