"""Calls that block a thread in C code: locks, simple queues, files and signals, so that their limits are virtual."""
