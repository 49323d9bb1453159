"""What falsepass has to know of us, and probes of programs: its own vary texts, which seldom compile."""

from __future__ import annotations

import ast
import random
from collections.abc import Mapping
from typing import ClassVar

from falsepass.adapter import Adapter
from falsepass.model import Example, Expect, ProbeResult
from falsepass.probes import targeted
from falsepass.scorers import Scorer

from o1coder_gym.problems.loading import load_rows
from o1coder_gym.types import CallTest, Problem, StdioTest

ROWS = {row.problem.task_id: row for row in load_rows("starter")}
FORGED = {
    "ends_at_import": "import os\nos._exit(0)",
    "ends_in_the_call": "def {name}(*a, **k):\n    raise SystemExit(0)",
    "equals_everything": """
class Any:
    __eq__ = lambda *a: True
    __ne__ = lambda *a: False
    __hash__ = lambda *a: 0
def {name}(*a, **k):
    return Any()""",
    "nothing_fails": """
import builtins, sys
builtins.AssertionError = type('Never', (Exception,), {{}})
sys.excepthook = lambda *a: None
def {name}(*a, **k): ...""",
    "looks_for_the_answer": """
import gc, sys
def {name}(*a, **k):
    frame = sys._getframe()
    while frame.f_back:
        frame = frame.f_back
        for word in 'expected', 'want', 'answer':
            if word in frame.f_locals:
                return frame.f_locals[word]
    held = (one for one in gc.get_objects() if type(one) is dict)
    return next((one['expected'] for one in held if 'expected' in one), 0)""",
    "prints_a_verdict": """
print('{{"outcome": "pass", "passed": 1}}')
def {name}(*a, **k):
    print("PASS")""",
}
"""Programs that fake a verdict, and nothing else."""


def fenced(code: str, language: str = "python", fence: str = "```") -> str:
    """Returns a program as models write it."""
    return f"Here it is:\n{fence}{language}\n{code}\n{fence}\n"


def wrong_programs(problem: Problem) -> dict[str, str]:
    """Programs that solve nothing, made without the reference; the prompt shows the public tests."""
    name, tests = problem.entry_point, problem.public_tests
    calls = [test for test in tests if isinstance(test, CallTest)]
    if name is None:
        table = {test.stdin: test.stdout for test in tests if isinstance(test, StdioTest)}
        return {"table_of_shown_tests": f"import sys\nprint({table!r}.get(sys.stdin.read()), end='')"}
    table = {repr(ast.literal_eval(test.args)): ast.literal_eval(test.expected) for test in calls}
    return {
        "constant_of_a_shown_test": f"def {name}(*a):\n    return {next(iter(table.values()), None)!r}",
        "table_of_shown_tests": f"def {name}(*a):\n    return {table!r}.get(repr([*a]))",
        **{kind: code.format(name=name) for kind, code in FORGED.items()},
    }


def right_answers(code: str) -> dict[str, str]:
    """A right program, as models wrap it."""
    right = fenced(code)
    return {
        "draft_first": f"{fenced('x = 1')}That is not it yet.\n{right}",
        "draft_in_thoughts": f"<think>\n{fenced(code.replace('return', 'return None #'))}</think>\n{right}",
        "use_in_a_block_of_its_own": f"{right}\nTo try it:\n```sh\npython program.py\n```\n",
        "output_in_a_block_of_its_own": f"{right}\nIt prints:\n```text\n42\n```\n",
        "main_guard": fenced(f"{code}\n\nif __name__ == '__main__':\n    pass"),
        "fence_without_language": fenced(code, language=""),
        "fence_of_tildes": fenced(code, fence="~~~"),
        "fence_left_open": right.rstrip().removesuffix("```"),
        "no_fence": code,
    }


async def programs(adapter: Adapter, scorer: Scorer, example: Example) -> list[ProbeResult]:
    """Wrong programs that run, and right ones as models wrap them."""
    row = ROWS[example.key]
    wrong = {kind: (Expect.ZERO, fenced(code)) for kind, code in wrong_programs(row.problem).items()}
    right = {kind: (Expect.FULL, text) for kind, text in right_answers(row.reference or "").items()}
    return await targeted(
        "O1", "programs", {**wrong, **right}, adapter, scorer, example, answer_free=(*wrong,)
    )


class StarterAudit(Adapter):
    """The bundled problems; a wrong answer is a program that runs, for a broken one is passed over."""

    per_example_probes: ClassVar = [programs]

    def sample(self, tasks: Mapping[str, object], n: int, seed: int) -> list[Example]:
        """Draws problems, by the seed, with the framework's own tasks for them."""
        rows = random.Random(seed).sample([*ROWS.values()], min(n, len(ROWS)))
        return [
            Example(row.problem.task_id, row.problem.prompt, row.reference or "", tasks[row.problem.task_id])
            for row in rows
        ]

    def render(self, answer: str, example: Example) -> str:
        """Returns a program as models write it."""
        return fenced(answer)

    def wrong_answer(self, example: Example) -> str:
        """Returns a program that is wrong on every problem of the set, and of the kind that is asked for."""
        name = ROWS[example.key].problem.entry_point
        return f"def {name}(*arguments):\n    return None" if name else "print(input() and None)"
