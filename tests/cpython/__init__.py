"""CPython's own tests as judges of virtual time: what passes on the machine's clock passes within a world.

The tests are taken from the interpreter that runs them, which brings them in its package `test`. This folder has none
of them, only what runs them twice and compares. `nox -s cpython` does so on each Python.
"""
