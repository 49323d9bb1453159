"""`o1coder solve`: one problem, the reasoning shown as it comes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from rich.console import Console, Group
from rich.markup import escape
from rich.panel import Panel
from rich.syntax import Syntax
from rich.text import Text

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.cli.run_folders import resumable
from o1coder_gym.experiments.solving import Solved, Solver
from o1coder_gym.experiments.solving import solve as solve_rows
from o1coder_gym.problems.loading import OTHER_SET, load_rows
from o1coder_gym.problems.missing_tests import without_hidden_tests, without_visible_tests
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.reporting.results import counted
from o1coder_gym.reporting.tree_text import origin, terminal_tree
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.journal import FILES, optional_folder
from o1coder_gym.runs.progress import notes, warn
from o1coder_gym.runs.provenance import file_hashes, input_hashes
from o1coder_gym.settings import Checked, Flag
from o1coder_gym.settings.groups import (
    DEFAULT_POLICY,
    BudgetSettings,
    PolicySpec,
    RunSettings,
    Seed,
    SetName,
    Split,
    StepSettings,
)
from o1coder_gym.types import (
    ActionType,
    Outcome,
    Problem,
    Proposal,
    State,
    Step,
    Transition,
    Usage,
    Verdict,
)
from o1coder_gym.types.queries import Advance, Answer, Propose, Query


@dataclass(frozen=True, slots=True, kw_only=True)
class SolveSettings(Checked):
    """Question and agent.

    Attributes:
        task_id: A problem of the set; default: its first.
        prompt: Your own question.
        entry_point: Function to write for --prompt; without it, a program that reads standard input.
        agent: An agent, e.g. mcts?c=1.4&evaluate=mixed.
    """

    task_id: Annotated[str | None, Flag("TASK_ID")] = None
    problems: SetName = "starter"
    split: Split = None
    prompt: str | None = None
    entry_point: str | None = None
    agent: str = "mcts"
    policy: PolicySpec = DEFAULT_POLICY
    seed: Seed = 0
    budget: BudgetSettings = BudgetSettings(tokens=2048)
    steps: StepSettings = StepSettings()
    run: RunSettings = RunSettings()

    def to_row(self, problem: Problem) -> dict[str, Any]:
        """Returns the run folder's config."""
        row = {"task_id": problem.task_id, "prompt": problem.prompt, "agent": self.agent}
        row |= {"policy": self.policy, "format": self.steps.format, **asdict(self.budget)}
        row |= {"max_steps": self.steps.max_steps, "seed": self.seed, "scorer": self.steps.scorer}
        inputs = input_hashes(self.agent, self.policy, self.steps.scorer)
        # The verdicts of the journal are those of the file's tests.
        files = file_hashes(self.problems) if self.prompt is None else {}
        return row | {name: found for name, found in (("inputs", inputs), (FILES, files)) if found}


def solve(settings: SolveSettings) -> int:
    """Solve one problem and watch the reasoning."""
    row = _row(settings)
    steps, run, console = settings.steps, settings.run, notes()
    solver = Solver(
        settings.agent,
        settings.policy,
        format=steps.format,
        scorer=steps.scorer or "heuristic",
        budget=Budget(**asdict(settings.budget)),
        max_steps=steps.max_steps,
        seed=settings.seed,
    )
    solver.check()
    with optional_folder(run.out, settings.to_row(row.problem), resume=run.resume) as folder:
        console.print(Panel(escape(row.problem.prompt.strip()), title=escape(row.problem.task_id)))
        warn(without_visible_tests([row]), without_hidden_tests([row]) if settings.prompt is None else "")
        with resumable(run.out), console.status(f"loading {settings.policy}") as loading:
            (found,) = solve_rows(
                [row], solver, folder=folder, on_start=loading.stop, on_query=Narrator(console)
            )
    if any(len(children) > 1 for children in found.tree.children()) and not run.as_json:
        console.print(terminal_tree(found.tree, most=_SHOWN))
    if found.result.error is not None:
        raise found.result.error
    if run.as_json:
        print(to_json(_json(found)))
    else:
        _conclude(Console(), console, found)
    return 0 if found.code is not None else 1


def _row(settings: SolveSettings) -> ProblemRow:
    if settings.prompt is not None:
        problem = Problem(settings.task_id or "question", settings.prompt, settings.entry_point)
        return ProblemRow(problem, tests=(), reference=None)
    rows = load_rows(settings.problems, split=settings.split)
    return rows[0] if settings.task_id is None else rows.row(settings.task_id, advice=OTHER_SET)


_SHOWN = 40
"""Nodes of the tree that is drawn at the end, at most."""


