"""Measures over the rows of a run beyond its table: pass@k, area under solved against tokens, FLOPs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from o1coder_gym.metrics import Estimate, area_under_curve, estimate_pass_at_k, generation_flops
from o1coder_gym.reporting.results import ResultRow, Setting, group, labels, seeds_by_problem, solved_share


@dataclass(frozen=True, slots=True)
class Measures:
    """Measures of one setting beyond the share solved.

    Attributes:
        name: Of the setting.
        pass_at: By k, the unbiased pass@k over the seeds of each problem; k up to the number of seeds.
        flops: Mean FLOPs a problem, of generated, prompt and scored tokens; None where the model's
            size is not known.
    """

    name: str
    pass_at: dict[int, Estimate]
    flops: float | None


def measures(rows: Iterable[ResultRow]) -> list[Measures]:
    """Measures every setting over the rows that count, in order of first appearance."""
    groups = group(row for row in rows if row.counted)
    names = labels(list(groups))
    return [Measures(names[setting], _pass_at(found), _flops(found)) for setting, found in groups.items()]


def areas(rows: Iterable[ResultRow]) -> dict[str, float]:
    """Returns the area under the share solved against the budget of tokens, for agents run at several.

    The mean share solved over the logarithm of the budget, in [0, 1]; see `metrics.area_under_curve`.
    """
    points: dict[Setting, list[tuple[float, float]]] = {}
    for setting, found in group(row for row in rows if row.counted).items():
        if setting.budget.tokens:
            # A series for each limit beside: of several, such as executions, none is the tokens' own axis.
            series = replace(setting, budget=replace(setting.budget, tokens=None))
            points.setdefault(series, []).append((setting.budget.tokens, solved_share(found).value))
    several = {series: found for series, found in points.items() if len(found) > 1}
    names = labels(list(several))
    return {names[series]: area_under_curve(found) for series, found in several.items()}


def measures_markdown(rows: Sequence[ResultRow]) -> str:
    """Writes the measures as sections of report.md."""
    found, curves = measures(rows), areas(rows)
    ks = sorted({k for one in found for k in one.pass_at})
    lines = ["", "## Pass@k and FLOPs", ""]
    lines.append("Samples are seeds; 95 % intervals over problems. FLOPs: 2 per weight and token.")
    lines += ["", f"| agent | {' | '.join(f'pass@{k}, %' for k in ks)} | TFLOPs a problem |"]
    lines.append("|" + " --- |" * (len(ks) + 2))
    for one in found:
        cells = [one.pass_at[k].percent() if k in one.pass_at else "" for k in ks]
        lines.append(f"| {one.name} | {' | '.join(cells)} | {_tera(one.flops)} |")
    if curves:
        lines += ["", "## Area under solved against tokens", ""]
        lines += ["Mean % solved over the logarithm of the budget: each doubling weighs the same.", ""]
        lines += ["| agent | area |", "| --- | --- |"]
        lines += [f"| {name} | {100 * area:.1f} |" for name, area in curves.items()]
    return "\n".join(lines) + "\n"


def _pass_at(rows: Sequence[ResultRow]) -> dict[int, Estimate]:
    pairs = [(len(solved), sum(solved)) for solved in seeds_by_problem(rows).values()]
    return {k: estimate_pass_at_k(pairs, k) for k in range(1, min(n for n, _ in pairs) + 1)}


def _flops(rows: Sequence[ResultRow]) -> float | None:
    known = [row for row in rows if row.parameters is not None]
    if not known:
        return None
    spent = (
        row.usage.flops or generation_flops(row.parameters or 0, row.usage.tokens + row.usage.prompt_tokens)
        for row in known
    )
    return sum(spent) / len(known)


def _tera(flops: float | None) -> str:
    return "not known" if flops is None else f"{flops / 1e12:.2f}"
