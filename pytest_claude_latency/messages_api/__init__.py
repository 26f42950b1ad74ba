"""The Messages API on the wire: requests, answers and their streams."""
