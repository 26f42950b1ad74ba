"""Doors: one module for each client library whose requests are met."""
