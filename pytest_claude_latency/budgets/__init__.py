"""Budgets: what limits there are, and whether measurements keep them."""
