"""Plain data that programs take and return: coded, compared, read. Imports nothing when imported."""
