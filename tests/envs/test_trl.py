"""Rewards for other trainers: by hand, and in a trainer of TRL."""

import json
import math
import pickle
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from o1coder_gym.envs import O1CoderSpec, ReasoningModel, trl
from o1coder_gym.envs.env import ReasoningEnv
from o1coder_gym.envs.interactions.text import TextInteraction
from o1coder_gym.envs.trl.columns import problem_of
from o1coder_gym.problems.answers.programs import limits_for, program_of
from o1coder_gym.problems.formats.predictions import INPUT, OUTPUT, TASK
from o1coder_gym.problems.loading import load_problems
from o1coder_gym.rewards import RewardConstants, end_value, phi_reward, terminal_value
from o1coder_gym.sandbox import default_judge
from o1coder_gym.steps.formats import PSEUDOCODE, VANILLA
from o1coder_gym.types import ActionType, CallTest, Outcome, Problem, State

RIGHT = "### Step 1 (define)\nadd one\n\n### Step 2 (code)\n```python\ndef f(x):\n    return x + 1\n```\n"
HALF = RIGHT.replace("x + 1", "2")
SILENT = "### Step 1 (define)\nadd one\n"
MALFORMED = "Sure!\n\n### Step 1 (code)\n```python\ndef f(x:\n```\n"
PROBLEM = Problem(
    "p", "def f(x):\n    return the next number", "f", (CallTest("[1]", "2"), CallTest("[2]", "3"))
)


def columns(count: int) -> dict[str, list[Any]]:
    (row,) = trl.rows([PROBLEM])
    return {name: [value] * count for name, value in row.items() if name != "prompt"}


def test_rewards_by_hand() -> None:
    texts = [RIGHT, HALF, SILENT, MALFORMED, ""]
    given = columns(len(texts))
    assert trl.outcome(completions=texts, **given) == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert trl.pass_ratio(completions=texts, **given) == [1.0, 0.5, 0.0, 0.0, 0.0]
    assert trl.compiles(completions=texts, **given) == [1.0, 1.0, 0.0, 0.0, 0.0]
    assert trl.well_formed(completions=texts, **given) == [1.0, 1.0, 0.0, 0.0, 0.0]
    talk = [[{"role": "assistant", "content": RIGHT}]]
    assert trl.outcome(completions=talk, **columns(1)) == [1.0]


@pytest.mark.parametrize(
    ("turn", "reward"),
    [
        ({"content": [{"type": "text", "text": RIGHT[:40]}, {"type": "text", "text": RIGHT[40:]}]}, 1.0),
        ({"content": [RIGHT[:9], {"type": "image", "image": None}, {"text": RIGHT[9:]}]}, 1.0),
        ({"content": None, "tool_calls": []}, 0.0),
        ({"tool_calls": [{"function": {"name": "step"}}]}, 0.0),
        ({"content": RIGHT, "tool_calls": [None, {"function": {"arguments": {"action": None}}}]}, 1.0),
        ({"content": []}, 0.0),
    ],
)
def test_turns_say_text_parts_or_nothing(turn: dict[str, Any], reward: float) -> None:
    talk = [{"role": "user", "content": None}, {"role": "assistant", **turn}]
    assert trl.outcome(completions=[talk], **columns(1)) == [reward]
    assert trl.outcome(completions=[[*talk, {"role": "assistant", "content": RIGHT}]], **columns(1)) == [1.0]


def test_what_is_none_says_nothing() -> None:
    talk = [None, {"role": "assistant", "content": RIGHT}, None]
    texts = [None, [None], talk]
    assert trl.outcome(completions=texts, **columns(3)) == [0.0, 0.0, 1.0]
    assert trl.well_formed(completions=texts, **columns(3)) == [0.0, 0.0, 1.0]


def failed(completions: Any, **_: Any) -> list[float | None]:
    return [None, 1.0, 0.0][: len(completions)]


def test_a_sum_is_not_known_where_a_part_is_not() -> None:
    both = trl.Combined((failed, 1.0), (trl.well_formed, 0.5))
    # as two functions TRL's trainers would sum None and 0.5 to 0.5, that of a program that fails
    assert both(completions=[RIGHT, RIGHT, SILENT], **columns(3)) == [None, 1.5, 0.0]
    three = trl.Combined((trl.pass_ratio, 2.0), (trl.compiles, 1.0), (failed, 1.0))
    assert three(completions=[RIGHT, HALF, SILENT], **columns(3)) == [None, 3.0, 0.0]
    assert trl.outcome_and_form(completions=[RIGHT, HALF, SILENT], **columns(3)) == [1.2, 0.2, 0.0]
    (row,) = trl.rows([Problem("bare", "def f(x): ...", "f")])  # without tests there is no outcome
    given = {name: [value] for name, value in row.items() if name != "prompt"}
    assert trl.outcome_and_form(completions=[RIGHT], **given) == [None]
    assert trl.outcome_and_form.__name__ == "outcome_and_form"


