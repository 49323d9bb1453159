"""γ_TCG: makes test cases, judges what they are worth, and chooses programs by them."""
