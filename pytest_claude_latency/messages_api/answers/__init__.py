"""The content of an answer, and how each form of the wire brings it."""
