"""Budgets: limits that tests set, and whether measurements keep them."""
