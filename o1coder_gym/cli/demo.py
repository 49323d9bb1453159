"""`o1coder demo`: three agents on eight bundled problems at equal token budgets."""

from __future__ import annotations

from o1coder_gym.budget import Budget
from o1coder_gym.cli.bench import run_bench
from o1coder_gym.cli.benchmark import Plan
from o1coder_gym.cli.options import DEFAULT_POLICY, OutOption, PolicyOption, ResumeOption, SeedOption
from o1coder_gym.cli.run_folders import default_folder
from o1coder_gym.problems import load_rows

AGENTS = ("greedy", "best_of_n:early_stop=true", "mcts:early_stop=true")
PROBLEMS = 8
TOKENS = 768


def demo(
    policy: PolicyOption = DEFAULT_POLICY,
    seed: SeedOption = 0,
    out: OutOption = None,
    resume: ResumeOption = False,
) -> None:
    """Watch a small model solve problems greedily, by best-of-n and by tree search."""
    rows = load_rows("starter")
    chosen = rows[:: max(1, len(rows) // PROBLEMS)][:PROBLEMS]
    plan = Plan(
        problems="starter",
        task_ids=tuple(row.problem.task_id for row in chosen),
        agents=AGENTS,
        policy=policy,
        format="pseudocode",
        budget=Budget(tokens=TOKENS),
        seeds=(seed,),
    )
    run_bench(plan, chosen, out or default_folder("demo"), resume=resume)
