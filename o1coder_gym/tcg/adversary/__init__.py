"""The second player: inputs that separate programs passing all known tests, and rulings on who is right."""
