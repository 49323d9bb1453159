"""Keeps generated tests per problem, so that a reward asks its generator once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from o1coder_gym.errors import ProblemFileError
from o1coder_gym.problems.rows import case_from_json, case_to_json
from o1coder_gym.protocols import TestGenerator
from o1coder_gym.tcg.requests import TestRequest, generate_all
from o1coder_gym.types import TestCase


def read_tests(path: Path) -> dict[str, tuple[TestCase, ...]]:
    """Reads rows ``{"task_id": …, "tests": […]}`` from a JSONL file.

    Raises:
        ProblemFileError: When the file cannot be read or a row is no such row; names the line.
    """
    found: dict[str, tuple[TestCase, ...]] = {}
    for number, line in enumerate(_lines(path), start=1):
        try:
            row = json.loads(line)
            found[row["task_id"]] = tuple(map(case_from_json, row["tests"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ProblemFileError(f"{path}, line {number}: no row with task_id and tests") from error
        except ProblemFileError as error:
            raise ProblemFileError(f"{path}, line {number}: {error}") from error
    return found


class TestStore:
    """Generated tests in a JSONL file; a request that was answered before is answered from it.

    A request is the same if problem, reference, number and seed are, and the store's name of the generator.
    """

    def __init__(self, path: Path, generator: TestGenerator, name: str) -> None:
        """Opens the file, or prepares it; a last line that a kill has torn is cut off.

        Args:
            path: The file; made with the first answer.
            generator: Asked for what is not there.
            name: What distinguishes this generator from others that share the file.

        Raises:
            ProblemFileError: When the file is there and is none of a store.
        """
        self._path = path
        self._generator = generator
        self._name = name
        self._known: dict[str, tuple[TestCase, ...]] = {}
        if path.exists():
            _cut_torn_line(path)
        for number, line in enumerate(_lines(path) if path.exists() else (), start=1):
            try:
                row = json.loads(line)
                self._known[row["key"]] = tuple(map(case_from_json, row["tests"]))
            except (ValueError, KeyError, TypeError, ProblemFileError) as error:
                raise ProblemFileError(f"{path}, line {number}: no row of a test store") from error

    def tests(self, requests: Sequence[TestRequest]) -> dict[str, tuple[TestCase, ...]]:
        """Returns tests by task id, as `ReasoningModel` takes them; new ones are made in one batch."""
        keys = [self._key(request) for request in requests]
        new = [request for request, key in zip(requests, keys, strict=True) if key not in self._known]
        made = generate_all(self._generator, new)
        self._add(zip(new, (one.tests for one in made), strict=True))
        return {
            request.problem.task_id: self._known[key] for request, key in zip(requests, keys, strict=True)
        }

    def _add(self, answers: Iterable[tuple[TestRequest, tuple[TestCase, ...]]]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            for request, tests in answers:
                key = self._key(request)
                self._known[key] = tests
                row = {"task_id": request.problem.task_id, "key": key, "tests": [*map(case_to_json, tests)]}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def _key(self, request: TestRequest) -> str:
        problem = request.problem
        parts = [self._name, problem.task_id, problem.prompt, problem.entry_point]
        parts += [request.reference, request.n, request.seed]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _cut_torn_line(path: Path) -> None:
    try:
        content = path.read_bytes()
        if not content.endswith(b"\n"):
            os.truncate(path, content.rfind(b"\n") + 1)
    except OSError as error:
        raise ProblemFileError(f"{path}: cannot be read: {error}") from error


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ProblemFileError(f"{path}: cannot be read: {error}") from error
