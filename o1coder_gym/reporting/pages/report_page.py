"""The report of a run as one HTML file: table, curves, grid of problems, reliability, links to trees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from o1coder_gym import __version__
from o1coder_gym.metrics import calibration_error
from o1coder_gym.metrics.estimates import ROUGH, ROUGH_LEGEND
from o1coder_gym.reporting.colours import UNKNOWN, series_places, value_colour
from o1coder_gym.reporting.comparison import Comparison, power_words
from o1coder_gym.reporting.pages.charts import (
    curves_chart,
    interval_bar,
    reliability_chart,
    series_class,
    spending_chart,
)
from o1coder_gym.reporting.pages.page import breakable, html_page, spec_words
from o1coder_gym.reporting.results import (
    AgentSummary,
    ResultRow,
    Setting,
    budget_words,
    failed_note,
    group,
    missing_note,
    overdrawn_note,
    share_of_tests,
    share_words,
    untested_note,
)
from o1coder_gym.reporting.run_report import RunReport, agent_names
from o1coder_gym.specs import name_of

BIBTEX = f"""@software{{o1coder_gym,
  title = {{o1coder-gym}},
  author = {{{{The o1coder-gym developers}}}},
  version = {{{__version__}}},
  year = {{2026}}
}}
@article{{zhang2024o1coder,
  title = {{O1-CODER: an O1 Replication for Coding}},
  author = {{Zhang, Yuxiang and Wu, Shangxi and Yang, Yuqi and Shu, Jiangming and Xiao, Jinlin and
    Kong, Chao and Sang, Jitao}},
  journal = {{arXiv preprint arXiv:2412.00154}},
  year = {{2024}}
}}"""
"""What a report asks its readers to cite."""

BAND = 100
"""Problems in one band of the grid."""

_HEADINGS: tuple[str, ...] = (
    "agent",
    "solved",
    "%, 95 % interval",
    "",
    "tests",
    "programs",
    "tokens",
    "spent",
    "calls",
    "runs",
    "latency, s",
)


_PARTS = {
    "policy": "policy",
    "model": "judge",
    "scorer": "scorer",
    "driver": "driver",
    "waiting": "waiting",
    "hidden_tests": "hidden tests",
}
"""Columns of the table of times, by the part's name in the run folder."""


def report_page(report: RunReport) -> str:
    """Returns the report as an HTML file that opens without server or network."""
    parts = (_head, _results, _curves, _reliability, _problems, _profile, _notes)
    return html_page(
        report.title,
        f"<main>{''.join(part(report) for part in parts)}</main>",
        styles=("base.css", "report.css"),
        scripts=("theme.js", "report.js"),
        data={},
    )


def _head(report: RunReport) -> str:
    facts = "".join(
        f"<div><dt>{escape(word)}</dt><dd>{escape(value)}</dd></div>" for word, value in report.facts
    )
    return (
        f'<header><div><span class="kicker">{escape(report.kind)}</span><h1>{escape(report.title)}</h1></div>'
        '<button data-theme-switch title="Light or dark" aria-label="Light or dark">◐</button>'
        f"<dl>{facts}</dl></header>"
    )


def _results(report: RunReport) -> str:
    timed = any(summary.timed for summary in report.summaries)
    heading = list(_HEADINGS if timed else _HEADINGS[:-1])
    heading[3] = f"against {name_of(report.baseline)}" if report.baseline else ""
    head = "".join(f"<th>{escape(word)}</th>" for word in heading)
    places, names = _places(report), _names(report)
    budgets = dict.fromkeys(summary.setting.budget for summary in report.summaries)
    keys = [_agent_key(summary.setting) for summary in report.summaries]
    bodies = []
    for budget in sorted(budgets, key=lambda budget: budget.size, reverse=True):
        rows = [
            _result(summary, names[key], difference, places[key], timed=timed)
            for key, summary, difference in zip(keys, report.summaries, report.differences, strict=True)
            if summary.setting.budget == budget
        ]
        title = (
            f'<tr class="budget"><th colspan="{len(heading)}">{budget_words(budget)} per problem</th></tr>'
        )
        bodies.append(f"<tbody>{title if len(budgets) > 1 else ''}{''.join(rows)}</tbody>")
    legend = (
        "Solved: runs that passed every hidden test; agents see public tests only. %: of the problems, "
        "seeds averaged, with the 95 % interval over problems. Tests: hidden tests passed. Costs are means "
        "per run; spent is the share of the budget, latency the time from a problem's start to its answer. "
        "Differences: percentage points, paired by problem, 95 %; "
        "one is shown where the interval leaves out 0 and an exact permutation test, corrected for the "
        f"number of agents, says so too.{_power(report)}"
    )
    if any(summary.share.rough for summary in report.summaries):
        legend += f" {ROUGH_LEGEND}."
    return (
        f'<section><h2>Results</h2><div class="scroll"><table class="results"><thead><tr>{head}</tr></thead>'
        f'{"".join(bodies)}</table></div><p class="note">{legend}</p>{_untested(report)}</section>'
    )


