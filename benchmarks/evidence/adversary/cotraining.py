"""One round of co-training: an attack teaches the policy, and the generator of its inputs.

    python benchmarks/evidence/adversary/cotraining.py --out runs/cotraining

The generator is the policy's model, trained on test cases first (o1coder tcg sft). Then, on training
problems: the policy samples programs, the generator drafts tests, and their inputs, then mutations, attack
the programs that pass the public tests. Programs that survive over those that fall are pairs for the policy;
drafts on which many programs fall over drafts on which few do are pairs for the generator (DPO both); the
tests that part programs are kept in hard.jsonl. Both are measured before and after on held-out problems:
pass@1 by the hidden tests, and the reward of a draft on the same programs. Trainings that are in the folder
are not done again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from o1coder_gym.agents.best_of_n import best_of_n
from o1coder_gym.agents.choosing import judged_programs
from o1coder_gym.agents.driver.driver import Driver
from o1coder_gym.agents.driver.recordings import Recorder
from o1coder_gym.agents.driver.tasks import Task
from o1coder_gym.agents.rl.settings import DPOSettings
from o1coder_gym.cli.commands import command
from o1coder_gym.cli.main import main_of
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.experiments.training.tcg import (
    GeneratorDPO,
    GeneratorSFT,
    RowsSettings,
    make_rows,
    train_generator,
)
from o1coder_gym.metrics.estimates import estimate_difference, estimate_share
from o1coder_gym.models.training.settings import TrainingSettings
from o1coder_gym.policies import load_policy
from o1coder_gym.problems.answers.programs import submission
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.rows import ProblemRow, case_to_json
from o1coder_gym.process_data import LabelRule, PairRow, PairRule, ProcessData
from o1coder_gym.runs.seeds import derive_stream
from o1coder_gym.sandbox import default_judge
from o1coder_gym.settings import AtLeastOne, Checked
from o1coder_gym.settings.groups import Seed, SetName
from o1coder_gym.steps.formats import load_format
from o1coder_gym.tcg import template
from o1coder_gym.tcg.adversary.attack import Attack, attacked
from o1coder_gym.tcg.adversary.inputs import by_mutation, written_inputs
from o1coder_gym.tcg.adversary.oracle import Ruling, rulings
from o1coder_gym.tcg.adversary.signals import generator_rewards, hard_tests, preference_pairs
from o1coder_gym.tcg.checking.question_comparison import as_compared, same_of
from o1coder_gym.tcg.training.data_card import write_dataset
from o1coder_gym.tcg.training.dataset import Dataset
from o1coder_gym.types import Outcome, PolicyRequest, Sampling, State

_DRAWN = Sampling(temperature=1.0, top_p=1.0, top_k=0, max_tokens=96)
_RUNS = 128
"""Runs of a program on an input, per program that is attacked."""
_MARGIN = 0.02
"""By which a draft's reward must be above another's to be preferred to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CotrainingSettings(Checked):
    """Co-training.

    Attributes:
        out: Folder of the run.
        model: Of policy and generator.
        format: Of the policy's steps.
        train: Problems to learn from.
        held_out: Problems to measure on.
        samples: Programs per problem.
        drafts: Of the generator, per problem.
        learning_rate: Of both trainings by preference.
    """

    out: Path
    problems: SetName = "micro"
    model: str = "tiny"
    format: str = "pseudocode"
    train: AtLeastOne = 96
    held_out: AtLeastOne = 96
    samples: AtLeastOne = 24
    drafts: AtLeastOne = 8
    learning_rate: float = 2e-5
    seed: Seed = 0


@dataclass(frozen=True, slots=True)
class Played:
    """What both players did on a problem.

    Attributes:
        row: The problem.
        states: Samples of the policy, in order; one program may occur more than once.
        right: Whether each passes the hidden tests; for measurement alone.
        ends: The distinct programs that pass the public tests, which are attacked, [S].
        drafts: Texts of the generator.
        found: The attack; None where fewer than two programs passed.
        ruled: Rulings on all its inputs.
    """

    row: ProblemRow
    states: tuple[State, ...]
    right: tuple[bool, ...]
    ends: tuple[State, ...]
    drafts: tuple[str, ...]
    found: Attack | None
    ruled: tuple[Ruling, ...]

    def rewards(self) -> list[float]:
        """Returns the reward of each draft: the mean over the inputs that were asked for."""
        if self.found is None:
            return [0.0] * len(self.drafts)
        inputs = [written_inputs(self.row.problem, [text]) for text in self.drafts]
        worth = [generator_rewards(self.found, self.ruled, one) for one in inputs]
        return [sum(one[: template.CASES]) / template.CASES for one in worth]


