"""Suites: what a file or the options make of it."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.agents import load_agent
from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.experiments.suite import (
    ProblemChoice,
    Suite,
    budgets,
    contestants,
    parts,
    read_cells,
    read_suite,
    run_suite,
)
from o1coder_gym.policies.fake import FakeEngine
from o1coder_gym.runs.budget import Budget

SUITES = Path(__file__).parents[2] / "benchmarks" / "suites"


def test_a_file_says_what_the_options_say(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(
        "problems: [humaneval, {name: mbpp, split: test, limit: 100}]\n"
        "policies: hf:qwen2.5-coder-0.5b\n"
        "agents: ['mcts:simulations=64']\n"
        "select: [tests, public+codet]\n"
        "tokens: [512, 1024]\n"
        "seconds: 3\n"
        "controls: false\n"
    )
    assert read_suite(path) == Suite(
        problems=(ProblemChoice("humaneval"), ProblemChoice("mbpp", "test", 100)),
        policies=("hf:qwen2.5-coder-0.5b",),
        agents=("mcts:simulations=64",),
        select=("tests", "public+codet"),
        tokens=(512, 1024),
        seconds=3.0,
        controls=False,
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("agnet: mcts", "unknown key in"),
        ("tokens: many", "tokens must be numbers such as 512,1024, or none, got 'many'"),
        ("tokens: [1, true]", "tokens must be numbers such as 512,1024, or none, got [1, True]"),
        ("controls: 1", "controls must be true or false, got 1"),
        ("problems: [{set: mbpp}]", "problems must be names, or tables with name, got"),
        ("- mcts", "expected keys and values"),
        ("agents: [mcts", "cannot be read"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_suite(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", sorted(SUITES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_suites_of_the_project_name_agents_that_there_are(path: Path) -> None:
    cells = read_cells(path).values()
    assert any(suite.controls for suite in cells)
    for agent in (agent for suite in cells for agent in suite.agents):
        assert callable(load_agent(agent))


def test_controls_sample_as_the_best_of_n_does() -> None:
    assert contestants(["mcts"], [], True) == ("greedy", "best_of_n_random", "mcts")
    assert contestants(["best_of_n:n=64,early_stop=true,select=codet"], [], True)[:2] == (
        "greedy",
        "best_of_n_random:n=64",
    )
    given = ("best_of_n_random:n=2", "greedy", "mcts")
    assert contestants(given, [], True) == given


def test_selectors_are_crossed_with_agents_that_choose() -> None:
    found = contestants(["greedy", "best_of_n", "mcts:c=1"], ["tests", "public+codet"], False)
    assert found == (
        "greedy",
        "best_of_n",
        "best_of_n:select=public,select=codet",
        "mcts:c=1",
        "mcts:c=1,select=public,select=codet",
    )
    for agent in ("mcts", "best_of_n"):
        with pytest.raises(UnknownNameError, match="best"):
            parts(Suite(agents=(agent,), select=("public+best",), policies=("scripted:none",)))


def test_smaller_budgets_are_read_off_the_largest() -> None:
    whole, sweep = budgets(Suite(tokens=(512, 2048, 1024), calls=(9,)))
    assert whole == Budget(tokens=2048, calls=9)
    assert sweep == (Budget(tokens=1024, calls=9), Budget(tokens=512, calls=9))
    assert budgets(Suite(tokens=(), seconds=2.0)) == (Budget(seconds=2.0), ())


def test_shards_share_out_all_problems() -> None:
    suite = Suite(policies=("scripted:none",))
    (whole,) = parts(suite)
    shards = [parts(suite, shard=f"{number}/3")[0].plan.task_ids for number in (1, 2, 3)]
    assert sorted(task_id for shard in shards for task_id in shard) == sorted(whole.plan.task_ids)
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_seconds_do_not_go_with_shared_samples() -> None:
    with pytest.raises(UsageError, match="shared samples"):
        budgets(Suite(seconds=5.0, share_samples=True))
    assert budgets(Suite(seconds=5.0))[0].seconds == 5.0


def test_a_time_out_reaches_the_plan() -> None:
    (part,) = parts(Suite(agents=("greedy",), timeout=12.5, controls=False))
    assert part.plan.timeout_s == 12.5


@pytest.mark.parametrize("unit", ["calls", "executions", "prompt_tokens", "scorer_tokens", "flops"])
def test_several_limits_of_any_unit_are_one_run(unit: str) -> None:
    limits: dict[str, Any] = {unit: (5, 9, 7)}
    whole, sweep = budgets(Suite(tokens=(), **limits))
    assert whole == Budget(**{unit: 9})
    assert sweep == (Budget(**{unit: 7}), Budget(**{unit: 5}))


@pytest.mark.parametrize(
    ("policy", "agent", "unknown"),
    [
        ("fake:", "mcts", "fake:"),
        ("openai:http://localhost:1/v1#some", "mcts", "openai:"),
        ("hf:tiny", "acting?agent=mine:Agent", "acting"),
    ],
)
def test_flops_need_the_number_of_weights(policy: str, agent: str, unknown: str) -> None:
    with pytest.raises(UsageError, match=f"unknown for {unknown}"):
        parts(Suite(policies=(policy,), agents=(agent,), flops=(1e12,)))


def test_flops_of_a_model_that_is_there_are_a_budget() -> None:
    (part,) = parts(Suite(policies=("hf:tiny",), agents=("mcts",), tokens=(), flops=(2e9, 1e9)))
    assert part.plan.budget == Budget(flops=2e9)
    assert part.plan.to_row()["budget"]["flops"] == 2e9


def test_flops_are_a_second_axis_of_the_same_run() -> None:
    reach = 2 * 1_472_512 * 512  # 2 FLOPs a weight and token
    suite = Suite(policies=("hf:tiny",), agents=("mcts",), tokens=(512, 256), within_flops=(reach / 2, reach))
    whole, sweep = budgets(suite)
    assert whole == Budget(tokens=512)
    assert sweep == (Budget(tokens=256), Budget(flops=reach), Budget(flops=reach / 2))
    assert parts(suite)[0].plan.sweep == sweep
    with pytest.raises(UsageError, match="512 tokens may end before"):
        parts(replace(suite, within_flops=(reach + 1,)))


@pytest.mark.parametrize("limits", [{"calls": (9,)}, {"tokens": ()}, {"seconds": 2.0}, {"flops": (1e9,)}])
def test_a_second_axis_needs_a_run_that_tokens_alone_limit(limits: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="tokens alone"):
        budgets(replace(Suite(within_flops=(1e9,)), **limits))


CELLS = """
policies: "fake:tokens=20"
tokens: 64
share_samples: true
cells:
  a: {agents: best_of_n, problems: [{name: starter, limit: 2}]}
  b: {agents: 'best_of_n:select=codet', problems: [{name: starter, limit: 2}], controls: false}
