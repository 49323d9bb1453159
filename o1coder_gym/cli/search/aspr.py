"""ASPR of a benchmark run: how surely does a reasoning path that passed lead to a program that passes?

ASPR = (1/|P|) Σ_p (1/K) Σ_k 1[code passes all tests] (paper, section 3; the definition is ours, for the paper
prints none). P are the reasoning paths found by a search whose program passes the hidden tests; a path is
frozen before its last step, S^{1:m−1}, and K last steps are sampled. A last step that is no program fails.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.experiments.measures.aspr import measure_aspr
from o1coder_gym.runs.progress import notes, progress_bars
from o1coder_gym.settings import AtLeastOne, Checked, Flag
from o1coder_gym.settings.groups import AsJson


@dataclass(frozen=True, slots=True, kw_only=True)
class AsprSettings(Checked):
    """Samples.

    Attributes:
        run: Folder of one benchmark plan: it holds trees.jsonl.
        samples: K, last steps sampled per path.
        paths: Passing paths per problem at most.
        agent: Paths of these agents only; may be repeated.
        seed: Seed of the samples.
    """

    run: Annotated[Path, Flag("RUN")]
    samples: AtLeastOne = 8
    paths: AtLeastOne = 4
    agent: tuple[str, ...] = ()
    seed: int = 0
    as_json: AsJson = False


def aspr(settings: AsprSettings) -> None:
    """Measure the paper's ASPR: sample the last step of passing paths again; may be interrupted."""
    with progress_bars(notes(), transient=True) as progress:
        bar = progress.add_task("last steps", total=None, visible=False, told="")

        def show(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total, visible=True)

        try:
            rates = measure_aspr(
                settings.run,
                samples=settings.samples,
                paths=settings.paths,
                agents=settings.agent,
                seed=settings.seed,
                on_progress=show,
            )
        except KeyboardInterrupt:
            notes().print("interrupted; repeat the command to continue")
            raise SystemExit(130) from None
    if settings.as_json:
        print(to_json({name: asdict(rate) | {"rate": rate.rate} for name, rate in rates.items()}))
        return
    for name, rate in rates.items():
        print(
            f"{name}: ASPR {rate.per_path.percent()} % per path, {rate.per_problem.percent()} % per problem, "
            f"K = {rate.samples}, |P| = {rate.paths} paths of {rate.solved} solved problems"
        )


app = command(AsprSettings, aspr, name="aspr")
