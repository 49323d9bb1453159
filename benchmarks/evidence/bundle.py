"""Puts the tiny model, its problems, what self-play made of it, and adapters into the package's data.

Commands, from nothing::

    make selfplay                        # runs/micro, runs/selfplay
    python benchmarks/evidence/bundle.py          # o1coder_gym/data: micro.jsonl.gz, tiny, tiny-selfplay
    python benchmarks/evidence/bundle.py adapter runs/expert-steps/iteration-02/sft --name steps \
        --license Apache-2.0 --results runs/thinking-trained --agent best_of_n     # hf:BASE+steps
    python benchmarks/evidence/bundle.py adapter runs/thinking-prm/soft --name steps --role prm \
        --license Apache-2.0                                                      # prm:steps

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
from typing import Annotated, Any

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.main import main_of
from o1coder_gym.errors import UsageError
from o1coder_gym.experiments.measures.held_out import gains
from o1coder_gym.experiments.micro.tiny_model import RECIPE
from o1coder_gym.experiments.self_play import CURVE, TESTED
from o1coder_gym.models.checkpoints import MODEL
from o1coder_gym.models.lookup import BUNDLED_MODELS, KNOWN_MODELS, find_model
from o1coder_gym.models.sources.adapters import ADAPTERS, CARD, LORA, Role
from o1coder_gym.models.training.finetuning import ADAPTER
from o1coder_gym.prm.calibration import FILE as CALIBRATION
from o1coder_gym.reporting.results import read_results, summarize
from o1coder_gym.reporting.run_report import command_line
from o1coder_gym.runs.journal import read_rows
from o1coder_gym.runs.provenance import FILE as PROVENANCE
from o1coder_gym.runs.provenance import config_hash, content_hash
from o1coder_gym.settings import Checked, Flag
from o1coder_gym.specs import name_of

DATA = BUNDLED_MODELS["tiny"].folder.parent
LARGEST = 5_000_000
"""Bytes of an adapter that ships."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterSettings(Checked):
    """Adapter.

    Attributes:
        run: Run folder of a training: SFT, DPO or GRPO with LoRA, or a PRM whose head alone was fitted.
        name: What the model is called, beside its base: hf:BASE+NAME, prm:NAME.
        license: SPDX id; that of the base model binds what is made of it.
        role: What the model is.
        title: What it is, for people.
        results: Run folder of a benchmark of the model; its figures go onto the card.
        agent: Figures of this agent alone.
        out: Data folder of the package.
    """

    run: Annotated[Path, Flag("RUN")]
    name: str
    license: str
    role: Role = "policy"
    title: str = ""
    results: Path | None = None
    agent: str = ""
    out: Path = ADAPTERS


def adapter(settings: AdapterSettings) -> None:
    """Writes what differs from the base model into a folder of the package's data, with its card."""
    made = json.loads((settings.run / MODEL / PROVENANCE).read_text())
    base = known_name(made["config"]["model"])
    target = settings.out / f"{base}+{settings.name}"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    if settings.role == "prm":
        _write_head(settings.run / MODEL, target)
    else:
        _write_lora(settings.run / ADAPTER, target, base)
    card = {
        "title": settings.title or f"{base} after {made['stage']}",
        "base": base,
        "role": settings.role,
        "license": settings.license,
        "dtype": "float32",
        "made": datetime.now(UTC).date().isoformat(),
        "command": command_line(["python", __file__, *sys.argv[1:]]),
        "settings": made["config"]["settings"],
        "inputs": made["inputs"],
        "versions": made["versions"],
        "figures": _figures(settings) if settings.results else {},
    }
    (target / CARD).write_text(json.dumps(card, indent=1) + "\n")
    size = sum(path.stat().st_size for path in target.iterdir())
    if size > LARGEST:
        shutil.rmtree(target)
        raise UsageError(
            f"{target.name} takes {size:,} bytes, more than {LARGEST:,}; train with a smaller rank"
        )
    print(f"{size:>9,} {target}")


def known_name(model: str) -> str:
    """Returns the name of a model whose folder a run may name, for the folder is this machine's own."""
    names = (*KNOWN_MODELS, *BUNDLED_MODELS)
    found = (name for name in names if model == name or Path(model) == find_model(name))
    if (name := next(found, None)) is None:
        raise UsageError(f"{model}: an adapter ships for a model with a name: {', '.join(names)}")
    return name


def _write_lora(source: Path, target: Path, base: str) -> None:
    config, weights = LORA
    said = json.loads((source / config).read_text()) | {"base_model_name_or_path": base}
    (target / config).write_text(json.dumps(said, indent=1) + "\n")
    shutil.copyfile(source / weights, target / weights)


def _write_head(source: Path, target: Path) -> None:
    """Writes the head of a model whose backbone is the base's: the only weights that are its own."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    from o1coder_gym.prm.scorer import DESCRIPTION

    with safe_open(source / "model.safetensors", framework="pt") as file:
        names = [name for name in file.keys() if name.startswith("score.")]  # noqa: SIM118 (no mapping)
        save_file({name: file.get_tensor(name).contiguous() for name in names}, target / "score.safetensors")
    for path in source.glob("*.json"):
        if path.name in (DESCRIPTION, CALIBRATION):
            shutil.copyfile(path, target / path.name)


def _figures(settings: AdapterSettings) -> dict[str, str]:
    assert settings.results is not None
    found = summarize(read_results(settings.results))
    return {
        one.agent: f"{one.share.percent()} % of {one.total}"
        for one in found
        if not settings.agent or name_of(one.setting.agent) == settings.agent
    }


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
    app = command(BundleSettings, bundle, name="bundle")
    app.command(command(AdapterSettings, adapter, name="adapter"))
    sys.exit(main_of(app))
