import json
import math
from collections import Counter

import pytest

from o1coder_gym.errors import PolicyError
from o1coder_gym.policies import Depths, ScriptedAction, ScriptedPolicy
from o1coder_gym.steps.formats import VANILLA
from o1coder_gym.types import GREEDY, ActionType, PolicyRequest, Problem, Sampling, State, Step
from o1coder_gym.types.protocols import Policy

TREE = {
    "problems": {
        "t/0": [
            {
                "type": "define",
                "text": "plan",
                "weight": 3,
                "then": [{"type": "code", "text": "x = 1"}, {"type": "code", "text": "x = 2"}],
            },
            {"raw": "no step at all"},
        ],
        "*": {"depths": [[{"type": "define", "text": "any"}], [{"type": "code", "text": "pass"}]]},
    }
}


def ask(policy, *steps, task="t/0", n=1, seed=0, sampling=Sampling()):
    request = PolicyRequest(Problem(task, "?"), State(task, steps), n, sampling, seed)
    return policy.propose([request])[0]


def test_samples_follow_the_weights_and_know_their_logprob():
    policy = ScriptedPolicy.from_rows(TREE)
    counts = Counter((proposal.text, proposal.logprob) for proposal in ask(policy, n=4000))
    assert set(counts) == {
        ("### Step 1 (define)\nplan\n", math.log(0.75)),
        ("no step at all", math.log(0.25)),
    }
    # 4000 draws at p = 0.75: standard deviation sqrt(4000 · 0.75 · 0.25) = 27.4; five of them are 137.
    assert abs(counts["### Step 1 (define)\nplan\n", math.log(0.75)] - 3000) < 137


def test_equal_requests_get_equal_proposals_whatever_else_is_asked():
    policy = ScriptedPolicy.from_rows(TREE)
    alone = ask(policy, n=20, seed=7)
    requests = [
        PolicyRequest(Problem("t/0", "?"), State("t/0"), n, Sampling(), seed) for n, seed in ((3, 1), (20, 7))
    ]
    assert policy.propose(requests)[1] == alone
    assert ask(policy, n=20, seed=8) != alone
    assert alone[:5] == ask(policy, n=5, seed=7)


def test_the_tree_is_followed_by_parsed_steps():
    policy = ScriptedPolicy.from_rows(TREE)
    texts = {proposal.text for proposal in ask(policy, Step(ActionType.DEFINE, "plan"), n=50)}
    assert texts == {f"### Step 2 (code)\n```python\nx = {i}\n```\n" for i in (1, 2)}


def test_greedy_takes_the_largest_weight():
    assert ask(ScriptedPolicy.from_rows(TREE), sampling=GREEDY)[0].text == "### Step 1 (define)\nplan\n"


def test_cycle_takes_the_actions_in_order():
    policy = ScriptedPolicy.from_rows({**TREE, "draw": "cycle"})
    texts = [proposal.text for proposal in ask(policy, n=3, seed=5)]
    assert texts == ["### Step 1 (define)\nplan\n", "no step at all", "### Step 1 (define)\nplan\n"]


def test_depths_serve_unnamed_problems_and_all_deeper_states():
    policy = ScriptedPolicy.from_rows(TREE)
    plan = Step(ActionType.DEFINE, "other")
    assert ask(policy, task="t/9")[0].text == "### Step 1 (define)\nany\n"
    assert ask(policy, plan, plan, plan, task="t/9")[0].text == "### Step 4 (code)\n```python\npass\n```\n"


def test_tokens_are_words_and_never_more_than_asked():
    policy = ScriptedPolicy({"t/0": (ScriptedAction(Step(ActionType.DEFINE, "a b c d")),)})
    whole = ask(policy)[0]
    assert (whole.tokens, whole.finish) == (8, "stop")
    cut = ask(policy, sampling=Sampling(max_tokens=6))[0]
    assert (cut.tokens, cut.finish, cut.text) == (6, "length", "### Step 1 (define) a b")


def test_the_format_writes_the_steps():
    policy = ScriptedPolicy(
        {"*": Depths(((ScriptedAction(Step(ActionType.CODE, "x = 1")),),))}, step_format=VANILLA
    )
    assert ask(policy)[0].text == "```python\nx = 1\n```\n"


def test_a_state_off_the_script_is_named():
    with pytest.raises(PolicyError, match="no script for t/0 after 1 steps"):
        ask(ScriptedPolicy.from_rows(TREE), Step(ActionType.DEFINE, "another plan"))


def test_a_script_file_is_a_policy(tmp_path):
    path = tmp_path / "script.json"
    path.write_text(json.dumps(TREE))
    policy = ScriptedPolicy.from_file(path)
    assert isinstance(policy, Policy)
    assert ask(policy, n=9) == ask(ScriptedPolicy.from_rows(TREE), n=9)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting property name"),
        ("[]", "AttributeError"),
        ('{"problems": {"*": {"depths": []}}}', "at least one list"),
        ('{"problems": {"*": [{"type": "dream", "text": ""}]}}', "DREAM"),
        ('{"problems": {"*": [{"type": "code", "text": 1}]}}', "text is a string"),
        ('{"problems": {"*": [{"raw": "", "weight": 0}]}}', "weight is positive"),
        ('{"draw": "dice", "problems": {}}', "random or cycle"),
    ],
)
def test_a_broken_file_is_named(tmp_path, text, reason):
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(PolicyError, match=f"broken.json: .*{reason}"):
        ScriptedPolicy.from_file(path)
