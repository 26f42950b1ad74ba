"""Cassettes: recordings as values and as files, and how requests are matched with them."""
