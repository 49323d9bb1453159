"""The process that forks a confined child per candidate. Imports nothing when imported."""
