"""AST mutants: known programs, known mutants."""

import ast

import pytest

from o1coder_gym.tcg.quality.mutants import OPERATORS, mutants


def bodies(code: str, operator: str) -> list[str]:
    """Returns the changed lines of the mutants of one operator."""
    before = ast.unparse(ast.parse(code)).split("\n")
    found = [mutant for mutant in mutants(code) if mutant.operator == operator]
    return [
        next(new.strip() for new, old in zip(mutant.code.split("\n"), before, strict=True) if new != old)
        for mutant in found
    ]


def test_all_mutants_of_a_sum() -> None:
    found = mutants("def f(a, b):\n    return a + b")
    assert [(mutant.operator, mutant.line, mutant.code) for mutant in found] == [
        ("return", 2, "def f(a, b):\n    return None"),
        ("arithmetic", 2, "def f(a, b):\n    return a - b"),
    ]


@pytest.mark.parametrize(
    ("code", "operator", "expected"),
    [
        ("def f(a):\n    return a < 3", "comparison", ["return a <= 3", "return a >= 3"]),
        ("def f(a):\n    return a == 3", "comparison", ["return a != 3"]),
        ("def f(a, b):\n    return a and b", "logic", ["return a or b"]),
        ("def f(a):\n    return not a", "logic", ["return a"]),
        ("def f(a):\n    return -a", "logic", ["return a"]),
        ("def f(a):\n    return a[1:]", "slice", ["return a[:]"]),
        ("def f(a):\n    return 3", "constant", ["return 4", "return 2"]),
        ("def f(a):\n    return 'b'", "constant", ["return ''"]),
        ("def f(a):\n    return min(a)", "lookalike", ["return max(a)"]),
        ("def f(a):\n    return a.upper()", "lookalike", ["return a.lower()"]),
        ("def f(a):\n    if a:\n        a = 1\n    return a", "condition", ["if not a:"]),
        ("def f(a):\n    if a:\n        a = g()\n    return a", "statement", ["pass"]),
        ("def f(a):\n    return [b for b in a if b]", "condition", ["return [b for b in a]"]),
    ],
)
def test_operators(code: str, operator: str, expected: list[str]) -> None:
    assert bodies(code, operator) == expected


def test_every_mutant_is_a_different_program_that_compiles() -> None:
    code = "def f(xs):\n    '''Doc.'''\n    t = 0\n    for x in xs:\n        t += x > 1 and x\n    return t"
    found = mutants(code)
    assert {mutant.operator for mutant in found} <= OPERATORS.keys()
    assert len({mutant.code for mutant in found}) == len(found) > 5
    for mutant in found:
        compile(mutant.code, "mutant", "exec")
        assert "Doc." in mutant.code


def test_mutants_with_the_byte_code_of_the_reference_are_dropped() -> None:
    assert [mutant.code for mutant in mutants("def f():\n    x = 1\n    return None")] == [
        "def f():\n    pass\n    return None",
        "def f():\n    x = 2\n    return None",
        "def f():\n    x = 0\n    return None",
    ]


def test_what_the_entry_point_cannot_reach_is_left_alone() -> None:
    code = "def h(a):\n    return a + 1\ndef g(a):\n    return a * 2\ndef f(a):\n    return g(a)"
    assert any("a - 1" in mutant.code for mutant in mutants(code))
    reachable = mutants(code, entry_point="f")
    assert not any("a - 1" in mutant.code for mutant in reachable)
    assert any("a // 2" in mutant.code for mutant in reachable)


def test_a_limit_draws_without_changing_the_order() -> None:
    code = "def f(a):\n    return a < 1 or a > 2 and a != 3"
    every = mutants(code)
    some = mutants(code, limit=4, seed=1)
    assert len(some) == 4
    assert [mutant for mutant in every if mutant in some] == some
    assert mutants(code, limit=4, seed=1) == some


@pytest.mark.parametrize("code", ["def f(:", "", "x = (" + "(" * 5000])
def test_bad_references_have_no_mutants(code: str) -> None:
    assert mutants(code) == []
