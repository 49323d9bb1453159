"""Runs: folders, journals, provenance, budgets, seeds, executors, progress."""
