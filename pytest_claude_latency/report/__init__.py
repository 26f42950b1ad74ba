"""Reports: what a run measured, in the terminal and in files."""
