"""`o1coder explain`: one answer of a run, with every hidden test that it failed."""

from __future__ import annotations

from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.experiments.measures.explanations import ExplainSettings, Explanation, explain_answers
from o1coder_gym.reporting.results import budget_words
from o1coder_gym.runs.progress import notes
from o1coder_gym.types import Outcome


def explain(settings: ExplainSettings) -> None:
    """Show an answer of a run with every hidden test that it failed.

    The program is judged once more; what it gave is shown beside what was expected.
    """
    for one in explain_answers(settings):
        if settings.as_json:
            print(to_json(one.answer.to_row() | {"failed": list(one.failed)}))
        else:
            _show(Console(), one)


def _show(console: Console, explained: Explanation) -> None:
    answer, verdict, failed = explained.answer, explained.verdict, explained.failed
    console.rule(f"{answer.agent} · {budget_words(answer.budget)} · seed {answer.seed}", style="dim")
    if answer.code is None or verdict is None:
        console.print(Text(answer.error or answer.missing, style="red"))
        return
    console.print(Syntax(answer.code, "python", background_color="default", word_wrap=True))
    colour = "green" if verdict.outcome is Outcome.PASS else "red"
    words = verdict.outcome.value.replace("_", " ")
    console.print(Text(f"{words}: {verdict.passed} of {verdict.total} hidden tests", style=colour))
    if verdict.error and not failed:
        console.print(Text(f"  {verdict.error}"))
    for one in failed:
        console.print(Text(f"✗ {one['test']}", style="red"), soft_wrap=True)
        told = one["error"] or (
            f"got {one['got']}" if one["got"] is not None else one["outcome"].replace("_", " ")
        )
        console.print(Text(f"  {told}"), soft_wrap=True)
    if answer.outcome is not None and answer.outcome != verdict.outcome:
        notes().print(f"the run had recorded: {answer.outcome.replace('_', ' ')}")


app = command(ExplainSettings, explain, name="explain")
