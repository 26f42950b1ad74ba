"""Watching: which threads are blocked for real, and when nothing can go on."""
