"""The inputs of a problem that are known: those its public tests and its prompt show.

Nothing here reads hidden tests. The prompt of a function problem is also searched for calls of the
entry point whose arguments are constant expressions, whatever stands after them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from o1coder_gym.tcg.reading.literals import (
    bracket_extent,
    call_at,
    fold,
    parse_source,
    read_literal,
    write_literal,
)
from o1coder_gym.tcg.reading.parsing import cases_in_any_form
from o1coder_gym.types import AssertTest, CallTest, CheckerTest, CheckTest, Problem, StdioTest, TestCase

Arguments: TypeAlias = tuple[Any, ...]
"""Positional arguments as plain values."""
_SCALAR = re.compile(r"""-?\d+(?:\.\d+)?|'[^'\n]*'|"[^"\n]*\"""")


def known_arguments(problem: Problem, reference: str | None = None) -> list[Arguments]:
    """Returns the distinct positional arguments that a problem shows, public tests first.

    A prompt that never calls the function by its name may call it by another one, or give its parameters
    under their names; that counts where there is nothing better.

    Args:
        problem: The question.
        reference: A solution, for the names of parameters that the prompt does not tell.
    """
    name = problem.entry_point
    if name is None:
        return []
    calls = [*_from_tests(problem.public_tests, name), *_from_prose(problem.prompt, re.escape(name))]
    if not calls:
        found = parameters(problem.prompt, name) or parameters(reference or "", name) or []
        names = [parameter.name for parameter in found if not parameter.optional]
        # By any name, but with the right number of arguments.
        calls = [call for call in _from_prose(problem.prompt, r"[a-z_]\w*") if len(call) == len(names)]
        calls = calls or list(_from_names(problem.prompt, names))
    return _distinct(calls)


def _distinct(calls: Iterable[Arguments]) -> list[Arguments]:
    found: dict[str, Arguments] = {}
    for arguments in calls:
        try:
            found.setdefault(write_literal(list(arguments)), arguments)
        except ValueError:
            continue
    return list(found.values())


def known_stdin(problem: Problem) -> list[str]:
    """Returns the distinct standard inputs that a problem shows."""
    return list(dict.fromkeys(test.stdin for test in problem.public_tests if isinstance(test, StdioTest)))


def shown_by(problem: Problem) -> Callable[[TestCase], bool]:
    """Returns which tests have an input that the question shows: in its tests, its examples, or its text."""
    prompt, shown = f"\n{_plain(problem.prompt)}\n", shown_inputs(problem)

    def is_shown(test: TestCase) -> bool:
        if isinstance(test, AssertTest | CheckTest):
            calls = _distinct(_from_tests((test,), problem.entry_point or ""))
            return bool(calls) and all(write_literal(list(arguments)) in shown for arguments in calls)
        given = input_of(test)
        stands_there = isinstance(test, StdioTest | CheckerTest) and given and f"\n{given}\n" in prompt
        return bool(stands_there) or given in shown

    return is_shown


def shown_inputs(problem: Problem) -> set[str]:
    """Returns the inputs that a question shows, as `input_of` writes them."""
    if problem.entry_point is None:
        return {_plain(stdin) for stdin in known_stdin(problem)}
    calls = {write_literal(list(arguments)) for arguments in known_arguments(problem)}
    names = [parameter.name for parameter in parameters(problem.prompt, problem.entry_point) or ()]
    texts = [test.code for test in problem.public_tests if isinstance(test, AssertTest)]
    # what stands in variables, under names, or behind labels is read as what a model writes is
    read = (cases_in_any_form(text, problem.entry_point, names) for text in (problem.prompt, *texts))
    return calls | {given for tests in read for test in tests if (given := input_of(test)) is not None}


def input_of(test: TestCase) -> str | None:
    """Returns the canonical literal of a test's arguments, or its standard input; None of other tests.

    Blanks at the ends of lines of a standard input do not count.
    """
    match test:
        case CallTest(args):
            return write_literal(read_literal(args))
        case StdioTest(stdin) | CheckerTest(stdin):
            return _plain(stdin)
    return None


