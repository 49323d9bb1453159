"""Answers to problems, from here or elsewhere, and the programs that are run for them."""
