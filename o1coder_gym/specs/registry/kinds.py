"""The kinds of things that have names, and what is registered of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thing that has names.

    Attributes:
        name: In entry points.
        noun: In messages.
        plural: On the command line.
        passed: Further arguments of the registered function; empty if it is not a function.
        told: Keywords that the caller adds for functions that take them.
        makes: Whether the function makes the thing; otherwise it is the thing.
        methods: The methods that an object other than a function must have.
        group: Group of entry points of this kind alone, from before there was `PLUGINS`.
        hints: Dotted path of what signatures do not say.
        colon: Whether names are listed with the colon that a target follows.
        otherwise: Other forms of a spec: an importable object, in words; empty if nothing else.
        note: For people who look at the list.
    """

    name: str
    noun: str
    plural: str
    passed: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    makes: bool = False
    methods: tuple[str, ...] = ()
    group: str = ""
    hints: str = ""
    colon: bool = False
    otherwise: str = ""
    note: str = ""


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Kind(
                "agent",
                "agent",
                "agents",
                ("problem", "root"),
                told=("context",),
                group="o1coder_gym.agents",
                hints="o1coder_gym.agents.registry:HINTS",
                note="Any agent: select=public, tests, codet, codet-sqrt, majority, prm_last, prm_min, "
                "prm_product or prm_mean says which of its programs is the answer; a second one breaks ties.",
            ),
            Kind(
                "policy",
                "policy",
                "policies",
                ("target", "step_format"),
                makes=True,
                group="o1coder_gym.policies",
                colon=True,
            ),
            Kind(
                "scorer",
                "scorer",
                "scorers",
                ("target",),
                makes=True,
                otherwise="neither heuristic, nor prm:NAME, nor an importable 'package.module:factory'",
                note="package.module:factory names a factory of your own.",
            ),
            Kind(
                "generator",
                "test generator",
                "generators",
                ("target", "judge", "solutions"),
                makes=True,
                group="o1coder_gym.generators",
                note="A policy's spec names its language model as a generator: hf:FOLDER, for example.",
            ),
            Kind("schedule", "schedule", "schedules", ("t",), note="A number alone is a constant schedule."),
            Kind("executor", "executor", "executors", ("work", "pieces")),
            Kind(
                "embedding",
                "embedding",
                "embeddings",
                ("text",),
                otherwise="neither hash?dimensions=D (hash:D) nor an importable 'package.module:function'",
                note="package.module:function names a function of your own.",
            ),
            Kind(
                "format",
                "step format",
                "formats",
                methods=("prompt", "render", "parse", "complaint", "boundary"),
            ),
            Kind(
                "problems",
                "problem format",
                "problems",
                methods=("fields", "convert"),
                note="The format of a problem file is told by the fields of its first row.",
            ),
        )
    }
)