"""


def test_a_file_may_hold_several_suites(tmp_path: Path) -> None:
    path = tmp_path / "cells.yaml"
    path.write_text(CELLS)
    cells = read_cells(path)
    assert [*cells] == ["a", "b"]
    assert {suite.tokens for suite in cells.values()} == {(64,)}
    assert [part.name for part in parts(cells)] == ["a", "b"]
    assert [suite.controls for suite in cells.values()] == [True, False]
    path.write_text("agents: mcts")
    assert read_cells(path) == {"": read_suite(path)}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cells: [mcts]", "cells must be names with settings"),
        ("cells: {}", "cells must be names with settings"),
        ("cells: {a: mcts}", "[cells.a]: expected keys and values"),
        ("cells: {a: {agnets: mcts}}", "unknown key in"),
        ("cells: {a: {tokens: many}}", "[cells.a]: tokens must be numbers"),
    ],
)
def test_a_bad_cell_is_one_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "cells.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=re.escape(told)):
        read_cells(path)


def test_cells_that_a_report_would_take_for_one_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "cells.yaml"
    path.write_text(CELLS.replace(":select=codet", "").replace("controls: false", "tests: generated"))
    with pytest.raises(UsageError, match="cells a and b both run greedy on starter"):
        parts(read_cells(path))


def test_cells_of_one_policy_share_their_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    propose = FakeEngine.generate

    def counting(engine: FakeEngine, requests: Any, *rest: Any) -> Any:
        asked.append(len(requests))
        return propose(engine, requests, *rest)

    monkeypatch.setattr(FakeEngine, "generate", counting)
    path = tmp_path / "cells.yaml"
    path.write_text(CELLS)
    cells = read_cells(path)
    alone = sum(len(run_suite(suite, tmp_path / name)) for name, suite in cells.items())
    paid, asked[:] = sum(asked), []
    rows = run_suite(cells, tmp_path / "both")
    assert len(rows) == alone
    assert sum(asked) < paid
    told = [(row.task_id, row.agent, row.usage.tokens) for row in run_suite(cells["b"], tmp_path / "again")]
    assert [(row.task_id, row.agent, row.usage.tokens) for row in rows[-len(told) :]] == told
