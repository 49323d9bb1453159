"""Writes training data as files, with a card that says what is in them and what was left out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from o1coder_gym.errors import O1CoderError
from o1coder_gym.problems.rows import SPLITS
from o1coder_gym.runs.files import json_lines
from o1coder_gym.tcg.training.dataset import Dataset

_CARD = """\
# Training data for the test case generator

Made by `o1coder tcg data` from {sources}.
A row of `sft-*.jsonl` asks for {cases} test cases of one problem{mode} and answers with cases that its
solution passes. A row of `dpo-*.jsonl` has the same answer as `chosen`; in `rejected` {rejected}.
Both were run. All rows of a problem are in one split.

| file | rows | problems |
|---|---|---|
{files}

| left out | count |
|---|---|
{drops}

Settings: {settings}

The licences of the problem sets apply to the rows made from them.
"""


def write_dataset(folder: Path, dataset: Dataset, sources: Sequence[str]) -> list[Path]:
    """Writes ``{sft,dpo}-{train,validation}.jsonl`` and ``README.md``.

    Args:
        folder: Created with its parents; files of the same names are replaced.
        dataset: The data set to write.
        sources: Names of the problem sets, for the card.

    Returns:
        The files written, the card last.

    Raises:
        OSError: When a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written, table = [], []
    for kind, rows in (("sft", dataset.sft), ("dpo", dataset.dpo)):
        for split in SPLITS:
            chosen = [row for row in rows if row["split"] == split]
            path = folder / f"{kind}-{split}.jsonl"
            path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in chosen))
            written.append(path)
            table.append(f"| {path.name} | {len(chosen)} | {len({row['task_id'] for row in chosen})} |")
    card = folder / "README.md"
    card.write_text(
        _CARD.format(
            sources=", ".join(sources),
            cases=dataset.settings.cases,
            mode=" beside one of its solutions" if dataset.settings.with_code else "",
            rejected=dataset.rejected,
            files="\n".join(table),
            drops=_drop_table(dataset.drops),
            settings=json.dumps(asdict(dataset.settings)),
        )
    )
    return [*written, card]


def read_split(folder: Path, kind: str, split: str) -> list[dict[str, Any]]:
    """Reads the rows that `write_dataset` wrote.

    Args:
        folder: Where they are.
        kind: ``"sft"`` or ``"dpo"``.
        split: One of `SPLITS`.

    Raises:
        O1CoderError: When the file is missing or is not JSONL.
    """
    path = folder / f"{kind}-{split}.jsonl"
    try:
        return [json.loads(line) for line in json_lines(path)]
    except FileNotFoundError as error:
        raise O1CoderError(f"{path} is missing; make it with: o1coder tcg data --out {folder}") from error
    except ValueError as error:
        raise O1CoderError(f"{path}: not JSONL: {error}") from error


def _drop_table(drops: Counter[str]) -> str:
    lines = [f"| {reason} | {count} |" for reason, count in sorted(drops.items()) if count]
    return "\n".join(lines) or "| nothing | 0 |"
