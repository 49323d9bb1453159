"""Steps that are functions: as texts, in the environment, in a search, as tokens that are learned."""

from functools import partial
from typing import Any

import gymnasium as gym
import pytest
from hypothesis import given
from hypothesis import strategies as st

from o1coder_gym.agents import Driver, Task, mcts, self_repair
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.policies import ScriptedPolicy
from o1coder_gym.prm.heuristic import HeuristicScorer
from o1coder_gym.sandbox import default_judge
from o1coder_gym.steps.choices import PROPOSAL_FEATURES, STATE_FEATURES, Features, Offer
from o1coder_gym.steps.formats import PSEUDOCODE, load_format, split_chain
from o1coder_gym.steps.formats.functions import FUNCTIONS
from o1coder_gym.types import ActionType, CallTest, Problem, Proposal, State, Step

SQUARES = Problem("squares", "Sum the squares of a list.", "total", (CallTest("[[1, 2]]", "5"),))
SIGNATURE = Step(ActionType.DEFINE, "def total(values)\nsquares each, then adds them up")
SQUARE = Step(ActionType.HELPER, "def square(value):\n    return value * value")
TWICE = Step(ActionType.HELPER, "def square(value):\n    return 2 * value")
MAIN = Step(ActionType.CODE, "def total(values):\n    return sum(map(square, values))")
WHOLE = State("squares", (SIGNATURE, SQUARE, MAIN))
TEXTS = st.one_of(
    st.text(max_size=100),
    st.lists(st.sampled_from(["```", "````\n", "### Step 1 (main)\n", "\\", "x = 1", "\n"])).map("".join),
)


@given(st.sampled_from([kind for _, kind in FUNCTIONS.words.kinds]), TEXTS, TEXTS)  # pyright: ignore
def test_a_step_is_read_as_it_was_written(kind: ActionType, text: str, following: str) -> None:
    step = Step(kind, text)
    action = FUNCTIONS.render(step, 2)
    assert FUNCTIONS.parse(action) == step
    assert FUNCTIONS.complaint(action) == ""
    assert FUNCTIONS.boundary(action + "### Step 3 (main)\n" + following) == len(action)


def test_the_program_is_all_helpers_and_the_main_function() -> None:
    code = WHOLE.code
    assert code is not None
    assert code.index("def square") < code.index("def total")
    assert State("squares", (SIGNATURE, SQUARE)).code is None
    note = Step(ActionType.REFINE, "An earlier program was\n```python\nraise\n```")
    assert State("squares", (note, SIGNATURE, SQUARE, MAIN)).code == code
    assert State("squares", (SIGNATURE, MAIN)).code == MAIN.text
    assert State.from_row(WHOLE.to_row()) == WHOLE


def test_a_whole_chain_is_cut_at_its_steps() -> None:
    chain = "\n".join(FUNCTIONS.render(step, index) for index, step in enumerate(WHOLE.steps, start=1))
    parsed = [FUNCTIONS.parse(text) for text in split_chain(FUNCTIONS, chain + "\nThat is all.")]
    assert tuple(parsed) == WHOLE.steps
    example = FUNCTIONS.prompt(SQUARES, State("squares")).messages[2][1]
    kinds = [FUNCTIONS.parse(text).type for text in split_chain(FUNCTIONS, example)]
    assert kinds == [ActionType.DEFINE, ActionType.HELPER, ActionType.CODE]


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("### Step 1 (define)\nx", "signature, note, helper or main, not 'define'"),
        ("### Step 2 (helper)\nA helper.", "A helper step needs a ```python block"),
        ("### Step 1 (signature)\n ", "empty"),
        ("def f(): ...", "must start with a header"),
    ],
)
def test_malformed_actions_say_why(action: str, reason: str) -> None:
    assert FUNCTIONS.parse(action).type is ActionType.MALFORMED
    assert reason in FUNCTIONS.complaint(action)


def test_an_answer_of_a_chat_server_is_read() -> None:
    opening = FUNCTIONS.prompt(SQUARES, State("squares", (SIGNATURE,))).opening
    assert opening == "### Step 2 ("
    whole = FUNCTIONS.render(SQUARE, 2)
    for answer in (whole, whole.removeprefix(opening), "Sure!\n" + whole + "\n### Step 3 (main)\nand so on"):
        assert FUNCTIONS.parse(FUNCTIONS.read_answer(answer, opening, "total")) == SQUARE  # pyright: ignore
    bare = FUNCTIONS.read_answer(f"```python\n{MAIN.text}\n```", opening, "total")  # pyright: ignore
    assert FUNCTIONS.parse(bare) == MAIN


def test_the_environment_judges_helpers_and_main_together() -> None:
    env = gym.make("O1Coder/Starter-v0", format="functions", observation_format="text", render_mode="ansi")
    env.reset(seed=0, options={"task_id": "starter/006-count-even"})
    helper = Step(ActionType.HELPER, "def is_even(n):\n    return n % 2 == 0")
    main = Step(ActionType.CODE, "def count_even(numbers):\n    return sum(map(is_even, numbers))")
    for index, step in enumerate((SIGNATURE, helper), start=1):
        env.step(FUNCTIONS.render(step, index))
    _, reward, terminated, _, info = env.step(FUNCTIONS.render(main, 3))
    assert (terminated, reward, info["is_success"], info["outcome"]) == (True, 1.0, True, "pass")
    assert "### Step 2 (helper)\n```python\ndef is_even" in str(env.render())


def row(step: Step) -> dict[str, str]:
    return {"type": step.type.name.lower(), "text": step.text}


@pytest.mark.parametrize("agent", [partial(mcts, simulations=24, width=2), partial(self_repair, starts=4)])
def test_a_search_finds_the_helper_that_is_right(agent: Any) -> None:
    depths = {"depths": [[row(SIGNATURE)], [row(TWICE), row(SQUARE)], [row(SQUARE), row(MAIN)]]}
    policy = ScriptedPolicy.from_rows({"problems": {"*": depths}}, FUNCTIONS)
    model = ReasoningModel([SQUARES], default_judge(), format=FUNCTIONS, max_steps=5)
    (done,) = Driver(model, policy, HeuristicScorer()).run([Task("squares", agent)])
    assert done.error is None
    assert done.result is not None
    assert done.result.value == 1.0
    assert "value * value" in (done.result.code or "")


def test_a_chooser_of_pseudocode_has_as_many_features_of_functions() -> None:
    model = ReasoningModel([SQUARES], default_judge(), format=FUNCTIONS)
    state = State("squares", (SIGNATURE,))
    text = FUNCTIONS.render(SQUARE, 2)
    (transition,) = model.advance([(state, text)])
    features = Features(1, 5, 100, None)
    seen = features.observe(SQUARES, transition.state, [Offer(Proposal(text, 5, -1.0), transition)])
    assert seen["state"].shape == (len(STATE_FEATURES),)
    assert seen["proposals"].shape == (len(PROPOSAL_FEATURES),)


def test_the_heuristic_looks_at_helpers() -> None:
    scorer = HeuristicScorer()
    good, empty, broken = (
        scorer.score([(SQUARES, State("squares", (SIGNATURE, Step(ActionType.HELPER, text))))])[0]
        for text in (SQUARE.text, "def square(value):\n    pass", "def square(")
    )
    assert good > empty > broken


def test_formats_are_found_by_name() -> None:
    assert load_format("functions") is FUNCTIONS
    assert PSEUDOCODE.complaint("### Step 1 (helper)\nx").startswith("A step is define, refine or code")
