"""Reads test cases from what a model wrote."""
