"""Tests that are Python programs, pytest functions or a unittest class, made checks one by one.

Each test becomes a check of its own, so that a verdict says which failed. What pytest offers to such tests,
`raises`, `approx` and `mark.parametrize`, is defined in the check, for pytest is not there where it runs.
"""

from __future__ import annotations

import ast

from o1coder_gym.problems.formats.reading.fields import wrong
from o1coder_gym.problems.formats.reading.test_code import parse_code
from o1coder_gym.types import CheckTest

_PYTEST = """\
class pytest:
    class raises:
        def __init__(self, kind, *call, match=None):
            self.kind, self.match, self.value = kind, match, None
            if call:
                with self:
                    call[0](*call[1:])

        def __enter__(self):
            return self

        def __exit__(self, kind, error, traceback):
            import re

            assert kind is not None, "nothing was raised"
            self.value = error
            if issubclass(kind, self.kind) and self.match is not None:
                assert re.search(self.match, str(error)), error
            return issubclass(kind, self.kind)

    class approx:
        def __init__(self, value, rel=None, abs=None):
            self.value = value
            self.rel, self.abs = 1e-6 if rel is None else rel, 1e-12 if abs is None else abs

        def __eq__(self, got):
            if isinstance(self.value, dict):
                same_keys = got.keys() == self.value.keys()
                return same_keys and all(self.near(got[k], v) for k, v in self.value.items())
            if isinstance(self.value, (list, tuple)):
                return len(got) == len(self.value) and all(map(self.near, got, self.value))
            return self.near(got, self.value)

        def near(self, got, value):
            if not isinstance(value, (int, float)):
                return got == value
            return got == value or -1 <= (got - value) / max(self.abs, self.rel * abs(value)) <= 1

    class mark:
        def parametrize(names, rows, **options):
            names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)

            def run_each(test):
                def run(**given):
                    for row in rows:
                        row = (row,) if len(names) == 1 else row
                        test(**given, **dict(zip(names, row)))

                return run

            return run_each


"""
_RUN_CASE = """
def check(candidate):
    result = unittest.TestResult()
    unittest.TestSuite([{case}({method!r})]).run(result)
    faults = [*result.errors, *result.failures]
    assert not faults, faults[0][1].strip().splitlines()[-1]
"""


def pytest_checks(code: str, field: str, module: str = "solution") -> tuple[tuple[CheckTest, ...], list[str]]:
    """Returns a check for each pytest function, and the names that they import from the program.

    Args:
        code: The test module.
        field: Where it stands, for messages.
        module: The name under which it imports the program.

    Raises:
        ProblemFileError: When it is not Python, has no test, or wants a fixture.
    """
    tree = parse_code(code, field)
    names = [
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == module
        for alias in node.names
    ]
    tree.body = [node for node in tree.body if not _imports(node, (module, "pytest"))]
    tests = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test")]
    if not tests:
        raise wrong(field, "defines no test function")
    for test in tests:
        if test.args.args and not test.decorator_list:
            raise wrong(
                field, f"{test.name} wants the fixture {test.args.args[0].arg!r}, which is not supported"
            )
    shim = (
        _PYTEST if any(isinstance(node, ast.Name) and node.id == "pytest" for node in ast.walk(tree)) else ""
    )
    head = shim + ast.unparse(tree)
    checks = tuple(CheckTest(f"{head}\n\n\ndef check(candidate):\n    {test.name}()\n") for test in tests)
    return checks, names


def unittest_checks(code: str, field: str) -> tuple[CheckTest, ...]:
    """Returns a check for each test method of the unittest classes.

    Raises:
        ProblemFileError: When it is not Python or has no test method.
    """
    cases = [
        (node.name, method.name)
        for node in parse_code(code, field).body
        if isinstance(node, ast.ClassDef)
        for method in node.body
        if isinstance(method, ast.FunctionDef) and method.name.startswith("test")
    ]
    if not cases:
        raise wrong(field, "defines no test method")
    head = f"import unittest\n{code.rstrip()}\n\n"
    return tuple(CheckTest(head + _RUN_CASE.format(case=case, method=method)) for case, method in cases)


def _imports(node: ast.stmt, modules: tuple[str, ...]) -> bool:
    """Whether a statement imports one of these modules, or from one."""
    if isinstance(node, ast.ImportFrom):
        return node.module in modules
    return isinstance(node, ast.Import) and any(alias.name in modules for alias in node.names)
