"""Which problems are one problem under several names, and which split that puts them in."""
