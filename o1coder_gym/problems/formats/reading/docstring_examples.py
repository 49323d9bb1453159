"""Reads the examples that a docstring shows, as call tests.

Docstrings are written for people, so only what can be read in one way counts: arguments that are literals,
one of the usual signs, and a literal. Anything else is passed over. The forms::

    >>> f(2)                      f(2) == 4    f(2) ==> 4    f(2) ➞ 4    f(2) should return 4.
    4

    Input: n = 2                  For n = 2 the output should be 4
    Output: 4
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Sequence

from o1coder_gym.types import CallTest

_SIGN = re.compile(r"\s*(?:#\s*)?(?:[=-]+>|==?|➞|→|(?:should\s+)?(?:return|output)s?:?(?=\s))\s*")
_INPUT_OUTPUT = re.compile(r"^\s*Input:[ \t]*(.+)\n\s*Output:[ \t]*(.+)$", re.M)
_FOR = re.compile(r"^\s*For (.+?),?\s+the (?:output|result) should be:?\s+(.+)$", re.M)
_LONGEST_CALL = 2000


def docstring_examples(prompt: str, entry_point: str) -> tuple[CallTest, ...]:
    """Returns the examples of `entry_point` in a prompt, in order of form, without duplicates.

    Args:
        prompt: A signature with a docstring.
        entry_point: The function whose examples are looked for.
    """
    found: dict[str, CallTest] = {}
    parameters = _parameters(prompt, entry_point)
    for inputs, output in (*_calls(prompt, entry_point), *_phrases(prompt)):
        args, expected = _arguments(inputs, parameters), _literal(output)
        if args is not None and expected is not None:
            found.setdefault(args, CallTest(args, expected))
    return tuple(found.values())


def _parameters(prompt: str, name: str) -> list[str]:
    """Returns the names of the function's parameters, as far as its signature can be read."""
    signature = re.search(rf"^[ \t]*def\s+{re.escape(name)}\s*\(.*?\)[^\n]*:", prompt, re.M | re.S)
    if signature is None:
        return []
    tree = _parse(f"{signature.group().strip()} pass", "exec")
    if not isinstance(tree, ast.Module) or not isinstance(tree.body[0], ast.FunctionDef):
        return []
    return [argument.arg for argument in tree.body[0].args.args if argument.arg != "self"]


def _calls(prompt: str, name: str) -> Iterator[tuple[str, str]]:
    """Yields the text of the arguments and of the output of every call that is followed by an output."""
    for match in re.finditer(rf"(?<![\w.]){re.escape(name)}\s*\(", prompt):
        if re.search(r"\bdef\s+$", prompt[: match.start()]):
            continue
        end = _closing(prompt, match.end())
        if end is None:
            continue
        line, _, below = prompt[end:].partition("\n")
        interactive = prompt[: match.start()].rsplit("\n", 1)[-1].strip() == ">>>"
        if sign := _SIGN.match(line):
            yield prompt[match.end() : end - 1], line[sign.end() :]
        elif interactive and not line.strip():
            yield prompt[match.end() : end - 1], _interactive_output(below)


def _closing(prompt: str, start: int) -> int | None:
    """Returns where the call whose arguments begin at `start` ends, after its parenthesis."""
    # Brackets within strings cannot be counted by a pattern: the first parenthesis up to which it parses is
    # it.
    for match in re.finditer(r"\)", prompt[start : start + _LONGEST_CALL]):
        end = start + match.end()
        if _parse(f"f({prompt[start:end]}", "eval") is not None:
            return end
    return None


def _interactive_output(below: str) -> str:
    """Returns the lines up to the next interactive prompt, blank line or end of the docstring."""
    output: list[str] = []
    for line in below.split("\n"):
        if not line.strip() or line.strip().startswith((">>>", '"""', "'''")):
            break
        output.append(line.strip())
    # Prose may follow the output without a blank line: the longest beginning that is a literal counts.
    while output and _literal(" ".join(output)) is None:
        output.pop()
    return " ".join(output)


def _phrases(prompt: str) -> Iterator[tuple[str, str]]:
    """Yields the text of inputs and output of the forms that name no function."""
    for form in (_INPUT_OUTPUT, _FOR):
        for match in form.finditer(prompt):
            yield match.group(1), match.group(2)


def _arguments(text: str, parameters: Sequence[str]) -> str | None:
    """Returns ``1, k = 2`` as the literal of a list in the order of the parameters, else None."""
    tree = _parse(f"f({text})", "eval")
    if not isinstance(tree, ast.Expression) or not isinstance(tree.body, ast.Call) or not text.strip():
        return None
    call = tree.body
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    if named and (len(call.args) + len(named) != len(parameters) or not named.keys() <= {*parameters}):
        return None
    rest = [named[name] for name in parameters if name in named]
    try:
        return repr([ast.literal_eval(argument) for argument in (*call.args, *rest)])
    except (ValueError, TypeError):
        return None


def _literal(text: str) -> str | None:
    """Returns the canonical form of a Python literal, None if `text` is not one."""
    text = text.strip().removesuffix('"""').removesuffix("'''").strip()
    for candidate in (text.rstrip(".,;"), text.split(" #", 1)[0], text.split(" (", 1)[0]):
        candidate = {"true": "True", "false": "False"}.get(candidate.strip(), candidate.strip())
        tree = _parse(candidate, "eval")
        try:
            if tree is not None:
                return repr(ast.literal_eval(tree))
        except (ValueError, TypeError):
            continue
    return None


def _parse(source: str, mode: str) -> ast.AST | None:
    """Parses Python found in prose; None when it is none."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.parse(source, mode=mode)
    except (SyntaxError, ValueError):
        return None
