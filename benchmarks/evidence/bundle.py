"""Puts the tiny model, its problems and what self-play made of it into the package's data.

Commands, from nothing::

    make selfplay                        # runs/micro, runs/selfplay
    python benchmarks/evidence/bundle.py          # o1coder_gym/data: micro.jsonl.gz, tiny, tiny-selfplay

What is written is what the runs hold; nothing is typed by hand. Weights made elsewhere differ by rounding;
``recipe.json`` and the problems do not, and tests compare those.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.main import main_of
from o1coder_gym.experiments.measures.held_out import gains
from o1coder_gym.experiments.micro.tiny_model import RECIPE
from o1coder_gym.experiments.self_play import CURVE, TESTED
from o1coder_gym.models.lookup import BUNDLED_MODELS
from o1coder_gym.runs.journal import read_rows
from o1coder_gym.runs.provenance import config_hash, content_hash
from o1coder_gym.settings import Checked

DATA = BUNDLED_MODELS["tiny"].folder.parent
FILES = ("*config.json", "model.safetensors", "tokenizer*.json", "*.jinja")
"""What a policy loads of a model's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleSettings(Checked):
    """Folders.

    Attributes:
        micro: Run folder of o1coder micro.
        selfplay: Run folder of o1coder selfplay.
        out: Data folder of the package.
    """

    micro: Path = Path("runs/micro")
    selfplay: Path = Path("runs/selfplay")
    out: Path = DATA


def bundle(settings: BundleSettings) -> None:
    """Writes the problems and the tiny model; then, if there is such a run, the model after self-play."""
    micro, selfplay, out = settings.micro, settings.selfplay, settings.out
    problems = (micro / "problems.jsonl").read_bytes()
    (out / "micro.jsonl.gz").write_bytes(gzip.compress(problems, mtime=0))
    recipe = json.loads((micro / "model" / RECIPE).read_text())
    _write_model(micro / "model", out / "tiny", recipe)
    if (selfplay / "report.md").is_file():
        _write_selfplay(selfplay, out, {"start": recipe["sha256"], "problems": content_hash(problems)})
    for path in sorted(path for path in out.rglob("*") if path.is_file() and path.suffix != ".py"):
        print(f"{path.stat().st_size:>9,} {path.relative_to(out)}")


def _write_selfplay(run: Path, out: Path, inputs: Mapping[str, str]) -> None:
    """Writes the model that a run ends with; its figures go beside the model that it began with."""
    plan = json.loads((run / "config.json").read_text())["config"]
    recipe = {**inputs, "plan": plan}
    last = max(run.glob("iteration-*/*/stage.json"), key=lambda path: path.stat().st_mtime).parent
    _write_model(last / "model", out / "tiny-selfplay", {**recipe, "sha256": config_hash(recipe)})
    tables: dict[str, dict[str, Any]] = {"before": {}, "after": {}}
    for row in read_rows(run / f"{TESTED}.jsonl"):
        tables[row["policy"]][row["task_id"]] = row["found"]
    ended = datetime.fromtimestamp((run / "report.md").stat().st_mtime, UTC)
    gained = {name: gain.to_row() for name, gain in gains(tables["before"], tables["after"]).items()}
    told = {
        "command": "make selfplay",
        "date": ended.date().isoformat(),
        "seed": plan["run"]["seed"],
        "test": {"problems": len(tables["before"]), "samples": plan["run"]["samples"], **gained},
        "validation": [_without_path(row) for row in read_rows(run / f"{CURVE}.jsonl")],
    }
    (out / "tiny" / "selfplay.json").write_text(json.dumps(told, indent=2) + "\n")


def _without_path(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "policy"}


def _write_model(source: Path, target: Path, recipe: Mapping[str, Any]) -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for pattern in FILES:
        for path in source.glob(pattern):
            shutil.copyfile(path, target / path.name)
    (target / RECIPE).write_text(json.dumps(recipe, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main_of(command(BundleSettings, bundle, name="bundle")))