def cotrain(settings: CotrainingSettings) -> None:
    """Train policy and generator for one round against each other; print what both gained."""
    out = settings.out
    out.mkdir(parents=True, exist_ok=True)
    train = load_rows(settings.problems, split="train").rows[: settings.train]
    test = load_rows(settings.problems, split="test").rows[: settings.held_out]
    generator = _first_generator(settings)
    taught = [play(row, sampled(row, settings.model, settings), generator, settings) for row in train]
    policy = _taught_policy(settings, taught)
    better = _taught_generator(settings, generator, taught)
    _keep_hard_tests(out / "hard.jsonl", taught)
    old = [sampled(row, settings.model, settings) for row in test]
    new = [sampled(row, policy, settings) for row in test]
    before = [play(row, states, generator, settings) for row, states in zip(test, old, strict=True)]
    after = [play(row, states, better, settings) for row, states in zip(test, new, strict=True)]
    # The new generator on the old programs: rewards on other programs would not be comparable.
    against_same = [play(row, states, better, settings) for row, states in zip(test, old, strict=True)]
    print(_table(before, after, against_same))


def play(row: ProblemRow, states: tuple[State, ...], generator: str, settings: CotrainingSettings) -> Played:
    """Drafts tests and attacks samples with them."""
    problem, judge = row.problem, default_judge()
    tests = (*problem.public_tests, *row.tests)
    public = len(problem.public_tests)
    distinct = list(dict.fromkeys(states))
    judged = judge.evaluate([submission(problem, one.code or "", tests) for one in distinct])
    verdicts = dict(zip(distinct, judged, strict=True))
    passing = {one: all(t.outcome is Outcome.PASS for t in v.tests[:public]) for one, v in verdicts.items()}
    by_code = {one.code: one for one in reversed(distinct) if passing[one]}
    ends = tuple(by_code.values())[::-1]
    drafts = _drafted(row, generator, settings)
    right = tuple(verdicts[one].outcome is Outcome.PASS for one in states)
    if len(ends) < 2:
        return Played(row, states, right, ends, drafts, None, ())
    codes = [one.code or "" for one in ends]
    count = [one.code for one in states]
    batches = chain(
        filter(None, [written_inputs(problem, drafts)]), by_mutation(problem, codes, settings.seed)
    )
    asked, compared = as_compared(problem, codes)
    found = attacked(
        judge,
        asked,
        compared,
        batches,
        same=same_of(problem),
        weights=[float(count.count(code)) for code in codes],
        executions=_RUNS * len(codes),
    )
    ruled = rulings(problem, found, places=range(len(found.inputs)))
    return Played(row, states, right, ends, drafts, found, tuple(ruled))


def sampled(row: ProblemRow, policy: str, settings: CotrainingSettings) -> tuple[State, ...]:
    """Returns the samples of a policy that end in a program."""
    form = load_format(settings.format)
    recorder = Recorder()
    model = ReasoningModel([row.problem], default_judge(), format=form, max_steps=5)
    driver = Driver(model, _policy(policy, settings), seed=settings.seed, observer=recorder)
    n = settings.samples

    def agent(problem: Any, root: Any) -> Any:
        return best_of_n(problem, root, n=n, width=n, sampling=_DRAWN)

    (result,) = driver.run([Task(row.problem.task_id, agent, name="samples")])
    found = judged_programs(recorder.recordings[result.task.key])
    return tuple(one.state for one in found for _ in range(one.samples))


def _drafted(row: ProblemRow, generator: str, settings: CotrainingSettings) -> tuple[str, ...]:
    asked = template.instruction(row.problem, None)
    root, n = State(row.problem.task_id), settings.drafts
    seed = derive_stream(settings.seed, "drafts", row.problem.task_id)
    request = PolicyRequest(row.problem, root, n, _DRAWN, seed, asked)
    (answers,) = _policy(generator, settings).propose([request])
    return tuple(one.text for one in answers)


_loaded: dict[str, Any] = {}


def _policy(name: str, settings: CotrainingSettings) -> Any:
    if name not in _loaded:
        _loaded[name] = load_policy(f"hf:{name}?dtype=float32", format=settings.format)
    return _loaded[name]


def _first_generator(settings: CotrainingSettings) -> str:
    """Returns the model that was trained on test cases of the training problems."""
    folder = settings.out / "generator"
    rows = RowsSettings(
        problems=(settings.problems,), split="train", limit=settings.train, mode="b", augment=8
    )
    if not (folder / "data" / "README.md").exists():
        make_rows(rows, folder / "data")
    how = TrainingSettings(epochs=8, lora_rank=0, batch_size=16, rows_at_once=16, save_steps=1000)
    sft = GeneratorSFT(data=folder / "data", model=settings.model, training=how)
    return str(train_generator("sft", sft, folder / "sft", resume=True).model)


