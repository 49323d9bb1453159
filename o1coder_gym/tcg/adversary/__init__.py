"""The second player: inputs on which programs part that pass all known tests, and who is right there."""
