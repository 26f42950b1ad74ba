"""A/B measurements: each test's recorded request and its current one, sent alternately."""
