import re
from dataclasses import replace

import numpy as np
import pytest

from o1coder_gym.reporting.colours import UNKNOWN
from o1coder_gym.reporting.figures import (
    curves_figure,
    problems_figure,
    reliability_figure,
    spending_figure,
    write_figures,
)
from o1coder_gym.reporting.pages.charts import curves_chart, spending_chart
from o1coder_gym.reporting.pages.page import breakable, spec_words
from o1coder_gym.reporting.pages.report_page import report_page
from o1coder_gym.reporting.results import ResultRow
from o1coder_gym.reporting.run_report import Curve, CurvePoint, RunReport, make_report
from o1coder_gym.reporting.search_reliability import ScoredStep, search_reliability
from o1coder_gym.runs.budget import Budget
from o1coder_gym.types import Outcome, Usage

AGENTS = ("best_of_n_random", "greedy", "mcts:<b>width=4</b>")


def row(task: str, agent: str, outcome: Outcome | None, tokens: int) -> ResultRow:
    passed = 4 if outcome is Outcome.PASS else 1 if outcome else 0
    return ResultRow(
        task, agent, 0, outcome, passed, 4, 0.5, "x" if outcome else None, 2,
        Usage(tokens, calls=2, executions=1, seconds=1.0), problems="toy", budget=Budget(tokens=tokens),
    )  # fmt: skip


def report(budgets: tuple[int, ...] = (512, 1024)) -> RunReport:
    """p/0 is solved by all, p/1 by mcts, p/2 and p/3 by none; greedy has no program for p/3."""
    rows: list[ResultRow] = []
    for tokens in budgets:
        for place, agent in enumerate(AGENTS):
            solved = [True, place == 2, False, False]
            for number, right in enumerate(solved):
                outcome = Outcome.PASS if right else Outcome.RUNTIME_ERROR
                nothing = (place, number) == (1, 3)
                rows.append(row(f"p/{number}", agent, None if nothing else outcome, tokens))
    bins = search_reliability([ScoredStep("p/0", *pair) for pair in ((0.1, 0.0), (0.8, 1.0), (0.85, 0.5))])
    return make_report(rows, [("policy", "scripted:x & y")], bins, {"p/1": "trees/p-1.html"})


def test_the_page_needs_nothing_else():
    page = report_page(report())
    assert page.startswith("<!doctype html>")
    assert not re.search(r"(src=|url\(|@import|https?://)", page)
    assert set(re.findall(r'href="([^"]*)"', page)) == {"data:,", "trees/p-1.html"}
    assert "<b>width" not in page
    assert "mcts:&lt;b&gt;width=4&lt;/b&gt;" in page
    assert "scripted:x &amp; y" in page


def test_the_table_has_intervals_differences_and_a_group_per_budget():
    page = report_page(report())
    assert page.index("1,024 tokens per problem") < page.index("512 tokens per problem")
    assert "against best_of_n_random" in page
    assert 'title="50.0 % (15.0 to 85.0)"' in page  # Wilson for 2 of 4
    assert re.search(r"\+25\.0 <small>\(−3[78]\.\d to \+7[12]\.\d\)~</small>", page)
    assert page.count("too few to tell</small>") == 4  # greedy and mcts at two budgets, four problems
    assert "% power" not in page  # two problems that differ say nothing of how much results vary
    assert "tokens per problem</th>" not in report_page(report((512,)))


def test_the_grid_and_the_table_name_every_problem():
    page = report_page(report())
    assert page.count('aria-label="p/1: solved"') == 1
    assert 'title="p/3: no program" class="none"' in page
    assert re.findall(r'<tr data-group="(\w+)"><th scope="row">(?:<a[^>]*>)?(p/\d)', page) == [
        ("all", "p/0"),
        ("some", "p/1"),
        ("none", "p/2"),
        ("none", "p/3"),
    ]


@pytest.mark.parametrize("timed", [True, False])
def test_latency_is_a_column_where_it_was_measured(timed):
    page = report_page(make_report([replace(one, timed=timed) for one in report((512,)).rows]))
    assert ("latency, s</th>" in page) is timed
    assert page.count("<td>1.0</td><td>1.0</td></tr>") == len(AGENTS) * timed  # runs, latency


def test_agents_of_several_formats_are_told_apart():
    rows = [replace(one, format=form) for one in report((512,)).rows for form in ("vanilla", "pseudocode")]
    page = report_page(make_report(rows))
    for form in ("vanilla", "pseudocode"):
        assert f"greedy<small>{form}</small></th>" in page  # of the table
        assert f"greedy {form}</span>" in page  # of the grid
        assert f'title="greedy {form}"' in page  # of the problems


