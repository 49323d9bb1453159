"""The confinement of a candidate by the operating system. Imports nothing when imported."""
