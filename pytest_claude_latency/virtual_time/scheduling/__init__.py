"""Scheduling: who runs, who waits until when, and what the clock reads."""
