"""The command line: the only layer that may import everything."""
