"""The protocol of self-play's stages, and the real stages: search, SFT, PRM, RL, measurement."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import o1coder_gym
from o1coder_gym.agents.rl.sampling.making import check_sampler
from o1coder_gym.agents.rl.settings import DPOSettings, RLSettings
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.errors import O1CoderError
from o1coder_gym.experiments.measures.held_out import HeldOut, means
from o1coder_gym.experiments.self_play.config import SelfPlayConfig
from o1coder_gym.experiments.shards import Search, SynthesisPlan, search_all
from o1coder_gym.experiments.sources import search_source
from o1coder_gym.experiments.training.rl import train_logged
from o1coder_gym.experiments.training.sft import train_on_paths
from o1coder_gym.policies import hf_spec
from o1coder_gym.prm import load_scorer
from o1coder_gym.problems.likeness.overlap import SURE, in_training, overlaps
from o1coder_gym.problems.likeness.trained_on import write_trained_on
from o1coder_gym.problems.loading import SHARES, load_rows, with_splits
from o1coder_gym.problems.missing_tests import Warn, warn_of, without_visible_tests
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.process_data import LabelRule, PairRule, ProcessData, merged, read_data, write_data
from o1coder_gym.process_data.harvest import harvest
from o1coder_gym.process_data.search_tree import SearchTree, tree_rows
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.executors import load_executor
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.runs.provenance import Provenance, input_hashes, package_versions
from o1coder_gym.runs.seeds import SeedRule, added_seed, derive_stream
from o1coder_gym.sandbox import default_judge, shared_judge
from o1coder_gym.settings import to_row
from o1coder_gym.steps.formats import load_format
from o1coder_gym.tcg.store import generated_tests
from o1coder_gym.types import Sampling, TestCase

SEED_RULES: Mapping[str, SeedRule] = {
    "all_stages": derive_stream,
    "derived": derive_stream,
    "added": added_seed,
}
"""How the seeds of stages and samples are made; by `SelfPlayConfig.seed_rule`."""
_TORCH_SEEDS = 2**31
"""Seeds of a trainer are below."""


@dataclass(frozen=True, slots=True)
class Learned:
    """The artefacts of the run so far.

    Attributes:
        policy: Model of the policy: a name or a folder.
        scorer: Spec of the step scorer, None before the first one is trained.
        data: D_process: the folder of all rows so far, None before the first search.
    """

    policy: str
    scorer: str | None = None
    data: Path | None = None


Stage: TypeAlias = Callable[[Learned, int, Path], str | Path]
"""(what was learned, iteration from 0, folder) → artefact."""


class Stages(Protocol):
    """The work of each stage; it leaves its artefact in `folder`, and may find half-done work there."""

    def synthesize(self, learned: Learned, iteration: int, folder: Path) -> Path:
        """Searches with the policy; returns the folder of D ∪ D'."""
        ...

    def fine_tune(self, learned: Learned, iteration: int, folder: Path) -> str:
        """Returns the policy trained on D⁺."""
        ...

    def train_scorer(self, learned: Learned, iteration: int, folder: Path) -> str:
        """Returns the scorer trained on D."""
        ...

    def reinforce(self, learned: Learned, iteration: int, folder: Path) -> str:
        """Returns the policy trained on φ."""
        ...

    def measure(self, learned: Learned) -> Mapping[str, Any]:
        """Returns numbers of the policy on held-out problems; ``"pass_rate"`` decides when to stop."""
        ...