def test_reliability_only_where_a_scorer_was_asked():
    assert "expected calibration error, 3 steps" in report_page(report())
    assert "calibration" not in report_page(replace(report(), reliability=()))


def test_what_has_no_answer_is_said():
    rows = [*report().rows[:3], replace(report().rows[3], outcome=None, error="policy: <gone>")]
    assert "<code>p/3</code> · best_of_n_random: policy: &lt;gone&gt;" in report_page(make_report(rows))


def test_names_at_the_ends_of_curves_keep_apart():
    points = (CurvePoint(512, 0.5, (0.4, 0.6)), CurvePoint(1024, 0.5, (0.4, 0.6)))
    curves = [Curve(f"agent {i}", points) for i in range(9)]
    heights = [float(y) for y in re.findall(r'<text x="[\d.]+" y="([\d.]+)"><title>', curves_chart(curves))]
    assert len(heights) == 9
    assert all(
        below - above >= 17.9 for above, below in zip(sorted(heights), sorted(heights)[1:], strict=False)
    )


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_curves_at_the_edges(rate):
    chart = curves_chart([Curve("a", (CurvePoint(0, rate, (rate, rate)),))])
    assert "nan" not in chart
    assert "inf" not in chart


def test_tokens_left_unspent_are_no_merit():
    thrifty, busy = (
        CurvePoint(1024, 0.5, (0.4, 0.6), spent=96.0),
        CurvePoint(1024, 0.5, (0.4, 0.6), spent=1000.0),
    )
    chart = spending_chart([Curve("greedy", (thrifty,)), Curve("mcts", (busy,))])
    # both have the same dot; what differs is the bar: 96 / 1024 = 9.4 %, 1000 / 1024 = 97.7 %
    assert chart.count('<b style="left:50.0%">') == 2
    assert re.findall(r'"spent"><i style="width:([\d.]+)%"', chart) == ["9.4", "97.7"]
    assert "spent 96 of 1,024 tokens" in chart
    lines = curves_chart(
        [Curve("greedy", (replace(thrifty, tokens=512), thrifty)), Curve("mcts", (busy, busy))]
    )
    assert lines.count('class="hollow"') == 2
    assert "50.0 %, 9 % spent" in lines


def test_the_page_of_one_budget_has_no_line():
    page = report_page(report((512,)))
    assert "Solved within the budget" in page
    assert 'class="curves' not in page


def test_the_page_opens_and_filters(ask):
    answer = ask(
        report_page(report()),
        """
        const rows = ".tasks tbody tr:not([hidden])";
        const shown = () => [...document.querySelectorAll(rows)].map((row) => row.dataset.group);
        const all = shown();
        find("group").value = "none"; filter(); const none = shown();
        find("group").value = ""; find("query").value = "p/1"; filter();
        const before = document.documentElement.dataset.theme;
        document.querySelector("[data-theme-switch]").click();
        return {all: all.length, none, one: shown(), told: find("matches").textContent,
                turned: before !== document.documentElement.dataset.theme,
                wide: document.documentElement.scrollWidth <= innerWidth};
        """,
    )
    assert answer == {
        "all": 4, "none": ["none", "none"], "one": ["some"], "told": "1 of 4", "turned": True, "wide": True
    }  # fmt: skip


