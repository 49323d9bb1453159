"""The entry point: commands by name, loaded on demand; errors as one line."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from typing import Literal

from cyclopts import App, CycloptsError
from cyclopts.exceptions import RepeatArgumentError, UnknownCommandError, UnusedCliTokensError

from o1coder_gym import __version__
from o1coder_gym.cli.commands import new_app
from o1coder_gym.errors import O1CoderError, UnknownNameError, UsageError
from o1coder_gym.runs import ranks
from o1coder_gym.runs.progress import silence

COMMANDS = {
    "demo": (
        "search.demo",
        "Watch a tree search solve problems that greedy decoding fails, and see whether it pays.",
    ),
    "solve": ("search.solve", "Solve one problem and watch the reasoning."),
    "bench": ("search.bench", "Compare agents on problem sets at equal budgets, judged on hidden tests."),
    "compare": (
        "search.compare",
        "Compare results problem by problem, paired, with 95 % intervals over problems.",
    ),
    "explain": ("tools.explain", "Show an answer of a run with every hidden test that it failed."),
    "report": (
        "search.report",
        "Write the report of a run: tables, figures and pages of search trees.",
    ),
    "tree": ("search.tree", "Look at search trees: steps, values, visits, tests; two agents side by side."),
    "synthesize": (
        "search.synthesize",
        "Search problems and turn the search trees into training data for policy and PRM.",
    ),
    "sft": ("training.sft", "Fine-tune a policy on the paths whose programs passed."),
    "prm": ("training.prm", "Train, measure and apply process reward models."),
    "rl": ("training.rl", "Train a policy, or a chooser among its proposals, by reinforcement learning."),
    "tcg": ("training.tcg", "Measure and train test generators, and choose programs by tests."),
    "selfplay": (
        "training.selfplay",
        "Search, train on what was found, search again: the paper's Algorithm 1.",
    ),
    "micro": ("training.micro", "Make micro-problems and train a tiny model that solves some of them."),
    "reproduce": (
        "tools.reproduce",
        "Measure a named result again and compare it with its stored figures.",
    ),
    "data": ("tools.data", "List, show, check and split problem sets."),
    "models": ("tools.models", "List, find and fetch model weights."),
    "judge": ("tools.judge", "Run untrusted solutions against all tests of their problems."),
    "attack": ("tools.attack", "Find inputs on which programs for one problem disagree."),
    "export": ("tools.export", "Write the search trees of a run as traces of ATIF, verifiers or verl."),
    "serve": ("tools.serve", "Serve agents to any OpenAI client, with their reasoning streamed."),
    "list": ("tools.listing", "List agents, policies, scorers, … with their parameters, types and defaults."),
    "doctor": (
        "tools.doctor",
        "Show what is installed, what the sandbox enforces, and what would be faster.",
    ),
}
"""By name: the module below `cli` whose `app` it is, and the first line of its help."""


SHELLS: tuple[Literal["bash", "zsh", "fish"], ...] = ("bash", "zsh", "fish")
"""Shells whose completion `o1coder completion SHELL` writes."""

_HELP = "Code reasoning as a decision process: solve, search, benchmark, train."


_EPILOGUE = """All commands: --quiet hides progress and remarks, --verbose logs and prints tracebacks.
eval "$(o1coder completion bash)" turns on completion; zsh and fish likewise."""


def _front_desk() -> App:
    made = new_app("o1coder", _HELP, f"o1coder-gym {__version__}")
    made.help_epilogue = _EPILOGUE
    for name, (module, line) in COMMANDS.items():
        made.command(f"o1coder_gym.cli.{module}:app", name=name, help=line)
    return made


app = _front_desk()


def main(words: Sequence[str] | None = None) -> int:
    """Runs the command line; errors are a line on standard error.

    Args:
        words: What stands after ``o1coder``; None takes it from the process.

    Returns:
        The exit status: 0 done, 1 the work failed, 2 usage.
    """
    return main_of(app, words)


def console() -> None:
    """Runs the command line and ends the process with its status, also while a model's call is under way.

    A run that was interrupted leaves threads inside such calls. Before 3.14 Python unwinds them when it ends,
    which C++ does not allow: torch would abort the process instead.
    """
    try:
        status = main()
    except SystemExit as end:
        status = end.code
    if not any(thread.name.startswith("o1coder-") for thread in threading.enumerate()):
        sys.exit(status)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else 1)


def main_of(command: App, words: Sequence[str] | None = None) -> int:
    """Runs a command of any program as `main` does."""
    given = list(sys.argv[1:] if words is None else words)
    loud = bool({"--verbose", "-v"} & {*given})
    silence(bool({"--quiet", "-q"} & {*given}))
    if loud:
        _log()
    try:
        with _first_rank_prints(), contextlib.nullcontext() if loud else _warnings_are_sentences():
            return run([word for word in given if word not in _EVERYWHERE], command)
    except BrokenPipeError:  # whoever reads the output has seen enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - Python flushes it when it ends
        return 141
    except KeyboardInterrupt:  # while the command was loaded: nothing is begun that could go on
        print("interrupted", file=sys.stderr)
        return 130
    except (CycloptsError, O1CoderError, OSError) as error:
        if loud:
            traceback.print_exception(error)
        return report(error)


@contextlib.contextmanager
def _first_rank_prints() -> Iterator[None]:
    """Keeps the results of other ranks, which are the same, off standard output."""
    if ranks.is_first():
        yield
        return
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


@contextlib.contextmanager
def _warnings_are_sentences() -> Iterator[None]:
    """Prints warnings without the file and the line of source that gave them, which is what Python adds."""
    usual = warnings.formatwarning
    warnings.formatwarning = _sentence
    try:
        yield
    finally:
        warnings.formatwarning = usual


def _sentence(message: Warning | str, *_: object) -> str:
    return f"warning: {' '.join(str(message).split())}\n"


_EVERYWHERE = ("--quiet", "-q", "--verbose", "-v")


def _log() -> None:
    """Shows what this project logs, `logging.getLogger("o1coder_gym")`, on standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("o1coder_gym")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG)


