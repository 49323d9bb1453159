"""From a settings class to a command: its flags, its help, ``--config``, ``--print-config``."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from cyclopts import App, Group, Parameter

from o1coder_gym.runs import ranks
from o1coder_gym.settings import Setting, all_settings, parse_words, read, shown, to_toml, with_run
from o1coder_gym.specs.parameters import REQUIRED
from o1coder_gym.specs.parameters.values import choices, item_of, members

S = TypeVar("S")
FILES = "Settings file"
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


def command(
    kind: type[S],
    run: Callable[..., int | None],
    name: str,
    folder: type | None = None,
    *,
    ranked: bool = False,
) -> App:
    """Returns a command that fills settings and hands them to a function, whose docstring is the help.

    Args:
        kind: Settings class.
        run: Called with the settings; what it returns is the exit status, None is 0.
        name: Of the command.
        folder: Settings class of the run folder, with which `run` is called too; None without one.
        ranked: Whether several ranks may run it, which end together.

    Raises:
        ValueError: When two fields have one flag: a mistake of the settings class.
    """
    filled = kind if folder is None else with_run(kind, folder)
    found = shown_settings(filled)
    flags = {one.flag for one in found}
    by_variable = {_variable(one): one for one in found}

    def fill(
        *arguments: Any, config: Path | None = None, print_config: bool = False, **options: Any
    ) -> int | None:
        places = (_variable(one) for one in found if one.positional)
        given = dict(zip(places, arguments, strict=False)) | options
        settings: Any = read(filled, config, dict(_parsed(by_variable, given)))
        if print_config:
            print(to_toml(settings), end="")
            return None
        given_to_run = (settings,) if folder is None else (settings, settings.run)
        from o1coder_gym.cli.run_folders import resumable  # here, for --help and completion need no journal

        # Around all that it does: what fails in every rank is told once, too.
        alike = ranks.together() if ranked else contextlib.nullcontext()
        with resumable(_folder(settings) if "--resume" in flags else None), alike:
            return run(*given_to_run)

    app = new_app(name, inspect.getdoc(run) or "")
    groups = {heading: Group.create_ordered(heading) for heading in dict.fromkeys(one.group for one in found)}
    parameters = [_parameter(one, groups[one.group]) for one in found]
    parameters += [_denial(one) for one in found if one.kind is bool and one.default is not True]
    parameters += _file_parameters(Group.create_ordered(FILES))
    parameters.sort(key=lambda one: one.kind)
    fill.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    fill.settings = filled  # type: ignore[attr-defined]
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
    """Returns the placeholder for an option's value in the help."""
    if choices(one.kind):
        return "WORD"
    item = item_of(one.kind)
    found = item if item is not None else members(one.kind)[0]
    return _METAVARS.get(found, "TEXT") + (",…" if item in (int, float) else "")


def _parsed(known: Mapping[str, Setting], given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yields key and value of the given options; None marks one that was not given."""
    for variable, value in given.items():
        one = known[variable.removeprefix(_NOT)]
        if value is not None and one.kind is bool:
            yield one.key, value != variable.startswith(_NOT)
        elif value is not None:
            yield one.key, parse_words(one, value)


def _parameter(one: Setting, group: Group) -> inspect.Parameter:
    """Returns a flag or an argument.

    Its default is left to `read`, since a file may have another. Words are left to `parse_words`: were values
    made here, cyclopts would check them again by pydantic, wherever that happens to be imported.
    """
    boolean = one.kind is bool
    # an option that is given again: a list has both values, anything else the last one
    annotation: Any = bool if boolean else str if one.positional and not one.many else list[str]

    def words(_: Any, tokens: Sequence[Any]) -> Any:
        found = [token.value for token in tokens]
        return found[0] if annotation is str else found

    about = Parameter(
        name=None if one.positional else (one.flag,),
        negative=(f"--no-{one.flag[2:]}",) if boolean and one.default is True else (),
        converter=None if boolean else words,
        help=help_of(one),
        group=group,
        metavar=None if boolean else one.flag if one.positional else metavar(one),
        show_default=False,
        allow_leading_hyphen=not boolean,
    )
    kind = inspect.Parameter.POSITIONAL_ONLY if one.positional else inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(
        _variable(one), kind, default=None, annotation=Annotated[annotation | None, about]
    )


def _denial(one: Setting) -> inspect.Parameter:
    """Returns ``--no-…`` of a switch that is off anyway: it overrules a file, and is not in the help."""
    about = Parameter(name=f"--no-{one.flag[2:]}", negative=(), show=False)
    name = _NOT + _variable(one)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[bool | None, about]
    )


def _file_parameters(group: Group) -> list[inspect.Parameter]:
    told = "TOML, YAML or JSON with the settings; options on the command line override it."
    printed = "Print the settings as a file for --config, and run nothing."
    config = Annotated[Path | None, Parameter(metavar="FILE", help=told, group=group)]
    print_config = Annotated[bool, Parameter(negative=(), show_default=False, help=printed, group=group)]
    kind = inspect.Parameter.KEYWORD_ONLY
    return [
        inspect.Parameter("config", kind, default=None, annotation=config),
        inspect.Parameter("print_config", kind, default=False, annotation=print_config),
    ]


def _folder(settings: Any) -> Path | None:
    """Returns the run folder that settings name, whichever of their groups has it."""
    groups = (settings, getattr(settings, "run", None), getattr(settings, "keeping", None))
    return next((out for group in groups if (out := getattr(group, "out", None)) is not None), None)


def _variable(one: Setting) -> str:
    return one.key.replace(".", "__")
