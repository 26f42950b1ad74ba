"""Diagnosis: where the time of a test went, and what would make the test faster."""
