"""Other processes: what forked children of a run tell the measurement of a test, and what they may ask."""
