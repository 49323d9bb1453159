"""Tests that are Python programs, pytest functions or a unittest class, made checks one by one.

Each test becomes a check of its own, so that a verdict says which failed. What pytest offers to such tests
is defined in the check, for pytest is not there where it runs. A test that a check cannot stand for makes
the row bad: left out, it would let wrong programs pass.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from o1coder_gym.problems.formats.reading.fields import wrong
from o1coder_gym.problems.formats.reading.test_code import parse_code
from o1coder_gym.types import CheckTest

_PYTEST = """\
class pytest:
    class raises:
        def __init__(self, expected_exception, *call, match=None, **options):
            self.kind, self.pattern, self.value = expected_exception, match, None
            if call:
                with self:
                    call[0](*call[1:], **options)

        def __enter__(self):
            return self

        def __exit__(self, kind, error, traceback):
            assert kind is not None, "nothing was raised"
            self.type, self.value = kind, error
            if issubclass(kind, self.kind) and self.pattern is not None:
                self.match(self.pattern)
            return issubclass(kind, self.kind)

        def match(self, pattern):
            import re

            assert re.search(pattern, str(self.value)), self.value
            return True

    class approx:
        def __init__(self, expected, rel=None, abs=None, nan_ok=False):
            self.value, self.nan_ok = expected, nan_ok
            self.rel = (1e-6 if abs is None else 0.0) if rel is None else rel
            self.abs = 1e-12 if abs is None else abs

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
            if self.nan_ok and value != value:
                return got != got
            room = max(self.abs, self.rel * abs(value))
            return got == value or (room > 0 and -1 <= (got - value) / room <= 1)

    class param(tuple):
        def __new__(cls, *values, **options):
            return super().__new__(cls, values)

    class mark:
        def parametrize(argnames, argvalues, **options):
            names = argnames.split(",") if isinstance(argnames, str) else argnames
            names = [name.strip() for name in names]

            def run_each(test):
                def run(**given):
                    for row in argvalues:
                        row = (row,) if len(names) == 1 and type(row) is not pytest.param else row
                        found = test(**given, **dict(zip(names, row)))
                        if hasattr(found, "cr_frame"):  # of an asynchronous test
                            __import__("asyncio").run(found)

                return run

            return run_each

    def fail(reason="", **options):
        raise AssertionError(reason)


"""
_AWAITED = """\
def _awaited(found):
    import asyncio

    return asyncio.run(found) if asyncio.iscoroutine(found) else found


"""
_OFFERED = frozenset({"raises", "approx", "param", "mark", "fail"})
_TAKEN = frozenset(
    {"check", *(f"{when}_{of}" for when in ("setup", "teardown") for of in ("function", "module"))}
)
"""Functions that pytest calls around each test; and what a check is called here."""
_MARK = re.compile(r"(?:\w+\.)?mark\.(\w+)")
_CONDITIONS = frozenset({"skip", "skipif", "xfail", "usefixtures"})
"""Marks that say whether a test runs and what counts as its failure; the others, such as time limits and
names of groups, change nothing about it."""

_RUN_CASE = """
def check(candidate):
    result = unittest.TestResult()
    unittest.TestSuite([{case}({method!r})]).run(result)
    faults = [*result.errors, *result.failures]
    assert not faults, faults[0][1].strip().splitlines()[-1]
"""

_Test: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


def pytest_checks(code: str, field: str, module: str = "solution") -> tuple[tuple[CheckTest, ...], list[str]]:
    """Returns a check for each pytest function, and the names that they import from the program.

    Args:
        code: The test module.
        field: Where it stands, for messages.
        module: The name under which it imports the program.

    Raises:
        ProblemFileError: When it is not Python, has no test, or one that a check cannot stand for.
    """
    tree = parse_code(code, field)
    tree.body = [node for node in tree.body if not _is_main_guard(node)]
    imports = _Imports(("pytest", module))
    imports.visit(tree)
    _refuse(tree, imports, field)
    tests = [node for node in tree.body if isinstance(node, _Test) and node.name.startswith("test")]
    if not tests:
        raise wrong(field, "defines no test function")
    for test in tests:
        _settle_marks(test, field)
    head = _PYTEST if "pytest" in imports.modules else ""
    if any(isinstance(test, ast.AsyncFunctionDef) for test in tests):
        head += _AWAITED
    call = "_awaited({}())" if _AWAITED in head else "{}()"
    head = "\n".join([head, *imports.other_names()])
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    checks = []
    for test in tests:
        others = [one for one in tests if one is not test and one.name not in used]
        alone = ast.Module([node for node in tree.body if node not in others], [])
        source = _with_head(head, alone)
        checks.append(f"{source}\n\n\ndef check(candidate):\n    {call.format(test.name)}\n")
    names = [name for package, name, _ in imports.found if package == module]
    return tuple(map(CheckTest, checks)), names


class _Imports(ast.NodeTransformer):
    """Takes out the imports of some modules, wherever they stand. Mutable: collects them.

    Attributes:
        found: Module, what of it (empty for itself), and the name that it gets.
    """

    def __init__(self, modules: Sequence[str]) -> None:
        """Args: names of modules."""
        self._wanted = modules
        self.found: list[tuple[str, str, str]] = []

    @property
    def modules(self) -> set[str]:
        """Modules that are imported in any way."""
        return {module for module, _, _ in self.found}

    def other_names(self) -> Iterator[str]:
        """Yields assignments of what is known by another name than its own, or without its module's."""
        for module, name, bound in self.found:
            origin = f"pytest.{name}".rstrip(".") if module == "pytest" else name
            if bound != origin:
                yield f"{bound} = {origin}"

    def visit_Import(self, node: ast.Import) -> ast.stmt:
        """Keeps the other modules of a statement."""
        self.found += [
            (one.name, "", one.asname or one.name) for one in node.names if one.name in self._wanted
        ]
        node.names = [one for one in node.names if one.name not in self._wanted]
        return node if node.names else ast.Pass()

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt:
        """Keeps imports from other modules."""
        if node.module not in self._wanted:
            return node
        self.found += [(node.module, one.name, one.asname or one.name) for one in node.names]
        return ast.Pass()


