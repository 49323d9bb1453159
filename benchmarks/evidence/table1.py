"""The paper's Table 1 for any model: vanilla against pseudocode reasoning on MBPP, Pass@1 and ASPR.

    python benchmarks/evidence/table1.py --policy hf:qwen2.5-coder-0.5b --limit 100 --out runs/table1
    python benchmarks/evidence/table1.py … --out runs/table1 --resume

Pass@1 is that of greedy decoding; the paper tells neither temperature nor number of samples. ASPR freezes
the passing paths of `--rollouts` samples and draws their last step again; it is conditioned on success, so K,
|P| and the number of solved problems are printed with it. The paper's models are bigger than what a laptop
runs: the figures stand beside each other for their layout, not as a reproduction.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.main import main_of
from o1coder_gym.cli.search.bench import show_suite
from o1coder_gym.experiments.measures.aspr import measure_aspr
from o1coder_gym.experiments.suite import ProblemChoice, Suite, parts
from o1coder_gym.metrics import SamplingPassRate
from o1coder_gym.reporting.results import AgentSummary, read_results, summarize
from o1coder_gym.settings import AtLeastOne, Checked
from o1coder_gym.settings.groups import DEFAULT_POLICY, FirstN, MaxSteps, PolicySpec, Resume, Seed

FORMATS = ("vanilla", "pseudocode")

PAPER: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "Qwen2.5-1.5B": {"vanilla": (55.8, 49.9), "pseudocode": (46.7, 54.5)},
    "Qwen2.5-3B": {"vanilla": (56.3, 52.0), "pseudocode": (51.3, 70.6)},
    "Qwen2.5-7B": {"vanilla": (59.8, 66.4), "pseudocode": (50.1, 78.1)},
    "Qwen2.5-Coder-7B": {"vanilla": (57.7, 49.3), "pseudocode": (58.2, 74.9)},
}
"""Table 1 of arXiv 2412.00154: (Pass@1, ASPR) in %, by model and format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSettings(Checked):
    """Table 1.

    Attributes:
        out: Run folder.
        problems: Problem set; the paper's is MBPP.
        split: Split of the set, or none for all of it.
        rollouts: Samples that look for paths.
        samples: K, last steps per path.
        paths: Paths per problem at most.
    """

    out: Path
    policy: PolicySpec = DEFAULT_POLICY
    problems: str = "mbpp"
    split: str | None = "test"
    limit: FirstN = None
    rollouts: AtLeastOne = 8
    samples: AtLeastOne = 8
    paths: AtLeastOne = 4
    max_steps: MaxSteps = 8
    seed: Seed = 0
    resume: Resume = False


def main(settings: TableSettings) -> None:
    """Run both formats and print the table."""
    out, seed, sampler = settings.out, settings.seed, f"best_of_n:n={settings.rollouts}"
    suite = Suite(
        problems=(ProblemChoice(settings.problems, settings.split, settings.limit),),
        policies=(settings.policy,),
        formats=FORMATS,
        agents=("greedy", sampler),
        tokens=(),
        seed=seed,
        max_steps=settings.max_steps,
        controls=False,
    )
    show_suite(suite, out, resume=settings.resume)
    found: dict[str, tuple[AgentSummary, SamplingPassRate]] = {}
    for part in parts(suite):
        (greedy,) = (one for one in summarize(read_results(out / part.name)) if one.setting.agent == "greedy")
        rates = measure_aspr(
            out / part.name, samples=settings.samples, paths=settings.paths, agents=[sampler], seed=seed
        )
        found[part.plan.format] = greedy, rates[sampler]
    text = table(settings.policy, found)
    (out / "table1.md").write_text(text)
    print(text)


def table(policy: str, found: Mapping[str, tuple[AgentSummary, SamplingPassRate]]) -> str:
    """Writes Table 1's layout in Markdown, with this model's column first."""
    lines = [f"| MBPP, % | {policy} | {' | '.join(f'{model} (paper)' for model in PAPER)} |"]
    lines.append("|" + " --- |" * (2 + len(PAPER)))
    for place, metric in enumerate(("Pass@1", "ASPR")):
        for format in FORMATS:
            mine = pass_words(found[format][0]) if place == 0 else aspr_words(found[format][1])
            theirs = " | ".join(f"{PAPER[model][format][place]:.1f}" for model in PAPER)
            lines.append(f"| {metric} {format} | {mine} | {theirs} |")
    return "\n".join(lines) + "\n"


def pass_words(greedy: AgentSummary) -> str:
    """Says Pass@1 with its 95 % interval over problems."""
    return f"{greedy.share.percent()}, N = {greedy.total}"


def aspr_words(rate: SamplingPassRate) -> str:
    """Says ASPR with what it is conditioned on."""
    if math.isnan(rate.rate):
        return f"none, K = {rate.samples}"
    values = f"{rate.per_path.percent()} per path, {rate.per_problem.percent()} per problem"
    return f"{values}, K = {rate.samples}, {rate.paths} paths of {rate.solved} solved"


if __name__ == "__main__":
    sys.exit(main_of(command(TableSettings, main, name="table1")))
