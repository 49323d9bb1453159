"""Reads the parameters of a function or dataclass from its signature and docstring.

A parameter has a name, a type, a default, a range and a meaning. `bind` checks the arguments of a spec
against them before anything runs. A dataclass parameter, such as `Sampling`, is set field by field.
"""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from functools import lru_cache, partial
from typing import Any, Final, TypeAlias, get_args, get_type_hints

from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.specs.parameters.ranges import Meaning, Range
from o1coder_gym.specs.parameters.values import (
    choices,
    expected,
    read_text,
    readable,
    short,
    without_metadata,
)

Arguments: TypeAlias = Iterable[tuple[str, str]]
"""(key, value) pairs as a spec has them."""

REQUIRED: Final = inspect.Parameter.empty
"""The default of a parameter that has none."""

_SECTION = re.compile(r"^(?:Args|Attributes):\n((?:[ \t].*\n|\n)+)", re.M)
_ENTRY = re.compile(r"^ {4}\*{0,2}(\w+):[ \n]+(.*(?:\n {8}.*)*)", re.M)


_FINITE = Range()


@dataclass(frozen=True, slots=True)
class Hints:
    """Information about parameters that signatures cannot express.

    Attributes:
        names: Of functions that may be passed, by parameter: ``{"evaluate": {"rollout": rollout}}``.
        ranges: Of numbers, by parameter, where no annotation has one.
    """

    names: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)


NO_HINTS = Hints()


