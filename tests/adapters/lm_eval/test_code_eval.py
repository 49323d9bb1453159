"""The metric `code_eval`, judged in the sandbox: lm-eval's references, pass@k, and cheats."""

import math
from typing import Any

import pytest

from o1coder_gym.adapters.lm_eval import CodeEval, read_reference
from o1coder_gym.adapters.lm_eval.utils import answers, dataset, pass_at_1
from o1coder_gym.errors import ProblemFileError
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.types import AssertTest, CheckTest

RIGHT, WRONG = "def add(a, b):\n    return a + b", "def add(a, b):\n    return a * b"
ASSERT = "assert add(2, 3) == 5\nassert add(2, 2) == 4"
CHECK = "def check(candidate):\n    assert candidate(2, 3) == 5\n\ncheck(add)"


@pytest.mark.parametrize("reference", [ASSERT, CHECK])
def test_candidates_are_judged(reference):
    estimates, results = CodeEval().compute(references=[reference], predictions=[[RIGHT, WRONG]], k=[1, 2])
    assert estimates == {"pass@1": 0.5, "pass@2": 1.0}
    assert [(number, told["passed"]) for number, told in results[0]] == [(0, True), (1, False)]
    assert results[0][1][1]["result"].startswith("wrong_answer")


@pytest.mark.parametrize(
    "cheat",
    [
        "import sys\nsys.exit(0)",
        "def add(a, b):\n    raise SystemExit(0)",
        "import os\nos._exit(0)",
        "class Always:\n    __eq__ = lambda *a: True\nadd = lambda *a: Always()",
    ],
)
@pytest.mark.parametrize("reference", [ASSERT, CHECK])
def test_cheats_that_end_the_process_or_equal_everything_fail(reference, cheat):
    estimates, _ = CodeEval().compute(references=[reference], predictions=[[cheat]])
    assert estimates == {"pass@1": 0.0}


def test_references_are_read_as_tests():
    assert read_reference(ASSERT).tests == (AssertTest(ASSERT),)
    truth = read_reference(CHECK)
    assert (truth.entry_point, type(truth.tests[0])) == ("add", CheckTest)


@pytest.mark.parametrize("reference", ["assert (", "# nothing", "1 == 1", None, "assert f('\ud800')"])
def test_a_reference_that_no_program_can_fail_is_refused(reference):
    with pytest.raises(ProblemFileError, match="field 'references"):
        read_reference(reference)


def test_bad_shapes_and_nothing_decided():
    with pytest.raises(ProblemFileError, match="predictions"):
        CodeEval().compute(references=[ASSERT], predictions=[])
    bad: list[Any] = [RIGHT, 5, [None], [b"x"]]  # a text would be judged letter by letter
    for codes in bad:
        with pytest.raises(ProblemFileError, match=r"predictions\[0\]"):
            CodeEval().compute(references=[ASSERT], predictions=[codes])
    bad = [[0], [-1], ["1"]]
    for k in bad:
        with pytest.raises(ProblemFileError, match="field 'k'"):
            CodeEval().compute(references=[ASSERT], predictions=[[RIGHT]], k=k)
    estimates, _ = CodeEval().compute(references=[ASSERT], predictions=[[]])
    assert math.isnan(estimates["pass@1"])


def test_a_task_shows_no_hidden_tests_and_is_graded_by_them():
    rows = load_rows("starter")
    docs = dataset("starter")["test"]
    assert len(docs) == len(rows)
    assert set(docs.column_names) == {"question", "target"}
    texts = [f"Here:\n```python\n{row.reference}\n```" for row in rows]
    assert answers([texts], [None]) == [texts]
    graded = [pass_at_1([doc["target"]], [[text]]) for doc, text in zip(docs, texts, strict=True)]
    assert graded == [1.0] * len(rows)
    assert pass_at_1([docs[0]["target"]], [["no program"]]) == 0.0
