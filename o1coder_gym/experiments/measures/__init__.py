"""Measures of runs: ASPR, held-out problems, named results beside their stored figures."""
