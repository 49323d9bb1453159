"""The scorer without a model keeps its contract and tells the plainest cases apart."""

import gymnasium
import pytest

from o1coder_gym.envs.conformance import check_scorer
from o1coder_gym.errors import MissingExtraError, UsageError
from o1coder_gym.prm import HeuristicScorer, load_scorer
from o1coder_gym.problems.loading import load_problems
from o1coder_gym.types import ActionType, Problem, State, Step

PROBLEM = Problem(
    "p", "def total(values, start):\n    'Return the sum of the values, from start on.'\n", "total"
)


def score(*steps: Step, problem: Problem = PROBLEM) -> float:
    return HeuristicScorer().score([(problem, State("p", steps))])[0]


def code(text: str) -> Step:
    return Step(ActionType.CODE, text)


def test_it_keeps_the_contract() -> None:
    check_scorer(load_scorer("heuristic"), load_problems("starter")[:3])


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (
            "def total(values, start):\n    return start + sum(values)",
            "def total(values, start):\n    return 1",
        ),
        ("def total(values, start):\n    return start + sum(values)", "def total(values, start:"),
        ("def total(values, start):\n    return 1", "def total(values, start):\n    pass"),
        ("def total(values, start):\n    pass", "x = 1"),
        ("x = 1", "not python at all"),
    ],
)
def test_programs_are_told_apart(better: str, worse: str) -> None:
    assert score(code(better)) > score(code(worse))


def test_whole_programs_read_and_print() -> None:
    stdio = Problem("p", "Print the sum.")
    whole, half = "n = int(input())\nprint(n)", "n = 1"
    assert score(code(whole), problem=stdio) > score(code(half), problem=stdio)


def test_plans_are_told_apart() -> None:
    plan = Step(
        ActionType.DEFINE, "Start with start; for each of the values add it to the sum; return the sum."
    )
    assert score(plan) > score(Step(ActionType.DEFINE, "Hello."))
    assert score(plan) > score(plan, plan), "a step that repeats an earlier one says nothing new"
    assert score(plan) > score(Step(ActionType.MALFORMED, plan.text))


def test_scorers_by_name() -> None:
    assert isinstance(load_scorer("o1coder_gym.prm.heuristic:HeuristicScorer"), HeuristicScorer)
    with pytest.raises(UsageError, match="neither heuristic, nor prm:NAME"):
        load_scorer("nonsense")


def test_it_pays_in_an_environment_by_one_argument() -> None:
    action = "### Step 1 (define)\nFor each word of the text, count it if it has a vowel; return the count.\n"
    paid = {}
    for scorer in (None, "heuristic"):
        env = gymnasium.make("O1Coder/Starter-v0", reward="process", scorer=scorer)
        env.reset(seed=0)
        _, paid[scorer], _, _, info = env.step(action)
        assert info["prm"] == pytest.approx(paid[scorer])
    assert paid[None] == 0.0
    assert 0.3 < paid["heuristic"] < 1.0


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'o1coder-gym\[hf\]'"):
        load_scorer("prm:somewhere")
