"""Suites: what a file or the options make of it."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.agents import load_agent
from o1coder_gym.errors import JournalError, UnknownNameError, UsageError
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
from o1coder_gym.metrics.significance import detectable_difference
from o1coder_gym.policies.fake import FakeEngine
from o1coder_gym.reporting.comparison import comparisons
from o1coder_gym.reporting.results import ResultRow, Setting, read_results
from o1coder_gym.reporting.run_trees import RunTrees
from o1coder_gym.runs.budget import Budget
from o1coder_gym.types import Outcome, Usage

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


def test_a_row_that_two_cuts_of_a_run_share_is_one_row(tmp_path: Path) -> None:
    suite = Suite(
        (ProblemChoice("starter", limit=8),), ("fake:",), agents=("greedy",), tokens=(64, 128), controls=False
    )
    # 1/2 has problems 1, 3, 5 and 7; 1/4 has 1 and 5 of them again, 2/4 has 2 and 6
    for shard in ("1/2", "1/4", "2/4"):
        run_suite(suite, tmp_path, shard=shard)
    rows = read_results(tmp_path)
    assert len({(row.task_id, row.seed, row.budget) for row in rows}) == len(rows) == 6 * 2
    assert len(found := [*RunTrees(tmp_path).all()]) == len({tree.problem.task_id for tree in found}) == 6
    # with more seeds, of another agent beside it or at more budgets it is the same row too
    more = replace(suite, seeds=2, agents=("greedy", "best_of_n:n=2"), tokens=(32, 64, 128))
    run_suite(more, tmp_path, shard="1/8")
    rows = read_results(tmp_path)
    found = {(row.agent, row.task_id, row.seed, row.budget) for row in rows}
    assert len(found) == len(rows) == 6 * 2 + 1 + 3 + 6
    # a run that does something else with the same problem is another one
    run_suite(replace(suite, max_steps=3), tmp_path, shard="2/8")
    assert len(read_results(tmp_path)) == len(rows) + 2


@pytest.mark.parametrize(
    ("name", "problems", "told"),
    [
        (
            "thinking",
            (257, 164),
            "{} points and more show with 80 % on MBPP's 257 problems, {} on HumanEval's 164",
        ),
        ("thinking_trained", (257,), "{} points and more show with 80 %"),
    ],
)
def test_suites_state_the_power_of_their_corrected_tests(
    name: str, problems: tuple[int, ...], told: str
) -> None:
    file = SUITES / f"{name}.yaml"
    settings = {
        Setting(choice.name, policy, format, agent, Budget(tokens=tokens))
        for cell in read_cells(file).values()
        for choice in cell.problems
        for policy in cell.policies
        for format in cell.formats
        for agent in contestants(cell.agents, cell.select, cell.controls)
        for tokens in cell.tokens
    }
    rows = [
        ResultRow(
            "p",
            one.agent,
            0,
            Outcome.PASS,
            1,
            1,
            1.0,
            "",
            1,
            Usage(),
            "",
            problems=one.problems,
            policy=one.policy,
            format=one.format,
            budget=one.budget,
        )
        for one in settings
    ]
    family = max(one.family for one in comparisons(rows, "best_of_n", "vanilla").values())
    # a fifth of the problems differ, as many for the one side as for the other
    points = [
        detectable_difference([1.0, -1.0] * (n // 10) + [0.0] * (n - n // 10 * 2), tests=family)
        for n in problems
    ]
    text = re.sub(r"\s*\n# ", " ", file.read_text())
    stated = told.format(*(round(100 * one) for one in points))
    assert f"as one of {family} comparisons of a budget (Holm): {stated}" in text


@pytest.mark.parametrize("changed", ["problems", "tests"])
def test_a_run_does_not_go_on_with_other_problems_or_tests(tmp_path: Path, changed: str) -> None:
    problem = {"task_id": "own/1", "prompt": "Twice x.", "entry_point": "double"}
    problem |= {"public_tests": ["assert double(1) == 2"], "tests": ["assert double(2) == 4"]}
    seen = {"task_id": "own/1", "tests": [{"kind": "call", "args": "[3]", "expected": "6"}]}
    files = {"problems": tmp_path / "own.jsonl", "tests": tmp_path / "tests.jsonl"}
    for path, row in zip(files.values(), (problem, seen), strict=True):
        path.write_text(json.dumps(row) + "\n")
    suite = Suite((ProblemChoice(str(files["problems"])),), ("fake:",), agents=("greedy",), controls=False)
    suite = replace(suite, tests=str(files["tests"]))
    run_suite(suite, tmp_path / "run")
    assert run_suite(suite, tmp_path / "run", resume=True)
    files[changed].write_text(files[changed].read_text().replace("4", "5").replace("[3]", "[7]"))
    with pytest.raises(JournalError, match="differs in: files"):
        run_suite(suite, tmp_path / "run", resume=True)


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
