"""Graders of whole programs as one function each; each imports what it needs when it is prepared."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

from .programs import Program

Grade: TypeAlias = Callable[[Sequence[Program]], list[bool]]
"""Says of each program whether it passes all its tests."""
_LIGHTEVAL_S = 6


def here() -> Grade:
    """This project's judge: one zygote, all tests of all programs."""
    from o1coder_gym.sandbox import Judge
    from o1coder_gym.types import Outcome, StdioTest, Submission

    judge = Judge(workers=1)

    def grade(programs: Sequence[Program]) -> list[bool]:
        submissions = [
            Submission(
                program.code,
                None,
                tuple(
                    StdioTest(given, wanted, "livecodebench")
                    for given, wanted in zip(program.inputs, program.outputs, strict=True)
                ),
            )
            for program in programs
        ]
        return [
            verdict.outcome is Outcome.PASS for verdict in judge.evaluate(submissions, stop_at_failure=True)
        ]

    return grade


def verl() -> Grade:
    """`prime_code` as verl's default reward calls it; a failing program is run once for each of ten tests."""
    prime_code = module("verl", "utils/reward_score/prime_code/__init__.py")

    def grade(programs: Sequence[Program]) -> list[bool]:
        cases = ({"inputs": one.inputs, "outputs": one.outputs} for one in programs)
        return [
            prime_code.compute_score(program.code, json.dumps(tests), continuous=True)[0] is True
            for program, tests in zip(programs, cases, strict=True)
        ]

    return grade


def lighteval() -> Grade:
    """The copy in lighteval of LiveCodeBench's grader: one process a program, up to the first failure."""
    metrics = module("lighteval", "tasks/tasks/lcb/codegen_metrics.py")

    def grade(programs: Sequence[Program]) -> list[bool]:
        samples = [
            {"input_output": json.dumps({"inputs": one.inputs, "outputs": one.outputs, "fn_name": None})}
            for one in programs
        ]
        return [
            all(result > 0 for result in metrics.check_correctness(sample, one.code, _LIGHTEVAL_S))
            for one, sample in zip(programs, samples, strict=True)
        ]

    return grade


def fork() -> Grade:
    """Nothing but a fork that executes the program for each test, without any protection or limit."""

    def grade(programs: Sequence[Program]) -> list[bool]:
        return [
            all(
                _forked(program.code, given).split() == wanted.split()
                for given, wanted in zip(program.inputs, program.outputs, strict=True)
            )
            for program in programs
        ]

    return grade


def _forked(code: str, given: str) -> str:
    """Returns what a program prints in a forked child."""
    with os.fdopen(os.memfd_create("in"), "w+b") as stdin, os.fdopen(os.memfd_create("out"), "w+b") as stdout:
        stdin.write(given.encode())
        stdin.seek(0)
        child = os.fork()
        if child == 0:
            try:
                os.dup2(stdin.fileno(), 0)
                os.dup2(stdout.fileno(), 1)
                sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
                exec(compile(code, "program", "exec"), {"__name__": "__main__"})
                sys.stdout.flush()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        stdout.seek(0)
        return stdout.read().decode()


def module(package: str, path: str, name: str = "") -> ModuleType:
    """Imports a module of an installed package, and nothing of the package around it.

    Args:
        package: The package.
        path: File of the module below it; or the folder of the module, whose neighbours it imports.
        name: Which module of that folder.

    Raises:
        ImportError: When the package is not installed.
    """
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ImportError(f"{package} is not installed")
    file = Path(found.submodule_search_locations[0]) / path
    if name:
        around = sys.modules["peer"] = ModuleType("peer")
        around.__path__ = [str(file)]
        return importlib.import_module(f"peer.{name}")
    folder = [str(file.parent)] if file.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location("peer", file, submodule_search_locations=folder)
    assert spec is not None
    assert spec.loader is not None
    loaded = sys.modules["peer"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded
