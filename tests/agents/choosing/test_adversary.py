"""The second player: around any agent, paid by the same budget, resumed and replayed."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from o1coder_gym.agents import Driver, Task, load_agent
from o1coder_gym.agents.choosing.adversary import Adversary, against
from o1coder_gym.agents.driver.recordings import Recorder
from o1coder_gym.agents.driver.replies import name_of
from o1coder_gym.agents.driver.sweep import answer_within
from o1coder_gym.agents.driver.tasks import TaskResult
from o1coder_gym.agents.driver.tree_records import tree_record
from o1coder_gym.agents.search.tree import Tree
from o1coder_gym.envs.conformance import check_agent
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.errors import ConformanceError, UnknownNameError, UsageError
from o1coder_gym.process_data.search_tree import SearchTree
from o1coder_gym.runs.budget import UNLIMITED, Budget
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.sandbox import Judge
from o1coder_gym.sandbox.trial import Output
from o1coder_gym.steps.formats import VANILLA
from o1coder_gym.types import (
    ActionType,
    AssertTest,
    CallTest,
    Outcome,
    PolicyRequest,
    Problem,
    Proposal,
    Sampling,
    SearchResult,
    State,
    Step,
    Submission,
    Verdict,
)
from o1coder_gym.types.protocols import Judge as JudgeProtocol
from o1coder_gym.types.queries import Advance, Ask, Execute, Executed, Propose, Search, execute

PROBLEM = Problem("p", "def double(x):\n    'Return twice x.'\n", "double", (CallTest("[2]", "4"),))
CODES = (
    "def double(x):\n    return x * x",
    "def double(x):\n    return 2 * x",
    "def double(x):\n    return x + x",
    "def double(x):\n    return x",
    "def double(x):\n    import random\n    return 4 if x == 2 else random.random()",
)
SPEC = "best_of_n?n=10&adversary=mutation"


class Script:
    """Writes the programs in turn, whoever asks."""

    def __init__(self) -> None:
        self.written = 0
        self.requests: list[PolicyRequest] = []

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        self.requests += requests
        return [tuple(self._one(request) for _ in range(request.n)) for request in requests]

    def _one(self, request: PolicyRequest) -> Proposal:
        if request.question is not None:
            asks_output = "What does a right solution return for double(3)?" in request.question
            return Proposal("6" if asks_output else "assert double(3) == 9", 10, -1.0)
        self.written += 1
        return Proposal(f"```python\n{CODES[self.written % len(CODES)]}\n```", 10, -1.0)


class Fixed:
    """Writes the programs in order, whatever the request."""

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        return [Script().propose([request])[0] for request in requests]


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(2) as judge:
        yield judge


def model(judge: JudgeProtocol) -> ReasoningModel:
    return ReasoningModel([PROBLEM], judge, format=VANILLA)


def run(judge: Judge, spec: str = SPEC, budget: Budget = UNLIMITED, **options: object) -> TaskResult:
    driver = Driver(model(judge), Script(), **options)  # pyright: ignore[reportArgumentType]
    return driver.run([Task("p", load_agent(spec), budget, name=spec)])[0]


def test_the_adversary_finds_what_public_tests_do_not_tell(judge: Judge) -> None:
    found = run(judge)
    assert found.error is None
    assert found.result is not None
    assert found.result.code in CODES[1:3]  # x·x and the random one pass the public test too
    (parting,) = found.result.partings
    assert dict(parting.outputs).keys() == {parting.right, str(int(parting.input[1:-1]) ** 2)}
    assert parting.confidence == pytest.approx(2 / 3)  # 4 of 6 samples whose results do not change


def test_the_policys_model_writes_inputs_and_says_what_is_right(judge: Judge) -> None:
    found = run(judge, "best_of_n?n=10&adversary=policy")
    assert found.error is None
    assert found.result is not None
    (parting,) = found.result.partings
    assert (parting.input, parting.right) == ("[3]", "6")
    # 4 of 6 votes of the programs, and as many as half of all six from the model: 7 of 9
    assert parting.confidence == pytest.approx(7 / 9)
    assert found.usage.tokens == 10 * (10 + 4 + 4)  # programs, drafts, answers
    assert found.usage.calls > run(judge).usage.calls


def test_programs_are_run_for_what_the_public_asserts_compare(judge: Judge) -> None:
    problem = Problem("p", "Is there an a?", "has", (AssertTest("assert has('xab')"),))
    one = ReasoningModel([problem], judge, format=VANILLA)
    code = "import re\ndef has(s):\n    return re.search('a', s)"
    state = State("p", (Step(ActionType.CODE, code),))
    (seen,) = one.execute([Execute(state, ("['a']", "['b']"))])
    assert [(result.got, result.outcome) for result in seen.results] == [
        ("True", Outcome.PASS),
        ("False", Outcome.PASS),
    ]


def test_questions_leave_the_first_players_samples_as_they_are(judge: Judge) -> None:
    seeds = []
    for spec in (SPEC, "best_of_n?n=10&adversary=both"):
        policy = Script()
        Driver(model(judge), policy).run([Task("p", load_agent(spec), name="a")])
        seeds.append([one.seed for one in policy.requests if one.question is None])
    assert seeds[0] == seeds[1]


def test_each_seed_and_agent_has_attacks_of_its_own(judge: Judge) -> None:
    seeds: list[int] = []

    def attacker(problem: Problem, programs: Sequence[str], seed: int) -> Iterator[tuple[str, ...]]:
        seeds.append(seed)
        yield ("[3]",)

    agent = against(load_agent("best_of_n?n=5"), Adversary(attacker))
    for seed in (0, 1, 1):
        tasks = [Task("p", agent, name=name) for name in ("one", "other")]
        Driver(model(judge), Script(), seed=seed).run(tasks)
    assert len(set(seeds)) == 4  # 0 each time before


@pytest.mark.parametrize(("answer", "votes"), [("9", False), ("[9", False), ("9\nfor it", True)])
def test_an_answer_that_was_cut_says_nothing(judge: Judge, answer: str, votes: bool) -> None:
    class Wordy(Script):
        """Says the square, in more tokens than it may."""

        def _one(self, request: PolicyRequest) -> Proposal:
            proposal = super()._one(request)
            return replace(proposal, text=answer, finish="length") if proposal.text == "6" else proposal

    task = Task("p", load_agent("best_of_n?n=10&adversary=policy"))
    (found,) = Driver(model(judge), Wordy()).run([task])
    assert found.result is not None
    # 2 of 6 programs return 9; with the model 5 of 9 votes would be for it
    assert found.result.partings[0].right == ("9" if votes else "6")


class Failing:
    """A judge that fails from the k-th batch of outputs on."""

    def __init__(self, inside: Judge, healthy: int) -> None:
        self.inside, self.healthy = inside, healthy

    def evaluate(self, submissions: Sequence[Submission], /, **options: bool) -> list[Verdict]:
        return self.inside.evaluate(submissions, **options)

    def outputs(self, submissions: Sequence[Submission], /) -> list[tuple[Output, ...]]:
        self.healthy -= 1
        found = self.inside.outputs(submissions)
        if self.healthy >= 0:
            return found
        lost = tuple(Output(None, Outcome.INFRASTRUCTURE, "no zygote") for _ in found[0])
        return [lost, *found[1:]]


@pytest.mark.parametrize("healthy", [0, 1, 3])
def test_a_failed_judge_parts_no_programs(judge: Judge, healthy: int) -> None:
    driver = Driver(model(Failing(judge, healthy)), Script())
    (found,) = driver.run([Task("p", load_agent(SPEC), name=SPEC)])
    assert found.error is None
    assert found.result is not None
    assert found.result.code is not None
    for parting in found.result.partings:
        assert not any("infrastructure" in output for output, _ in parting.outputs)


def test_a_program_is_scored_once(judge: Judge) -> None:
    asked: list[State] = []

    class Noting:
        def score(self, items: Sequence[tuple[Problem, State]], /) -> list[float]:
            asked.extend(state for _, state in items)
            return [0.5 for _ in items]

    Driver(model(judge), Script(), Noting()).run([Task("p", load_agent(f"{SPEC}&select=prm_last"))])
    assert len(asked) == len(set(asked)) > 0


@pytest.mark.parametrize("tokens", [100, 120, 139, 140, 170, 1000])
def test_the_second_player_pays_for_what_it_asks(judge: Judge, tokens: int) -> None:
    found = run(judge, "best_of_n?n=10&adversary=both", Budget(tokens=tokens))
    assert found.error is None
    assert found.usage.tokens <= tokens
    assert found.result is not None
    assert found.result.code is not None


def test_a_step_scorer_weighs_the_votes(judge: Judge) -> None:
    class Squares:
        def score(self, items: Sequence[tuple[Problem, State]], /) -> list[float]:
            return [1.0 if "x * x" in (state.code or "") else 0.01 for _, state in items]

    task = Task("p", load_agent(f"{SPEC}&select=prm_last"), name="a")
    (found,) = Driver(model(judge), Script(), Squares()).run([task])
    assert found.error is None
    assert found.result is not None
    assert found.result.code == CODES[0]  # 2 samples at 1 against 4 at 0.01
    assert found.result.partings[0].confidence == pytest.approx(2 / 2.04)


@pytest.mark.parametrize("name", ["mutation", "policy", "both"])
def test_it_keeps_the_rules_of_agents(judge: Judge, name: str) -> None:
    agent = load_agent(f"best_of_n?n=5&adversary={name}")
    report = check_agent(agent, model(judge), Fixed(), task_ids=["p"])
    assert report.searches > 2


@pytest.mark.parametrize(
    "agent", ["best_of_n?n=10&select=tests", "greedy?", "self_repair?starts=3", "mcts?simulations=4"]
)
def test_any_agent_takes_it(judge: Judge, agent: str) -> None:
    found = run(judge, f"{agent}&adversary=mutation")
    assert found.error is None
    assert found.result is not None
    assert found.result.code is not None


@pytest.mark.parametrize("executions", [1, 3, 8, 15, 40])
def test_both_players_pay(judge: Judge, executions: int) -> None:
    found = run(judge, budget=Budget(executions=executions))
    assert found.error is None
    assert found.usage.executions <= executions
    assert found.result is not None
    assert found.result.code is not None


@pytest.mark.parametrize("spec", [SPEC, "best_of_n?n=10&adversary=both"])
def test_a_run_is_resumed_without_running_a_program(judge: Judge, spec: str, tmp_path: Path) -> None:
    with_folder = RunFolder.open(tmp_path / "run", {})
    first = run(judge, spec, journal=with_folder)
    with_folder.close()

    class Dead:
        def evaluate(self, submissions: object, /) -> list[object]:
            raise AssertionError("the journal has it")

    again = RunFolder.open(tmp_path / "run", {}, resume=True)
    driver = Driver(model(Dead()), Script(), journal=again)  # pyright: ignore[reportArgumentType]
    (second,) = driver.run([Task("p", load_agent(spec), name=spec)])
    again.close()
    assert first.result is not None
    assert second.result is not None
    assert (second.error, second.result.partings) == (None, first.result.partings)
    assert second.result.state == first.result.state


@pytest.mark.parametrize("spec", [SPEC, "best_of_n?n=10&adversary=both"])
def test_a_smaller_budget_is_read_off_the_run(judge: Judge, spec: str) -> None:
    recorder = Recorder()
    task = Task("p", load_agent(spec), name=spec)
    Driver(model(judge), Script(), observer=recorder).run([task])
    recording = recorder.recordings[task.key]
    for executions in (2, 9, 30):
        budget = Budget(executions=executions)
        run_programs = model(judge).execute
        read = answer_within(task, PROBLEM, State("p"), recording, budget, run_programs=run_programs)
        (run_alone,) = Driver(model(judge), Script()).run([Task("p", load_agent(spec), budget, name=spec)])
        assert run_alone.result is not None
        assert read.result.state == run_alone.result.state
        assert read.usage.executions == run_alone.usage.executions


def counts_its_programs(problem: Problem, root: State) -> Search:
    """Runs its first program on as many inputs as it has programs."""
    (proposals,) = yield [Propose(root, 4, Sampling(max_tokens=20))]
    found = yield [Advance(root, one.text) for one in proposals]  # pyright: ignore
    first = found[0].state  # pyright: ignore
    (executed,) = yield [Execute(first, tuple(f"[{place}]" for place in range(len(found))))]
    return SearchResult(first, len(executed.results) / 4)  # pyright: ignore


def test_a_smaller_budget_runs_what_the_larger_one_did_not(judge: Judge) -> None:
    # It has fewer programs where it ends, so its last attack is another one.
    recorder, task = Recorder(), Task("p", counts_its_programs, Budget(tokens=200))
    (whole,) = Driver(model(judge), Script(), observer=recorder).run([task])
    given = (task, PROBLEM, State("p"), recorder.recordings[task.key], Budget(tokens=40))
    read = answer_within(*given, run_programs=model(judge).execute)
    smaller = Task("p", counts_its_programs, Budget(tokens=40))
    (alone,) = Driver(model(judge), Script()).run([smaller])
    assert whole.result is not None
    assert alone.result is not None
    assert (whole.result.value, alone.result.value, read.result.value) == (1.0, 0.75, 0.75)
    assert read.usage.executions == alone.usage.executions == 4
    assert "give run_programs" in str(answer_within(*given).error)


def test_the_tree_says_which_input_parted_whom(judge: Judge) -> None:
    recorder = Recorder()
    task = Task("p", load_agent(SPEC), name=SPEC)
    (found,) = Driver(model(judge), Script(), observer=recorder).run([task])
    tree = tree_record(found, PROBLEM, recorder.recordings[task.key], seed=0, format="vanilla")
    (parting,) = tree.partings
    codes = {output: {tree.nodes[node].step.text for node in nodes} for output, nodes, _ in parting.outputs}  # pyright: ignore[reportOptionalMemberAccess]
    assert codes[parting.right or ""] == set(CODES[1:3])
    row = json.loads(json.dumps(tree.to_row()))
    assert SearchTree.from_row(row) == tree
    # a tree of an earlier version has the nodes alone
    for one in row["partings"]:
        one[1] = [[output, nodes] for output, nodes, _ in one[1]]
    (old,) = SearchTree.from_row(row).partings
    assert old.outputs == tuple((output, nodes, None) for output, nodes, _ in parting.outputs)


def test_programs_without_a_node_are_counted(judge: Judge) -> None:
    recorder = Recorder()
    task = Task("p", load_agent(SPEC), name=SPEC)
    (found,) = Driver(model(judge), Script(), observer=recorder).run([task])
    assert found.result is not None
    kept = Tree(State("p"))  # of an agent that keeps none of its programs
    bare = replace(found, result=replace(found.result, state=None, tree=kept))
    tree = tree_record(bare, PROBLEM, recorder.recordings[task.key], seed=0, format="vanilla")
    (parting,) = tree.partings
    assert sorted((nodes, programs) for _, nodes, programs in parting.outputs) == [((), 1), ((), 2)]


def test_a_spec_is_checked() -> None:
    with pytest.raises(UnknownNameError, match="adversary"):
        load_agent("mcts?adversary=nobody")


END = State("p", (Step(ActionType.CODE, CODES[1]),))


@pytest.mark.parametrize(
    "query",
    [
        Execute(State("p"), ("[1]",)),
        Execute(END, ()),
        Execute(END, ("[1]",) * 65),
        Execute(END, (1,)),  # pyright: ignore[reportArgumentType]
        Execute(END, ("[1]",), -1),
        Ask("How?", 0),
        Ask(None),  # pyright: ignore[reportArgumentType]
    ],
)
def test_what_cannot_be_answered_ends_the_task(judge: Judge, query: Execute | Ask) -> None:
    def agent(problem: Problem, root: State) -> Search:
        yield [query]
        return SearchResult(None)

    (found,) = Driver(model(judge), Script()).run([Task("p", agent)])
    assert isinstance(found.error, ConformanceError)


def test_an_agent_of_ones_own_may_execute(judge: Judge) -> None:
    told: list[Executed] = []

    def agent(problem: Problem, root: State) -> Search:
        told.extend((yield from execute([Execute(END, ("[1]", "['a']"))])))
        return SearchResult(None)

    (found,) = Driver(model(judge), Script()).run([Task("p", agent)])
    assert [one.got for one in told[0].results] == ["2", "'aa'"]
    assert found.usage.executions == 1


def test_an_execution_may_be_on_another_day_and_has_a_name_of_its_own(judge: Judge) -> None:
    code = "import time\ndef double(x):\n    return time.localtime().tm_year"
    queries = [Execute(State("p", (Step(ActionType.CODE, code),)), ("[1]",), number) for number in range(3)]
    told: list[Executed] = []

    def agent(problem: Problem, root: State) -> Search:
        told.extend((yield from execute(queries)))
        return SearchResult(None)

    Driver(model(judge), Script()).run([Task("p", agent)])
    assert len({one.results[0].got for one in told}) == 3
    assert len(set(map(name_of, queries))) == 3


def test_a_model_that_cannot_execute_is_told_so(judge: Judge) -> None:
    class Plain:
        def evaluate(self, submissions: object, /) -> list[object]:
            return []

    def agent(problem: Problem, root: State) -> Search:
        yield [Execute(END, ("[1]",))]
        return SearchResult(None)

    (found,) = Driver(model(Plain()), Script()).run([Task("p", agent)])  # pyright: ignore[reportArgumentType]
    assert isinstance(found.error, UsageError)
