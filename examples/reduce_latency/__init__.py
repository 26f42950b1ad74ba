"""The remedies of the guide on reducing latency: each call before and after."""
