"""Registry entries: where an object is defined, who provides it, which arguments it takes."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from o1coder_gym.errors import O1CoderError, PluginError
from o1coder_gym.specs.parameters import NO_HINTS, Hints, Parameter, parameters
from o1coder_gym.specs.registry.kinds import KINDS, Kind

PLUGINS = "o1coder_gym.plugins"
"""Group of entry points under which packages offer things of any kind."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One registered object.

    Attributes:
        kind: A key of `KINDS`.
        name: Its name in specs.
        path: Dotted path of the object, ``package.module:object``.
        origin: The distribution that registered it, with its version.
        group: Group of entry points that it comes from; empty if it is not a plug-in.
        load: Imports the object; raises whatever the import raises.
    """

    kind: str
    name: str
    path: str
    origin: str
    group: str = field(default="", compare=False)
    load: Callable[[], Any] = field(repr=False, compare=False, default=lambda: None)

    @property
    def earlier(self) -> bool:
        """Whether it comes from a group of one kind alone, whose objects may be called differently."""
        return self.group not in ("", PLUGINS)

    def object(self) -> Any:
        """Returns the object, imported now.

        Raises:
            PluginError: When it cannot be imported, or is not what its kind needs.
            MissingExtraError: When it says so itself.
        """
        where = f"plug-in {self.kind}.{self.name} of {self.origin} ({self.path})" if self.name else self.path
        try:
            found = self.load()
        except O1CoderError:
            raise
        except (Exception, SystemExit) as error:  # the code of others may raise anything
            if not self.group:
                raise
            # One line: the reason stands in the middle of a message.
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise PluginError(f"{where} cannot be loaded: {reason}") from error
        if self.group and (wrong := _wrong(KINDS[self.kind], found, self.earlier)):
            raise PluginError(f"{where} is {wrong}")
        return found

    def parameters(self) -> tuple[Parameter, ...]:
        """Returns the parameters that a spec may set, without the target."""
        kind, found = KINDS[self.kind], self.object()
        if not kind.passed or (self.earlier and kind.makes):
            return ()
        passed = (*kind.passed, *kind.told)
        return parameters(found, passed=passed, keyword_only=not kind.makes, hints=_hints(kind))

    def takes_target(self) -> bool:
        """Whether its specs have a target, ``name:target``."""
        kind = KINDS[self.kind]
        if self.earlier and kind.makes:
            return True
        return "target" in kind.passed and "target" in inspect.signature(self.object()).parameters

    def summary(self) -> str:
        """Returns the first line of its docstring; that of the converter for a problem format."""
        found = self.object()
        return (inspect.getdoc(getattr(found, "convert", found)) or "").partition("\n")[0]


def _hints(kind: Kind) -> Hints:
    return pkgutil.resolve_name(kind.hints) if kind.hints else NO_HINTS


def _wrong(kind: Kind, found: Any, earlier: bool) -> str:
    """Says why a plug-in's object is not of its kind; empty if it is."""
    if not kind.passed:
        missing = [name for name in kind.methods if not hasattr(found, name)]
        return f"a {type(found).__name__} without {', '.join(missing)}" if missing else ""
    expected = f"expected a function ({', '.join(kind.passed)}, …)"
    if not callable(found):
        return f"a {type(found).__name__}; {expected}"
    try:
        signature = inspect.signature(found)
        if not kind.makes:
            # Partial: keyword-only arguments of a spec come later, only the position of the passed ones is
            # checked.
            signature.bind_partial(*kind.passed)
    except TypeError:
        return f"called otherwise; {expected}"
    except ValueError as error:
        return f"not usable: {error}"
    return ""