class Narrator:
    """An observer that prints each step taken, with what its tests said, and what the budget cut."""

    def __init__(self, console: Console) -> None:
        """Prints to `console`."""
        self._console = console
        self._tokens: dict[tuple[State, str], int] = {}
        self._printed: set[str] = set()

    def __call__(self, task: object, query: Query, answer: Answer, usage: Usage) -> None:
        """Told of each answered query by the driver."""
        if isinstance(query, Propose) and isinstance(answer, tuple):
            self._tokens |= {(query.state, sample.text): sample.tokens for sample in answer}
            for sample in answer:
                if sample.finish == "budget":
                    self._console.print(_cut(sample, query.state.depth + 1, usage))
        elif (
            isinstance(query, Advance) and isinstance(answer, Transition) and answer.state is not query.state
        ):
            tokens = self._tokens.get((query.state, query.action))
            text = answer.state.steps[-1].text
            again = answer.verdict is not None and text in self._printed
            self._printed.add(text)
            self._console.print(_step(answer, tokens, usage, again=again))


_COLOURS = {
    ActionType.DEFINE: "blue",
    ActionType.REFINE: "cyan",
    ActionType.CODE: "green",
    ActionType.HELPER: "cyan",
    ActionType.MALFORMED: "red",
}


def _step(transition: Transition, tokens: int | None, usage: Usage, *, again: bool) -> Panel:
    """Shows a step in the colour of its verdict; a program that was shown before is folded.

    Args:
        transition: The step with what came of it.
        tokens: What it took to generate; None for a step that nobody generated.
        usage: Of the search so far.
        again: Whether the program was shown before.
    """
    step = transition.state.steps[-1]
    lines: list[Text | Syntax] = [Text("a program shown above", style="dim") if again else _body(step)]
    verdict = transition.verdict
    if verdict is not None:
        lines.append(_told(verdict))
    if transition.feedback and not again:
        lines.append(Text(transition.feedback, style="dim"))
    told = origin(transition.author, transition.finish, tokens or 0)
    words = (f"step {transition.state.depth}", step.type.name.lower(), told)
    title = " · ".join(filter(None, words))
    failed = verdict is not None and verdict.outcome is not Outcome.PASS and bool(verdict.total)
    return _panel(Group(*lines), title, tokens, usage, "yellow" if failed else _COLOURS[step.type])


def _cut(sample: Proposal, number: int, usage: Usage) -> Panel:
    """A sample that was not taken."""
    told = origin("policy", sample.finish, sample.tokens)
    text = Text(sample.text.strip(), style="dim")
    return _panel(text, f"step {number} · {told}", sample.tokens, usage, "dim")


def _panel(body: Group | Text, title: str, tokens: int | None, usage: Usage, colour: str) -> Panel:
    spent = f"{counted(usage.tokens, 'token')} spent"
    return Panel(
        body,
        title=title,
        title_align="left",
        subtitle=spent if tokens is None else f"{counted(tokens, 'token')} · {spent}",
        subtitle_align="right",
        border_style=colour,
    )


def _told(verdict: Verdict) -> Text:
    words = verdict.outcome.replace("_", " ")
    if not verdict.total:
        return Text(words, style="dim" if verdict.outcome is Outcome.NO_TESTS else "yellow")
    colour = "green" if verdict.outcome is Outcome.PASS else "yellow"
    return Text(f"{words}: {verdict.passed} of {verdict.total} public tests", style=colour)


def _body(step: Step) -> Text | Syntax:
    if step.type in (ActionType.CODE, ActionType.HELPER):
        return Syntax(step.text, "python", word_wrap=True, background_color="default")
    return Text(step.text.strip())


def _conclude(console: Console, notes: Console, found: Solved) -> None:
    usage, hidden = found.result.usage, found.hidden
    if found.code is None:
        cut = ": the budget cut a step" * found.cut
        notes.print(f"[red]no program was submitted[/]{cut}; try a larger --tokens or more --max-steps")
    else:
        notes.rule("chosen program")
        console.print(_body(Step(ActionType.CODE, found.code)))
    if hidden is not None:
        colour = "green" if hidden.outcome is Outcome.PASS else "red"
        words = hidden.outcome.replace("_", " ")
        notes.print(f"hidden tests: [{colour}]{words}[/], {hidden.passed} of {hidden.total} passed")
    spent = [counted(getattr(usage, f"{unit}s"), unit) for unit in ("token", "call", "execution")]
    notes.print(f"{', '.join(spent)}, {usage.seconds:.1f} s")


def _json(found: Solved) -> dict[str, Any]:
    answer, usage, hidden = found.result.result, found.result.usage, found.hidden
    return {
        "task_id": found.result.task.task_id,
        "agent": found.result.task.name,
        "code": found.code,
        "value": answer.value if answer else 0.0,
        "state": answer.state.to_row() if answer and answer.state else None,
        "outcome": hidden.outcome if hidden else None,
        "passed": hidden.passed if hidden else None,
        "total": hidden.total if hidden else None,
        "usage": {
            "tokens": usage.tokens,
            "prompt_tokens": usage.prompt_tokens,
            "cached_tokens": usage.cached_tokens,
            "calls": usage.calls,
            "executions": usage.executions,
            "seconds": round(usage.seconds, 3),
        },
    }


app = command(SolveSettings, solve, name="solve")
