"""Where modules have gone: importing one by an earlier name warns, and gives the module of today.

Only names that the documentation has used are here.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, cast

MOVED = {
    "agents.advantages": "agents.rl.advantages",
    "agents.answers": "agents.choosing",
    "agents.asking": "queries",
    "agents.cache": "agents.driver.cache",
    "agents.choice_ppo": "agents.rl.choice_ppo",
    "agents.diverse_beam": "agents.beam",
    "agents.episodes": "agents.rl.episodes",
    "agents.feed": "agents.driver.tasks",
    "agents.harvest": "process_data.harvest",
    "agents.puct": "agents.mcts",
    "agents.rl_settings": "agents.rl.settings",
    "agents.selection": "agents.search.selection",
    "agents.self_play": "experiments.self_play",
    "agents.step_dpo": "agents.rl.dpo",
    "agents.step_grpo": "agents.rl.grpo",
    "agents.sweep": "agents.driver",
    "agents.tasks": "agents.driver.tasks",
    "agents.tree": "agents.search.tree",
    "budget": "runs.budget",
    "choices": "steps.choices",
    "cli.aspr": "experiments.measures.aspr",
    "cli.selfplay_config": "experiments.self_play.config",
    "embedding": "steps.choices",
    "experiments.aspr": "experiments.measures.aspr",
    "experiments.held_out": "experiments.measures.held_out",
    "experiments.rl": "experiments.training.rl",
    "experiments.self_play_config": "experiments.self_play.config",
    "experiments.stages": "experiments.self_play.stages",
    "envs.choice": "envs.interactions.choice",
    "envs.interaction": "envs.interactions.interaction",
    "envs.spaces": "envs.interactions.text",
    "envs.text": "envs.interactions.text",
    "evaluation": "problems.hidden_tests",
    "finetuning": "models.training.finetuning",
    "formats": "steps.formats",
    "journal": "runs.journal",
    "models.projection": "models.batches.projection",
    "models.shared_prefixes": "models.batches.shared_prefixes",
    "parameters": "specs.parameters",
    "policies.http": "policies.server.http",
    "policies.openai": "policies.openai_server",
    "policies.vllm_draws": "policies.vllm.draws",
    "problem_rows": "problems.rows",
    "problem_sets": "problems.benchmarks",
    "process_data.learned_tokens": "experiments.training.path_tokens",
    "prompts": "steps.prompts",
    "provenance": "runs.provenance",
    "registry": "specs.registry",
    "rewards.terms": "rewards",
    "rewards.trl": "envs.trl",
    "sandbox.concurrent_judge": "sandbox.callers.concurrent_judge",
    "search_tree": "process_data.search_tree",
    "significance": "metrics.significance",
    "statistics": "metrics.estimates",
    "steps.functions": "steps.formats.functions",
    "tcg.agreement": "tcg.checking.agreement",
    "tcg.dataset": "tcg.training.dataset",
    "tcg.pairs": "tcg.reading.io_pairs",
    "tcg.reference_tests": "tcg.store",
    "tcg.selection": "tcg.checking.selection",
    "tcg.solutions": "tcg.checking.solutions",
    "models.conversion": "models.sources.conversion",
    "models.finetuning": "models.training.finetuning",
    "models.trainers": "models.training.settings",
    "models.weights": "models.sources.weights",
    "weights": "models.sources.weights",
}
"""Earlier name -> name of today, both below `o1coder_gym`."""


class _Finder:
    """Asked by Python when nobody else knows a module. Without importlib.abc as a base: that imports much."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Knows the names in `MOVED`."""
        package, _, rest = name.partition(".")
        return ModuleSpec(name, cast(Any, self)) if package == "o1coder_gym" and rest in MOVED else None

    def create_module(self, spec: ModuleSpec) -> None:
        """Lets Python make an empty module."""

    def exec_module(self, module: ModuleType) -> None:
        """Puts the module of today in the place of the empty one."""
        name = f"o1coder_gym.{MOVED[module.__name__.partition('.')[2]]}"
        message = f"{module.__name__} has moved to {name}"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        sys.modules[module.__name__] = importlib.import_module(name)
        # Or Python would find what lies in a package below its earlier name too, and load it a second time.
        for inner in [inner for inner in sys.modules if inner.startswith(f"{name}.")]:
            sys.modules[module.__name__ + inner.removeprefix(name)] = sys.modules[inner]


def install() -> None:
    """Makes the earlier names importable; does nothing the second time."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