def test_without_tests_there_is_no_reward() -> None:
    (row,) = trl.rows([Problem("bare", "def f(x): ...", "f")])
    given = {name: [value] * 3 for name, value in row.items() if name != "prompt"}
    texts = [RIGHT, SILENT, MALFORMED]
    assert trl.outcome(completions=texts, **given) == [None, 0.0, 0.0]
    assert trl.pass_ratio(completions=texts, **given) == [None, 0.0, 0.0]
    assert trl.phi(completions=texts, **given)[0] is None
    assert trl.compiles(completions=texts, **given) == [1.0, 0.0, 0.0]
    assert trl.well_formed(completions=texts, **given)[0] == 1.0


def test_a_played_episode_without_tests_has_no_reward(tmp_path: Path) -> None:
    row = {"task_id": "bare", "prompt": "def f(x): ...", "entry_point": "f", "tests": []}
    (tmp_path / "bare.jsonl").write_text(json.dumps(row))
    spec = O1CoderSpec(str(tmp_path / "bare.jsonl"), reward="outcome")
    assert spec.episode_reward([RIGHT, SILENT], task_id=["bare", "bare"]) == [None, 0.0]


def test_phi_by_hand() -> None:
    class Halves:
        def score(self, items: Any, /) -> list[float]:
            return [0.5 if state.depth == 1 else 1.0 for _, state in items]

    reward = trl.Phi(Halves(), RewardConstants(alpha=0.4, gamma=0.9))
    # 0.4·1 + 0.6·(0.9·0.5 + 0.81·1)/2 = 0.778;  0.4·0 + 0.6·0.45/1 = 0.27
    assert reward(completions=[RIGHT, SILENT], **columns(2)) == pytest.approx([0.778, 0.27])
    assert all(value is not None and 0 <= value <= 1 for value in trl.phi(completions=[RIGHT], **columns(1)))


def test_chains_are_read_step_by_step_and_end_with_the_program() -> None:
    steps = trl.read_chain(RIGHT + "\n### Step 3 (define)\nmore\n", PSEUDOCODE)
    assert [step.type for step in steps] == [ActionType.DEFINE, ActionType.CODE]
    assert trl.read_chain("```python\nx = 1\n```\n", VANILLA)[0].text == "x = 1"


def test_chatty_answers_are_read_and_prose_is_none() -> None:
    right, draft = "def f(x):\n    return x + 1", "def f(x):\n    return x"
    blocks = [f"```python\n{code}\n```\n" for code in (draft, right, "print(f(1))")]
    texts = [
        "A draft:\n" + "So:\n".join(blocks),
        f"<think>{blocks[0]}</think>\n\n{right}\n```",
        "I would add one to x.",
        f"<think>Let me see.\n{blocks[1]}",
    ]
    (row,) = trl.rows([PROBLEM], format="vanilla")
    given = {name: [value] * len(texts) for name, value in row.items() if name != "prompt"}
    assert trl.outcome(completions=texts, **given) == [1.0, 1.0, 0.0, 0.0]
    assert trl.well_formed(completions=texts, **given) == [1.0, 1.0, 0.0, 0.0]
    parts = [[{"role": "assistant", "content": [{"type": "text", "text": texts[0]}]}]]
    assert trl.outcome(completions=parts, **{name: value[:1] for name, value in given.items()}) == [1.0]


def test_the_environment_knows_what_a_program_is_to_define() -> None:
    from o1coder_gym.envs import ReasoningModel
    from o1coder_gym.sandbox import default_judge
    from o1coder_gym.steps.formats import load_format

    model = ReasoningModel([PROBLEM], default_judge(), format=load_format("vanilla"))
    helper = "```python\ndef helper(x):\n    return x\n```\n"
    action = f"```python\ndef f(x):\n    return x + 1\n```\nAnd:\n{helper}"
    (transition,) = model.advance([(model.initial("p"), action)])
    assert transition.verdict is not None
    assert transition.verdict.passed == 2


def test_rows_carry_no_hidden_tests() -> None:
    rows = trl.rows(load_problems("starter")[:3])
    for row, problem in zip(rows, load_problems("starter"), strict=False):
        assert len(json.loads(row["tests"])) == len(problem.public_tests)
        assert row["prompt"][-1]["role"] == "user"