def _plain(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().split("\n"))


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a function.

    Attributes:
        name: As written.
        annotation: Source of its annotation, "" without one.
        optional: Whether it has a default.
    """

    name: str
    annotation: str = ""
    optional: bool = False


def parameters(source: str, name: str) -> list[Parameter] | None:
    """Returns the positional parameters of the function `name`, None if `source` defines none.

    Args:
        source: A program, or a prompt that is the beginning of one.
        name: Name of the function.
    """
    # A prompt may end behind the signature or the docstring: with a body put behind it, it parses.
    for text in (source, f"{source}\n    pass", f"{source}\n  pass\n"):
        tree = parse_source(text)
        for node in tree.body if tree else ():
            if isinstance(node, ast.FunctionDef) and node.name == name:
                return list(_positional(node.args))
    return None


def constants(source: str) -> list[Any]:
    """Returns the distinct numbers and strings that a program mentions, docstrings left out."""
    tree = parse_source(source)
    if tree is None:
        return []
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in prose)
    values = (node.value for node in nodes if type(node.value) in (int, float, str))
    # By type too: 1 == 1.0 == True would be one key.
    return list({(type(value), value): value for value in values}.values())


def compared_characters(source: str) -> str:
    """Returns the characters that a program compares with.

    Those of ``c == " "``, ``c in "aeiou"`` and ``c in ("x", "y")``; words are none.
    """
    tree = parse_source(source)
    found: set[str] = set()
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Compare):
            operands = (part for side in (node.left, *node.comparators) for part in _items(side))
            found.update(text for text in _texts(operands) if len(text) == 1)
            sets = [part for op, part in zip(node.ops, node.comparators, strict=True) if _is_in(op)]
            found.update(*_texts(sets))
    return "".join(sorted(found))


def named_characters(source: str) -> str:
    """Returns the letters and digits of all strings that a program mentions but does not return.

    Other characters are left out, for most are the operators of patterns.
    """
    tree = parse_source(source)
    returned = [node.value for node in ast.walk(tree) if isinstance(node, ast.Return)] if tree else []
    results = set(_texts([value for value in returned if value is not None]))
    named = {text for text in constants(source) if isinstance(text, str)} - results
    return "".join(sorted(filter(str.isalnum, set("".join(named)))))


def _texts(nodes: Iterable[ast.expr]) -> list[str]:
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def _items(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]


def _is_in(op: ast.cmpop) -> bool:
    return isinstance(op, ast.In | ast.NotIn)


def _positional(arguments: ast.arguments) -> Iterator[Parameter]:
    nodes = [*arguments.posonlyargs, *arguments.args]
    required = len(nodes) - len(arguments.defaults)
    for index, node in enumerate(nodes):
        annotation = ast.unparse(node.annotation) if node.annotation else ""
        yield Parameter(node.arg, annotation, index >= required)


def _from_tests(tests: Iterable[TestCase], name: str) -> Iterator[Arguments]:
    for test in tests:
        match test:
            case CallTest(args):
                try:
                    yield tuple(read_literal(args))
                except (ValueError, TypeError):
                    continue
            case AssertTest(code) | CheckTest(code):
                yield from _from_code(code, {name, "candidate"})


def _from_code(code: str, names: set[str]) -> Iterator[Arguments]:
    """Yields the constant arguments of every call of one of `names` in a test's source."""
    tree = parse_source(code)
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            yield from _constant_arguments(node)


def _from_names(text: str, names: list[str]) -> Iterator[Arguments]:
    """Yields calls put together from ``n = 3``, ``k: 3``: the first values of all names, then the second."""
    columns = [list(_values_of(text, name)) for name in names]
    yield from zip(*columns, strict=False)


def _values_of(text: str, name: str) -> Iterator[Any]:
    for match in re.finditer(rf"\b{re.escape(name)}\b\s*(?:[=:]\s*|(?=[\[{{]))", text):
        start = match.end()
        scalar = _SCALAR.match(text, start)
        try:
            yield read_literal(scalar[0] if scalar else text[start : bracket_extent(text, start)[0]])
        except ValueError:
            continue


def _from_prose(text: str, pattern: str) -> Iterator[Arguments]:
    for match in re.finditer(rf"(?<![\w.])(?<!def )(?:{pattern})\s*\(", text):
        call = call_at(text, match.start())
        if call is not None:
            yield from _constant_arguments(call)


def _constant_arguments(call: ast.Call) -> Iterator[Arguments]:
    if not call.args or call.keywords:
        return
    try:
        yield tuple(fold(argument) for argument in call.args)
    except ValueError:
        return