def _refuse(tree: ast.Module, imports: _Imports, field: str) -> None:
    """Raises for what a check cannot stand for."""
    for module, name, bound in imports.found:
        if name == "*" or (module != "pytest" and not name):
            raise wrong(field, f"imports all of {module}, which is not supported")
        used = (
            {name}
            if name
            else {
                node.attr
                for node in ast.walk(tree)
                if isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == bound
            }
        )
        if module == "pytest" and (missing := used - _OFFERED):
            raise wrong(field, f"uses pytest.{min(missing)}, which is not supported")
    for node in tree.body:
        if isinstance(node, _Test) and node.name in _TAKEN:
            raise wrong(field, f"defines {node.name!r}, which is not supported")
        if isinstance(node, ast.ClassDef) and any(
            isinstance(one, _Test) and one.name.startswith("test") for one in node.body
        ):
            raise wrong(field, f"the tests of class {node.name} are methods, which is not supported")


def _settle_marks(test: _Test, field: str) -> None:
    """Leaves a test with the marks that give it arguments; raises where others, or fixtures, decide."""
    given: set[str] = set()
    kept = []
    for decorator in test.decorator_list:
        match = _MARK.match(ast.unparse(decorator))
        if match and match[1] in _CONDITIONS:
            raise wrong(field, f"{test.name} is marked {match[1]}, which is not supported")
        if match and match[1] == "parametrize" and isinstance(decorator, ast.Call):
            given |= _argument_names(decorator)
        if match is None or match[1] == "parametrize":
            kept.append(decorator)
    test.decorator_list = kept
    arguments = test.args
    wanted = arguments.args[: len(arguments.args) - len(arguments.defaults)]
    if missing := sorted({one.arg for one in wanted} - given):
        raise wrong(field, f"{test.name} wants the fixture {missing[0]!r}, which is not supported")


def _argument_names(parametrize: ast.Call) -> set[str]:
    """Returns the names that a mark gives values to."""
    names = {keyword.arg: keyword.value for keyword in parametrize.keywords}
    node = parametrize.args[0] if parametrize.args else names.get("argnames")
    texts = [one.value for one in ast.walk(node) if isinstance(one, ast.Constant)] if node else []
    return {name.strip() for text in texts if isinstance(text, str) for name in text.split(",")}


def _with_head(head: str, tree: ast.Module) -> str:
    """Returns a module with code before it; only its imports from the future have to come first."""
    ast.fix_missing_locations(tree)
    future = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    rest = ast.Module([node for node in tree.body if node not in future], [])
    return "\n".join([*map(ast.unparse, future), head, ast.unparse(rest)])


def _is_main_guard(node: ast.stmt) -> bool:
    """Whether a statement is for a module that is run as a program."""
    return isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)


def unittest_checks(code: str, field: str) -> tuple[CheckTest, ...]:
    """Returns a check for each test method of the unittest classes.

    Raises:
        ProblemFileError: When it is not Python or has no test method.
    """
    tree = parse_code(code, field)
    cases = [
        (node.name, method.name)
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        for method in node.body
        if isinstance(method, _Test) and method.name.startswith("test")
    ]
    if not cases:
        raise wrong(field, "defines no test method")
    return tuple(
        CheckTest(_alone(tree, case, method) + _RUN_CASE.format(case=case, method=method))
        for case, method in cases
    )


def _alone(tree: ast.Module, case: str, method: str) -> str:
    """Returns a module with one test method: what others do, as patches, is no matter of its check."""
    body = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            node = copy.copy(node)
            node.body = [
                one
                for one in node.body
                if not (isinstance(one, _Test) and one.name.startswith("test"))
                or (node.name, one.name) == (case, method)
            ] or [ast.Pass()]
        body.append(node)
    return _with_head("import unittest", ast.Module(body, [])) + "\n\n"
