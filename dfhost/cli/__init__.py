"""The command line: start, run, explain."""