def test_figures_as_files(tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra plots")
    files = write_figures(report(), tmp_path / "figures")
    assert {file.name for file in files} == {
        f"{name}.{kind}"
        for name in ("solved_against_tokens", "problems", "reliability")
        for kind in ("png", "svg")
    }
    for file in files:
        start = file.read_bytes()[:5]
        assert start == (b"<?xml" if file.suffix == ".svg" else b"\x89PNG\r")
    assert "best_of_n_random" in (tmp_path / "figures/solved_against_tokens.svg").read_text()


def test_figures_say_what_their_bands_and_intervals_are():
    pytest.importorskip("matplotlib")
    found = report()
    (bands,) = curves_figure(found.curves).axes
    (spent,) = spending_figure(found.curves).axes
    (scores,) = reliability_figure(found.reliability).axes
    labels = [bands.get_ylabel(), spent.get_xlabel(), scores.get_ylabel()]
    assert [label.partition("with ")[2] for label in labels] == [
        "95 % bands",
        "95 % intervals",
        "95 % intervals",
    ]


def test_lines_on_the_axis_are_seen_whole():
    pytest.importorskip("matplotlib")
    (axes,) = curves_figure(report().curves).axes
    assert len(axes.lines) == len(AGENTS)
    spine = axes.spines["bottom"].get_zorder()
    assert all(not line.get_clip_on() and line.get_zorder() > spine for line in axes.lines)
    assert len({(line.get_linestyle(), str(vars(line)["_dash_pattern"])) for line in axes.lines}) == len(
        AGENTS
    )


@pytest.mark.parametrize("agents", [1, 2])
def test_a_run_that_the_judge_could_not_decide_has_a_page(tmp_path, agents):
    pytest.importorskip("matplotlib")
    rows = [
        replace(one, outcome=Outcome.INFRASTRUCTURE) for one in report().rows if one.agent in AGENTS[:agents]
    ]
    found = make_report(rows)
    page = report_page(found)
    assert "which the judge could not decide" in page
    assert "nan" not in re.sub(r"<style>.*?</style>|<script.*?</script>", "", page, flags=re.DOTALL)
    assert {file.stem for file in write_figures(found, tmp_path, ["svg"])} == {"problems"}


def test_the_grid_is_that_of_the_largest_budget():
    pytest.importorskip("matplotlib")
    budgets = {Outcome.RUNTIME_ERROR: Budget(512, executions=2), Outcome.PASS: Budget(512, executions=8)}
    rows = [replace(row("p/0", "mcts", outcome, 512), budget=one) for outcome, one in budgets.items()]
    cells = problems_figure(rows).axes[0].collections[0].get_array()
    assert cells is not None
    assert cells.tolist() == [[1.0]]
    page = report_page(make_report(rows))
    assert '<a title="p/0: solved"' in page or '<i title="p/0: solved"' in page
    assert page.index("512 tokens, 8 executions per") < page.index("512 tokens, 2 executions per")


def test_what_has_no_tests_is_neutral_and_named():
    bare = [replace(row("p/9", agent, Outcome.PASS, 512), passed=0, total=0) for agent in AGENTS]
    page = report_page(make_report([*report((512,)).rows, *bare], [], (), {}))
    assert "No hidden tests: 1 of 5 problems (p/9)." in page
    assert f'<span class="key"><i style="background:{UNKNOWN}"></i>no tests</span>' in page
    assert page.count(f'<i title="p/9: no tests" style="background:{UNKNOWN}"></i>') == len(AGENTS)
    assert page.count('<span class="soft">no tests</span>') == len(AGENTS)
    assert "0/0" not in page
    assert "no tests" not in report_page(report())


def test_figures_leave_what_has_no_tests_blank():
    bare = replace(row("p/9", "greedy", Outcome.RUNTIME_ERROR, 512), passed=0, total=0)
    axes = problems_figure([row("p/0", "greedy", Outcome.PASS, 512), bare]).axes[0]
    assert np.ma.getmaskarray(np.ma.asarray(axes.collections[0].get_array())).tolist() == [[False, True]]


def test_where_the_time_went_only_where_it_was_measured():
    assert "Where the time went" not in report_page(report())
    profile = {"mcts": {"wall": 10.0, "policy": 8.0, "model": 1.0, "driver": 0.5, "hidden_tests": 2.0}}
    page = report_page(replace(report(), profile=profile))
    assert "<td>10.0</td><td>80 %</td><td>10 %</td><td>0 %</td><td>5 %</td><td>0 %</td><td>20 %</td>" in page


def test_a_curve_that_was_capped_says_so():
    found = report()
    capped = tuple(replace(curve, capped=curve.name == "greedy") for curve in found.curves)
    assert "at a cap of their own" not in report_page(found)
    assert re.search(
        r"at a cap of their own, with budget left: [^.]*greedy", report_page(replace(found, curves=capped))
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mcts", "mcts"),
        ("mcts?c=2", "mcts<small>c=2</small>"),
        ("mcts hf:tiny", "mcts<small>hf:<wbr>tiny</small>"),
        ("mcts?c=2 hf:tiny vanilla", "mcts<small>c=2</small><small>hf:<wbr>tiny vanilla</small>"),
    ],
)
def test_a_name_has_its_arguments_and_its_policy_below(name, words):
    assert spec_words(name) == words


def test_names_break_between_arguments_and_in_no_entity():
    assert breakable("puct?width=3&c=1.4") == "puct?<wbr>width=3&amp;<wbr>c=1.4"
    assert breakable("select=by_scorer_product,c=1") == "select=<wbr>by_scorer_product,<wbr>c=1"
    assert breakable("a<b") == "a&lt;b"
