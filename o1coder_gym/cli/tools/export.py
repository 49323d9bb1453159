"""`o1coder export`: the search trees of a run as other projects' traces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from o1coder_gym.adapters.traces import export_traces
from o1coder_gym.cli.commands import command
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.settings import Checked, Flag
from o1coder_gym.settings.groups import AsJson


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSettings(Checked):
    """Traces.

    Attributes:
        run: Run folder with search trees, of bench, synthesize, solve or selfplay's turns.
        format: atif: a document a tree; verifiers: a trace a tree; verl: a row a path, with step advantages.
        out: JSON lines to write; default: FORMAT.jsonl in the run folder.
    """

    run: Annotated[Path, Flag("RUN")]
    format: Literal["atif", "verifiers", "verl"]
    out: Path | None = None
    as_json: AsJson = False


def export(settings: ExportSettings) -> None:
    """Write the search trees of a run as traces of ATIF, verifiers or verl.

    Public tests travel along, hidden ones are not in a run folder.
    """
    out = settings.out or settings.run / f"{settings.format}.jsonl"
    count = export_traces(settings.run, settings.format, out)
    if settings.as_json:
        print(to_json({"rows": count, "out": str(out)}))
    else:
        print(f"{count} rows: {out}")


app = command(ExportSettings, export, name="export")
