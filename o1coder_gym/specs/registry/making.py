"""Resolves specs: finds the entry, checks its arguments, and calls the registered function."""

from __future__ import annotations

import inspect
from dataclasses import replace
from functools import partial
from typing import Any

from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.specs import Spec
from o1coder_gym.specs.own_code import is_place, load_object
from o1coder_gym.specs.parameters import bind
from o1coder_gym.specs.registry.entries import PLUGINS, Entry
from o1coder_gym.specs.registry.kinds import KINDS
from o1coder_gym.specs.registry.offers import entries, find


def make(kind: str, spec: Spec, shown: str, **context: Any) -> Any:
    """Builds the object that a spec names: calls the function with the parts of `context` that it accepts.

    Args:
        kind: A kind whose functions are factories.
        spec: The parsed spec.
        shown: The spec as the user wrote it, for messages.
        context: Arguments from the caller, `KINDS[kind].passed` without the target.

    Raises:
        UnknownNameError: When the name, or a key, is not known.
        UsageError: When an argument or the target makes no sense.
        PluginError: When a plug-in cannot be used.
    """
    entry, spec = entry_of(kind, spec, shown)
    function, where = entry.object(), f"{KINDS[kind].noun} {shown}: "
    takes = _signature(function, where).parameters
    if "target" not in takes:
        _refuse_target(spec, where)
    elif spec.target:
        context["target"] = spec.target
    elif takes["target"].default is inspect.Parameter.empty:
        raise _without_target(kind, entry.name, shown)
    arguments = bind(entry.parameters(), spec.arguments, where, spec=str(spec))
    return function(**{name: value for name, value in context.items() if name in takes}, **arguments)


def arguments_of(kind: str, spec: Spec, shown: str) -> tuple[Any, dict[str, Any]]:
    """Returns the function that a spec names and its checked arguments, without calling it.

    Args and errors are those of `make`.
    """
    entry, spec = entry_of(kind, spec, shown)
    function, where = entry.object(), f"{KINDS[kind].noun} {shown}: "
    _refuse_target(spec, where)
    if not entry.name and not spec.arguments:
        return function, {}  # an imported object without arguments is passed on as it is
    return function, bind(entry.parameters(), spec.arguments, where, spec=str(spec))


def bound(kind: str, spec: Spec, shown: str) -> Any:
    """Returns the function that a spec names with its arguments fixed; see `arguments_of`."""
    function, arguments = arguments_of(kind, spec, shown)
    return partial(function, **arguments) if arguments else function


def entry_of(kind: str, spec: Spec, shown: str) -> tuple[Entry, Spec]:
    """Returns the entry that a spec names, and the spec without the part that says where code stands.

    Args and errors are those of `make`.
    """
    path = spec.name if spec.target is None else f"{spec.name}:{spec.target}"
    # A registered name wins over an importable module of the same name.
    if spec.name in entries(kind) or not is_place(path):
        if KINDS[kind].otherwise and spec.name not in entries(kind):
            raise UsageError(f"{KINDS[kind].noun} {shown!r} is {KINDS[kind].otherwise}")
        where = "" if spec.name == shown else f"{KINDS[kind].noun} {shown}: "
        return find(kind, spec.name, where=where), spec
    group = "" if KINDS[kind].otherwise else PLUGINS  # what those make is checked by who asks for it
    return Entry(kind, "", path, "an import", group, partial(load_object, path)), replace(spec, target=None)


def _signature(function: Any, where: str) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where}is not a function whose parameters can be read: {error}") from error


def _refuse_target(spec: Spec, where: str) -> None:
    if spec.target:
        raise UsageError(f"{where}{spec.name} takes no target after a colon, got {spec.target!r}")


def _without_target(kind: str, name: str, shown: str) -> UsageError:
    if KINDS[kind].colon:
        return UnknownNameError(KINDS[kind].noun, shown, [f"{one}:" for one in entries(kind)])
    return UsageError(f"{KINDS[kind].noun} {shown!r} does not say which one; write {name}:TARGET")
