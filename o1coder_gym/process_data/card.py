"""The card of a data set: what is in it, how it was labelled, what was left out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from o1coder_gym.problems.rows import SPLITS
from o1coder_gym.process_data.dataset import ProcessData
from o1coder_gym.process_data.labels import ANY_OF
from o1coder_gym.process_data.rows import PrefixRow

_CARD = """\
# Process data

Made by `o1coder synthesize`: what {searches} found on {problems} problems, in the step format `{format}`.
Every prefix of every search has v = W / N, its visits N, a soft label and a hard label.{completed}
All rows of a problem are in one split; equal prefixes are merged.

- Soft label: v.
- Hard label: {hard}.
- Pairs: siblings whose values differ by at least {margin:g}, each with at least {visits} visits by the same
  policy.
- Paths: whole solutions whose program passed all tests of the search, and passed them again in a fresh run.

| split | problems | prefixes | paths | problems with a path | pairs |
|---|---|---|---|---|---|
{counts}

| step | prefixes | mean v | hard label 1 | mean visits |
|---|---|---|---|---|
{depths}

| v | prefixes |
|---|---|
{values}

| left out | count |
|---|---|
{drops}

Sources:

```json
{sources}
```

The licences of the problem sets apply to the rows made from them.
"""


def card(data: ProcessData) -> str:
    """Returns the card as Markdown."""
    rule = data.label_rule
    anew = sum(row.completed for row in data.prefixes)
    by_value = f"1 iff v ≥ {rule.threshold:g}"
    by_any = f"1 iff some program found below it passes all tests, and at least one in {ANY_OF}"
    by_any += f"; where none was found, {by_value}"
    return _CARD.format(
        searches=f"{len(data.sources)} {'run' if len(data.sources) == 1 else 'runs'}",
        problems=len(data.problems),
        format=data.format,
        completed=f" Of {anew} prefixes v is the mean of N completions by the policy." if anew else "",
        hard=by_any if rule.hard == "any" else by_value,
        margin=data.pair_rule.margin,
        visits=data.pair_rule.visits,
        counts="\n".join(_counts(data, split) for split in SPLITS),
        depths="\n".join(_depths(data.prefixes)) or "| – | 0 | – | – | – |",
        values="\n".join(_values(data.prefixes)),
        drops="\n".join(_drops(data)),
        sources=json.dumps({name: _brief(source) for name, source in data.sources.items()}, indent=2),
    )


def _brief(source: Any) -> Any:
    """Returns a source without its list of problems, which is in ``dataset.json``."""
    if not isinstance(source, Mapping) or not isinstance(config := source.get("config"), Mapping):
        return source
    return {**source, "config": {key: value for key, value in config.items() if key != "task_ids"}}


def _counts(data: ProcessData, split: str) -> str:
    part = data.of_split(split)
    solved = len({path.state.problem_id for path in part.paths})
    sizes = (len(part.problems), len(part.prefixes), len(part.paths), solved, len(part.pairs))
    return f"| {split} | " + " | ".join(map(str, sizes)) + " |"


def _depths(rows: Sequence[PrefixRow]) -> Iterable[str]:
    for depth in sorted({row.state.depth for row in rows}):
        found = [row for row in rows if row.state.depth == depth]
        means = (fmean(row.value for row in found), fmean(row.hard for row in found))
        visits = fmean(row.visits for row in found)
        yield f"| {depth} | {len(found)} | {means[0]:.3f} | {means[1]:.1%} | {visits:.1f} |"


def _values(rows: Sequence[PrefixRow]) -> Iterable[str]:
    bins = Counter("0" if row.value == 0 else "1" if row.value == 1 else "between" for row in rows)
    return (f"| {name} | {bins[name]} |" for name in ("0", "between", "1"))


def _drops(data: ProcessData) -> Sequence[str]:
    return [f"| {reason} | {count} |" for reason, count in sorted(data.drops.items()) if count] or [
        "| nothing | 0 |"
    ]