def _power(report: RunReport) -> str:
    """Describes the difference that the comparisons could have shown."""
    told = power_words(compared for compared in report.differences if compared is not None)
    return f" {told[0].upper()}{told[1:]}." if told else ""


def _untested(report: RunReport) -> str:
    found = untested_note(report.rows), missing_note(report.rows), overdrawn_note(report.rows)
    notes = filter(None, (*found, failed_note(report.summaries)))
    return "".join(f'<p class="note"><strong>{escape(note)}</strong></p>' for note in notes)


def _result(
    summary: AgentSummary, name: str, difference: Comparison | None, place: int, *, timed: bool
) -> str:
    total, usage, mean = summary.total, summary.usage, summary.mean
    rough = ROUGH if summary.share.rough else ""
    bar = interval_bar(summary.rate, summary.interval)
    cells = [
        f'<th scope="row">{_chip(place)}{spec_words(name)}</th>',
        f"<td>{summary.solved}/{total}{_failed(summary)}</td>",
        f'<td class="wide"><strong>{100 * summary.rate:.1f}{rough}</strong>{bar}</td>'
        if total
        else "<td>–</td>",
        f"<td>{_difference(difference)}</td>",
        "<td>–</td>" if math.isnan(summary.tests_passed) else f"<td>{100 * summary.tests_passed:.0f} %</td>",
        f"<td>{summary.committed}/{total}</td>",
        f"<td>{mean(usage.tokens):,.0f}</td>",
        f"<td>{share_words(summary.spent)}</td>",
        f"<td>{mean(usage.calls):,.1f}</td>",
        f"<td>{mean(usage.executions):,.1f}</td>",
        f"<td>{mean(usage.seconds):,.1f}</td>" if summary.timed else "<td></td>" * timed,
    ]
    return f'<tr class="series" data-series="{place}">{"".join(cells)}</tr>'


def _failed(summary: AgentSummary) -> str:
    return f'<br><small class="fail">{summary.failed} failed</small>' if summary.failed else ""


def _difference(compared: Comparison | None) -> str:
    if compared is None:
        return ""
    gap, told = compared.difference, escape(compared.evidence, quote=True)
    mean, low, high = (100 * number for number in (gap.mean, gap.low, gap.high))
    numbers = f"{mean:+.1f} <small>({low:+.1f} to {high:+.1f}){ROUGH if gap.rough else ''}</small>".replace(
        "-", "−"
    )  # one digit: −0.1 is not 0
    if not compared.shown:
        conclusion = f"<br><small>{compared.conclusion}</small>"
        return f'<span class="soft" title="{told}">{numbers}{conclusion}</span>'
    return f'<span class="{"pass" if mean > 0 else "fail"}" title="{told}">{numbers}</span>'


def _curves(report: RunReport) -> str:
    if not report.curves:
        return ""
    if report.swept:
        title, kind, chart = "Solved against the budget", "curves scroll", curves_chart(report.curves)
        told = (
            "Bands are 95 % intervals. Smaller budgets are read off the run with the largest. A hollow point "
            "left more than a tenth of its budget unspent."
        )
    else:
        title, kind, chart = "Solved within the budget", "", spending_chart(report.curves)
        told = (
            "Dots: problems solved, with 95 % intervals. Bars: tokens spent of those allowed, means per "
            "problem. Tokens left unspent are no merit: all agents were given the same."
        )
    if capped := [breakable(curve.name) for curve in report.curves if curve.capped]:
        told += f" Ended by themselves, at a cap of their own, with budget left: {', '.join(capped)}."
    return (
        f'<section><h2>{title}</h2><figure class="{kind}">{chart}'
        f'<figcaption class="note">{told}</figcaption></figure></section>'
    )


