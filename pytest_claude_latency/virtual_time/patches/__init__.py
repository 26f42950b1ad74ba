"""Patches: how threads, loops, pools and the time module follow a world."""
