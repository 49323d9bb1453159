"""What converters share: fields, tests, platforms, and the row that a question becomes."""
