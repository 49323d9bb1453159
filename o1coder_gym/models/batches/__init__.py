"""Composition of a training's forward passes: shared prefixes, the order of rows, the projection."""
