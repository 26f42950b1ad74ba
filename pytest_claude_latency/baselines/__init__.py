"""Baselines: the samples of one run, saved so that later runs can be compared with them."""