class RealStages:
    """Implements `Stages` for a configuration, with everything that this project has."""

    def __init__(
        self,
        config: SelfPlayConfig,
        out: Path,
        *,
        on_warning: Warn = warnings.warn,
        search: Search = search_all,
    ) -> None:
        """Reads the problems; nothing is trained yet.

        Args:
            config: Of the run.
            out: Folder of the run; generated tests are kept there.
            on_warning: Called with a line about problems without public tests, or in training and held out.
            search: Runs searches, for a caller that shows them.

        Raises:
            UnknownNameError, ProblemFileError: When there is no such problem set or split.
        """
        self._config = config.told()
        self._derive = SEED_RULES[config.seed_rule]
        self._out = out
        self._warn = on_warning
        self._search = search
        section = config.problems
        found = load_rows(section.set)
        if not found.splits:
            found = with_splits(
                found,
                dict(zip((section.train, section.validation, section.test), SHARES.values(), strict=True)),
            )
            told = ", ".join(f"{len(found.of_split(name))} {name}" for name in sorted(found.splits))
            on_warning(
                f"{section.set} has no splits: {told}, by task id; o1coder data split writes such a file"
            )
        self._train = found.of_split(section.train)[: section.limit or None]
        if isinstance(config.rl, RLSettings):
            config.rl.check_problems(len(self._train))
            check_sampler(config.rl.sampler)
        limit = section.held_out_limit or None
        validation, test = (found.of_split(name)[:limit] for name in (section.validation, section.test))
        self.validation, self.test = self._held_out(validation), self._held_out(test)
        held_out = [*validation, *test]
        self.overlap = overlaps(self._train, held_out, ways=SURE)
        """Training problems that are held out under another name."""
        warn_of(on_warning, in_training(self.overlap, len(held_out)))

    def synthesize(self, learned: Learned, iteration: int, folder: Path) -> Path:
        """Searches this iteration's problems (Algorithm 1, steps 2 and 6); writes D ∪ D' into the folder."""
        run, section = self._config.run, self._config.synthesis
        rows = self._searched(iteration)
        # Not scored by default: values of a tree would then carry the opinion of the PRM that is to learn
        # from them.
        scorer = learned.scorer if section.scored else None
        policy = self._spec(learned.policy)
        plan = SynthesisPlan(
            problems=self._config.problems.set,
            task_ids=tuple(row.problem.task_id for row in rows),
            agent=section.agent,
            policy=policy,
            format=run.format,
            budget=Budget(tokens=section.tokens or None),
            # Another seed per iteration: the same one would sample the same rollouts from an unchanged
            # policy.
            seeds=(self._derive(run.seed, "synthesis", iteration),),
            max_steps=run.max_steps,
            generator=section.generator,
            tests=section.tests,
            scorer=scorer,
            inputs=input_hashes(policy, scorer, section.agent),
            rollouts=section.rollouts,
        )
        problems = [row.problem for row in rows]
        with RunFolder.open(folder, self._portable(plan.to_row()), resume=True) as journal:
            errors = self._search(plan, problems, self._tests, journal, run.executor, lambda tree: None)
        if errors:
            raise O1CoderError(f"{len(errors)} searches failed, the first: {errors[0]}; resume the run")
        earlier = [read_data(learned.data)] if learned.data is not None else []
        # a run of an earlier version continues with the rule that it began with
        rule = earlier[0].label_rule if earlier else LabelRule(credit_kept=section.credit_kept)
        data = self._harvested(plan, iteration, folder, rule)
        # D ∪ D' (Algorithm 1, step 6), the newest first, as `merged` weighs them.
        write_data(folder, merged([data, *earlier]))
        return folder

    def fine_tune(self, learned: Learned, iteration: int, folder: Path) -> str:
        """Trains the policy on whole passing paths (Algorithm 1, step 3)."""
        settings, data = self._config.sft, learned.data
        assert settings is not None
        assert data is not None
        settings = replace(settings, seed=self._seed("sft", settings.seed, iteration))
        result = train_on_paths(learned.policy, read_data(data), data, folder, settings, resume=True)
        return str(result.model)

    def train_scorer(self, learned: Learned, iteration: int, folder: Path) -> str:
        """Trains the PRM, from the policy's weights, on all rows so far (Algorithm 1, step 4)."""
        from o1coder_gym.prm.training.trainer import train_prm

        settings, data = self._config.prm, learned.data
        assert settings is not None
        assert data is not None
        settings = replace(settings, seed=self._seed("prm", settings.seed, iteration))
        result = train_prm(learned.policy, data, folder, self._config.objective, settings, resume=True)
        return f"prm:{result.model}"

    def reinforce(self, learned: Learned, iteration: int, folder: Path) -> str:
        """Trains the policy on φ (Algorithm 1, step 5), or on the sibling pairs of the newest data."""
        settings = self._config.rl
        assert settings is not None
        step_format = load_format(self._config.run.format)
        if isinstance(settings, DPOSettings):
            from o1coder_gym.agents.rl.dpo import train_dpo

            assert learned.data is not None
            settings = replace(settings, seed=self._seed("rl", settings.seed, iteration))
            found = read_data(learned.data)
            trained = train_dpo(learned.policy, found, folder, settings, step_format=step_format, resume=True)
        else:
            trained = self._grpo(learned, iteration, folder, settings)
        config = {"settings": to_row(settings), "iteration": iteration, "policy": learned.policy}
        inputs = input_hashes(f"hf:{learned.policy}", learned.scorer)
        write_trained_on(trained, [row.problem for row in self._train], learned.policy)
        Provenance("rl", config, inputs, package_versions("torch", "trl")).write(trained)
        return str(trained)

    def measure(self, learned: Learned) -> Mapping[str, Any]:
        """Measures the policy on the validation split, with the same draws after every stage."""
        seed = self._derive(self._config.run.seed, "validation")
        executor, policy = self._config.run.executor, self._spec(learned.policy)
        return means(self.validation.by_problem_on(executor, policy, seed))

    def tested(self, model: str) -> Mapping[str, dict[str, float]]:
        """Returns the policy's success on each problem of the test split, with the same draws each time."""
        seed = self._derive(self._config.run.seed, "test")
        return self.test.by_problem_on(self._config.run.executor, self._spec(model), seed)

    def _portable(self, row: dict[str, Any]) -> dict[str, Any]:
        """Returns a plan without this run's own path, so that the run may be moved."""
        if not self._config.run.expert:  # runs of earlier versions continue with what they wrote
            return row
        return json.loads(json.dumps(row).replace(f"{self._out}/", "RUN/"))

    def _seed(self, stage: str, seed: int, iteration: int) -> int:
        """Returns the seed of SFT, PRM or DPO, which runs of earlier versions have as their sections say."""
        return self._derived(stage, seed, iteration) if self._config.seed_rule == "all_stages" else seed

    def _derived(self, stage: str, seed: int, iteration: int) -> int:
        """Returns the seed of a training, of the run's and its section's; each iteration has another."""
        return self._derive(self._config.run.seed, stage, seed, iteration) % _TORCH_SEEDS

    def _grpo(self, learned: Learned, iteration: int, folder: Path, settings: RLSettings) -> Path:
        run = self._config.run
        process = ReasoningModel(
            [row.problem for row in self._train],
            shared_judge(),
            format=load_format(run.format),
            max_steps=run.max_steps,
            scorer=load_scorer(learned.scorer) if learned.scorer is not None else None,
            tests=self._tests,
        )
        # Another seed per iteration, or each would meet the problems in the same order.
        seed = self._derived("rl", settings.seed, iteration)
        settings = replace(settings, seed=seed, max_tokens=run.max_tokens)
        with RunFolder.open(folder / "log", {"settings": settings.to_row()}, resume=True) as log:
            return train_logged(
                learned.policy, process, folder, log, settings, format=run.format, resume=True
            )

    def _searched(self, iteration: int) -> Sequence[ProblemRow]:
        """Returns the problems of an iteration: the next ones, from the beginning again after the last."""
        count = self._config.synthesis.problems or len(self._train)
        places = range(iteration * count, iteration * count + min(count, len(self._train)))
        return [self._train[place % len(self._train)] for place in places]

    def _harvested(self, plan: SynthesisPlan, iteration: int, folder: Path, rule: LabelRule) -> ProcessData:
        place = {task_id: index for index, task_id in enumerate(plan.task_ids)}
        # In order of the plan, not of the end: data must not depend on which search was quicker.
        rows = sorted(tree_rows(folder), key=lambda row: place[row["task_id"]])
        versions = {"o1coder_gym": o1coder_gym.__version__}
        return harvest(
            [SearchTree.from_row(row) for row in rows],
            default_judge(),
            source=search_source(plan.to_row(), len(rows), versions, iteration=iteration),
            tests=self._tests,
            label_rule=rule,
            pair_rule=PairRule(margin=self._config.synthesis.margin),
            validation=self._config.synthesis.validation,
        )

    @cached_property
    def _tests(self) -> dict[str, tuple[TestCase, ...]]:
        section = self._config.synthesis
        tests = generated_tests(
            section.generator, self._train, section.tests, self._out, self._config.run.executor
        )
        warn_of(self._warn, without_visible_tests(self._train, tests))
        return tests

    def _spec(self, model: str) -> str:
        run = self._config.run
        return hf_spec(model, run.template_arguments, dtype=run.dtype)

    def _held_out(self, rows: Sequence[ProblemRow]) -> HeldOut:
        run = self._config.run
        return HeldOut(
            rows,
            step_format=load_format(run.format),
            max_steps=run.max_steps,
            sampling=Sampling(1.0, top_p=1.0, top_k=0, max_tokens=run.max_tokens),
            samples=run.samples,
            seed_rule=self._derive,
        )


