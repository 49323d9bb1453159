"""What the commands do, called from Python: the same rows, nothing printed, gone on with after a stop."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.agents.rl.settings import RLSettings
from o1coder_gym.errors import JournalError, O1CoderError, UsageError
from o1coder_gym.experiments import (
    NoAnswersError,
    Plan,
    ProblemChoice,
    Suite,
    SynthesisPlan,
    measure_aspr,
    read_config,
    run_benchmark,
    run_suite,
    self_play,
    synthesize,
)
from o1coder_gym.experiments.measures.held_out import Gain, gains
from o1coder_gym.experiments.training.prm import PRMSettings, train_scorer
from o1coder_gym.experiments.training.rl import RLPlan, train_on_pairs, train_policy
from o1coder_gym.experiments.training.sft import SFTSettings, fine_tune
from o1coder_gym.models.training.arguments import REPORT_TO
from o1coder_gym.process_data import ProcessData, read_data
from o1coder_gym.process_data.search_tree import SearchTree, tree_rows
from o1coder_gym.reporting.results import ResultRow, read_results
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.journal import read_rows
from tests.command_line import call

RIGHT, WRONG = "def double(x):\n    return 2 * x", "def double(x):\n    return x + 1"
PROBLEM = {
    "task_id": "toy/double",
    "prompt": "Return twice x.",
    "entry_point": "double",
    "public_tests": [{"kind": "call", "args": "[1]", "expected": "2"}],
    "tests": [{"kind": "call", "args": "[5]", "expected": "10"}],
}
STEPS = [
    [{"type": "define", "text": "Double it."}],
    [{"type": "code", "text": text} for text in (WRONG, RIGHT)],
]
AGENTS = ("greedy", "best_of_n:n=4")


@pytest.fixture
def problems(tmp_path: Path) -> str:
    path = tmp_path / "problems.jsonl"
    path.write_text(json.dumps(PROBLEM) + "\n")
    return str(path)


@pytest.fixture
def policy(tmp_path: Path) -> str:
    path = tmp_path / "script.json"
    path.write_text(json.dumps({"draw": "random", "problems": {"*": {"depths": STEPS}}}))
    return f"scripted:{path}"


@pytest.fixture
def plan(problems: str, policy: str) -> Plan:
    return Plan(problems, ("toy/double",), AGENTS, policy, "pseudocode", Budget(tokens=1024))


@pytest.fixture
def synthesis(problems: str, policy: str) -> SynthesisPlan:
    agent = "mcts:simulations=8"
    return SynthesisPlan(
        problems, ("toy/double",), agent, policy, "pseudocode", Budget(tokens=4096), inputs={}
    )


def test_a_run_does_not_continue_with_another_problem_file(
    plan: Plan, synthesis: SynthesisPlan, problems: str, tmp_path: Path
) -> None:
    run_benchmark(plan, tmp_path / "bench")
    synthesize(synthesis, tmp_path / "data")
    Path(problems).write_text(json.dumps(PROBLEM | {"prompt": "Return x and x."}) + "\n")
    with pytest.raises(JournalError, match="differs in: files"):
        run_benchmark(plan, tmp_path / "bench", resume=True)
    with pytest.raises(JournalError, match="differs in: files"):
        synthesize(synthesis, tmp_path / "data", resume=True)


def command(*words: object) -> str:
    """Returns what a command that succeeds prints on standard output."""
    done = call(*words)
    assert done.exit_code == 0, done.output
    return done.stdout


def untimed(rows: list[ResultRow]) -> list[dict[str, Any]]:
    found = [row.to_row() for row in rows]
    for row in found:
        row["usage"].pop("seconds")
    return sorted(found, key=json.dumps)


def test_a_benchmark_gives_the_rows_of_the_command(
    plan: Plan, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    told: list[ResultRow | str] = []
    rows = run_benchmark(plan, tmp_path / "a", on_start=lambda: told.append("start"), on_row=told.append)
    assert capfd.readouterr() == ("", "")
    assert told == ["start", *rows]
    assert {row.agent: row.solved for row in rows} == {"greedy": False, "best_of_n:n=4": True}
    assert (tmp_path / "a" / "report.html").exists()
    agents = [word for agent in AGENTS for word in ("--agent", agent)]
    places = ("--problems", plan.problems, "--policy", plan.policy, "--no-controls", "--out", tmp_path / "b")
    command("bench", *places, *agents)
    assert untimed(rows) == untimed(read_results(tmp_path / "b"))
    reports = [(tmp_path / name / "report.md").read_text() for name in "ab"]
    assert reports[0].splitlines()[0] == reports[1].splitlines()[0]


def test_a_benchmark_goes_on(plan: Plan, tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    def stop(row: ResultRow) -> None:
        raise StopError

    with pytest.raises(StopError):
        run_benchmark(plan, tmp_path / "run", on_row=stop)
    with pytest.raises(JournalError, match="already holds a run"):
        run_benchmark(plan, tmp_path / "run")
    new: list[ResultRow] = []
    rows = run_benchmark(plan, tmp_path / "run", resume=True, on_row=new.append)
    assert [row.agent for row in new] == ["best_of_n:n=4"]
    assert [row.agent for row in rows] == [*AGENTS]


def test_problems_without_tests_are_told(plan: Plan, tmp_path: Path) -> None:
    path = Path(plan.problems)
    path.write_text(json.dumps({**PROBLEM, "tests": []}) + "\n")
    with pytest.warns(UserWarning, match="1 of 1 problems has no hidden tests"):
        run_benchmark(plan, tmp_path / "run")


def test_rows_without_an_answer_are_an_error_that_has_them(plan: Plan, tmp_path: Path) -> None:
    Path(plan.policy.removeprefix("scripted:")).write_text(json.dumps({"problems": {"other": []}}))
    with pytest.raises(NoAnswersError, match="2 of 2 rows have no answer") as found:
        run_benchmark(plan, tmp_path / "run")
    assert len(found.value.results) == 2
    assert (tmp_path / "run" / "report.md").exists()


def test_a_suite_gives_the_rows_of_the_command(
    problems: str, policy: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    formats = ("pseudocode", "vanilla")
    suite = Suite(
        (ProblemChoice(problems),), policies=(policy,), formats=formats, agents=AGENTS, controls=False
    )
    rows = run_suite(suite, tmp_path / "a")
    assert capfd.readouterr() == ("", "")
    assert (tmp_path / "a" / "report.md").read_text().startswith("# all parts")
    words = [word for agent in AGENTS for word in ("--agent", agent)]
    words += [word for format in formats for word in ("--format", format)]
    places = ("--problems", problems, "--policy", policy, "--no-controls", "--out", tmp_path / "b")
    printed = json.loads(command("bench", *places, *words, "--json"))
    assert untimed(rows) == untimed([ResultRow.from_row(row) for row in printed])


def test_aspr_is_that_of_the_command(plan: Plan, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run_benchmark(plan, tmp_path / "run")
    told: list[tuple[int, int]] = []
    rates = measure_aspr(tmp_path / "run", samples=4, on_progress=lambda *now: told.append(now))
    assert capfd.readouterr() == ("", "")
    assert told == [(0, 1), (1, 1)]
    printed = json.loads(command("bench", "aspr", tmp_path / "run", "--samples", "4", "--json"))
    assert printed["best_of_n:n=4"]["rate"] == rates["best_of_n:n=4"].rate
    assert len(list(read_rows(tmp_path / "run" / "aspr.jsonl"))) == 1


def test_a_synthesis_gives_the_data_of_the_command(
    synthesis: SynthesisPlan, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    trees: list[SearchTree] = []
    data = synthesize(synthesis, tmp_path / "a", on_tree=trees.append)
    assert capfd.readouterr() == ("", "")
    assert len(trees) == len(list(tree_rows(tmp_path / "a"))) == 1
    places = ("--problems", synthesis.problems, "--policy", synthesis.policy, "--out", tmp_path / "b")
    command("synthesize", *places, "--agent", synthesis.agent)
    assert untold(data) == untold(read_data(tmp_path / "b"))
    trees.clear()
    assert synthesize(synthesis, tmp_path / "a", resume=True, on_tree=trees.append) == data
    assert trees == []


def untold(data: ProcessData) -> tuple[Any, ...]:
    """What was learned, without the times of its sources."""
    return tuple((row.state, row.value) for row in data.prefixes), tuple(row.state for row in data.paths)


def test_gains_are_paired_by_problem() -> None:
    before = {"p": {"greedy": 0.0}, "q": {"greedy": 1.0}}
    after = {"p": {"greedy": 1.0}, "q": {"greedy": 1.0}}
    (gain,) = gains(before, after).values()
    assert (gain.before, gain.after, gain.gain) == (
        0.5,
        1.0,
        0.5,
    )  # (0 + 1)/2, (1 + 1)/2, ((1 − 0) + (1 − 1))/2
    assert gain.to_row()["interval"] == [gain.low, gain.high] == [pytest.approx(-0.5626, abs=1e-4), 1.0]
    assert Gain(0.5, 1.0, 0.5, gain.low, 1.0, rough=True) == gain
    assert gain.ends.endswith("… +100.0%~")  # of two problems


def test_self_play_that_learns_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('[run]\nmodel = "tiny"\n[problems]\nset = "micro"\n')
    config = replace(read_config(tmp_path / "run.toml"), sft=None, rl=None)
    with pytest.raises(UsageError, match="both skipped"):
        self_play(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[run]\nmodel = "nowhere"\n[problems]\nset = "micro"\n', "unknown model 'nowhere'"),
        ('[run]\nmodel = "tiny"\n[problems]\nset = "nothing"\n', "'nothing'"),
        ('[run]\nmodel = "tiny"\n[problems]\nset = "micro"\nlimit = 2\n', "give --batch-problems 2"),
        ('[run]\nmodel = "tiny"\n[problems]\nset = "micro"\n[synthesis]\nagent = "mtcs"\n', "'mtcs'"),
    ],
)
def test_self_play_that_would_fail_later_claims_no_folder(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(O1CoderError, match=told):
        self_play(read_config(tmp_path / "run.toml"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_training_that_would_fail_later_claims_no_folder(
    synthesis: SynthesisPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("trl")
    monkeypatch.setenv(REPORT_TO, "nowhere")
    synthesize(synthesis, tmp_path / "data")
    own, run = (
        RLPlan("tiny", synthesis.problems, ("toy/double",), RLSettings(problems=1, rows_at_once=8)),
        tmp_path / "run",
    )
    text = '[run]\nmodel = "tiny"\n[problems]\nset = "micro"\n'
    (tmp_path / "run.toml").write_text(text)
    starts = (
        lambda: train_policy(own, run),
        lambda: train_on_pairs("tiny", tmp_path / "data", run),
        lambda: self_play(read_config(tmp_path / "run.toml"), run),
        lambda: fine_tune(SFTSettings(data=tmp_path / "data", model="tiny"), run),
        lambda: train_scorer(PRMSettings(data=tmp_path / "data", model="tiny"), run),
    )
    for start in starts:
        with pytest.raises(O1CoderError, match="reporter in O1CODER_REPORT_TO 'nowhere'"):
            start()
        assert not run.exists()


def test_data_without_pairs_claims_no_folder(plan: Plan, synthesis: SynthesisPlan, tmp_path: Path) -> None:
    synthesize(replace(synthesis, agent="greedy"), tmp_path / "data")
    with pytest.raises(O1CoderError, match="has no pairs to learn from"):
        train_on_pairs("tiny", tmp_path / "data", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_importing_the_calls_is_light(tmp_path: Path) -> None:
    program = "import sys, o1coder_gym.experiments; print({'torch', 'transformers', 'trl'} & {*sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "set()"
