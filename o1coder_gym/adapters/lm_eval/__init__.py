"""lm-evaluation-harness: its code tasks graded by the sandboxed judge, and tasks over our problem sets.

    python -m o1coder_gym.adapters.lm_eval run --model hf --tasks o1coder_humaneval,o1coder_mbpp …
    python -m o1coder_gym.adapters.lm_eval run --model hf --tasks humaneval --confirm_run_unsafe_code …

The second line runs lm-eval's own task, its ``code_eval`` replaced by `CodeEval`: no program runs on the
host. Needs lm-eval 0.4.13.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from o1coder_gym.adapters.evaluation import pass_at
from o1coder_gym.adapters.scoring import GroundTruth, Score, score_all
from o1coder_gym.problems.formats.reading.fields import wrong
from o1coder_gym.problems.formats.reading.test_code import called_by, parse_test
from o1coder_gym.types import AssertTest, CheckTest

TASKS = Path(__file__).parent
"""The folder of the tasks, for ``--include_path``."""


class CodeEval:
    """The metric ``code_eval``, judged in the sandbox; a candidate whose verdict is masked does not count."""

    name = "code_eval"

    def compute(
        self,
        *,
        references: Sequence[str],
        predictions: Sequence[Sequence[str]],
        k: Iterable[int] = (1,),
        **_: Any,
    ) -> tuple[dict[str, float], dict[int, list[tuple[int, dict[str, Any]]]]]:
        """Judges candidates.

        Args:
            references: Test code of T tasks: asserts, or a ``check`` and its call.
            predictions: Candidates of each task.
            k: Sizes for pass@k.

        Returns:
            pass@k, and the results by task: (number of the candidate, what came of it).

        Raises:
            ProblemFileError: When there are not as many references as predictions, or one cannot be read.
        """
        if len(references) != len(predictions):
            raise wrong("predictions", f"{len(predictions)} for {len(references)} references")
        for task, codes in enumerate(predictions):
            if not isinstance(codes, list | tuple) or not all(isinstance(code, str) for code in codes):
                raise wrong(f"predictions[{task}]", "expected a list of programs")
        sizes = list(k)
        if not all(isinstance(size, int) and size > 0 for size in sizes):
            raise wrong("k", f"expected numbers from 1, got {sizes}")
        truths = map(read_reference, references)
        items = [(code, truth) for truth, codes in zip(truths, predictions, strict=True) for code in codes]
        scores = iter(score_all(items))
        found = [[next(scores) for _ in codes] for codes in predictions]
        results = {
            task: [(number, _result(task, number, score)) for number, score in enumerate(group)]
            for task, group in enumerate(found)
        }
        return {f"pass@{size}": pass_at(found, size) for size in sizes}, results


def read_reference(code: str) -> GroundTruth:
    """Reads test code as ``code_eval`` runs it behind a candidate.

    Raises:
        ProblemFileError: When it is not Python, or no program could fail it.
    """
    if not isinstance(code, str):
        raise wrong("references", f"expected test code, got {type(code).__name__}")
    module = parse_test(code, "references")
    match module.body[-1:]:
        case [ast.Expr(ast.Call(ast.Name("check"), [ast.Name(entry_point)]))]:
            return GroundTruth((CheckTest(ast.unparse(ast.Module(module.body[:-1], []))),), entry_point)
    called = called_by(code.strip())
    return GroundTruth((AssertTest(code),), called[0] if called else None)


def use_for_code_eval() -> None:
    """Has ``evaluate.load("code_eval")`` return `CodeEval` in this process; all else loads as before."""
    import evaluate  # pyright: ignore[reportMissingImports]

    load = evaluate.load
    evaluate.load = lambda path, *rest, **more: (
        CodeEval() if path == "code_eval" else load(path, *rest, **more)
    )


def _result(task: int, number: int, score: Score) -> dict[str, Any]:
    told = "passed" if score.reward == 1.0 else f"{score.outcome}: {score.error}"
    return {"task_id": task, "completion_id": number, "passed": score.reward == 1.0, "result": told}
