"""Whether tests are right: running programs, agreement, validity, choosing programs by tests."""
