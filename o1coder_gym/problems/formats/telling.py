"""The format of a row, recognised by its fields or named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from o1coder_gym.errors import ProblemFileError, first_of
from o1coder_gym.problems.formats.row_format import Converter, Origin, RowFormat
from o1coder_gym.problems.rows import LEFT_OUT, ProblemRow, problem_row_from_json
from o1coder_gym.specs import registry

_NATIVE_FIELDS = frozenset({"task_id", "prompt", "tests"})


def native(raw: Mapping[str, object], origin: Origin) -> ProblemRow:
    """Reads a row of this project's own schema."""
    return problem_row_from_json(raw)


NATIVE = RowFormat(frozenset(), native)


def converter_for(raw: object) -> Converter:
    """Recognises the format of a file by its first row.

    Formats of this project come first, so that no installed package changes how their files are read.

    Raises:
        ProblemFileError: When it is in no known format; names the nearest one and what is missing.
    """
    if not isinstance(raw, Mapping) or LEFT_OUT in raw:
        return native
    known: dict[str, RowFormat] = {}
    for name, row_format in _told_by_fields():  # lazily, so that a plug-in that is not needed is not imported
        if row_format.fields <= raw.keys():
            return row_format.convert
        known[name] = row_format
    shares = {name: _share(row_format.fields, raw) for name, row_format in known.items()}
    nearest = max(shares, key=lambda name: shares[name])
    if _share(_NATIVE_FIELDS, raw) >= shares[nearest] and _NATIVE_FIELDS & raw.keys():
        return native
    if not shares[nearest]:
        names = ", ".join(["native", *known])
        raise ProblemFileError(f"no known format has the fields {_listed(raw)}; known formats: {names}")
    missing = _listed(sorted(known[nearest].fields - raw.keys()))
    raise ProblemFileError(f"unknown format; the nearest is {nearest}, but it needs {missing} too")


def converter_named(name: str) -> Converter:
    """Returns the converter of a format by its name.

    Raises:
        UnknownNameError: When there is no such format.
        PluginError: When a plug-in cannot be used.
    """
    return registry.find("problems", name).object().convert


def _told_by_fields() -> Iterator[tuple[str, RowFormat]]:
    for name, row_format in registry.usable("problems"):
        if row_format.fields:
            yield name, row_format


def _share(fields: frozenset[str], raw: Mapping[str, object]) -> float:
    return len(fields & raw.keys()) / len(fields)


def _listed(names: Iterable[str]) -> str:
    return first_of([repr(str(name)) for name in names], 8)
