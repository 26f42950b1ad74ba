"""Collection: which tests are latency tests, what their markers say, and how often each runs."""
