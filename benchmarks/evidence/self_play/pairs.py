"""Measures what DPO lacks in self-play with the tiny model: one thing varies at a time.

    python benchmarks/evidence/self_play/pairs.py --out runs/gains   # from the SFT policies of `gains`

It goes cell by cell and appends a row for each to ``rounds.jsonl``; called again, it goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from gains import SEEDS, measured
from process import DPO, copy_tests
from table import TableSettings, table, told

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.main import main_of
from o1coder_gym.experiments.self_play.config import read_config
from o1coder_gym.experiments.self_play.stages import Learned, RealStages
from o1coder_gym.models.lookup import model_path
from o1coder_gym.process_data import ProcessData, read_data
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.settings import Checked, Flag, to_row
from o1coder_gym.steps.formats import PSEUDOCODE
from o1coder_gym.types import ActionType


@dataclass(frozen=True, slots=True)
class Variant:
    """One round of DPO on the SFT policy.

    Attributes:
        rollouts: K of the values that pairs are made of; 0: W / N of the search.
        before_code: Whether pairs of programs are left out.
        by_sft: Whether the SFT policy searches for the pairs; else they are those that SFT had.
        fixed: Whether a second search and a second round follow, with the SFT policy as reference again; the
            method dpo of `gains` has that of the first round there.
    """

    rollouts: int = 0
    before_code: bool = False
    by_sft: bool = False
    fixed: bool = False


VARIANTS: Mapping[str, Variant] = {
    "all pairs": Variant(),
    "before code": Variant(before_code=True),
    "K = 8": Variant(rollouts=8),
    "K = 8, before code": Variant(rollouts=8, before_code=True),
    "searched by SFT": Variant(by_sft=True),
    "searched by SFT, K = 8": Variant(rollouts=8, by_sft=True),
    "two rounds, fixed": Variant(fixed=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSettings(Checked):
    """Pairs.

    Attributes:
        out: Folder of `gains`, whose SFT policies are the start.
        version: Whose.
        seeds: Of these runs.
        variants: Only this one; may be repeated.
    """

    out: Path
    version: str = "after"
    seeds: tuple[int, ...] = SEEDS
    variants: Annotated[tuple[str, ...], Flag("--variant")] = tuple(VARIANTS)


def pairs(settings: PairSettings) -> None:
    """Trains one round of DPO, or two, on the SFT policy of each seed; one thing varies at a time."""
    out = settings.out.resolve()
    config = {"command": "self_play pairs", "config": to_row(DPO)}
    with RunFolder.open(out / "pairs", config, resume=True) as folder:
        done = {(row["seed"], row["method"]) for row in folder.rows("rounds")}
        for seed in settings.seeds:
            start = out / settings.version / "sft" / f"seed-{seed}" / "iteration-00"
            for name in settings.variants:
                if (seed, name) in done or not (start / "sft" / "model").exists():
                    continue
                model, count = _dpo(VARIANTS[name], start, out, seed)
                row = {"seed": seed, "method": name, "version": settings.version, "pairs": count}
                row |= measured(str(model), seed)
                folder.append("rounds", row)
                print(told(row), flush=True)
    table(TableSettings(out=out))


def _dpo(variant: Variant, start: Path, out: Path, seed: int) -> tuple[Path, int]:
    """Trains a variant; returns its policy and the pairs that it has learned from, in the last round."""
    place, sft = out / "pairs" / f"seed-{seed}", start / "sft" / "model"
    copy_tests(start.parent, place)
    stages = _searching(variant.rollouts, out, seed, place)
    by, name = (sft, "by-sft") if variant.by_sft else (model_path("tiny"), "by-start")
    data = start / "data"
    if variant.by_sft or variant.rollouts:
        data = stages.synthesize(Learned(str(by)), 0, place / f"{name}-{variant.rollouts}")
    part = "before-code" if variant.before_code else "all"
    first = place / f"dpo-{data.parent.name}-{data.name}-{part}"
    model, count = _round(sft, data, first, variant.before_code)
    if not variant.fixed:
        return model, count
    again = stages.synthesize(Learned(str(model), data=data), 1, place / "second")
    return _round(model, again, place / "dpo-second-fixed", variant.before_code, str(sft))


def _round(
    model: Path, data: Path, out: Path, before_code: bool, reference: str | None = None
) -> tuple[Path, int]:
    from o1coder_gym.agents.rl.dpo import train_dpo

    found = read_data(data)
    found = replace(found, pairs=_kept(found, before_code))
    trained = out / "model"
    if not trained.exists():
        options: dict[str, Any] = {"step_format": PSEUDOCODE, "resume": True, "reference": reference}
        trained = train_dpo(str(model), found, out, DPO, **options)
    return trained, len(found.of_split("train").pairs)


def _kept(data: ProcessData, before_code: bool) -> tuple[Any, ...]:
    """Returns the pairs, without those of which a side is a program if so asked."""
    if not before_code:
        return data.pairs
    return tuple(pair for pair in data.pairs if ActionType.CODE not in (pair.chosen.type, pair.rejected.type))


def _searching(rollouts: int, out: Path, seed: int, place: Path) -> RealStages:
    """Returns the stages of self-play with as many completions of each prefix."""
    config = read_config(out / "sft.toml", seed=seed)
    synthesis = replace(config.synthesis, rollouts=rollouts)
    return RealStages(replace(config, synthesis=synthesis), place)


if __name__ == "__main__":
    sys.exit(main_of(command(PairSettings, pairs, name="pairs")))