@dataclass(frozen=True, slots=True)
class Whole:
    """A dataclass parameter, which a spec sets field by field.

    Attributes:
        name: Of the parameter.
        type: The dataclass.
        default: An instance, or `REQUIRED`.
    """

    name: str
    type: Any
    default: Any

    def made(self, values: Mapping[str, Any]) -> Any:
        """Returns the default with some fields replaced."""
        return self.type(**values) if self.default is REQUIRED else replace(self.default, **values)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter that a spec or an option can set.

    Attributes:
        name: Its key in a spec.
        type: Its annotation; that of its default where there is none.
        default: `REQUIRED` if there is none.
        range: Of a number, or of the numbers in a list; None: all finite ones.
        names: Values that may be passed, by name, if they are not JSON values.
        meaning: The docstring's text, or else the annotation's.
        part_of: The parameter that it is a field of, if it is one.
    """

    name: str
    type: Any
    default: Any = REQUIRED
    range: Range | None = None
    names: Mapping[str, Any] = field(default_factory=dict)
    meaning: str = ""
    part_of: Whole | None = None

    @property
    def readable(self) -> bool:
        """Whether a spec can give it; a tree, for instance, cannot be written in one."""
        return bool(self.names) or readable(self.type)

    @property
    def kind(self) -> str:
        """Type and range, short: ``int ≥ 1``."""
        if self.names:
            return "|".join(self.names)
        return short(self.type) + (f" {self.range.short}" if self.range else "")

    @property
    def phrase(self) -> str:
        """Its meaning as a part of a sentence: without a capital letter, a period and code marks."""
        first, space, others = self.meaning.replace("``", "").removesuffix(".").partition(" ")
        word = first == "A" or (first[1:].isalpha() and first[1:].islower())
        return f"{first.lower() if word else first}{space}{others}"

    def shown(self, value: Any) -> Any:
        """Returns a value as JSON: a function by its name; what has no name as text."""
        for name, known in self.names.items():
            if known is value:
                return name
        try:
            return json.loads(json.dumps(value))
        except TypeError:
            return str(value)

    def read(self, text: str, where: str) -> Any:
        """Reads a value.

        Args:
            text: As it is written in a spec.
            where: What messages start with.

        Raises:
            UsageError: When it is not of the type, or out of range.
            UnknownNameError: When it names nothing that may be passed.
        """
        if not self.readable:
            raise UsageError(f"{where}{self.name} cannot be given in a spec")
        if self.names and text in self.names:
            return self.names[text]
        try:
            value = read_text(text, type(None) if self.names else self.type)
        except (ValueError, RecursionError) as error:
            if self.names:
                raise UnknownNameError(self.name, text, self.names, where=where) from error
            raise self._wrong(text, where) from error
        self.check(value, where)
        return value

    def check(self, value: Any, where: str = "") -> None:
        """Raises `UsageError` when a value is out of range, or not one of a few that there are."""
        known = choices(self.type)
        for one in value if isinstance(value, list | tuple) else (value,):
            if known and one is not None and one not in known:
                raise self._wrong(one, where)
        for number in value if isinstance(value, list | tuple) else (value,):
            if isinstance(number, int | float) and number not in (self.range or _FINITE):
                finite = (
                    " and finite"
                    if isinstance(number, float) and self.range and self.range.high == math.inf
                    else ""
                )
                raise UsageError(f"{where}{self.name} must be {self.range or _FINITE}{finite}, got {number}")

    def _wrong(self, value: Any, where: str) -> UsageError:
        if choices(self.type):
            return UsageError(f"{where}{self.name} is {expected(self.type)}, not {value!r:.80}")
        return UsageError(f"{where}{self.name} must be {expected(self.type)}, got {value!r:.80}")


def parameters(
    function: Callable[..., Any],
    *,
    passed: Sequence[str] = (),
    keyword_only: bool = True,
    hints: Hints = NO_HINTS,
) -> tuple[Parameter, ...]:
    """Returns the parameters of a function or class in order; dataclass parameters as their fields.

    Args:
        function: With annotations, or with defaults that show the types.
        passed: Parameters that the caller passes itself, so that they are left out.
        keyword_only: Whether those that may also be passed by position are left out.
        hints: Facts that the signature lacks.

    Raises:
        ValueError: When it has no signature (some functions written in C).
    """
    annotations, meanings = _annotations(function), _meanings(function)
    found: list[Parameter] = []
    for one in inspect.signature(function).parameters.values():
        by_name = one.kind is one.KEYWORD_ONLY or (one.kind is one.POSITIONAL_OR_KEYWORD and not keyword_only)
        if not by_name or one.name in passed:
            continue
        annotation = annotations.get(one.name)
        kind = without_metadata(annotation)
        if isinstance(kind, type) and is_dataclass(kind):
            found += _fields(kind, Whole(one.name, kind, one.default), hints)
        else:
            found.append(_parameter(one.name, annotation, one.default, meanings, hints))
    return tuple(found)


def bind(known: Sequence[Parameter], arguments: Arguments, where: str, *, spec: str = "") -> dict[str, Any]:
    """Parses and checks arguments; returns keyword arguments for the function.

    Args:
        known: The parameters.
        arguments: As a spec has them.
        where: What messages start with, the spec for instance.
        spec: What the arguments belong to, for an example of one that is missing.

    Raises:
        UsageError: When one is malformed, out of range, given twice or missing.
        UnknownNameError: When there is no such parameter.
    """
    by_name = {parameter.name: parameter for parameter in known}
    values: dict[str, Any] = {}
    for key, text in arguments:
        if key not in by_name:
            readable = [name for name, parameter in by_name.items() if parameter.readable]
            raise UnknownNameError("argument", key, readable, where=where)
        if key in values:
            raise UsageError(f"{where}{key} is given twice")
        values[key] = by_name[key].read(text, where)
    for name, parameter in by_name.items():
        if parameter.default is REQUIRED and name not in values:
            example = f"{spec}{'&' if '?' in spec else '?' if spec else ''}{name}={name.upper()}"
            about = parameter.phrase or expected(parameter.type)
            raise UsageError(f"{where}{name} is missing; add it: {example} ({about})")
    return _assembled(by_name, values, where)


def check_fields(settings: Any) -> None:
    """Raises `UsageError` when a field of a dataclass is outside of its annotated range or choices."""
    for parameter in field_parameters(type(settings)):
        parameter.check(getattr(settings, parameter.name))


@lru_cache(maxsize=256)
def field_parameters(kind: type) -> tuple[Parameter, ...]:
    """Returns the fields of a dataclass, those without a default as `REQUIRED`."""
    return tuple(_fields(kind, None, NO_HINTS))


def _assembled(known: Mapping[str, Parameter], values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Puts fields together into the dataclasses that they belong to."""
    found: dict[str, Any] = {}
    wholes: dict[str, tuple[Whole, dict[str, Any]]] = {}
    for name, parameter in known.items():
        whole = parameter.part_of
        # An untouched dataclass keeps the function's own default; without one it has to be built in any case.
        if whole is not None and (name in values or whole.default is REQUIRED):
            given = wholes.setdefault(whole.name, (whole, {}))[1]
            given |= {name: values[name]} if name in values else {}
        elif name in values:
            found[name] = values[name]
    for name, (whole, given) in wholes.items():
        try:
            found[name] = whole.made(given)
        except UsageError as error:
            raise UsageError(f"{where}{error}") from error
    return found


