"""What the operating system puts around a candidate. Imports nothing when imported."""
