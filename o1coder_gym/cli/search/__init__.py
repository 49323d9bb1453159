"""Commands that search, and that show what a search found."""
