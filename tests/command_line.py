"""A call of the command line in this process, and the options that its commands have."""

import contextlib
import io
import re
from dataclasses import dataclass
from typing import Any

from cyclopts import CycloptsError

from o1coder_gym.cli.main import app, report, run
from o1coder_gym.errors import O1CoderError
from o1coder_gym.runs.progress import silence


@dataclass(frozen=True, slots=True)
class Done:
    """What a call printed and returned, and the error that it reported."""

    exit_code: int
    stdout: str
    stderr: str
    exception: Exception | None

    @property
    def output(self) -> str:
        """Both, as a terminal has them."""
        return self.stdout + self.stderr


def call(*words: object) -> Done:
    """Calls the command line; an exception that it does not report is the test's."""
    out, err = io.StringIO(), io.StringIO()
    exception: Exception | None = None
    silence(False)  # as main does
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = run([str(word) for word in words])
        except (CycloptsError, O1CoderError, OSError) as error:
            exception, status = error, report(error)
    return Done(status, out.getvalue(), err.getvalue(), exception)


def find(words: list[str]) -> tuple[Any, list[str]]:
    """Follows words through the commands; returns the last command and the words left."""
    command = app
    while words and not words[0].startswith("-") and words[0] in command:
        command, words = command[words[0]], words[1:]
    return command, words


def names_of(command: Any) -> set[str]:
    """The options of a command; a mere group of commands has none of its own."""
    if command.default_command is None:
        return {"--help", "-h"}
    return {name for one in command.assemble_argument_collection() for name in one.names} | {"--help", "-h"}


def check_documented(words: list[str]) -> None:
    """Asserts that a command of a page exists and has the options it is shown with."""
    command, rest = find(words)
    assert len(rest) < len(words), words
    used = {word.partition("=")[0] for word in rest if re.fullmatch(r"--[a-z].*", word)}
    assert used <= names_of(command), (words, used - names_of(command))
