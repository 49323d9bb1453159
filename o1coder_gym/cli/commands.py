"""From a settings class to a command: its flags, its help, ``--config``, ``--print-config``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from cyclopts import App, Group, Parameter

from o1coder_gym.parameters import REQUIRED
from o1coder_gym.parameters.values import choices, item_of, members
from o1coder_gym.settings import Setting, all_settings, parse_words, read, shown, to_toml

S = TypeVar("S")
FILES = "Settings file"
_UNSET: Any = object()
_NOT = "not__"
"""Before the variable of a ``--no-…``."""
_METAVARS = {int: "INT", float: "NUMBER", str: "TEXT", Path: "PATH"}


def new_app(name: str, help: str, version: str = "") -> App:
    """Returns an application, or a group of commands, whose help reads like that of all others."""
    return App(
        name=name,
        help=help,
        version=version,
        version_flags=("--version",) if version else (),
        help_flags=("--help", "-h"),
        help_format="plaintext",
        result_action="return_value",
    )


def command(kind: type[S], run: Callable[[S], int | None], name: str) -> App:
    """Returns a command that fills settings and hands them to a function, whose docstring is the help.

    Args:
        kind: Settings class.
        run: Called with the settings; what it returns is the exit status, None is 0.
        name: Of the command.

    Raises:
        ValueError: When two fields have one flag: a mistake of the settings class.
    """
    found = shown_settings(kind)
    by_variable = {_variable(one): one for one in found}

    def fill(
        *arguments: Any, config: Path | None = None, print_config: bool = False, **options: Any
    ) -> int | None:
        places = (one for one in found if one.positional)
        given = {one.key: value for one, value in zip(places, arguments, strict=False) if value is not _UNSET}
        for variable, value in options.items():
            one = by_variable[variable.removeprefix(_NOT)]
            given[one.key] = value != variable.startswith(_NOT) if one.kind is bool else value
        settings = read(kind, config, given)
        if print_config:
            print(to_toml(settings), end="")
            return None
        return run(settings)

    app = new_app(name, inspect.getdoc(run) or "")
    groups = {heading: Group.create_ordered(heading) for heading in dict.fromkeys(one.group for one in found)}
    parameters = [_parameter(one, groups[one.group]) for one in found]
    parameters += [_denial(one) for one in found if one.kind is bool and one.default is not True]
    parameters += _file_parameters(Group.create_ordered(FILES))
    parameters.sort(key=lambda one: one.kind)
    fill.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    fill.settings = kind  # type: ignore[attr-defined]
    fill.__annotations__ = {one.name: one.annotation for one in parameters}
    app.default(fill)
    return app


def settings_of(app: App) -> type | None:
    """Returns the settings class of a command, None of a mere group of commands."""
    return getattr(app.default_command, "settings", None)


def shown_settings(kind: type) -> list[Setting]:
    """Returns the settings that have a flag or a place.

    Raises:
        ValueError: When two have the same.
    """
    found = [one for one in all_settings(kind) if one.flag]
    flags = [one.flag for one in found]
    twins = sorted({flag for flag in flags if flags.count(flag) > 1})
    if twins:
        raise ValueError(f"two fields are called {', '.join(twins)}")
    return found


def help_of(one: Setting) -> str:
    """Returns meaning, range and default of a setting: the same in the help and in the reference."""
    notes = [one.parameter.range.short] if one.parameter.range else []
    if known := choices(one.kind):
        notes.append(" | ".join(map(str, known)))
    if one.default is REQUIRED:
        notes.append("required")
    elif one.default not in (None, (), "") and one.default is not False:
        notes.append(f"default: {shown(one.default)}")
    return one.parameter.meaning.replace("``", "") + (f" [{'; '.join(notes)}]" if notes else "")


def metavar(one: Setting) -> str:
    """Returns what stands for the value of an option in the help."""
    if choices(one.kind):
        return "WORD"
    item = item_of(one.kind)
    found = item if item is not None else members(one.kind)[0]
    return _METAVARS.get(found, "TEXT") + (",…" if item in (int, float) else "")


def _parameter(one: Setting, group: Group) -> inspect.Parameter:
    """Returns a flag or an argument; its default is left to `read`, since a file may have another."""
    boolean = one.kind is bool
    listed = one.many and item_of(one.kind) not in (int, float)
    annotation: Any = bool if boolean else list[str] if listed else str

    def convert(_: Any, tokens: Sequence[Any]) -> Any:
        return parse_words(one, [token.value for token in tokens])

    about = Parameter(
        name=None if one.positional else (one.flag,),
        negative=(f"--no-{one.flag[2:]}",) if boolean and one.default is True else (),
        converter=None if boolean else convert,
        help=help_of(one),
        group=group,
        metavar=None if boolean else one.flag if one.positional else metavar(one),
        show_default=False,
        allow_leading_hyphen=not boolean and not listed,
    )
    kind = inspect.Parameter.POSITIONAL_ONLY if one.positional else inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(_variable(one), kind, default=_UNSET, annotation=Annotated[annotation, about])


def _denial(one: Setting) -> inspect.Parameter:
    """Returns ``--no-…`` of a switch that is off anyway: it overrules a file, and is not in the help."""
    about = Parameter(name=f"--no-{one.flag[2:]}", negative=(), show=False)
    name = _NOT + _variable(one)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=_UNSET, annotation=Annotated[bool, about]
    )


def _file_parameters(group: Group) -> list[inspect.Parameter]:
    told = "TOML, YAML or JSON with the settings; options given beside it count more."
    printed = "Print the settings as a file for --config, and run nothing."
    config = Annotated[Path | None, Parameter(metavar="FILE", help=told, group=group)]
    print_config = Annotated[bool, Parameter(negative=(), show_default=False, help=printed, group=group)]
    kind = inspect.Parameter.KEYWORD_ONLY
    return [
        inspect.Parameter("config", kind, default=None, annotation=config),
        inspect.Parameter("print_config", kind, default=False, annotation=print_config),
    ]


def _variable(one: Setting) -> str:
    return one.key.replace(".", "__")
