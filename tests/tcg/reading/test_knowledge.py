"""What names stand for while statements are followed: values, calls, and nothing that may have changed."""

import ast

import pytest

from o1coder_gym.tcg.reading.knowledge import Knowledge


def expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def followed(text: str, entry_point: str = "f") -> Knowledge:
    known = Knowledge(entry_point, ("a", "b"))
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign):
            known.assign(node, node.targets, node.value)
        else:
            known.forget(node)
    return known


@pytest.mark.parametrize(
    ("text", "asked", "values"),
    [
        ("x = [1, 2]\ny = x", "y + [3]", [[1, 2, 3]]),
        ("x, (y, z) = 1, (2, 3)", "z", [3]),
        ("x = [1]\ny = [x]\nx.append(2)", "y", []),  # it holds the list that has changed
        ("x = [1]\ny = x[:]\nx.append(2)", "y", [[1]]),  # a list of its own
        ("x = [1]\nfor y in z():\n    y.append(2)", "x", []),  # what z yields may be x
        ("x = 1\ndel x", "x", []),
        ("x = f(1)", "x", []),
    ],
)
def test_a_name_stands_for_its_value_until_something_may_change_it(text, asked, values) -> None:
    assert followed(text).values(expression(asked)) == values


@pytest.mark.parametrize(
    ("text", "asked", "arguments"),
    [
        ("", "f(1, b=[2])", [1, [2]]),
        ("", "f(1, c=2)", None),
        ("", "m.f(1)", [1]),
        ("", "'abc'.f(1)", None),
        ("x = f([1])\ny = 3", "x", [[1]]),
        ("x = f([1])\nx.sort()", "x", None),
        ("x = [2]\ny = f(x)", "y", [[2]]),
    ],
)
def test_a_call_is_remembered_and_not_made(text, asked, arguments) -> None:
    assert followed(text).arguments(expression(asked)) == arguments


def test_a_function_keeps_its_names_and_shows_its_effects() -> None:
    known = followed("x = [1]\ny = 2\nz = 3")
    (function,) = ast.parse("def test(y):\n    x.append(5)\n    z = 4").body
    assert isinstance(function, ast.FunctionDef)
    with known.calling(function):
        assert (known.values(expression("y")), known.values(expression("x"))) == ([], [[1]])
        known.bind(ast.Name("z"), 4)
    assert [known.values(expression(name)) for name in "xyz"] == [[], [2], [3]]


def test_what_is_hidden_comes_back() -> None:
    known = followed("x = 1\ny = 2")
    with known.hiding({"x", "other"}):
        assert [known.values(expression(name)) for name in "xy"] == [[], [2]]
    assert [known.values(expression(name)) for name in "xy"] == [[1], [2]]
