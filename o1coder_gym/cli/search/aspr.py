"""ASPR of a benchmark run: how surely does a reasoning path that passed lead to a program that passes?

ASPR = (1/|P|) Σ_p (1/K) Σ_k 1[code passes all tests] (paper, section 3; the definition is ours, for the paper
prints none). P are the reasoning paths found by a search whose program passes the hidden tests; a path is
frozen before its last step, S^{1:m−1}, and K last steps are sampled. A last step that is no program fails.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from o1coder_gym.cli.options import JsonOption, SeedOption
from o1coder_gym.experiments.aspr import measure_aspr


def aspr(
    run: Annotated[Path, typer.Argument(help="Folder of one benchmark plan: it holds trees.jsonl.")],
    samples: Annotated[int, typer.Option("--samples", min=1, help="K, last steps sampled per path.")] = 8,
    paths: Annotated[int, typer.Option("--paths", min=1, help="Passing paths per problem at most.")] = 4,
    agent: Annotated[
        list[str] | None, typer.Option("--agent", help="Paths of these agents only; may be repeated.")
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Sample the last step of passing reasoning paths again (the paper's ASPR); may be interrupted."""
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("last steps", total=None, visible=False)

        def show(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total, visible=True)

        rates = measure_aspr(run, samples=samples, paths=paths, agents=agent, seed=seed, on_progress=show)
    if as_json:
        typer.echo(json.dumps({name: asdict(rate) | {"rate": rate.rate} for name, rate in rates.items()}))
        return
    for name, rate in rates.items():
        typer.echo(
            f"{name}: ASPR {rate.per_path.percent()} % per path, {rate.per_problem.percent()} % per problem, "
            f"K = {rate.samples}, |P| = {rate.paths} paths of {rate.solved} solved problems"
        )
