"""Results: what a run found out about its tests."""
