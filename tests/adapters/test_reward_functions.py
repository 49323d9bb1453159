"""Reward functions of trainers: their signatures, rewards equal to the judge's, and what is masked."""

import asyncio
import inspect
import json
import math
import sys
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest

from o1coder_gym.adapters import reward_functions as doors
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.errors import InfrastructureError, ProblemFileError
from o1coder_gym.problems.loading import load_problems
from o1coder_gym.sandbox import default_judge
from o1coder_gym.steps.formats import VANILLA
from o1coder_gym.types import CallTest, Problem

TRUTH = json.dumps({"inputs": [[2], [5]], "outputs": [4, 10], "fn_name": "double"})
RIGHT = "```python\ndef double(x):\n    return 2 * x\n```"
WRONG = "```python\ndef double(x):\n    return x\n```"
NOTHING_SAID: Any = None
NOTHING = json.dumps({"tests": [], "entry_point": "double"})


@dataclass
class Sample:
    """What slime hands over, as far as a reward reads it."""

    response: Any
    label: str | None = None
    metadata: Any = field(default_factory=dict)
    remove_sample: bool = False


@pytest.fixture
def rllm(monkeypatch):
    @dataclass(slots=True)
    class RewardOutput:
        reward: float
        metadata: dict
        is_correct: bool | None = None

    types = ModuleType("rllm.rewards.reward_types")
    types.RewardOutput = RewardOutput  # pyright: ignore[reportAttributeAccessIssue]
    for name, module in (("rllm", ModuleType("rllm")), ("rllm.rewards", ModuleType("rllm.rewards"))):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "rllm.rewards.reward_types", types)


def test_verl_gets_a_score_and_what_it_may_log():
    right = doors.compute_score("o1coder", RIGHT, TRUTH, {"index": 0}, num_turns=1)
    assert right == {"score": 1.0, "acc": 1.0, "pass_ratio": 1.0, "masked": 0.0, "outcome": "pass"}
    wrong = doors.compute_score(data_source="", solution_str=WRONG, ground_truth=TRUTH)
    assert (wrong["score"], wrong["outcome"]) == (0.0, "wrong_answer")
    assert list(inspect.signature(doors.compute_score).parameters)[:4] == [
        "data_source",
        "solution_str",
        "ground_truth",
        "extra_info",
    ]


def test_verl_is_told_that_a_score_is_masked():
    masked = doors.compute_score("", RIGHT, NOTHING)
    assert (masked["score"], masked["masked"], masked["outcome"]) == (0.0, 1.0, "no_tests")


@pytest.mark.parametrize(
    "answer",
    [
        f"{RIGHT}\nUsage:\n```python\nfrom solution import double\nprint(double(3))\n```",
        f"{WRONG}\nBetter:\n{RIGHT}\n```python\nimport solution\nsolution.double(1)\n```",
        f"```python\ndef half(x):\n    return x\n```\n{RIGHT}\n```python\ndef test():\n    double(1)\n```",
    ],
)
def test_the_program_is_the_one_that_an_environment_reads(answer):
    problem = Problem("p", "?", "double", (CallTest("[2]", "4"),))
    model = ReasoningModel([problem], default_judge(), format=VANILLA)
    (transition,) = model.advance([(model.initial("p"), answer)])
    assert doors.compute_score("", answer, TRUTH)["score"] == transition.reward == 1.0
    assert asyncio.run(doors.slime_reward(None, Sample(answer, TRUTH))) == 1.0


def test_slime_takes_a_sample_or_a_list():
    assert inspect.iscoroutinefunction(doors.slime_reward)
    assert asyncio.run(doors.slime_reward(None, Sample(RIGHT, TRUTH))) == 1.0
    group = [Sample(RIGHT, TRUTH), Sample(WRONG, None, {"ground_truth": TRUTH}), Sample(RIGHT, NOTHING)]
    assert asyncio.run(doors.slime_reward(None, group)) == [1.0, 0.0, 0.0]
    assert [sample.remove_sample for sample in group] == [False, False, True]


