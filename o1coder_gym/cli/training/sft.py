"""`o1coder sft`: fine-tunes a policy on D⁺, the paths whose programs passed (Eq. 2)."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.experiments.training.sft import SFTSettings, fine_tune
from o1coder_gym.reporting.tables.estimate_table import interval_legend, interval_text
from o1coder_gym.runs.progress import notes, warn
from o1coder_gym.settings.groups import TrainingRun


def sft(settings: SFTSettings, run: TrainingRun) -> None:
    """Fine-tune a policy on the paths whose programs passed.

    The prompt has none.
    """
    console = notes()

    def tell(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    told = fine_tune(settings, run.out, resume=run.resume, tell=tell, on_warning=warn)
    if run.as_json:
        print(to_json(told))
        return
    if "quality" in told:
        console.print(_table(told["quality"], told["quality"]["problems"]), interval_legend())
    print(f"hf:{told['model']}")


def _table(quality: dict[str, Any], problems: str) -> Table:
    table = Table(problems, "pass@1", "95 % interval", "format", "with code", "steps", box=None)
    for name in ("before", "after"):
        row = quality[name]
        rate = f"{row['pass@1']:.1%} ({row['solved']} of {row['problems']})"
        interval = interval_text(*row["interval"], rough=row["rough"])
        cells = (interval, f"{row['compliance']:.1%}", f"{row['committed']:.1%}")
        table.add_row(name, rate, *cells, "–" if row["steps"] is None else f"{row['steps']:.2f}")
    interval = interval_text(*quality["interval"], rough=quality["rough"], signed=True)
    table.add_row("difference", f"{quality['difference']:+.1%}", interval)
    return table


app = command(SFTSettings, sft, "sft", TrainingRun, ranked=True)
