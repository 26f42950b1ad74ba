"""The run: what happens to each latency test, from set-up to the end of the session."""
