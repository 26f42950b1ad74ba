"""Measurement: what one test's calls took, from exchanges to calls."""
