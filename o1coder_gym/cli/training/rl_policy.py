"""`o1coder rl policy` and `o1coder rl dpo`: reinforcement learning on the weights of a policy."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.cli.run_folders import resumable, run_folder
from o1coder_gym.experiments.training.rl import TrainedPolicy, train_on_pairs, train_policy
from o1coder_gym.experiments.training.rl_settings import RLPairsSettings, RLPolicySettings, chosen_rows
from o1coder_gym.reporting.tables.estimate_table import interval_legend
from o1coder_gym.runs import ranks
from o1coder_gym.runs.progress import warn


def policy(settings: RLPolicySettings) -> None:
    """Train a policy on φ: GRPO and PPO-clip with credit per step, or the outcome-only control."""
    rows, held_out = chosen_rows(settings, warn)
    plan, run = settings.plan(rows), settings.run
    out = ranks.from_first(lambda: run_folder("rl-policy", run.out, resume=run.resume))
    with resumable(out):
        result = train_policy(
            plan,
            out,
            rows=rows,
            held_out=held_out,
            samples=settings.held_out.samples,
            resume=run.resume,
            on_warning=warn,
        )
    _show(result, run.as_json)


def dpo(settings: RLPairsSettings) -> None:
    """Train a policy on sibling pairs: one round of iterative DPO; synthesize again for the next."""
    run = settings.run
    out = ranks.from_first(lambda: run_folder("rl-dpo", run.out, resume=run.resume))
    with resumable(out):
        trained = train_on_pairs(settings.model, settings.data, out, settings.training, resume=run.resume)
    _show(trained, run.as_json)


def _show(trained: TrainedPolicy, as_json: bool) -> None:
    if as_json:
        print(to_json({**trained.to_row(), "model": str(trained.model)}))
        return
    if trained.gains:
        table = Table("held out", "before", "after", "gain", "95 % interval", box=None)
        for name, one in trained.gains.items():
            table.add_row(
                name.replace("_", " "),
                f"{one.before:.1%}",
                f"{one.after:.1%}",
                f"{one.gain:+.1%}",
                one.ends,
            )
        Console().print(table, interval_legend())
    print(trained.model)


policy_app = command(RLPolicySettings, policy, name="policy", ranked=True)
dpo_app = command(RLPairsSettings, dpo, name="dpo", ranked=True)
