"""What is compared with what, by folder, agent and budget; and the table of it."""

import io
import re
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from rich.console import Console

from o1coder_gym.cli.search.compare import CompareSettings, compare
from o1coder_gym.errors import UsageError
from o1coder_gym.reporting.results import RESULTS, ResultRow
from o1coder_gym.reporting.tables.comparison_table import LEGEND, change_lines, comparison_table
from o1coder_gym.reporting.tables.places import Pair, compare_places, read_place
from o1coder_gym.reporting.tables.run_tables import comparison_grid
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.types import Outcome, Usage

TASKS = 12


def rows(agent: str, limit: int, solved: set[int], seed: int = 0) -> list[ResultRow]:
    return [
        ResultRow(
            f"p/{task}",
            agent,
            seed,
            Outcome.PASS if task in solved else Outcome.WRONG_ANSWER,
            int(task in solved),
            1,
            0.0,
            "",
            1,
            Usage(tokens=limit),
            problems="toy",
            budget=Budget(tokens=limit),
        )
        for task in range(TASKS)
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """greedy solves nothing; mcts all at 1,024 tokens and p/0 at 512."""
    path = tmp_path_factory.mktemp("runs") / "sweep@home"
    found = [
        *rows("greedy", 512, set()),
        *rows("greedy", 1024, {1}),
        *rows("mcts:width=4,simulations=16", 512, {0}),
        *rows("mcts:width=4,simulations=16", 1024, {*range(TASKS)} - {1}),
    ]
    with RunFolder.open(path, {}) as folder:
        folder.append(RESULTS, *(row.to_row() for row in found))
    return path


@pytest.mark.parametrize(
    ("place", "count"),
    [
        ("", 4 * TASKS),
        ("#mcts", 2 * TASKS),
        ("#mcts:width=4,simulations=16", 2 * TASKS),
        ("@1024", 2 * TASKS),
        ("#greedy@1,024", TASKS),
    ],
)
def test_a_place_is_a_folder_an_agent_a_budget(run: Path, place: str, count: int) -> None:
    assert len(read_place(f"{run}{place}").rows) == count


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("#puct", "no rows of an agent 'puct'; there are: greedy, mcts"),
        ("@64", "no rows with a budget of 64"),
    ],
)
def test_what_is_not_there_is_said(run: Path, place: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        read_place(f"{run}{place}")


def test_one_place_is_compared_with_its_baseline_by_budget(run: Path) -> None:
    half, whole = compare_places([read_place(f"{run}")], "greedy")
    assert [(half.name, half.against, half.budget), whole.budget] == [
        ("mcts:width=4,simulations=16", "greedy", "512 tokens"),
        "1,024 tokens",
    ]
    assert (half.changes.gained, half.changes.lost) == (("p/0",), ())
    assert (len(whole.changes.gained), whole.changes.lost) == (TASKS - 1, ("p/1",))


def test_several_places_are_compared_with_the_first(run: Path) -> None:
    names = [f"{run}#mcts@1024", f"{run}#mcts@512", f"{run}#greedy@512"]
    pairs = compare_places([read_place(name) for name in names], "greedy")
    assert [(pair.name, pair.against) for pair in pairs] == [(names[1], names[0]), (names[2], names[0])]
    # 10 and 11 of 12 differ, always the same way: p = 2 / 2^10 and 2 / 2^11, the smaller one doubled (Holm)
    assert [pair.comparison.p for pair in pairs] == pytest.approx([2 / 2**10, 2 / 2**11])
    assert [pair.comparison.p_corrected for pair in pairs] == pytest.approx([2 / 2**10, 2 / 2**10])
    assert [row["conclusion"] for row in comparison_grid([pair.comparison for pair in pairs]).rows] == [
        f"{names[0]} solves more"
    ] * 2


def test_the_tests_of_two_places_are_corrected_within_a_budget(tmp_path: Path) -> None:
    for name, solved in (("worse", set()), ("better", {*range(8)})):
        with RunFolder.open(tmp_path / name, {}) as folder:
            for limit, agent in product((512, 1024), ("a", "b", "oracle")):
                folder.append(RESULTS, *(row.to_row() for row in rows(agent, limit, solved)))
    pairs = compare_places([read_place(f"{tmp_path}/{name}") for name in ("worse", "better")], "greedy")
    # 8 of 12 differ, all one way: p = 2 / 2^8. The agents of a budget are a family, without the oracle.
    assert {pair.comparison.p for pair in pairs} == {2 / 2**8}
    assert [pair.comparison.p_corrected * 2**8 for pair in pairs] == [4, 4, 2, 4, 4, 2]


def test_one_agent_on_each_side_is_compared_at_every_common_budget(run: Path) -> None:
    greedy, mcts = f"{run}#greedy", f"{run}#mcts"
    pairs = compare_places([read_place(greedy), read_place(mcts)], "greedy")
    assert [(pair.name, pair.against, pair.budget) for pair in pairs] == [
        (mcts, greedy, "512 tokens"),
        (mcts, greedy, "1,024 tokens"),
    ]
    assert [len(pair.changes.gained) for pair in pairs] == [1, TASKS - 1]
    assert pairs[0].comparison.a == f"{mcts} @ 512 tokens"


@pytest.fixture(scope="module")
def suites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of two problem sets in two formats, by two agents, and of a part of that."""
    path = tmp_path_factory.mktemp("suites")
    settings = {
        "old": product(("easy", "hard"), ("pseudocode", "vanilla"), ("mcts", "puct")),
        "new": product(("data/easy", "hard", "more"), ("pseudocode", "vanilla"), ("mcts", "puct")),
        "part": [("hard", "functions", "mcts")],
        "other": [("more", "vanilla", "mcts"), ("even more", "vanilla", "mcts")],
    }
    for name, found in settings.items():
        with RunFolder.open(path / name, {}) as folder:
            for problems, format, agent in found:
                made = rows(agent, 64, {0} if format == "vanilla" else set())
                made = [replace(row, problems=problems, format=format, policy="hf:x") for row in made]
                folder.append(RESULTS, *(row.to_row() for row in made))
    return path


def test_like_is_compared_with_like(suites: Path) -> None:
    old, new, part = (read_place(f"{suites}/{name}") for name in ("old", "new", "part"))
    pairs = compare_places([old, new], "greedy")
    assert len({pair.name for pair in pairs}) == len(pairs) == 8
    assert {pair.comparison.differing for pair in pairs} == {0}
    name, against = pairs[0].name, pairs[0].against
    assert name == f"{new.name}#mcts data/easy pseudocode"
    assert against == f"{old.name} easy pseudocode"
    # a format that the other has not is compared with those that it has, on the problems of both
    assert [pair.name for pair in compare_places([part, old], "greedy")] == [
        f"{old.name}#mcts hard pseudocode",
        f"{old.name}#mcts hard vanilla",
    ]


def test_problems_that_were_edited_between_two_runs_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, digest in {"old": "a", "same": "a", "new": "b"}.items():
        with RunFolder.open(
            tmp_path / name, {"files": {f"{name}/toy": digest, "tests.jsonl": name}}
        ) as folder:
            folder.append(RESULTS, *(row.to_row() for row in rows("mcts", 64, {0})))
    compare(CompareSettings(a=f"{tmp_path}/old", b=f"{tmp_path}/new", others=(f"{tmp_path}/same",)))
    told = capsys.readouterr().err
    assert told.count("toy was another file in") == told.count("another file") == 1
    assert f"in {tmp_path}/new than in {tmp_path}/old" in told


def test_other_problems_are_told(suites: Path) -> None:
    places = [read_place(f"{suites}/{name}") for name in ("old", "other")]
    with pytest.raises(UsageError, match=r"other and .*old have no problem in common"):
        compare_places(places, "greedy")


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        (  # one agent each: the smallest budgets
            ("#mcts", "#greedy"),
            "RUN#mcts has mcts:width=4 at 64 · 1,024 tokens; RUN#greedy has greedy at 512 · 2,048 "
            "tokens; name one of each: RUN#mcts@64 RUN#greedy@512",
        ),
        (
            ("@1024", "#greedy"),
            "RUN@1024 has mcts:width=4 at 1,024 tokens, beam at 1,024 tokens; RUN#greedy has greedy at "
            "512 · 2,048 tokens; name one of each: RUN#mcts:width=4@1024 RUN#greedy@512",
        ),
    ],
)
def test_where_nothing_is_in_common_each_side_is_told(
    tmp_path: Path, ends: tuple[str, str], told: str
) -> None:
    sizes = {"mcts:width=4": (64, 1024), "greedy": (512, 2048), "beam": (1024,)}
    with RunFolder.open(tmp_path / "run", {}) as folder:
        for agent, limits in sizes.items():
            folder.append(RESULTS, *(row.to_row() for limit in limits for row in rows(agent, limit, set())))
    places = [read_place(f"{tmp_path / 'run'}{end}") for end in ends]
    with pytest.raises(UsageError) as error:
        compare_places(places, "greedy")
    assert str(error.value).replace(str(tmp_path / "run"), "RUN") == told


def pairs_of(run: Path) -> list[Pair]:
    return compare_places([read_place(f"{run}")], "greedy")


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_the_terminal(run: Path, width: int) -> None:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(comparison_table(pairs_of(run), width))
    shown = console.export_text().splitlines()
    assert max(map(len, shown)) <= width
    assert (
        any(line.split()[:4] == ["mcts:width=4,simulations=16", "+", "92", "8"] for line in shown)
        or width == 80
    )
    assert "simulations=16" in " ".join(shown)
    whole = [line.rstrip() for line in shown]
    assert all(line in whole for line in LEGEND.splitlines())  # not folded to the width of the table


def test_a_part_whose_names_say_the_budget_has_no_heading(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.parent)  # a long path would be folded
    places = [read_place(f"{run.name}#{end}") for end in ("mcts@1024", "greedy@512", "greedy")]
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(comparison_table(compare_places(places, "greedy"), 120))
    shown = [line.strip() for line in console.export_text().splitlines()]
    (rule,) = [place for place, line in enumerate(shown) if line.startswith("───")]
    assert "#greedy@512" in shown[rule + 1]


def test_changed_problems_are_named_whole(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    compare(CompareSettings(a=f"{run}#mcts@1024", b=f"{run}#mcts@512", changed=True))
    gained = [line for line in capsys.readouterr().out.splitlines() if re.search(r"\bp/\d", line)]
    assert len(gained) > 1
    assert max(map(len, gained)) <= 40
    assert all(name.strip("+− ").startswith("p/") for line in gained for name in line.rstrip(",").split(","))


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        (("@1024",), ["mcts<small>", "against greedy", "+83.3"]),  # 11 of 12 more and one less
        (("#mcts@1024", "#mcts@512"), ["#mcts@512</th>", "#mcts@1024", "−83.3"]),  # 1 of 12, 11 before
    ],
)
def test_the_page_has_the_comparisons_of_the_terminal(
    run: Path, tmp_path: Path, ends: tuple[str, ...], told: list[str]
) -> None:
    a, b, *_ = *(f"{run}{end}" for end in ends), None
    compare(CompareSettings(a=a, b=b, export=(tmp_path / "page.html",)))
    page = (tmp_path / "page.html").read_text().replace("<wbr>", "")
    assert [words for words in told if words not in page] == []
    assert "<dt>problems</dt><dd>12 of toy</dd>" in page
    one, other = (b, a) if b else ("mcts:width=4,simulations=16", "greedy")
    assert f'<span class="kicker">comparison</span><h1>{one} against {other}</h1>' in page
    assert f"<title>{one} against {other}</title>" in page


def test_the_heading_of_a_page_of_many_is_short(run: Path, tmp_path: Path) -> None:
    greedy, *others = (f"{run}#{end}" for end in ("greedy@512", "greedy@1024", "mcts@512", "mcts@1024"))
    compare(
        CompareSettings(a=greedy, b=others[0], others=tuple(others[1:]), export=(tmp_path / "page.html",))
    )
    assert f"<h1>{others[0]} and 2 more against {greedy}</h1>" in (tmp_path / "page.html").read_text()


def test_an_unknown_ending_is_told_all_that_there_are(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ends in \.csv, \.tex, \.parquet, \.html$"):
        compare(CompareSettings(a=f"{run}", export=(tmp_path / "page.pdf",)))


def test_an_agent_of_several_budgets_is_named_once(run: Path) -> None:
    place = read_place(f"{run}#mcts")
    assert {pair.name for pair in compare_places([place, place], "greedy")} == {f"{run}#mcts"}


def test_changed_problems_are_named(run: Path) -> None:
    assert list(change_lines(pairs_of(run)))[:3] == [
        "mcts:width=4,simulations=16 against greedy @ 512 tokens",
        "  + p/0",
        "  − none",
    ]