def _parameter(
    name: str,
    annotation: Any,
    default: Any,
    meanings: Mapping[str, str],
    hints: Hints,
    whole: Whole | None = None,
) -> Parameter:
    kind = without_metadata(annotation)
    if kind is None:
        kind = Any if default is None or default is REQUIRED else type(default)
    within = _range_in(annotation) or hints.ranges.get(name)
    meaning = meanings.get(name) or _meaning_in(annotation)
    return Parameter(name, kind, default, within, hints.names.get(name, {}), meaning, whole)


def _fields(kind: Any, whole: Whole | None, hints: Hints) -> list[Parameter]:
    annotations, meanings = _annotations(kind), _meanings(kind)
    found = []
    for one in fields(kind):
        if whole is not None and whole.default is not REQUIRED:
            default = getattr(whole.default, one.name)
        elif one.default_factory is not MISSING:
            default = one.default_factory()
        else:
            default = REQUIRED if one.default is MISSING else one.default
        if one.init:
            found.append(_parameter(one.name, annotations.get(one.name), default, meanings, hints, whole))
    return found


def _annotations(function: Any) -> dict[str, Any]:
    """Returns resolved annotations; none where a name in them cannot be resolved (other people's code)."""
    while isinstance(function, partial):
        function = function.func
    if isinstance(function, type) and not is_dataclass(function):
        function = function.__init__
    elif not isinstance(function, type) and not inspect.isroutine(function):
        function = type(function).__call__
    try:
        return _hints_of(function)
    except (NameError, TypeError, AttributeError):
        return {}


@lru_cache(maxsize=256)
def _hints_of(function: Any) -> dict[str, Any]:
    return get_type_hints(function, include_extras=True)


def _meanings(function: Any) -> dict[str, str]:
    """Returns what the sections ``Args`` and ``Attributes`` of a docstring say, by name."""
    found: dict[str, str] = {}
    # From the base class on, so that a subclass's words replace those of its base.
    for one in reversed(function.__mro__) if isinstance(function, type) else (function,):
        section = _SECTION.search((inspect.getdoc(one) or "") + "\n")
        entries = _ENTRY.findall(section[1]) if section else ()
        found |= {name: " ".join(text.split()) for name, text in entries}
    return found


def _range_in(annotation: Any) -> Range | None:
    """Returns the first range in an annotation, also one inside of a list or a union."""
    for part in (*getattr(annotation, "__metadata__", ()), *get_args(annotation)):
        found = part if isinstance(part, Range) else _range_in(part)
        if found is not None:
            return found
    return None


def _meaning_in(annotation: Any) -> str:
    """Returns what the metadata of an annotation says; empty if it says nothing."""
    found = (part.text for part in getattr(annotation, "__metadata__", ()) if isinstance(part, Meaning))
    return next(found, "")