def test_areal_gets_a_number_or_an_error_that_it_tries_again():
    assert doors.areal_reward("?", RIGHT, [1], [2], ground_truth=TRUTH, level=3) == 1.0
    with pytest.raises(InfrastructureError, match="no_tests"):
        doors.areal_reward("?", RIGHT, [1], [2], ground_truth=NOTHING)


@pytest.mark.usefixtures("rllm")
def test_rllm_gets_its_own_output():
    found = doors.rllm_reward({"ground_truth": TRUTH}, RIGHT)
    assert (found.reward, found.is_correct, found.metadata) == (1.0, True, {"outcome": "pass"})
    with pytest.raises(InfrastructureError):
        doors.rllm_reward({"ground_truth": NOTHING}, RIGHT)


def test_atropos_takes_texts_and_messages_and_one_truth_or_many():
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": WRONG}]
    assert doors.atropos_reward([RIGHT, messages], ground_truth=TRUTH) == [1.0, 0.0]
    rewards = doors.atropos_reward([RIGHT, RIGHT, []], ground_truth=[TRUTH, NOTHING, TRUTH])
    assert rewards[0] == 1.0
    assert math.isnan(rewards[1])
    assert rewards[2] == 0.0


@pytest.mark.parametrize(
    "turns",
    [
        [{"content": [{"type": "text", "text": RIGHT[:20]}, {"type": "text", "text": RIGHT[20:]}]}],
        [{"content": WRONG}, {"content": RIGHT}, {"content": None, "tool_calls": []}],
        [{"content": RIGHT}, {"tool_calls": []}],
    ],
)
def test_atropos_turns_say_text_parts_or_nothing(turns):
    messages = [{"role": "assistant", **turn} for turn in turns]
    assert doors.atropos_reward([messages, tuple(messages)], ground_truth=TRUTH) == [1.0, 1.0]
    assert doors.atropos_reward([[{"role": "assistant"}]], ground_truth=TRUTH) == [0.0]


@pytest.mark.parametrize(
    "ask",
    [
        lambda: doors.compute_score("", RIGHT, "no tests"),
        lambda: doors.areal_reward("?", RIGHT, [], []),
        lambda: asyncio.run(doors.slime_reward(None, Sample(RIGHT))),
        lambda: doors.atropos_reward([RIGHT]),
    ],
)
def test_a_row_without_tests_is_an_error_that_names_the_field(ask):
    with pytest.raises(ProblemFileError, match="field 'ground_truth'"):
        ask()


@pytest.mark.parametrize(
    ("ask", "field"),
    [
        (lambda: doors.compute_score("", NOTHING_SAID, TRUTH), "solution_str"),
        (lambda: doors.areal_reward("?", NOTHING_SAID, [], [], ground_truth=TRUTH), "completions"),
        (lambda: asyncio.run(doors.slime_reward(None, Sample(NOTHING_SAID, TRUTH))), "response"),
        (lambda: asyncio.run(doors.slime_reward(None, Sample(RIGHT, None, "x"))), "ground_truth"),
        (lambda: doors.atropos_reward(RIGHT, ground_truth=TRUTH), "completions"),
        (lambda: doors.atropos_reward(NOTHING_SAID, ground_truth=TRUTH), "completions"),
        (lambda: doors.atropos_reward([RIGHT, [7]], ground_truth=TRUTH), r"completions\[1\]"),
        (lambda: doors.atropos_reward([RIGHT] * 3, ground_truth=[TRUTH] * 2), r"ground_truth\[0\]"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_an_error_that_names_the_field(ask, field):
    with pytest.raises(ProblemFileError, match=f"field '{field}'"):
        ask()


def test_rows_for_verl_are_judged_as_their_problems_are():
    problems = load_problems("starter")
    rows = list(doors.verl_rows(problems))
    assert [row["extra_info"]["task_id"] for row in rows] == [problem.task_id for problem in problems]
    assert {"data_source", "prompt", "ability", "reward_model", "extra_info"} == set(rows[0])
    (counting,) = [row for row in rows if row["extra_info"]["task_id"] == "starter/006-count-even"]
    program = "def count_even(numbers):\n    return sum(n % 2 == 0 for n in numbers)"
    assert doors.compute_score("", program, counting["reward_model"]["ground_truth"])["score"] == 1.0
