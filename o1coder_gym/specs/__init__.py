"""Specs: strings that name things, ``name:target?key=value``; their grammar, parameters and registry."""

from o1coder_gym.specs.grammar import Spec, name_of, one_of, parse

__all__ = ["Spec", "name_of", "one_of", "parse"]
