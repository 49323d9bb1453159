"""Hidden tests stay hidden: not in what an agent can reach, not in the process, of no use to a cheat."""

import json
import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest

from o1coder_gym.agents.driver.driver import Driver
from o1coder_gym.agents.driver.tasks import Task
from o1coder_gym.envs import ReasoningModel
from o1coder_gym.envs.conformance.clauses import find_text, reachable
from o1coder_gym.policies import load_policy
from o1coder_gym.problems.hidden_tests import Evaluation
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.runs.budget import Budget
from o1coder_gym.sandbox import default_judge
from o1coder_gym.steps.formats import PSEUDOCODE
from o1coder_gym.steps.prompts import question
from o1coder_gym.types import ActionType, CallTest, Problem, SearchResult, State, Step
from o1coder_gym.types.protocols import Policy
from o1coder_gym.types.queries import Advance, Propose, Search, advance, propose

ROWS = [row for row in load_rows("starter") if all(isinstance(test, CallTest) for test in row.tests)]
SHOWN = "\n".join(
    text
    for row in ROWS
    for text in (question(row.problem), *(getattr(test, "args", "") for test in row.problem.public_tests))
)
LONG = 16
"""Characters from which on a text is unlikely to occur by chance."""


def secrets(row: ProblemRow) -> list[str]:
    """Texts of hidden tests and of the reference that no question shows."""
    lines = (row.reference or "").splitlines()
    texts = [line.strip() for line in lines]
    texts += [test.args for test in row.tests if isinstance(test, CallTest)]
    return [text for text in texts if len(text) >= LONG and text not in SHOWN]


SECRETS = [secret for row in ROWS for secret in secrets(row)]


@pytest.fixture(scope="module")
def script(tmp_path_factory) -> str:
    path: Path = tmp_path_factory.mktemp("script") / "script.json"
    steps = [{"type": "define", "text": "plan"}, {"type": "code", "text": "def solve(x):\n    return x"}]
    path.write_text(json.dumps({"problems": {"*": {"depths": [steps]}}}))
    return f"scripted:{path}"


def test_there_is_something_to_hide() -> None:
    assert len(ROWS) >= 30
    assert len(SECRETS) > 200
    assert find_text([ROWS], SECRETS) is not None


def test_nothing_hidden_is_reachable_from_environments(script) -> None:
    for env_id, arguments in (
        ("O1Coder/Starter-v0", {}),
        ("O1Coder/Choice-v0", {"problems": "starter", "proposer": script}),
    ):
        env = gymnasium.make(env_id, **arguments)
        returned = []
        for row in ROWS:
            returned.append(env.reset(seed=0, options={"task_id": row.problem.task_id}))
            code = PSEUDOCODE.render(Step(ActionType.CODE, "def solve(x):\n    return x"), 1)
            returned.append(env.step(0 if arguments else code))
        assert find_text([env, returned, env.unwrapped.model, load_policy(script)], SECRETS) is None  # pyright: ignore


def test_nor_through_a_judge_that_has_run_hidden_tests() -> None:
    judge = default_judge()
    model = ReasoningModel([row.problem for row in ROWS], judge)
    evaluation = Evaluation(ROWS, judge)
    answers = evaluation.evaluate_batch([(row.problem.task_id, "def f():\n    pass") for row in ROWS])
    assert find_text([model, judge, answers], SECRETS) is None


def test_nor_anywhere_in_a_process_that_searches(tmp_path, script) -> None:
    program = """
import gc, sys, gymnasium, o1coder_gym
from o1coder_gym.envs.conformance.clauses import reachable_texts
for env_id, arguments, action in (
    ("O1Coder/Starter-v0", {}, "### Step 1 (code)\\n```python\\ndef f(x): pass\\n```"),
    ("O1Coder/Choice-v0", {"problems": "starter", "proposer": sys.argv[1]}, 0),
):
    env = gymnasium.make(env_id, **arguments)
    for seed in range(5):
        env.reset(seed=seed)
        env.step(action)
sys.stdout.reconfigure(errors="backslashreplace")
for text in reachable_texts([*gc.get_objects(), *map(vars, sys.modules.values())]):
    if len(text) >= 16:
        print(text)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, script],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=True,
        cwd=tmp_path,
    )
    assert ROWS[0].problem.prompt[:40] in done.stdout
    assert [secret for secret in SECRETS if secret in done.stdout] == []


def cheat(problem: Problem, root: State, *, loot: tuple) -> Search:
    """Looks through everything it can reach for tests of the problem and memorises their answers."""
    (proposals,) = yield from propose([Propose(root)])
    known = [thing for thing in reachable([loot, problem, root, proposals]) if isinstance(thing, CallTest)]
    code = memorised(problem, known)
    (end,) = yield from advance([Advance(root, PSEUDOCODE.render(Step(ActionType.CODE, code), 1))])
    return SearchResult(end.state, 1.0)


def guess(problem: Problem, root: State) -> Search:
    """Memorises the public tests."""
    known = [test for test in problem.public_tests if isinstance(test, CallTest)]
    code = memorised(problem, known)
    (end,) = yield from advance([Advance(root, PSEUDOCODE.render(Step(ActionType.CODE, code), 1))])
    return SearchResult(end.state, 1.0)


def memorised(problem: Problem, known: list[CallTest]) -> str:
    table = ", ".join(f"{test.args!r}: {test.expected!r}" for test in known)
    return (
        f"TABLE = {{{table}}}\n"
        f"def {problem.entry_point}(*args):\n"
        "    import ast\n"
        "    return ast.literal_eval(TABLE.get(repr(list(args)), 'None'))\n"
    )


def hidden_passes(model: ReasoningModel, policy: Policy, agent, evaluation: Evaluation) -> dict[str, int]:
    """Hidden tests passed, by problem, of what an agent answers."""
    driver = Driver(model, policy)
    results = driver.run(Task(task_id, agent, Budget(calls=2)) for task_id in model.task_ids)
    assert [done.error for done in results if done.error] == []
    codes = [(done.task.task_id, done.result.code or "") for done in results if done.result]
    verdicts = evaluation.evaluate_batch(codes)
    return {task_id: verdict.passed for (task_id, _), verdict in zip(codes, verdicts, strict=True)}


def test_a_cheat_gains_nothing_over_a_guess(script) -> None:
    rows = ROWS[:12]
    judge = default_judge()
    model = ReasoningModel([row.problem for row in rows], judge)
    evaluation = Evaluation(rows, judge)
    policy = load_policy(script)
    env = gymnasium.make("O1Coder/Starter-v0")
    env.reset(seed=0)

    def cheating(problem: Problem, root: State) -> Search:
        return cheat(problem, root, loot=(env, env.unwrapped, model, policy, judge))

    guessed = hidden_passes(model, policy, guess, evaluation)
    cheated = hidden_passes(model, policy, cheating, evaluation)
    # less is possible: answers of other problems' public tests get in its way
    assert all(cheated[task_id] <= passed for task_id, passed in guessed.items())


def test_the_same_cheat_wins_where_tests_do_leak(script) -> None:
    rows = ROWS[:4]
    leaking = ReasoningModel(
        [row.problem for row in rows], default_judge(), tests={row.problem.task_id: row.tests for row in rows}
    )

    def cheating(problem: Problem, root: State) -> Search:
        return cheat(problem, root, loot=(leaking,))

    policy, evaluation = load_policy(script), Evaluation(rows, default_judge())
    passed = hidden_passes(leaking, policy, cheating, evaluation)
    guessed = hidden_passes(leaking, policy, guess, evaluation)
    assert sum(passed.values()) > sum(guessed.values())
