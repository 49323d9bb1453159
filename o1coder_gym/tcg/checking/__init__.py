"""Checks of tests: running programs, agreement, validity, choosing programs by tests."""
