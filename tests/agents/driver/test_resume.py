import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from o1coder_gym.agents import Driver, Task, best_of_n, greedy, mcts
from o1coder_gym.agents.driver.replies import (
    read_proposals,
    read_transition,
    write_proposals,
    write_transition,
)
from o1coder_gym.errors import BudgetExhausted, JournalError, PolicyError
from o1coder_gym.policies import FakeEngine, FakeSettings, LanguageModelPolicy
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.journal import RunFolder, read_rows
from o1coder_gym.types import ActionType, PolicyRequest, Problem, Proposal, SearchResult, State, Step
from o1coder_gym.types.queries import Advance, Propose, Search
from tests.examples import examples

SCRIPT = str(Path(__file__).parents[1] / "resumable_run.py")
KILLS = examples(20)


def seeds_of(log: Path) -> list[str]:
    return log.read_text().split() if log.exists() else []


def test_answers_survive_the_journal(toy: ModuleType) -> None:
    state = State("p", (Step(ActionType.DEFINE, "think"),))
    for action in ("code 3", "think 1", "judge down", "mumble \ud800"):
        (transition,) = toy.ToyModel().advance([(state, action)])
        row = json.loads(json.dumps(write_transition(transition)))
        assert repr(read_transition(row, state)) == repr(transition)  # NaN is equal in writing only
    proposals = (Proposal("a", 3, -0.25, (1, 2), "length", 20, 9), Proposal("b", 0))
    again = read_proposals(json.loads(json.dumps(write_proposals(proposals))))
    assert repr(again) == repr(proposals)  # prompt tokens do not enter equality


def test_a_finished_run_replays_without_any_call(toy: ModuleType, tmp_path: Path) -> None:
    tasks = [
        Task(f"p{i}", a, Budget(tokens=900), name=a.__name__) for i in range(4) for a in (mcts, best_of_n)
    ]
    with RunFolder.open(tmp_path, {}) as folder:
        first = Driver(toy.ToyModel(), toy.ToyPolicy(), journal=folder).run(tasks)
    policy, model = toy.ToyPolicy(), toy.ToyModel()
    with RunFolder.open(tmp_path, {}, resume=True) as folder:
        second = Driver(model, policy, journal=folder).run(tasks)
    assert policy.requests == []
    assert model.advanced == []
    for one, two in zip(first, second, strict=True):
        assert one.result is not None
        assert two.result is not None
        assert two.result == one.result
        assert one.result.tree is None or two.result.tree.to_row() == one.result.tree.to_row()


def test_replay_comes_from_the_journal_even_where_the_policy_would_differ(
    toy: ModuleType, tmp_path: Path
) -> None:
    with RunFolder.open(tmp_path, {}) as folder:
        first = Driver(toy.ToyModel(), toy.ToyPolicy(), journal=folder).run([Task("p", mcts)])
    with RunFolder.open(tmp_path, {}, resume=True) as folder:
        second = Driver(toy.ToyModel(), toy.FixedPolicy("code 0"), journal=folder).run([Task("p", mcts)])
    assert second[0].result == first[0].result


def test_prompt_tokens_are_counted_and_survive_the_journal(toy: ModuleType, tmp_path: Path) -> None:
    tasks = [Task(f"p{i}", mcts, Budget(tokens=900)) for i in range(3)]
    policy = LanguageModelPolicy(FakeEngine(FakeSettings()))
    with RunFolder.open(tmp_path, {}) as folder:
        first = Driver(toy.ToyModel(), policy, journal=folder).run(tasks)
    shown = sum(result.usage.prompt_tokens + result.usage.cached_tokens for result in first)
    assert shown == policy.counters.prompt_tokens > sum(result.usage.prompt_tokens for result in first) > 0
    with RunFolder.open(tmp_path, {}, resume=True) as folder:
        second = Driver(toy.ToyModel(), policy, journal=folder).run(tasks)
    assert [r.usage.prompt_tokens for r in second] == [r.usage.prompt_tokens for r in first]


class Spelled:
    """A policy that writes equal steps in other tokens each time."""

    def __init__(self, toy: ModuleType) -> None:
        self.policy = toy.ToyPolicy()

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        drawn = self.policy.propose(requests)
        return [
            tuple(replace(one, token_ids=(request.seed, place)) for place, one in enumerate(group))
            for request, group in zip(requests, drawn, strict=True)
        ]


@pytest.mark.parametrize("kept", [0, 1, 2, 5, 9])
def test_a_resumed_search_shows_its_model_the_tokens_that_it_sampled(
    toy: ModuleType, tmp_path: Path, kept: int
) -> None:
    # two searches of one problem meet in its states: each shows its own tokens
    tasks = [Task("p", mcts, Budget(tokens=900), name=f"{seed}", seed=seed) for seed in range(2)]
    whole, resumed = Spelled(toy), Spelled(toy)
    with RunFolder.open(tmp_path, {}) as folder:
        Driver(toy.ToyModel(), whole, journal=folder).run(tasks)
    journal = tmp_path / "answers.jsonl"
    rows = [row for row in read_rows(journal) if row["k"] < kept]
    journal.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with RunFolder.open(tmp_path, {}, resume=True) as folder:
        Driver(toy.ToyModel(), resumed, journal=folder).run(tasks)
    shown = {(one.seed, one.state): shown_ids(one) for one in whole.policy.requests}
    again = {(one.seed, one.state): shown_ids(one) for one in resumed.policy.requests}
    assert again
    assert again == {key: shown[key] for key in again}
    assert any(len(ids) > 1 for ids in shown.values())
    by_state: dict[State, set[tuple[tuple[int, ...], ...]]] = {}
    for (_, state), ids in shown.items():
        by_state.setdefault(state, set()).add(ids)
    assert any(len(ids) > 1 for ids in by_state.values())


