import io

from rich.console import Console

from o1coder_gym.runs.progress import ProgressLines, progress_bars


def test_a_log_gets_a_line_per_quarter() -> None:
    log = io.StringIO()
    console = Console(file=log, width=80)
    with progress_bars(console, "{task.fields[told]}") as progress:
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
    assert not isinstance(progress_bars(console, "{task.fields[told]}"), ProgressLines)
