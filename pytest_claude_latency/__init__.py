"""Latency regression tests for Claude calls."""
