"""Reasoning steps as text: formats with their prompts and parsers, and choices among steps."""
