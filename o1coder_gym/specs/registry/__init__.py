"""The registry: finds agents, policies, scorers, … of this project and of installed packages by name.

What is built in is listed by dotted path and imported when it is asked for. Another package adds to a kind
by an entry point of the group ``o1coder_gym.plugins``, whose name says kind and name::

    [project.entry-points."o1coder_gym.plugins"]
    "agent.widest" = "my_package.agents:widest"

The arguments of a spec are parameters of the function that is registered, checked before it is called:

==============  ===============================================================  =========================
kind            what is registered                                               its arguments
==============  ===============================================================  =========================
``agent``       ``(problem, root, *, …) -> Search``                              keyword-only parameters
``policy``      ``(target, step_format, …) -> Policy``                           all other parameters
``scorer``      ``(target, …) -> StepScorer``                                    all other parameters
``generator``   ``(target, judge, solutions, …) -> TestGenerator``               all other parameters
``schedule``    ``(t, *, …) -> float``                                           keyword-only parameters
``executor``    ``(work, pieces, *, …) -> Iterator``                             keyword-only parameters
``embedding``   ``(text, *, …) -> vector``                                       keyword-only parameters
``format``      a `StepFormat`                                                   none
``problems``    a `RowFormat`                                                    none
==============  ===============================================================  =========================

A policy, scorer or generator takes those of the named parameters that it needs; one without `target` is
named without ``:``. Names offered twice and objects that cannot be used are refused when they are asked
for, and disturb no others.
"""

from o1coder_gym.specs.registry.entries import PLUGINS, Entry
from o1coder_gym.specs.registry.kinds import KINDS, Kind
from o1coder_gym.specs.registry.making import arguments_of, bound, entry_of, make
from o1coder_gym.specs.registry.offers import PROJECT, BuiltIn, entries, find, misnamed, register, usable

__all__ = [
    "KINDS",
    "PLUGINS",
    "PROJECT",
    "BuiltIn",
    "Entry",
    "Kind",
    "arguments_of",
    "bound",
    "entries",
    "entry_of",
    "find",
    "make",
    "misnamed",
    "register",
    "usable",
]
