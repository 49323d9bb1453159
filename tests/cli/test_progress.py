import io
import json
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from o1coder_gym.cli import bars, main
from o1coder_gym.experiments.shards import SynthesisPlan
from o1coder_gym.process_data.search_tree import SearchTree
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.progress import ProgressLines, progress_bars
from o1coder_gym.types import Problem


def test_a_log_gets_a_line_per_quarter() -> None:
    log = io.StringIO()
    console = Console(file=log, width=80)
    with progress_bars(console) as progress:
        assert isinstance(progress, ProgressLines)
        bar = progress.add_task("searching", total=40, told="")
        for done in range(1, 41):
            progress.update(bar, completed=done, told=f"{done // 2} solved")
    lines = log.getvalue().splitlines()
    assert [line.split()[:4] for line in lines] == [
        ["searching", "10/40", "5", "solved"],
        ["searching", "20/40", "10", "solved"],
        ["searching", "30/40", "15", "solved"],
        ["searching", "40/40", "20", "solved"],
    ]


def test_a_terminal_gets_bars() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    assert not isinstance(progress_bars(console), ProgressLines)


def test_what_is_printed_while_nothing_is_shown_is_not_lost(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, quiet=True)
    with progress_bars(console) as progress:
        progress.add_task("searching", total=1, told="")
        print("a caller's own words")
    assert capsys.readouterr().out == "a caller's own words\n"


def test_results_for_a_file_do_not_pass_through_the_bars(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(file=io.StringIO(), width=20, force_terminal=True)
    row = json.dumps({"task_id": "longer than the terminal is wide"})
    with progress_bars(console) as progress:
        progress.add_task("judging", total=1, told="")
        print(row)
    assert capsys.readouterr().out == f"{row}\n"


def test_bars_are_made_in_one_place() -> None:
    folder = Path(main.__file__).parent
    makers = [path.name for path in folder.rglob("*.py") if "Progress(" in path.read_text()]
    assert makers == ["models.py"]  # a download's, in bytes: nothing is printed meanwhile


def test_a_bar_goes_on_where_the_run_was(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bars, "missing", lambda plan, folder: {0: ["b"]})
    monkeypatch.setattr(bars, "search_all", lambda *given: [given[-1](tree)])
    tree = SearchTree(Problem("b", "?"), "mcts", 0, "pseudocode", ())
    plan = SynthesisPlan("toy", ("a", "b"), "mcts", "fake", "pseudocode", Budget())
    bars.search_shown(plan, (), {}, cast(Any, None), "serial", lambda tree: None)
    assert capsys.readouterr().err.split()[:4] == ["searching", "2/2", "0", "solved,"]
