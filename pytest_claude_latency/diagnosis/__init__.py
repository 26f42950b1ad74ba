"""Diagnosis: where the time of a test went, and what would make it faster."""
