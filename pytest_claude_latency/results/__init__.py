"""Results: what a run measured about its tests, and the verdicts on them."""