def run(words: Sequence[str], command: App = app) -> int:
    """Runs the command line.

    Raises:
        CycloptsError, O1CoderError, OSError: What `report` prints.
    """
    if command is app and words and words[0] == "help":
        words = [*words[1:], "--help"]
    if command is app and [*words[:2]] == ["bench", "compare"]:  # the same, without all that runs a benchmark
        words = words[1:]
    if command is app and words and words[0] == "completion":
        print(_completion(words[1:]))
        return 0
    if command is app and words and not words[0].startswith("-") and words[0] not in COMMANDS:
        # cyclopts would import every command to find the nearest
        raise UnknownNameError("command", words[0], COMMANDS)
    try:
        found = command(list(words), exit_on_error=False, print_error=False)
    except RepeatArgumentError as error:  # a switch; the last one counts, as of any option
        name = f"{error.token.keyword}".removeprefix("--").removeprefix("no-")
        first = next(
            (place for place, word in enumerate(words) if word in (f"--{name}", f"--no-{name}")), None
        )
        if first is None:
            raise
        return run([*words[:first], *words[first + 1 :]], command)
    return found if isinstance(found, int) else 0


def _completion(words: Sequence[str]) -> str:
    """Returns the script that lets a shell complete words without starting Python."""
    shell = words[0] if words else "bash"
    if shell not in SHELLS or len(words) > 1:
        raise UnknownNameError("shell", " ".join(words), SHELLS)
    return app.generate_completion(shell=shell)


def report(error: CycloptsError | O1CoderError | OSError) -> int:
    """Prints an error on one line of standard error; returns the exit status."""
    kind, status, told = "error", 1, str(error)
    if isinstance(error, CycloptsError):
        kind, status, told = "usage", 2, _worded(error)
    elif isinstance(error, UsageError):
        kind, status = "usage", 2
    elif isinstance(error, OSError):
        told = f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else "")
    print(f"{kind}: {told}", file=sys.stderr)
    return status


def _worded(error: CycloptsError) -> str:
    """Returns the message of an error; for an unexpected word with a suggestion."""
    if isinstance(error, UnusedCliTokensError | UnknownCommandError) and error.unused_tokens:
        word = error.unused_tokens[0]
        known = [name for name in error.app or () if not name.startswith("-")]
        if known and not word.startswith("-"):
            return str(UnknownNameError("command", word, known))
        if isinstance(error, UnusedCliTokensError):
            called = " ".join(["o1coder", *(error.command_chain or ())])
            return f"unexpected argument {word!r}; see {called} --help"
    return " ".join(str(error).split())


if __name__ == "__main__":
    console()
