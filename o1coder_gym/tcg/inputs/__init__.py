"""Inputs of programs: known ones, their domains, and new ones made from them."""
