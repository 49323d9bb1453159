"""CRUXEval (Gu et al. 2024), a kind of task of its own: say what a program returns, or for which input.

The answer is a literal, not a program: `answer_program` takes it out of what was written and makes a program
of it that holds nothing else. So a program that runs the code in question, instead of reasoning about it, is
wrong.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from o1coder_gym.errors import ProblemFileError
from o1coder_gym.problems.formats.reading.fields import get, syntax_fault, wrong
from o1coder_gym.problems.formats.row_format import Origin, RowFormat
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.types import CallTest, Problem

ENTRY_POINT = "answer"

TASK = "task"
"""Key of ``meta`` that names the kind; a problem without it asks for a program."""
OUTPUT, INPUT = "output_prediction", "input_prediction"

_ASK_OUTPUT = """\
What does this assert have to say in the place of ???
Answer with a literal, as the program `def answer(): return LITERAL`. Other programs count as wrong.

```python
{code}

assert f({given}) == ???
```
"""
_ASK_INPUT = """\
Find arguments with which this assert holds, in the place of ???
Answer with the tuple of all arguments, a literal, as `def answer(): return (ARGUMENT, …)`.
Other programs count as wrong.

```python
{code}

assert f(???) == {expected}
```
"""


def cruxeval(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Output prediction. Hidden: the output. There is no public test, and the reference is the output."""
    code, given, expected = _read(raw)
    return ProblemRow(
        Problem(
            f"{origin.group}/{get(raw, 'id', str)}",
            _ASK_OUTPUT.format(code=code.strip(), given=given),
            ENTRY_POINT,
            meta={TASK: OUTPUT},
        ),
        (CallTest("[]", expected, compare="exact"),),
        f"def {ENTRY_POINT}():\n    return {expected}\n",
    )


def cruxeval_input(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Input prediction, told by its name alone. Hidden: that the code returns the output."""
    code, given, expected = _read(raw)
    arguments = ast.unparse(ast.parse(f"({given},)" if given.strip() else "()", mode="eval"))
    return ProblemRow(
        Problem(
            f"{origin.group}/{get(raw, 'id', str)}/input",
            _ASK_INPUT.format(code=code.strip(), expected=expected),
            ENTRY_POINT,
            meta={TASK: INPUT, "code": code},
        ),
        (CallTest("[]", expected, compare="exact"),),
        f"def {ENTRY_POINT}():\n    return {arguments}\n",
    )


def _read(raw: Mapping[str, Any]) -> tuple[str, str, str]:
    """Returns code, arguments and output of a row, all of them Python."""
    code, given, expected = (get(raw, name, str) for name in ("code", "input", "output"))
    for name, text in (("code", code), ("input", f"f({given})"), ("output", f"({expected})")):
        if fault := syntax_fault(text):
            raise wrong(name, f"not Python: {fault}")
    try:
        ast.literal_eval(expected)
    except (ValueError, TypeError) as error:
        raise wrong("output", f"not a literal: {expected:.60}") from error
    return code, given, expected


def asks_prediction(meta: Mapping[str, Any]) -> bool:
    """Whether a problem with this ``meta`` asks for a literal; with others, known or not, for a program."""
    return meta.get(TASK) in (OUTPUT, INPUT)


def answer_program(problem: Problem, written: str) -> str:
    """Returns the program that holds the literal answer in what was written, and nothing else of it.

    Where there is none the program says so when it is run. An input is given to the code of the question.
    """
    try:
        literal = _literal(ast.parse(written.strip()))
    except (ProblemFileError, SyntaxError, ValueError, RecursionError, MemoryError):
        return f"def {ENTRY_POINT}():\n    raise ValueError('the answer is no literal')\n"
    if problem.meta.get(TASK) == OUTPUT:
        return f"def {ENTRY_POINT}():\n    return {literal}\n"
    return f"{problem.meta['code'].rstrip()}\n\n\ndef {ENTRY_POINT}():\n    return f(*{literal})\n"


def _literal(tree: ast.Module) -> str:
    """Returns the literal that a module is, returns or assigns to ``answer``."""
    match tree.body:
        case [ast.Expr(value=value)]:
            pass
        case [ast.Assign(targets=[ast.Name(id="answer")], value=value)]:
            pass
        case [ast.FunctionDef(name="answer", body=[*_, ast.Return(value=ast.expr() as value)] as body)] if (
            all(isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant) for one in body[:-1])
        ):
            pass
        case _:
            raise ValueError("no single literal")
    ast.literal_eval(value)
    return ast.unparse(value)


CRUXEVAL = RowFormat(frozenset({"code", "input", "output"}), cruxeval)
CRUXEVAL_INPUT = RowFormat(frozenset(), cruxeval_input)
