"""What a replay changes inside client libraries: keys, signatures, projects, and the jitter of pauses."""
