"""The guide on reducing latency, remedy by remedy: each call as it was before, and as it is now."""
