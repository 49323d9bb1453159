"""Micro-problems and a tiny model that half knows how to solve them: the whole method on a laptop's CPU."""