class StagesOnGPUs(RealStages):
    """The real stages, whose trainings run in a process of the executor, which has GPUs.

    Run folder, models and problem files have to be seen there under the same paths.
    """

    def fine_tune(self, learned: Learned, iteration: int, folder: Path) -> str:
        """Trains as `RealStages` does, there."""
        return self._there("fine_tune", learned, iteration, folder)

    def train_scorer(self, learned: Learned, iteration: int, folder: Path) -> str:
        """Trains as `RealStages` does, there."""
        return self._there("train_scorer", learned, iteration, folder)

    def reinforce(self, learned: Learned, iteration: int, folder: Path) -> str:
        """Trains as `RealStages` does, there."""
        return self._there("reinforce", learned, iteration, folder)

    def _there(self, stage: str, *arguments: Any) -> str:
        run, _ = load_executor(self._config.run.executor)
        (artefact,) = run(partial(_stage, self._config, self._out), [(stage, arguments)])
        if not Path(artefact.removeprefix("prm:")).exists():
            raise O1CoderError(
                f"{artefact} was trained on another machine and is not visible here; "
                "put the run folder on a file system that all machines share"
            )
        return artefact


def _stage(config: SelfPlayConfig, out: Path, piece: tuple[str, tuple[Any, ...]]) -> str:
    """Runs a stage in a process of an executor; a lost process resumes from the stage's checkpoints."""
    name, arguments = piece
    here = replace(config, run=replace(config.run, executor="serial"))
    return getattr(RealStages(here, out, on_warning=lambda line: None), name)(*arguments)
