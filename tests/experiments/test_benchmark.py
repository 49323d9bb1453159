"""Plans run in process: what a cheat can gain, and that a replayed budget is an honest one."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.agents import registry
from o1coder_gym.envs.conformance.clauses import find_text, reachable
from o1coder_gym.errors import BudgetExhausted
from o1coder_gym.experiments.benchmark import Plan, Tools, report_facts, run_plan
from o1coder_gym.experiments.tools import comparison_policies, session_row
from o1coder_gym.policies.language_model import LanguageModelPolicy
from o1coder_gym.policies.scripted import ScriptedPolicy
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.reporting.comparison import compare_with
from o1coder_gym.reporting.results import ResultRow, read_results
from o1coder_gym.reporting.run_report import read_profile
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.journal import RunFolder, read_rows
from o1coder_gym.sandbox import default_judge
from o1coder_gym.steps.formats import FORMATS, PSEUDOCODE
from o1coder_gym.types import (
    ActionType,
    CallTest,
    CheckerTest,
    Outcome,
    Problem,
    SearchResult,
    State,
    StdioTest,
    Step,
    Submission,
    TestCase,
    Verdict,
)
from o1coder_gym.types.queries import Advance, Propose, Search, advance, propose
from tests.agents.driver.test_prompts import Keeping

HIDDEN = "the one hidden answer"


def problem_row(number: int) -> ProblemRow:
    """echo(x) returns x, and for one number something that no question tells."""
    problem = Problem(f"toy/{number}", "Return x.", "echo", (CallTest("[1]", "1"),))
    tests = (CallTest("[2]", "2"), CallTest(f"[{1000 + number}]", repr(HIDDEN)))
    return ProblemRow(problem, tests, reference=f"def echo(x):\n    return x if x < 9 else {HIDDEN!r}")


ROWS = [problem_row(number) for number in range(4)]
ECHO = "def echo(x):\n    return x"
TRUTH = f"def echo(x):\n    return x if x < 9 else {HIDDEN!r}"


def scripted(*codes: str, format: str = "pseudocode") -> ScriptedPolicy:
    steps = [{"type": "code", "text": code} for code in codes]
    return ScriptedPolicy.from_rows({"problems": {"*": {"depths": [steps]}}}, FORMATS[format])


def run(folder: Path, agents: Sequence[str], policy: ScriptedPolicy, **options: Any) -> list[ResultRow]:
    plan = Plan(
        problems="toy",
        task_ids=tuple(row.problem.task_id for row in ROWS),
        agents=tuple(agents),
        policy="scripted:memory",
        **{"format": "pseudocode", "budget": Budget(tokens=200), **options},
    )
    with RunFolder.open(folder, plan.to_row()) as opened:
        return run_plan(plan, ROWS, Tools(policy, default_judge()), opened, lambda row: None)


def test_a_cheating_agent_gains_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looted: list[Any] = []

    def cheat(problem: Problem, root: State, /) -> Search:
        """Takes every answer that it can reach from what it is given, and writes it down as its program."""
        (proposals,) = yield from propose([Propose(root)])
        (end,) = yield from advance([Advance(root, proposals[0].text)])
        loot = [problem, root, proposals, end]
        looted.extend(loot)
        known = {test.args: test.expected for test in reachable(loot) if isinstance(test, CallTest)}
        lines = [f"    if [x] == {args}: return {expected}" for args, expected in known.items()]
        code = "\n".join(["def echo(x):", *lines, "    return x"])
        action = PSEUDOCODE.render(Step(ActionType.CODE, code), 1)
        (done,) = yield from advance([Advance(root, action)])
        return SearchResult(done.state, 1.0)

    monkeypatch.setitem(registry.AGENTS, "cheat", cheat)  # pyright: ignore[reportArgumentType]
    honest, cheating = (run(tmp_path / name, [name], scripted(ECHO)) for name in ("greedy", "cheat"))
    assert [row.error for row in cheating] == [""] * 4
    # both know the public test, and none of the hidden ones beyond what honest code passes
    assert [row.passed for row in cheating] == [row.passed for row in honest] == [1] * 4
    assert not any(row.solved for row in cheating)
    assert find_text(looted, [HIDDEN]) is None
    # the same texts are there to be found in what the evaluation holds
    assert find_text(ROWS, [HIDDEN]) == HIDDEN


def test_a_claim_of_success_counts_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def boast(problem: Problem, root: State, /) -> Search:
        return SearchResult(root.then(Step(ActionType.CODE, ECHO)), 1.0)
        yield

    monkeypatch.setitem(registry.AGENTS, "boast", boast)  # pyright: ignore[reportArgumentType]
    rows = run(tmp_path / "run", ["boast"], scripted(ECHO))
    assert {(row.value, row.solved, row.passed, row.total) for row in rows} == {(1.0, False, 1, 2)}


def test_only_the_oracle_chooses_by_hidden_tests(tmp_path: Path) -> None:
    # both programs pass the public test; the likelier one, which is chosen then, fails the hidden ones
    steps = [{"type": "code", "text": ECHO, "weight": 3}, {"type": "code", "text": TRUTH}]
    policy = ScriptedPolicy.from_rows({"problems": {"*": {"depths": [steps]}}})
    rows = run(tmp_path / "run", ["best_of_n_random:n=20", "best_of_n:n=20"], policy, budget=Budget())
    solved = dict.fromkeys((row.agent for row in rows), 0)
    for row in rows:
        solved[row.agent] += row.solved
    assert (solved["oracle:n=20"], solved["best_of_n:n=20"]) == (4, 0)
    assert {row.value for row in rows if row.agent == "oracle:n=20"} == {1.0}


@pytest.mark.parametrize("agent", ["greedy", "best_of_n:n=9", "ab_mcts", "best_of_n:n=9,select=codet"])
def test_a_swept_budget_is_what_a_run_of_its_own_gives(tmp_path: Path, agent: str) -> None:
    # samples of this policy cost 12 tokens at most, so no budget shortens one of them
    options = {"seeds": (0, 1)}
    sizes = [0, 24, 48, 96]
    swept = run(
        tmp_path / "swept",
        [agent + (":" if ":" not in agent else ",") + "max_tokens=12"] if agent != "greedy" else [agent],
        scripted(ECHO, TRUTH),
        budget=Budget(tokens=192),
        sweep=tuple(Budget(tokens=size) for size in sizes),
        **options,
    )
    assert len(swept) == 4 * 2 * 5
    for size in sizes:
        rows = [row for row in swept if row.budget.tokens == size]
        assert all(row.usage.tokens <= size and not row.timed for row in rows)
        assert all(row.code is None for row in rows) == (size == 0)


@pytest.mark.parametrize("format", ["pseudocode", "vanilla"])
@pytest.mark.parametrize("agent", [*registry.AGENTS, "best_of_n:select=public,select=codet"])
def test_every_agent_runs_in_both_formats(tmp_path: Path, agent: str, format: str) -> None:
    rows = run(tmp_path / "run", [agent], scripted(ECHO, TRUTH, format=format), format=format)
    assert [row.error for row in rows if not row.agent.startswith("oracle")] == [""] * 4
    assert all(row.code in (ECHO, TRUTH) for row in rows)


def test_what_is_spent_within_flops_depends_on_the_search_alone(tmp_path: Path) -> None:
    limits = tuple(Budget(flops=6.0 * tokens) for tokens in (100, 150, 200, 300))

    def part(name: str, agents: Sequence[str], report: Any, *, resume: bool = False) -> None:
        plan = Plan(
            problems="toy",
            task_ids=tuple(row.problem.task_id for row in ROWS),
            agents=tuple(agents),
            policy="fake",
            format="pseudocode",
            budget=Budget(tokens=600),
            sweep=limits,
        )
        # each process has an engine that has seen nothing
        tools = Tools(LanguageModelPolicy(Keeping()), default_judge(), parameters=3)
        with RunFolder.open(tmp_path / name, plan.to_row(), resume=resume) as opened:
            run_plan(plan, ROWS, tools, opened, report)

    def rows(name: str) -> list[ResultRow]:
        found = [row for row in read_results(tmp_path / name) if row.agent == "best_of_n"]
        assert len(found) == 4 * 5
        told = [replace(row, usage=replace(row.usage, seconds=0.0), timed=False, run="") for row in found]
        return sorted(told, key=lambda row: (row.task_id, row.budget.size))

    def kill(row: ResultRow) -> None:
        raise KeyboardInterrupt

    part("alone", ["best_of_n"], lambda row: None)
    part("after another", ["mcts", "best_of_n"], lambda row: None)
    with pytest.raises(KeyboardInterrupt):
        part("resumed", ["mcts", "best_of_n"], kill)
    part("resumed", ["mcts", "best_of_n"], lambda row: None, resume=True)
    assert rows("alone") == rows("after another") == rows("resumed")
    assert all(row.usage.prompt_tokens > 0 for row in rows("alone"))


def test_shared_samples_change_no_answer(tmp_path: Path) -> None:
    agents = ["best_of_n_random:n=5", "best_of_n:n=5", "mcts"]
    alone = run(tmp_path / "alone", agents, scripted(ECHO, TRUTH))
    shared = run(tmp_path / "shared", agents, scripted(ECHO, TRUTH), share_samples=True)
    assert not any(row.timed for row in shared)

    def told(rows: Sequence[ResultRow]) -> set[tuple[str, str, str | None, int]]:
        return {(row.task_id, row.agent, row.code, row.usage.tokens) for row in rows}

    assert told(alone) == told(shared)


class Counting:
    """A judge that counts what it is asked, and how often it was warmed up."""

    def __init__(self) -> None:
        self.inside, self.judged, self.batches = default_judge(), [], 0

    def evaluate(self, submissions: Sequence[Submission], /) -> list[Any]:
        self.batches += 1
        self.judged += [one for one in submissions if one.code]
        return self.inside.evaluate(submissions)


@pytest.mark.parametrize("agents", [["best_of_n:n=3", "best_of_n?n=3"], ["mcts", "mcts?width=4"]])
@pytest.mark.parametrize("turned", [False, True])
def test_no_agent_finds_the_verdicts_of_another(tmp_path: Path, agents: list[str], turned: bool) -> None:
    judge = Counting()
    agents = agents[::-1] if turned else agents
    plan = Plan("toy", ("toy/0",), tuple(agents), "scripted:memory", "pseudocode", Budget(tokens=120))
    seen: dict[str, int] = {}

    def report(row: ResultRow) -> None:
        public = [one for one in judge.judged if len(one.tests) == 1]
        seen[row.agent] = len(public) - sum(seen.values())

    with RunFolder.open(tmp_path, plan.to_row()) as opened:
        run_plan(plan, ROWS[:1], Tools(scripted(ECHO, TRUTH), judge), opened, report)
    # the same agent under two names: each pays for its own runs, whoever comes first
    assert len(set(seen.values())) == 1
    assert min(seen.values()) > 0


def test_it_is_written_down_where_the_time_went(tmp_path: Path) -> None:
    run(tmp_path / "run", ["greedy", "mcts:simulations=2"], scripted(ECHO), seeds=(0, 1))
    rows = list(read_rows(tmp_path / "run" / "profile.jsonl"))
    agents = ["greedy", "mcts:simulations=2"] * 2
    assert [(row["agent"], row["seed"]) for row in rows] == list(zip(agents, (0, 0, 1, 1), strict=True))
    for row in rows:
        seconds = row["seconds"]
        assert seconds["wall"] == pytest.approx(seconds["driver"] + seconds["waiting"], abs=0.01)
        assert seconds["requests"] > 0
        assert seconds["hidden_tests"] > 0
    found = read_profile(tmp_path / "run")
    assert found["greedy"]["requests"] == rows[0]["seconds"]["requests"] + rows[2]["seconds"]["requests"]


class Down:
    """A judge that fails on the hidden tests of some programs while it is down."""

    def __init__(self, *codes: str) -> None:
        self.inside, self.codes = default_judge(), codes

    def evaluate(self, submissions: Sequence[Submission], /) -> list[Verdict]:
        return [
            Verdict(Outcome.INFRASTRUCTURE) if len(one.tests) > 1 and one.code in self.codes else verdict
            for one, verdict in zip(submissions, self.inside.evaluate(submissions), strict=True)
        ]


@pytest.mark.parametrize("agent", ["greedy", "best_of_n_random:n=3"])
def test_what_the_judge_could_not_decide_is_judged_when_the_run_goes_on(tmp_path: Path, agent: str) -> None:
    plan = Plan("toy", ("toy/0",), (agent,), "scripted:memory", "pseudocode", Budget(tokens=200))
    judge = Down(TRUTH)
    for left in (1, 0):
        with RunFolder.open(tmp_path, plan.to_row(), resume=True) as opened:
            run_plan(plan, ROWS[:1], Tools(scripted(TRUTH), judge), opened, lambda row: None)
        found = read_results(tmp_path)
        assert {bool(row.error) for row in found} == {bool(left)}
        assert {row.counted for row in found} == {row.solved for row in found} == {not left}
        judge.codes = ()


def test_the_oracle_is_not_known_while_a_program_that_may_be_right_is_undecided(tmp_path: Path) -> None:
    agents, codes = ["best_of_n_random:n=20"], scripted(ECHO, TRUTH)
    rows = {}
    for down in ((), (ECHO,), (TRUTH,)):
        plan = Plan("toy", ("toy/0",), tuple(agents), "scripted:memory", "pseudocode", Budget(tokens=2000))
        with RunFolder.open(tmp_path / str(len(rows)), plan.to_row()) as opened:
            found = run_plan(plan, ROWS[:1], Tools(codes, Down(*down)), opened, lambda row: None)
        (rows[down],) = [(row.solved, row.counted) for row in found if row.agent.startswith("oracle")]
    assert rows == {(): (True, True), (ECHO,): (True, True), (TRUTH,): (False, False)}


def test_what_ended_by_itself_says_so(tmp_path: Path) -> None:
    sweep = (Budget(tokens=60),)
    rows = run(tmp_path / "run", ["greedy", "best_of_n", "best_of_n:n=2"], scripted(ECHO), sweep=sweep)
    capped = {(row.agent, row.budget.tokens): row.capped for row in rows}
    assert capped["greedy", 200]
    assert capped["greedy", 60]
    assert not capped["best_of_n", 200]
    assert not capped["best_of_n", 60]
    assert capped["best_of_n:n=2", 200]
    again = [ResultRow.from_row(row.to_row()) for row in rows]
    assert again == rows


def test_an_agent_that_fails_has_a_row_at_every_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(problem: Problem, root: State, /) -> Search:
        yield [Propose(root)]
        raise ZeroDivisionError("oops")

    monkeypatch.setitem(registry.AGENTS, "broken", broken)  # pyright: ignore[reportArgumentType]
    sweep = (Budget(tokens=100), Budget(tokens=50))
    run(tmp_path / "run", ["broken", "greedy"], scripted(TRUTH), sweep=sweep)
    rows = read_results(tmp_path / "run")
    assert sum(row.agent == "broken" and "oops" in row.error for row in rows) == 4 * 3
    found = compare_with(rows, "greedy")
    assert [(one.solved_a, one.solved_b, one.difference.count) for one in found] == [(0.0, 1.0, 4)] * 3


def test_an_agent_that_fails_within_a_smaller_budget_alone_ends_no_other_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def brittle(problem: Problem, root: State, /) -> Search:
        try:
            (drawn,) = yield from propose([Propose(root)])
            (end,) = yield from advance([Advance(root, drawn[0].text)])
        except BudgetExhausted:
            raise ZeroDivisionError("nothing was found") from None
        return SearchResult(end.state, 1.0)

    monkeypatch.setitem(registry.AGENTS, "brittle", brittle)  # pyright: ignore[reportArgumentType]
    sweep = (Budget(tokens=100), Budget(tokens=0))
    run(tmp_path / "run", ["brittle", "greedy"], scripted(TRUTH), sweep=sweep)
    rows = read_results(tmp_path / "run")
    failed = {(row.agent, row.budget.tokens) for row in rows if row.error}
    assert failed == {("brittle", 0)}
    assert len(rows) == 2 * 4 * 3
    assert sum(row.solved for row in rows) == 2 * 4 * 2


@pytest.mark.parametrize("lines", range(9))
def test_a_task_of_which_a_row_is_missing_is_done_again(tmp_path: Path, lines: int) -> None:
    """A run of two tasks, 3 + 6 rows, whose file was cut after some of them."""
    plan = Plan(
        "toy",
        ("toy/0",),
        ("greedy", "best_of_n_random:n=2"),
        "scripted:memory",
        "pseudocode",
        Budget(tokens=200),
        sweep=(Budget(tokens=100), Budget(tokens=50)),
    )
    tools = Tools(scripted(TRUTH), default_judge())
    told: list[ResultRow] = []
    with RunFolder.open(tmp_path, plan.to_row()) as opened:
        whole = [untimed(row) for row in run_plan(plan, ROWS[:1], tools, opened, lambda row: None)]
    assert len(whole) == 9
    file = tmp_path / "results.jsonl"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:lines]))
    with RunFolder.open(tmp_path, plan.to_row(), resume=True) as opened:
        found = run_plan(plan, ROWS[:1], tools, opened, told.append)
    assert [untimed(row) for row in found] == whole
    assert [row.agent for row in told] == ["greedy", "best_of_n_random:n=2"][lines >= 3 :]
    written = [untimed(ResultRow.from_row(row)) for row in read_rows(file)]
    assert written == whole  # none twice
    assert [untimed(row) for row in read_results(tmp_path)] == whole


def untimed(row: ResultRow) -> ResultRow:
    return replace(row, usage=replace(row.usage, seconds=0.0))


def test_a_time_out_is_part_of_the_plan_only_where_there_is_one() -> None:
    plan = Plan("toy", ("toy/0",), ("greedy",), "scripted:memory", "pseudocode", Budget(tokens=120))
    assert "timeout_s" not in plan.to_row()
    assert replace(plan, timeout_s=5.0).to_row()["timeout_s"] == 5.0


@pytest.mark.parametrize(
    ("public", "hidden", "found", "words"),
    [
        ((), (CallTest("[1]", "1"),), {}, None),
        ((StdioTest("1", "1", "apps"),), (StdioTest("1", "1", "apps"),), {"apps": 1}, "1 test by apps"),
        (
            (CallTest("[1]", "1", compare="leetcode"),),
            (CallTest("[2]", "2", compare="leetcode"), StdioTest("", "1"), StdioTest("", "2", "numbers:0.1")),
            {"leetcode": 2, "numbers:0.1": 1},
            "2 tests by leetcode, 1 test by numbers:0.1",
        ),
        (
            (),
            (CheckerTest("", "x = 1"), StdioTest("", "1", "apps")),
            {"apps": 1, "checker": 1},
            "1 test by apps",
        ),
    ],
)
def test_a_run_says_what_counted_as_right(
    public: tuple[TestCase, ...], hidden: tuple[TestCase, ...], found: dict[str, int], words: str | None
) -> None:
    rows = [ProblemRow(Problem("toy/0", "Return x.", "echo", public), hidden)]
    assert comparison_policies(rows) == session_row("fake", rows)["comparison"] == found
    plan = Plan("toy", ("toy/0",), ("greedy",), "scripted:memory", "vanilla", Budget())
    said = report_facts(plan, rows).get("compared")
    assert said is None if words is None else str(said).startswith(words)
