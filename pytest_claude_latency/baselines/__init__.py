"""Baselines: the samples of one run, kept to compare later runs with."""
