"""A fuzzer: damaged files and odd commands, which must end in our own errors and never in a traceback."""
