"""γ_TCG: makes test cases, measures their quality, and chooses programs by them."""
