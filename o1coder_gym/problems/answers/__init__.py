"""Answers to problems: what was written, here or elsewhere, and the program that is run for it."""
