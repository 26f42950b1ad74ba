"""Drift: recorded calls sent again, and what the API does differently since they were recorded."""