def _problems(report: RunReport) -> str:
    """The grid at the largest budget, and under it a row per problem."""
    settings = _largest(report)
    cells: dict[tuple[str, Setting], list[ResultRow]] = {}
    for setting, rows in group(report.rows).items():
        if setting in settings:
            by_task: dict[str, list[ResultRow]] = {}
            for row in rows:
                by_task.setdefault(row.task_id, []).append(row)
            cells |= {(task, setting): found for task, found in by_task.items()}
    tasks = list(dict.fromkeys(row.task_id for row in report.rows))
    ease = {task: sum(_share(cells.get((task, setting), [])) for setting in settings) for task in tasks}
    tasks.sort(key=lambda task: -ease[task])
    bands = [
        _band(report, tasks[start : start + BAND], settings, cells) for start in range(0, len(tasks), BAND)
    ]
    table = _problem_table(report, tasks, settings, cells)
    return (
        '<section class="problems"><h2>Problems</h2><p class="note">'
        "A column is a problem, from those that most agents solve to those that none does.</p>"
        f'<p class="note">{_grid_key(report)}</p>{"".join(bands)}{table}</section>'
    )


def _grid_key(report: RunReport) -> str:
    keys = [
        (value_colour(1.0), "solved"),
        (value_colour(0.5), "half of the hidden tests"),
        (value_colour(0.0), "none of them"),
    ]
    if any(row.untested for row in report.rows):
        keys.append((UNKNOWN, "no tests"))
    parts = [f'<span class="key"><i style="background:{colour}"></i>{word}</span>' for colour, word in keys]
    parts.append('<span class="key"><i class="none"></i>no program</span>')
    return "".join(parts)


def _band(
    report: RunReport,
    tasks: Sequence[str],
    settings: Sequence[Setting],
    cells: dict[tuple[str, Setting], list[ResultRow]],
) -> str:
    places, names = _places(report), _names(report)
    lines = []
    for setting in settings:
        place, name = places[_agent_key(setting)], names[_agent_key(setting)]
        marks = "".join(_mark(report, task, cells.get((task, setting), [])) for task in tasks)
        lines.append(
            f'<div class="line series" data-series="{place}">'
            f'<span title="{escape(name, quote=True)}">{_chip(place)}{escape(name)}</span>'
            f"<div>{marks}</div></div>"
        )
    return f'<div class="band" style="--columns:{len(tasks)}">{"".join(lines)}</div>'


def _mark(report: RunReport, task: str, rows: Sequence[ResultRow]) -> str:
    told = escape(f"{task}: {_told(rows)}", quote=True)
    share = share_of_tests(rows)
    colour = value_colour(None if math.isnan(share) else share)
    style = "" if _blank(rows) else f' style="background:{colour}"'
    kind = ' class="none"' if _blank(rows) else ' class="solved"' if _share(rows) == 1.0 else ""
    page = report.pages.get(task)
    if page is None:
        return f'<i title="{told}"{kind}{style}></i>'
    return f'<a href="{escape(page, quote=True)}" title="{told}" aria-label="{told}"{kind}{style}></a>'


