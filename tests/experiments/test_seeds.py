"""Requests of self-play: none is made twice, by whatever seeds, stages and iterations."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from o1coder_gym.agents import load_agent
from o1coder_gym.agents.driver.driver import Driver
from o1coder_gym.agents.driver.tasks import Task
from o1coder_gym.agents.rl.settings import DPOSettings, RLSettings
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.experiments.measures.held_out import HeldOut
from o1coder_gym.experiments.micro.problems import micro_rows, write_rows
from o1coder_gym.experiments.self_play import stages as stages_module
from o1coder_gym.experiments.self_play.config import (
    ProblemSection,
    RunSection,
    SelfPlayConfig,
    SynthesisSection,
)
from o1coder_gym.experiments.self_play.stages import Learned, RealStages
from o1coder_gym.models.training.settings import TrainingSettings
from o1coder_gym.runs.seeds import added_seed
from o1coder_gym.sandbox import default_judge
from o1coder_gym.steps.formats import PSEUDOCODE, VANILLA
from o1coder_gym.tcg.checking.solutions import sample_programs
from o1coder_gym.types import PolicyRequest, Proposal, Sampling

ROWS = micro_rows({"test": 2})


class Listening:
    """Writes down what it is asked."""

    def __init__(self) -> None:
        self.asked: list[PolicyRequest] = []

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        self.asked += requests
        code = "### Step 1 (code)\n```python\ndef solve(values):\n    return None\n```\n"
        return [(Proposal(code, 9),) * request.n for request in requests]


def sampled(seed: int, **options: Any) -> list[tuple[str, int]]:
    """Returns the sampled requests of a measurement."""
    policy = Listening()
    held_out = HeldOut(
        ROWS, default_judge(), step_format=PSEUDOCODE, max_steps=2, sampling=Sampling(), samples=4, **options
    )
    held_out.by_problem(policy, seed)
    return [(one.problem.task_id, one.seed) for one in policy.asked if one.sampling.temperature > 0]


def test_measurements_with_other_seeds_share_no_request() -> None:
    found = Counter(chain.from_iterable(sampled(seed) for seed in range(5)))
    assert len(found) == 5 * 4 * len(ROWS)
    assert set(found.values()) == {1}


def test_by_the_earlier_rule_most_are_the_same() -> None:
    zero, one = (set(sampled(seed, seed_rule=added_seed)) for seed in (0, 1))
    assert len(zero & one) == 3 * len(ROWS)


@pytest.mark.parametrize("agent", ["best_of_n:n=4", "mcts:simulations=8", "greedy"])
def test_no_voter_is_a_program_that_it_votes_on(agent: str) -> None:
    voting, searching = Listening(), Listening()
    asked = [row.problem for row in ROWS]
    sample_programs(voting, asked, 4, seed=7)
    model = ReasoningModel(asked, default_judge(), format=VANILLA, max_steps=2)
    tasks = [Task(problem.task_id, load_agent(agent), seed=7) for problem in asked]
    assert all(result.error is None for result in Driver(model, searching).run(tasks))
    voters, searched = ({one.seed for one in policy.asked} for policy in (voting, searching))
    assert len(voters) == len(asked)
    assert searched
    assert not voters & searched


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    write_rows(micro_rows({"train": 8, "validation": 1, "test": 1}), tmp_path / "problems.jsonl")
    return tmp_path / "problems.jsonl"


class Asked(Exception):
    """Ends a stage once its seeds are known."""


def stage_seeds(problems: Path, out: Path, seed: int, **options: Any) -> list[int]:
    """Returns the seeds of the searches and of the trainings of three iterations."""
    seeds: list[int] = []

    def search(plan: Any, *rest: Any) -> Any:
        seeds.extend(plan.seeds)
        raise Asked

    def train(*given: Any, **_: Any) -> Path:
        seeds.append(next(one.seed for one in given if isinstance(one, RLSettings)))
        raise Asked

    config = SelfPlayConfig(
        RunSection("tiny", seed=seed),
        ProblemSection(str(problems)),
        SynthesisSection(tests=0),
        None,
        None,
        "soft",
        RLSettings(),
        **options,
    )
    stages = RealStages(config, out, search=search)
    for iteration in range(3):
        for run in (stages.synthesize, stages.reinforce):
            with patch.object(stages_module, "train_logged", train), pytest.raises(Asked):
                run(Learned("tiny"), iteration, out / f"{seed}-{iteration}-{run.__name__}")
    return seeds


def test_stages_and_iterations_of_all_runs_have_seeds_of_their_own(problems: Path, tmp_path: Path) -> None:
    found = [seed for run in range(3) for seed in stage_seeds(problems, tmp_path / "runs", run)]
    assert len(found) == 3 * 3 * 2
    assert len(set(found)) == len(found)


def test_a_run_that_an_earlier_version_began_keeps_its_seeds(problems: Path, tmp_path: Path) -> None:
    assert stage_seeds(problems, tmp_path / "old", 5, seed_rule="added") == [5, 5, 6, 6, 7, 7]


def training_seeds(problems: Path, out: Path, seed: int, **options: Any) -> list[int]:
    """Returns the seeds of SFT, the PRM and DPO of two iterations."""
    seeds: list[int] = []

    def train(*given: Any, **_: Any) -> Any:
        seeds.append(next(one.seed for one in given if isinstance(one, (TrainingSettings, DPOSettings))))
        raise Asked

    config = SelfPlayConfig(
        RunSection("tiny", seed=seed),
        ProblemSection(str(problems)),
        SynthesisSection(tests=0),
        TrainingSettings(seed=3),
        TrainingSettings(seed=3),
        "soft",
        DPOSettings(seed=3),
        **options,
    )
    stages = RealStages(config, out)
    with (
        patch.object(stages_module, "read_data"),
        patch.object(stages_module, "train_on_paths", train),
        patch("o1coder_gym.prm.training.trainer.train_prm", train),
        patch("o1coder_gym.agents.rl.dpo.train_dpo", train),
    ):
        for iteration in range(2):
            for run in (stages.fine_tune, stages.train_scorer, stages.reinforce):
                with pytest.raises(Asked):
                    run(Learned("tiny", data=out), iteration, out)
    return seeds


def test_the_seed_of_a_run_reaches_all_its_trainings(problems: Path, tmp_path: Path) -> None:
    found = [seed for run in range(2) for seed in training_seeds(problems, tmp_path, run)]
    assert len(set(found)) == len(found) == 2 * 2 * 3
    assert training_seeds(problems, tmp_path, 1) == found[6:]
    assert all(0 <= seed < 2**31 for seed in found)


@pytest.mark.parametrize("rule", ["derived", "added"])
def test_trainings_of_a_run_that_an_earlier_version_began_keep_the_seeds_of_their_sections(
    problems: Path, tmp_path: Path, rule: str
) -> None:
    assert training_seeds(problems, tmp_path, 1, seed_rule=rule) == [3] * 6


def test_the_configuration_of_a_folder_says_which_rule_it_has() -> None:
    config = SelfPlayConfig(
        RunSection("tiny"), ProblemSection("p"), SynthesisSection(), None, None, "soft", None
    )
    new = json.loads(json.dumps(config.to_row()))
    assert config.as_begun(None) == config.as_begun(new) == config
    old = {name: value for name, value in new.items() if name != "seed_rule"}
    begun = config.as_begun(old)
    assert begun == replace(config, seed_rule="added")
    assert json.loads(json.dumps(begun.to_row())) == old
    assert config.as_begun({**new, "seed_rule": "derived"}) == replace(config, seed_rule="derived")
