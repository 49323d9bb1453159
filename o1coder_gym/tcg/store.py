"""Keeps generated tests per problem, so that a reward asks its generator once.

Tests of a whole problem set, made once with its references (mode A) and kept in the cache folder.

That is how the paper rewards training: γ_TCG is shown the ground-truth code C (Algorithm 1, step 5). What is
kept and returned are inputs and outputs; the references stay here.

Tests that a generator makes for the problems of a run, kept in its folder.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from o1coder_gym.errors import ProblemFileError, unreadable
from o1coder_gym.models.lookup import cache_folder
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.rows import ProblemRow, case_from_json, case_to_json
from o1coder_gym.runs.files import json_lines
from o1coder_gym.runs.provenance import content_hash, input_hashes
from o1coder_gym.sandbox import default_judge
from o1coder_gym.tcg.loading import SpreadGenerator, load_generator
from o1coder_gym.tcg.requests import TestRequest, generate_all
from o1coder_gym.types import GeneratedTests, TestCase, Tests
from o1coder_gym.types.protocols import TestGenerator


def read_tests(path: Path) -> dict[str, tuple[TestCase, ...]]:
    """Reads the tests of `read_generated` alone."""
    return {task_id: made.tests for task_id, made in read_generated(path).items()}


def read_generated(path: Path) -> dict[str, GeneratedTests]:
    """Reads rows ``{"task_id": …, "tests": […], "weights": […]}`` from a JSONL file; weights may be missing.

    Raises:
        ProblemFileError: When the file cannot be read or a row is not such a row; names the line.
    """
    found: dict[str, GeneratedTests] = {}
    for number, line in enumerate(_lines(path), start=1):
        try:
            row = json.loads(line)
            tests, weights = tuple(map(case_from_json, row["tests"])), tuple(row.get("weights", ()))
            if weights and (len(weights) != len(tests) or not all(0 <= weight <= 1 for weight in weights)):
                raise ProblemFileError(f"{len(tests)} tests need as many weights in [0, 1], or none")
            found[row["task_id"]] = GeneratedTests(tests, weights=weights)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProblemFileError(f"{path}, line {number}: no row with task_id and tests") from error
        except ProblemFileError as error:
            raise ProblemFileError(f"{path}, line {number}: {error}") from error
    return found


class TestStore:
    """Generated tests in a JSONL file; a request that was answered before is answered from it.

    A request is the same if all of the problem that a generator sees is (question, public tests, prelude and
    limits), reference, number and seed are, and the store's name of the generator.
    """

    def __init__(self, path: Path, generator: TestGenerator, name: str, *, earlier: str = "") -> None:
        """Opens the file, or prepares it; a last line that a kill has torn is cut off.

        Args:
            path: The file; made with the first answer.
            generator: Asked for what is not there.
            name: The name that distinguishes this generator from others that share the file.
            earlier: The name that an earlier version used in a run folder; the keys that it made, which say
                less of problem and generator, hold too.

        Raises:
            ProblemFileError: When the file is there and is none of a store.
        """
        self._path = path
        self._generator = generator
        self._name = name
        self._earlier = earlier
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
        self._add(zip(new, made, strict=True))
        return {
            request.problem.task_id: self._known[key] for request, key in zip(requests, keys, strict=True)
        }

    def _add(self, answers: Iterable[tuple[TestRequest, GeneratedTests]]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            for request, made in answers:
                key = self._key(request)
                self._known[key] = made.tests
                row = {"task_id": request.problem.task_id, "key": key}
                row |= {"tests": [*map(case_to_json, made.tests)], "weights": [*made.weights]}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def _key(self, request: TestRequest) -> str:
        problem = request.problem
        parts = [problem.task_id, problem.prompt, problem.entry_point]
        parts += [request.reference, request.n, request.seed]
        # Runs of an earlier version are resumed by its keys, which say less of the problem.
        if self._earlier and (key := content_hash([self._earlier, *parts])) in self._known:
            return key
        # All that a generator sees of the problem, so that an edited question is asked again.
        parts += [[*map(case_to_json, problem.public_tests)], problem.prelude, dict(problem.meta)]
        return content_hash([self._name, *parts])


def _cut_torn_line(path: Path) -> None:
    try:
        content = path.read_bytes()
        if not content.endswith(b"\n"):
            os.truncate(path, content.rfind(b"\n") + 1)
    except OSError as error:
        raise ProblemFileError(unreadable(path, error)) from error


def _lines(path: Path) -> list[str]:
    try:
        return json_lines(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ProblemFileError(unreadable(path, error)) from error


TESTS_PER_PROBLEM = 16
"""Tests to request per problem."""


def reference_tests(
    problems: str, *, split: str | None = None, generator: str = "mutation", n: int = TESTS_PER_PROBLEM
) -> dict[str, Tests]:
    """Returns generated tests by task id, as `ReasoningModel` takes them; a problem without any has none.

    They are made with the ground-truth code C (Algorithm 1, step 5).

    Args:
        problems: Name or path of the problem set.
        split: Keeps one split.
        generator: The generator's spec, see `tcg.loading`.
        n: Tests per problem at most, ≥ 1.

    Raises:
        UnknownNameError: When there is no such set or generator.
        ProblemFileError: When the set, or the file of tests in the cache, cannot be read.
    """
    rows = load_rows(problems, split=split)
    name = content_hash([str(problems), generator, input_hashes(generator)])[:16]
    path = cache_folder() / "tests" / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several environments of a user may begin at the same time
        store = TestStore(path, load_generator(generator, default_judge()), generator)
        return dict(store.tests([TestRequest(row.problem, n, row.reference) for row in rows]))


FILE = "tests.jsonl"
_BATCH = 16


def generated_tests(
    generator: str, rows: Sequence[ProblemRow], count: int, folder: Path, executor: str = "serial"
) -> dict[str, tuple[TestCase, ...]]:
    """Returns tests by task id, mode A where there is a reference; those made before come from the folder.

    Args:
        generator: Spec of the generator.
        rows: The problems.
        count: Tests per problem; 0 makes none.
        folder: Of the run.
        executor: Where they are made, all at once unless here.
    """
    if not count:
        return {}
    made_by, batch_size = load_generator(generator, default_judge()), _BATCH
    if executor != "serial":
        made_by, batch_size = SpreadGenerator(generator, executor), max(1, len(rows))
    store = TestStore(folder / FILE, made_by, f"{generator} {input_hashes(generator)}", earlier=generator)
    made: dict[str, tuple[TestCase, ...]] = {}
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        made |= store.tests([TestRequest(row.problem, count, row.reference) for row in batch])
    return made