def _taught_policy(settings: CotrainingSettings, taught: Sequence[Played]) -> str:
    """Trains the policy on programs that survive over programs that fall; without a pair it stays."""
    from o1coder_gym.agents.rl.dpo import train_dpo

    pairs = [pair for one in taught for pair in _pairs(one)]
    print(f"{len(pairs)} pairs of {len({pair.state.problem_id for pair in pairs})} problems for the policy")
    if not pairs:
        return settings.model
    problems = tuple(one.row.problem for one in taught)
    data = ProcessData(
        settings.format, problems, (), (), tuple(pairs), LabelRule(), PairRule(), 0.0, {"attack": {}}, {}
    )
    how = DPOSettings(learning_rate=settings.learning_rate, epochs=2, rows_at_once=8, seed=settings.seed)
    form = load_format(settings.format)
    return str(train_dpo(settings.model, data, settings.out / "policy", how, step_format=form, resume=True))


def _pairs(one: Played) -> list[PairRow]:
    if one.found is None:
        return []
    parting = [one.ruled[place] for place in one.found.parting]
    return preference_pairs(one.found, parting, one.ends, split="train")


def _taught_generator(settings: CotrainingSettings, generator: str, taught: Sequence[Played]) -> str:
    """Trains the generator on drafts of more reward over drafts of less; without a pair it stays."""
    rows = [row for one in taught if (row := _preferred(one)) is not None]
    print(f"{len(rows)} pairs for the generator")
    if not rows:
        return generator
    folder = settings.out / "generator" / "pairs"
    dataset = Dataset(dpo=rows, rejected="fewer of the policy's programs fall")
    write_dataset(folder, dataset, [settings.problems])
    how = TrainingSettings(
        learning_rate=settings.learning_rate, epochs=2, lora_rank=0, batch_size=8, save_steps=1000
    )
    dpo = GeneratorDPO(data=folder, model=generator, training=how)
    return str(train_generator("dpo", dpo, settings.out / "generator" / "dpo", resume=True).model)


def _preferred(one: Played) -> dict[str, Any] | None:
    """Returns the draft of highest reward over that of lowest, as a row for DPO."""
    rewards = one.rewards()
    high, low = max(rewards), min(rewards)
    if high - low < _MARGIN:
        return None
    best, worst = (one.drafts[rewards.index(value)] for value in (high, low))
    shown = template.instruction(one.row.problem, None)
    return {
        "task_id": one.row.problem.task_id,
        "split": "train",
        "prompt": [{"role": "user", "content": shown}],
        "chosen": [{"role": "assistant", "content": best}],
        "rejected": [{"role": "assistant", "content": worst}],
    }


def _keep_hard_tests(path: Path, taught: Sequence[Played]) -> None:
    """Writes the tests that part programs, by problem; ``bench --tests`` reads the file."""
    with path.open("w", encoding="utf-8") as file:
        for one in taught:
            parting = [one.ruled[place] for place in one.found.parting] if one.found else []
            kept = hard_tests(one.row.problem, parting)
            row = {"task_id": one.row.problem.task_id, "tests": [case_to_json(test) for test in kept.tests]}
            file.write(json.dumps(row | {"weights": list(kept.weights)}, ensure_ascii=False) + "\n")


def _table(before: Sequence[Played], after: Sequence[Played], against_same: Sequence[Played]) -> str:
    """Returns means before and after over held-out problems, and their paired differences."""
    lines = ["| of held-out problems | before | after | difference |", "| --- | --- | --- | --- |"]
    pass_1 = [[_mean(one.right) for one in played] for played in (before, after)]
    attacked_ones = [place for place, one in enumerate(before) if one.found is not None]
    drafts = [
        [_mean(played[place].rewards()) for place in attacked_ones] for played in (before, against_same)
    ]
    for name, (old, new) in (("policy: pass@1", pass_1), ("generator: reward of a draft", drafts)):
        gaps = [high - low for low, high in zip(old, new, strict=True)]
        means = " | ".join(estimate_share(values).percent() for values in (old, new))
        lines.append(f"| {name}, {len(old)} problems | {means} | {estimate_difference(gaps).percent()} |")
    return "\n".join(lines)


def _mean(values: Sequence[float | bool]) -> float:
    return sum(values) / len(values) if values else 0.0


app = command(CotrainingSettings, cotrain, name="cotraining")

if __name__ == "__main__":
    sys.exit(main_of(app, None))
