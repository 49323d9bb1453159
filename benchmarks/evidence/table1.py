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
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from o1coder_gym.cli.options import DEFAULT_POLICY, MaxStepsOption, PolicyOption, ResumeOption, SeedOption
from o1coder_gym.cli.search.bench import show_suite
from o1coder_gym.experiments.aspr import measure_aspr
from o1coder_gym.experiments.suite import ProblemChoice, Suite, parts
from o1coder_gym.metrics import SamplingPassRate
from o1coder_gym.reporting.results import AgentSummary, read_results, summarize

FORMATS = ("vanilla", "pseudocode")

PAPER: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "Qwen2.5-1.5B": {"vanilla": (55.8, 49.9), "pseudocode": (46.7, 54.5)},
    "Qwen2.5-3B": {"vanilla": (56.3, 52.0), "pseudocode": (51.3, 70.6)},
    "Qwen2.5-7B": {"vanilla": (59.8, 66.4), "pseudocode": (50.1, 78.1)},
    "Qwen2.5-Coder-7B": {"vanilla": (57.7, 49.3), "pseudocode": (58.2, 74.9)},
}
"""Table 1 of arXiv 2412.00154: (Pass@1, ASPR) in %, by model and format."""


def main(
    out: Annotated[Path, typer.Option("--out", help="Run folder.")],
    policy: PolicyOption = DEFAULT_POLICY,
    problems: Annotated[str, typer.Option("--problems", help="Problem set; the paper's is MBPP.")] = "mbpp",
    split: Annotated[str | None, typer.Option("--split", help="Split of the set; all: none.")] = "test",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="First N problems only.")] = None,
    rollouts: Annotated[int, typer.Option("--rollouts", min=1, help="Samples that look for paths.")] = 8,
    samples: Annotated[int, typer.Option("--samples", min=1, help="K, last steps per path.")] = 8,
    paths: Annotated[int, typer.Option("--paths", min=1, help="Paths per problem at most.")] = 4,
    max_steps: MaxStepsOption = 8,
    seed: SeedOption = 0,
    resume: ResumeOption = False,
) -> None:
    """Run both formats and print the table."""
    sampler = f"best_of_n:n={rollouts}"
    suite = Suite(
        problems=(ProblemChoice(problems, None if split == "none" else split, limit),),
        policies=(policy,),
        formats=FORMATS,
        agents=("greedy", sampler),
        tokens=(),
        seed=seed,
        max_steps=max_steps,
        controls=False,
    )
    show_suite(suite, out, resume=resume)
    found: dict[str, tuple[AgentSummary, SamplingPassRate]] = {}
    for part in parts(suite):
        (greedy,) = (one for one in summarize(read_results(out / part.name)) if one.setting.agent == "greedy")
        rates = measure_aspr(out / part.name, samples=samples, paths=paths, agents=[sampler], seed=seed)
        found[part.plan.format] = greedy, rates[sampler]
    text = table(policy, found)
    (out / "table1.md").write_text(text)
    typer.echo(text)


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
    typer.run(main)