def test_an_environment_is_played_by_tool_calls() -> None:
    spec = O1CoderSpec("starter", limit=1, reward="outcome")
    assert spec.train_dataset.column_names == [
        "prompt",
        "task_id",
        "question",
        "entry_point",
        "prelude",
        "tests",
        "format",
    ]
    (row,) = spec.train_dataset
    tools = spec.environment_factory()
    assert tools.reset(**row) is None
    assert tools.step("### Step 1 (define)\ncount words") == "Go on."
    assert "must start with a header" in tools.step("hm")
    code = PSEUDOCODE.render(load_reference(), 3)
    assert "2 of 2 public tests passed" in tools.step(code)
    assert tools.step(code) == "The episode is over."
    assert tools.reward == 1.0
    (reward,) = spec.reward_funcs
    assert reward(completions=[""], environments=[tools]) == [1.0]
    chain = "### Step 1 (define)\ncount\n\n" + PSEUDOCODE.render(load_reference(), 2)
    assert reward(completions=[chain, ""], task_id=[row["task_id"]] * 2) == [1.0, 0.0]


def test_what_asynchronous_workers_are_given_pickles_and_pays_its_own_reward() -> None:
    spec = O1CoderSpec("starter", limit=1, reward="outcome")
    factory = pickle.loads(pickle.dumps(spec.rewarding_environment_factory))
    tools = factory()
    tools.reset(task_id=spec.train_dataset[0]["task_id"])
    tools.step(PSEUDOCODE.render(load_reference(), 1))
    assert tools.get_reward() == 1.0
    assert pickle.loads(pickle.dumps(spec.environment_factory))().reward == 0.0
    assert not hasattr(spec.environment_factory(), "get_reward")  # or a trainer would count it twice
    assert pickle.loads(pickle.dumps(spec.episode_reward))(
        [""], task_id=[spec.train_dataset[0]["task_id"]]
    ) == [0.0]


@pytest.mark.parametrize("write", [json.dumps, dict])
def test_a_transcript_of_tool_calls_is_read_as_its_steps(write: Any) -> None:
    steps = [
        "### Step 1 (define)\nadd one\n",
        "### Step 2 (code)\n```python\ndef f(x):\n    return x + 1\n```\n",
    ]
    turns: list[dict[str, Any]] = []
    for step in steps:
        call = {"type": "function", "function": {"name": "step", "arguments": write({"action": step})}}
        turns += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": "Go on."},
        ]
    turns.append({"role": "assistant", "content": None})
    assert trl.outcome(completions=[turns], **columns(1)) == [1.0]


def load_reference() -> Any:
    from o1coder_gym.types import Step

    code = "def count_vowel_words(text):\n    return sum(w[0].lower() in 'aeiou' for w in text.split())"
    return Step(ActionType.CODE, code)