def shown_ids(request: PolicyRequest) -> tuple[tuple[int, ...], ...]:
    """The tokens of the steps that a request shows; each of them was sampled."""
    assert len(request.history) == request.state.depth
    return tuple(one.token_ids for one in request.history if one is not None)


def test_time_that_ran_out_stays_run_out(toy: ModuleType, tmp_path: Path) -> None:
    task = Task("p", greedy, Budget(seconds=0.05))
    with RunFolder.open(tmp_path, {}) as folder:
        slow = toy.ToyPolicy(code=0.0, seconds=0.03)
        (first,) = Driver(toy.ToyModel(), slow, journal=folder).run([task])
    assert first.exhausted
    with RunFolder.open(tmp_path, {}, resume=True) as folder:
        policy = toy.ToyPolicy(code=0.0)
        (second,) = Driver(toy.ToyModel(), policy, journal=folder).run([task])
    assert (second.result, second.exhausted, policy.requests) == (first.result, True, [])


def test_a_journal_of_another_search_is_refused(toy: ModuleType, tmp_path: Path) -> None:
    with RunFolder.open(tmp_path, {}) as folder:
        Driver(toy.ToyModel(), toy.ToyPolicy(), journal=folder, seed=0).run([Task("p", mcts)])
    with RunFolder.open(tmp_path, {}, resume=True) as folder:
        policy = toy.ToyPolicy()
        (found,) = Driver(toy.ToyModel(), policy, journal=folder, seed=1).run([Task("p", mcts)])
    assert isinstance(found.error, JournalError)
    assert "request 0 is not the one in the journal" in str(found.error)
    assert policy.requests == []


@pytest.mark.parametrize("kept", [1, 3, 8])
def test_an_agent_with_chance_of_its_own_costs_no_other_task_its_resume(
    toy: ModuleType, tmp_path: Path, kept: int
) -> None:
    tosses = iter(range(100))

    def moody(problem: Problem, root: State, /) -> Search:
        with suppress(BudgetExhausted):
            yield [Propose(root)]
            yield [Propose(root), Advance(root, f"think {next(tosses)}")]
            yield [Advance(root, "code 4")]
        return SearchResult(None)

    tasks = [Task("p", moody, name="moody"), *(Task(f"p{i}", mcts, Budget(tokens=600)) for i in range(3))]
    expected = toy.answers(Driver(toy.ToyModel(), toy.ToyPolicy()).run(tasks[1:]))
    with RunFolder.open(tmp_path, {}) as folder:
        Driver(toy.ToyModel(), toy.ToyPolicy(), journal=folder).run(tasks)
    journal = tmp_path / "answers.jsonl"
    rows = list(read_rows(journal))
    # killed when all of the moody one's answers were there, and some of the others'
    rows = [row for row in rows if row["task"].startswith("moody") or row["k"] < kept]
    journal.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with RunFolder.open(tmp_path, {}, resume=True) as folder:
        first, *others = Driver(toy.ToyModel(), toy.ToyPolicy(), journal=folder).run(tasks)
    assert "request 2 is not the one in the journal" in str(first.error)
    assert toy.answers(others) == expected


def test_a_failed_task_goes_on_where_it_failed(toy: ModuleType, tmp_path: Path) -> None:
    class Failing(toy.ToyPolicy):
        def propose(self, requests: list, /) -> list:
            if len(self.batches) == 5:
                raise PolicyError("the server went away")
            return super().propose(requests)

    (expected,) = Driver(toy.ToyModel(), toy.ToyPolicy()).run([Task("p", mcts)])
    with RunFolder.open(tmp_path, {}) as folder:
        failing = Failing()
        (failed,) = Driver(toy.ToyModel(), failing, journal=folder).run([Task("p", mcts)])
        assert isinstance(failed.error, PolicyError)
    with RunFolder.open(tmp_path, {}, resume=True) as folder:
        policy = toy.ToyPolicy()
        (mended,) = Driver(toy.ToyModel(), policy, journal=folder).run([Task("p", mcts)])
    assert mended.result == expected.result
    paid = [request.seed for request in failing.requests] + [request.seed for request in policy.requests]
    assert len(paid) == len(set(paid))


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_result(tmp_path: Path) -> None:
    command = [sys.executable, SCRIPT]
    reference = subprocess.run(
        [*command, str(tmp_path / "whole"), str(tmp_path / "whole.log"), "0"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    folder, log = tmp_path / "killed", tmp_path / "killed.log"
    command += [str(folder), str(log)]
    generator = random.Random(0)
    kills = ended = 0
    while kills < KILLS:
        before, served = _recorded(folder), len(seeds_of(log))
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # let it pay for a few requests more, then kill it at some moment of the next ones
        goal = served + generator.randrange(0, 12)
        while process.poll() is None and len(seeds_of(log)) < goal:
            time.sleep(0.002)
        time.sleep(generator.uniform(0, 0.02))
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) in (-signal.SIGKILL, 0)
        kills += process.returncode != 0
        assert not before & set(seeds_of(log)[served:]), "a recorded call was paid for again"
        if process.returncode == 0:  # it was done before the kill: begin a new one
            assert subprocess.run(command, capture_output=True, text=True, timeout=60).stdout == reference
            ended += 1
            folder, log = tmp_path / f"killed{ended}", tmp_path / f"killed{ended}.log"
            command[-2:] = [str(folder), str(log)]
    final = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert final == reference


def _recorded(folder: Path) -> set[str]:
    """The seeds of the policy requests whose answers the journal has."""
    seeds = set()
    for row in read_rows(folder / "answers.jsonl"):
        if "seed" in row:
            seeds.add(str(row["seed"]))
    return seeds