def _problem_table(
    report: RunReport,
    tasks: Sequence[str],
    settings: Sequence[Setting],
    cells: dict[tuple[str, Setting], list[ResultRow]],
) -> str:
    places, names = _places(report), _names(report)
    keys = map(_agent_key, settings)
    head = "".join(f'<th title="{escape(names[key], quote=True)}">{_chip(places[key])}</th>' for key in keys)
    lines = []
    for task in tasks:
        shares = [_share(cells.get((task, setting), [])) for setting in settings]
        group = "all" if min(shares) == 1 else "none" if max(shares) == 0 else "some"
        page = report.pages.get(task)
        name = f'<a href="{escape(page, quote=True)}">{escape(task)}</a>' if page else escape(task)
        found = "".join(f"<td>{_cell(cells.get((task, setting), []))}</td>" for setting in settings)
        lines.append(f'<tr data-group="{group}"><th scope="row">{name}</th>{found}</tr>')
    controls = (
        '<div class="controls"><label>Show <select id="group"><option value="">all problems</option>'
        '<option value="some">solved by some agents</option><option value="none">solved by none</option>'
        '<option value="all">solved by all</option></select></label>'
        '<label>Find <input type="search" id="query" placeholder="problem"></label>'
        '<span class="soft" id="matches" role="status"></span></div>'
    )
    return (
        f'{controls}<div class="scroll"><table class="tasks"><thead><tr><th>problem</th>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _cell(rows: Sequence[ResultRow]) -> str:
    if not rows:
        return ""
    if _share(rows) == 1.0:
        return '<span class="pass">✓</span>'
    if len(rows) > 1:
        return f'<span class="soft">{sum(row.solved for row in rows)} of {len(rows)} seeds</span>'
    (row,) = rows
    if row.error:
        return f'<span class="fail" title="{escape(row.error, quote=True)}">error</span>'
    if row.outcome is None:
        return f'<span class="soft">{row.missing}</span>'
    count = "" if row.untested else f" {row.passed}/{row.total}"
    return f'<span class="soft">{row.outcome.replace("_", " ")}</span>{count}'


def _reliability(report: RunReport) -> str:
    if not report.reliability:
        return ""
    bins = report.reliability
    steps = sum(one.count for one in bins)
    return (
        '<section><h2>Reliability of the step scorer</h2><div class="beside">'
        f"<figure>{reliability_chart(bins)}</figure><div>"
        f'<p class="big">{calibration_error(bins):.3f}</p>'
        f'<p class="soft">expected calibration error, {steps:,} steps</p>'
        "<p>A dot is the steps whose score lies in one tenth of the range: their mean score, and the mean "
        "value, on the tests of the search, of the programs found below them. On the diagonal a score means "
        "what it says. Search goes where scores are high, so they are no fair sample.</p>"
        "</div></div></section>"
    )


def _profile(report: RunReport) -> str:
    """Where the time went, in shares of each agent's wall time."""
    if not report.profile:
        return ""
    head = "".join(f"<th>{word}</th>" for word in ("agent", "wall, s", *_PARTS.values()))
    lines = []
    for agent, seconds in report.profile.items():
        wall = seconds.get("wall", 0.0)
        shares = (f"<td>{100 * seconds.get(part, 0.0) / max(wall, 1e-9):.0f} %</td>" for part in _PARTS)
        lines.append(
            f'<tr><th scope="row">{spec_words(agent)}</th><td>{wall:,.1f}</td>{"".join(shares)}</tr>'
        )
    told = (
        "Shares of the wall time of each agent. Policy, judge and scorer work at the same time, and calls of "
        "a policy overlap, so that they may add up to more than all of it; driver and waiting are the rest. "
        "The hidden tests come on top."
    )
    return (
        f'<section><h2>Where the time went</h2><div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f'<tbody>{"".join(lines)}</tbody></table></div><p class="note">{told}</p></section>'
    )


def _notes(report: RunReport) -> str:
    failed = [row for row in report.rows if row.error]
    items = (
        f"<li><code>{escape(row.task_id)}</code> · {escape(row.agent)}: {escape(row.error)}</li>"
        for row in failed
    )
    missing = f"<h2>Without an answer</h2><ul>{''.join(items)}</ul>" if failed else ""
    told = (
        "Hidden tests decide, and are asked once per program. Budgets count what is generated and judged, "
        "answers from caches included."
    )
    made = f"<p>Made by</p><pre>{escape(report.command)}</pre>" if report.command else ""
    return (
        f'<section>{missing}<p class="note">{told}</p><footer class="note">{made}'
        f"<p>To cite</p><pre>{escape(BIBTEX)}</pre></footer></section>"
    )


def _agent_key(setting: Setting) -> tuple[str, ...]:
    return setting.agent, setting.problems, setting.policy, setting.format


def _names(report: RunReport) -> dict[tuple[str, ...], str]:
    """Returns the name of each agent, as in the curves: with its policy or format where there are several."""
    return {_agent_key(setting): name for setting, name in agent_names(report.summaries).items()}


def _places(report: RunReport) -> dict[tuple[str, ...], int]:
    """Returns the place of each agent, as in the curves; budgets of one agent share it."""
    names = _names(report)
    places = series_places(names.values())
    return {key: places[name] for key, name in names.items()}


def _chip(place: int) -> str:
    return f'<i class="chip {series_class(place)}">{place + 1}</i>'


def _largest(report: RunReport) -> list[Setting]:
    """Returns of each agent the setting with the largest budget."""
    found: dict[tuple[str, ...], Setting] = {}
    for summary in report.summaries:
        setting = summary.setting
        best = found.get(_agent_key(setting))
        if best is None or setting.budget.size > best.budget.size:
            found[_agent_key(setting)] = setting
    return list(found.values())


def _share(rows: Sequence[ResultRow]) -> float:
    counted = [row.solved for row in rows if row.counted]
    return sum(counted) / len(counted) if counted else 0.0


def _blank(rows: Sequence[ResultRow]) -> bool:
    return all(row.outcome is None for row in rows)


def _told(rows: Sequence[ResultRow]) -> str:
    if not rows:
        return "not run"
    if len(rows) > 1:
        return f"solved with {sum(row.solved for row in rows)} of {len(rows)} seeds"
    (row,) = rows
    if row.outcome is None:
        return row.error or row.missing
    if row.solved:
        return "solved"
    words = row.outcome.replace("_", " ")
    return words if row.untested else f"{words}, {row.passed} of {row.total} hidden tests"