def test_trl_trains_with_them(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    from trl import GRPOConfig, GRPOTrainer

    from o1coder_gym.experiments.micro.tiny_model import TinySettings, train_tiny_model

    size = TinySettings(layers=1, width=16, heads=2, vocabulary=300, traces=8, steps=1, batch_size=2)
    folder = train_tiny_model(tmp_path / "model", size)
    spec = O1CoderSpec("starter", limit=2)
    trainer = GRPOTrainer(
        str(folder),
        reward_funcs=[*spec.reward_funcs, trl.well_formed, trl.phi],
        args=GRPOConfig(
            output_dir=str(tmp_path),
            max_steps=1,
            num_generations=2,
            per_device_train_batch_size=2,
            max_completion_length=8,
            use_cpu=True,
            bf16=False,
            report_to="none",
            save_strategy="no",
        ),
        train_dataset=spec.train_dataset,
    )
    trainer.train()
    logged = trainer.state.log_history[0]
    assert {"rewards/episode_reward/mean", "rewards/well_formed/mean", "rewards/phi/mean"} <= logged.keys()
    assert logged["rewards/well_formed/mean"] == 0.0


STEPS = st.sampled_from(
    [
        "### Step 1 (define)\nadd one\n",
        "### Step 2 (refine)\nadd 1 to x\n",
        "hm\n",
        "### Step 3 (dance)\nla la\n",
        RIGHT.partition("\n\n")[2],
        HALF.partition("\n\n")[2],
        MALFORMED.partition("\n\n")[2],
    ]
)


class Uneven:
    """A scorer whose numbers round."""

    def score(self, items: Any, /) -> list[float]:
        return [(len(repr(state.steps)) % 97) / 97 for _, state in items]


def cut(text: str) -> list[str]:
    return trl.read_texts(text, PSEUDOCODE)


@settings(deadline=None, max_examples=60)
@given(
    texts=st.lists(st.lists(STEPS, max_size=7).map("\n".join), min_size=1, max_size=4),
    limit=st.integers(1, 5),
)
def test_trainers_tools_environments_and_search_are_paid_the_same(texts: list[str], limit: int) -> None:
    constants = RewardConstants(alpha=0.3, gamma=0.7, tau_fail=0.1, alpha_compile=0.2)
    scorer = Uneven()
    given_ = columns(len(texts)) | {"max_steps": [limit] * len(texts)}
    by_function = trl.Phi(scorer, constants)(completions=texts, **given_)
    model = ReasoningModel(
        [PROBLEM],
        default_judge(),
        max_steps=limit,
        reward=partial(phi_reward, constants=constants),
        scorer=scorer,
    )
    spec = object.__new__(O1CoderSpec)
    spec._model = model
    assert spec.episode_reward(texts, task_id=["p"] * len(texts)) == by_function
    outcomes = trl.outcome(completions=texts, **given_)
    for place, text in enumerate(texts):
        tools = trl.ReasoningTools(model)
        tools.reset(task_id="p")
        env = ReasoningEnv(TextInteraction(model))
        env.reset(seed=0)
        paid, over = [0.0], False
        search, value, verdict = State("p"), 0.0, None
        for action in cut(text):
            tools.step(action)
            if over:
                continue
            _, reward, terminated, truncated, _ = env.step(action)
            (transition,) = model.advance([(search, action)])
            search = transition.state
            paid.append(float(reward))
            over, verdict = terminated or truncated, transition.verdict
            value = end_value(transition, constants.alpha_compile) if over else 0.0
        if not over:  # an environment waits; what the last step is paid if nothing follows
            paid[-1:] = [model.stopped([search])[0].value]
            value = 0.0
        assert tools.reward == math.fsum(paid) == by_function[place]
        assert value == (terminal_value(verdict, constants.alpha_compile) if verdict else 0.0)
        assert outcomes[place] == float(verdict is not None and verdict.outcome is Outcome.PASS)


def test_a_chain_is_over_at_the_step_limit() -> None:
    long = "### Step 1 (define)\na\n\n" * 8 + RIGHT
    assert trl.outcome(completions=[long, RIGHT], **columns(2)) == [0.0, 1.0]
    assert trl.outcome(completions=[long, RIGHT], **columns(2), max_steps=[12, 1]) == [1.0, 0.0]
    assert trl.well_formed(completions=[long, RIGHT], **columns(2)) == [0.0, 1.0]


def test_one_id_may_be_several_problems_in_a_batch() -> None:
    (other,) = trl.rows([replace(PROBLEM, public_tests=(CallTest("[1]", "3"),))])
    given_ = columns(2)
    given_["tests"] = [given_["tests"][0], other["tests"]]
    assert trl.outcome(completions=[RIGHT, RIGHT], **given_) == [1.0, 0.0]


def test_rows_say_what_a_problem_is_judged_by() -> None:
    asked = {TASK: INPUT, "code": "def f(x): return x"}
    metas = [{"cpu_s": 9, "split": "test"}, {TASK: OUTPUT}, asked, {}]
    problems = [replace(PROBLEM, task_id=str(place), meta=meta) for place, meta in enumerate(metas)]
    rows, answer = trl.rows(problems), "def answer():\n    return 3"
    given_ = {name: [row[name] for row in rows] for name in rows[0]}
    found = [problem_of(given_, place) for place in range(len(rows))]
    assert limits_for(found[0]).cpu_s == 9
    assert [program_of(one, answer) for one in found] == [program_of(one, answer) for one in problems]
    (row,) = trl.rows([replace(PROBLEM, meta={"code": "a solution", "split": "test"})])
    assert "meta" not in row


def test_rows_say_a_step_limit_that_is_not_the_usual_one() -> None:
    assert "max_steps" not in trl.rows([PROBLEM])[0]
    assert trl.rows([PROBLEM], max_steps=3)[0]["max_steps"] == 3


def test_rows_of_several_sets_are_one_data_set() -> None:
    datasets = pytest.importorskip("datasets")
    plain = trl.rows([PROBLEM])
    limited = trl.rows([replace(PROBLEM, task_id="q", meta={"cpu_s": 9}, prelude="ONE = 1")], max_steps=1)
    del plain[0]["prelude"]  # as versions wrote it that knew none
    joined = datasets.concatenate_datasets([*map(datasets.Dataset.from_list, (plain, limited))])
    given_ = {name: list(joined[name]) for name in joined.column_names if name != "prompt"}
    assert given_["max_steps"] == [None, 1]
    assert trl.outcome(completions=[RIGHT, RIGHT], **given_) == [1.0, 0.0]
    assert trl.well_formed(completions=[RIGHT, RIGHT], **given_) == [1.0, 0.0]
    assert [problem_of(given_, place).prelude for place in (0, 1)] == ["", "ONE = 1"]
    assert limits_for(problem_of(given_, 1)).cpu_s == 9
