"""The fields of settings classes: what marks them, and where they stand."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, is_dataclass, make_dataclass, replace
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from o1coder_gym.specs.parameters import REQUIRED, Parameter, check_fields, field_parameters
from o1coder_gym.specs.parameters.values import item_of, members


@dataclass(frozen=True, slots=True)
class Flag:
    """What a field is called on the command line where ``--its-name`` is not it.

    Attributes:
        name: ``--lr``; a word without dashes is a positional argument; empty: in files only.
    """

    name: str


FILE_ONLY = Flag("")


@dataclass(frozen=True, slots=True)
class Heading:
    """Puts a field under a heading of its own in the help."""

    text: str


@dataclass(frozen=True, slots=True)
class Hint:
    """What the message says at its end where a field without a default is not given: how to get a value."""

    text: str


@dataclass(frozen=True, slots=True)
class Section:
    """Marks a group whose flags carry its name, ``--run.seed``: its fields are called as those of others.

    Attributes:
        tag: Key that says which class of a union is meant, e.g. ``method``.
        kinds: Those classes by its values.
    """

    tag: str = ""
    kinds: tuple[tuple[str, type], ...] = ()


@dataclass(frozen=True, slots=True)
class Without:
    """Marks a group some of whose fields the command does not have: they keep their defaults."""

    names: tuple[str, ...]


class Checked:
    """Base of settings whose ranges hold for Python calls too."""

    __slots__ = ()

    def __post_init__(self) -> None:
        """Raises `UsageError` for a field out of its range."""
        check_fields(self)


_LATER = frozenset(
    {"template_arguments", "reward", "group_prefixes", "importance_cap", "rollouts", "credit_kept"}
    | {"expert", "sampler", "staleness"}
)
"""Names of fields that came later than the first runs whose configuration is kept."""


def to_row(settings: Any) -> dict[str, Any]:
    """Returns a JSON-able dict, `_LATER` fields only if they are set: runs begun before them have none."""
    row = asdict(settings)
    for field in fields(settings):
        value = getattr(settings, field.name)
        if field.name in _LATER and (not value or value == field.default):
            del row[field.name]
        elif is_dataclass(value):
            row[field.name] = to_row(value)
    return row


def with_run(kind: type, run: type) -> Any:
    """Returns a subclass with a run folder beside the settings: a group ``run`` of the class `run`."""
    needed = any(parameter.default is REQUIRED for parameter in field_parameters(run))
    beside = ("run", run) if needed else ("run", run, run())
    words = {"__doc__": kind.__doc__}
    return make_dataclass(
        kind.__name__, [beside], bases=(kind,), namespace=words, frozen=True, slots=True, kw_only=True
    )


@dataclass(frozen=True, slots=True)
class Setting:
    """One field of a settings class, or of a group in it.

    Attributes:
        path: Names from the outermost class to the field.
        parameter: Its type, range, default and meaning.
        marks: What else its annotation says.
        group: Heading.
        dotted: Whether its flag carries the whole path.
    """

    path: tuple[str, ...]
    parameter: Parameter
    marks: tuple[Any, ...]
    group: str
    dotted: bool = False

    @property
    def name(self) -> str:
        """Of the field."""
        return self.path[-1]

    @property
    def kind(self) -> Any:
        """Its type."""
        return self.parameter.type

    @property
    def default(self) -> Any:
        """`REQUIRED` if there is none."""
        return self.parameter.default

    @property
    def key(self) -> str:
        """Its place in a file: ``budget.tokens``."""
        return ".".join(self.path)

    @property
    def flag(self) -> str:
        """``--tokens``, a positional's name, or empty where it is in files only."""
        if self.is_group or self.is_stage:
            return ""
        given = self.mark(Flag)
        name = self.key if self.dotted else self.name
        return given.name if given is not None else f"--{name.replace('_', '-')}"

    @property
    def positional(self) -> bool:
        """Whether it is given by its place on the command line."""
        return not self.flag.startswith("-")

    @property
    def many(self) -> bool:
        """Whether it is a list."""
        return item_of(self.kind) is not None

    @property
    def is_group(self) -> bool:
        """Whether it is a settings class."""
        return is_dataclass(self.kind)

    @property
    def is_stage(self) -> bool:
        """Whether it is a group that may be left out, or of one of several classes."""
        return not self.is_group and bool(self.classes)

    @property
    def classes(self) -> tuple[Any, ...]:
        """The settings classes that it may be of, of a group or a stage."""
        return tuple(filter(is_dataclass, members(self.kind)))

    def mark(self, kind: type) -> Any:
        """Returns the mark of a kind, None without one."""
        return next((one for one in self.marks if isinstance(one, kind)), None)


@cache
def own_settings(kind: type) -> tuple[Setting, ...]:
    """Returns the fields of a class itself; a group is one of them."""
    hints = get_type_hints(kind, include_extras=True)
    heading = (inspect.getdoc(kind) or "").partition("\n")[0].rstrip(".")
    found = []
    for parameter in field_parameters(kind):
        hint = hints[parameter.name]
        marks = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
        above = next((mark.text for mark in marks if isinstance(mark, Heading)), heading)
        found.append(Setting((parameter.name,), parameter, marks, above))
    return tuple(found)


def all_settings(kind: type, base: Any = None) -> Iterator[Setting]:
    """Yields the fields of a class and of its groups, with the defaults of the class, or those in `base`."""
    yield from _below(kind, base, (), False, ())


def _below(
    kind: type, base: Any, above: tuple[str, ...], dotted: bool, left_out: tuple[str, ...]
) -> Iterator[Setting]:
    for one in own_settings(kind):
        if one.name in left_out:
            continue
        default = one.default if base is None else getattr(base, one.name)
        path = (*above, one.name)
        if one.is_group:
            without, below = one.mark(Without), None if default is REQUIRED else default
            deeper = dotted or one.mark(Section) is not None
            yield from _below(one.kind, below, path, deeper, without.names if without else ())
        else:
            parameter = replace(one.parameter, default=default)
            yield replace(one, path=path, parameter=parameter, dotted=dotted)
